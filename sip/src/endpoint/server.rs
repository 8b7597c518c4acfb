//! Server transactions with the messages that belong to them.

use std::time::Instant;

use bytes::Bytes;

use super::event::Event;
use super::timers::{Owner, Timers};
use super::{Endpoint, ReplyPath, shrink};
use crate::dialog::DialogId;
use crate::message::{Method, Request, Response};
use crate::random::Key;
use crate::transaction::server_invite::ServerInvite;
use crate::transaction::server_non_invite::ServerNonInvite;
use crate::transaction::timer::{Settings, Timer};
use crate::transaction::{Action, Actions, Class};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Machine {
    Invite(ServerInvite),
    NonInvite(ServerNonInvite),
}

/// One request that came, and what we said to it.
#[derive(Debug)]
pub(crate) struct ServerTransaction {
    machine: Machine,
    pub path: ReplyPath,
    /// The last response, kept while a repetition of the request must get it again.
    last: Option<Bytes>,
    /// The request, kept until its final response has been made.
    pub request: Option<Request>,
    /// The dialog of an INVITE.
    pub dialog: Option<DialogId>,
    merged: Option<Key>,
    timers: Timers,
}

impl Endpoint {
    /// Makes the transaction of a new request.
    pub(crate) fn open_server(
        &mut self,
        key: Key,
        path: ReplyPath,
        request: Request,
        dialog: Option<DialogId>,
        merged: Option<Key>,
    ) {
        let machine = if *request.method() == Method::Invite {
            Machine::Invite(ServerInvite::Proceeding)
        } else {
            Machine::NonInvite(ServerNonInvite::Trying)
        };
        if let Some(merged) = merged {
            self.merged.insert(merged, key);
        }
        self.servers.insert(
            key,
            ServerTransaction {
                machine,
                path,
                last: None,
                request: Some(request),
                dialog,
                merged,
                timers: Timers::default(),
            },
        );
    }

    /// Sends a response in its transaction. Without the transaction (it timed out) nothing
    /// happens.
    pub(crate) fn respond(&mut self, key: Key, response: &Response, now: Instant) {
        let settings = self.config.timers;
        let class = Class::of(response.status());
        let Some(server) = self.servers.get_mut(&key) else { return };
        let reliable = server.path.flow.transport.is_reliable();
        let mut actions = Actions::new();
        server.machine = match server.machine {
            Machine::Invite(m) => Machine::Invite(m.respond(class, &settings, reliable, &mut actions)),
            Machine::NonInvite(m) => Machine::NonInvite(m.respond(class, &settings, reliable, &mut actions)),
        };
        if actions.is_empty() {
            return;
        }
        server.last = Some(response.as_bytes().clone());
        if let Some(request) = &server.request {
            self.counters.traffic_out.count_response(request.method(), response.status());
        }
        self.apply_server(key, actions, now);
        if class == Class::Provisional {
            return;
        }
        if let Some(server) = self.servers.get_mut(&key) {
            server.request = None;
            // The UAS core repeats a 2xx to INVITE until the ACK (§13.3.1.4), not this.
            if matches!(server.machine, Machine::Invite(ServerInvite::Accepted)) {
                server.last = None;
            }
        }
    }

    /// The request came again.
    pub(crate) fn server_retransmission(&mut self, key: Key, now: Instant) {
        self.counters.retransmissions += 1;
        self.repeat_response(key, now);
    }

    /// Sends the last response once more, where the transaction still does so.
    pub(crate) fn repeat_response(&mut self, key: Key, now: Instant) {
        let mut actions = Actions::new();
        let Some(server) = self.servers.get_mut(&key) else { return };
        server.machine = match server.machine {
            Machine::Invite(m) => Machine::Invite(m.on_retransmission(&mut actions)),
            Machine::NonInvite(m) => Machine::NonInvite(m.on_retransmission(&mut actions)),
        };
        self.apply_server(key, actions, now);
    }

    /// The ACK of a non-2xx response came. False when this transaction has no use for it, as
    /// after a 2xx: then it belongs to the dialog.
    pub(crate) fn server_ack(&mut self, key: Key, now: Instant) -> bool {
        let settings = self.config.timers;
        let Some(server) = self.servers.get_mut(&key) else { return false };
        let Machine::Invite(machine) = server.machine else { return false };
        if matches!(machine, ServerInvite::Accepted) {
            return false;
        }
        let reliable = server.path.flow.transport.is_reliable();
        let mut actions = Actions::new();
        server.machine = Machine::Invite(machine.on_ack(&settings, reliable, &mut actions));
        self.apply_server(key, actions, now);
        true
    }

    pub(crate) fn server_timer(&mut self, key: Key, timer: Timer, serial: u64, now: Instant) {
        let settings: Settings = self.config.timers;
        let Some(server) = self.servers.get_mut(&key) else { return };
        if !server.timers.fire(timer, serial) {
            return;
        }
        let mut actions = Actions::new();
        server.machine = match server.machine {
            Machine::Invite(m) => Machine::Invite(m.on_timer(timer, &settings, &mut actions)),
            Machine::NonInvite(m) => Machine::NonInvite(m.on_timer(timer, &mut actions)),
        };
        self.apply_server(key, actions, now);
    }

    /// Whether an INVITE of this transaction still waits for its final response.
    pub(crate) fn is_proceeding(&self, key: Key) -> bool {
        self.servers
            .get(&key)
            .is_some_and(|server| matches!(server.machine, Machine::Invite(ServerInvite::Proceeding)))
    }

    fn apply_server(&mut self, key: Key, actions: Actions, now: Instant) {
        for action in actions {
            let Some(server) = self.servers.get_mut(&key) else { return };
            match action {
                Action::Send => {
                    if let Some(bytes) = server.last.clone() {
                        let transmit = server.path.transmit(bytes);
                        self.transmit(transmit);
                    }
                }
                Action::Start(timer, after) => {
                    self.timers.start(&mut server.timers, Owner::Server(key), timer, now + after);
                }
                Action::Stop(timer) => server.timers.stop(timer),
                Action::Destroy => self.close_server(key),
                // A refusal whose ACK never came leaves nothing to end (§17.2.1); the two others
                // are a client's.
                Action::TimedOut | Action::Deliver | Action::Acknowledge => {}
            }
        }
    }

    fn close_server(&mut self, key: Key) {
        if let Some(server) = self.servers.remove(&key)
            && let Some(merged) = server.merged
            && self.merged.get(&merged) == Some(&key)
        {
            self.merged.remove(&merged);
        }
        shrink(&mut self.servers);
        shrink(&mut self.merged);
    }

    /// Answers a request that needs no more than a status, and tells of it afterwards.
    pub(crate) fn answer_and_emit(
        &mut self,
        key: Key,
        response: &Response,
        event: Option<Event>,
        now: Instant,
    ) {
        self.respond(key, response, now);
        if let Some(event) = event {
            self.emit(event);
        }
    }
}
