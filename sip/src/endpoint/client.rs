//! Client transactions with the requests that they carry.

use std::net::SocketAddr;
use std::time::Instant;

use super::event::{ClientId, Event, InviteId, ReferProgress, Ticket, Transmit};
use super::flow::{ConnectionId, Flow, Target, Transport};
use super::timers::{Owner, Timers};
use super::{Endpoint, shrink};
use crate::dialog::{Dialog, DialogId};
use crate::message::{HeaderName, Method, Request, Response, StatusCode};
use crate::random::Key;
use crate::transaction::client_invite::ClientInvite;
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::key;
use crate::transaction::timer::Timer;
use crate::transaction::{Action, Actions, Class};
use crate::ua::invite::hop_request;

/// For whom a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// The owner of the endpoint, outside any dialog.
    Owner(ClientId),
    /// A call of ours.
    Invite(InviteId),
    /// The cancelling of a call of ours; its INVITE tells how it ends.
    Cancel,
    /// A dialog that ends.
    Bye(DialogId),
    /// A dialog that hands its caller over, by the REFER with this CSeq.
    Refer(DialogId, u32),
    /// A dialog whose session is refreshed, by the re-INVITE or UPDATE with this CSeq.
    Refresh(DialogId, u32),
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) struct RequestPath {
    pub transport: Transport,
    pub target: Target,
    pub connection: Option<ConnectionId>,
}

#[derive(Debug, Clone, Copy)]
enum Machine {
    Invite(ClientInvite),
    NonInvite(ClientNonInvite),
}

impl RequestPath {
    /// The address, unless it is still a name.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.target {
            Target::Address(address) => Some(address),
            Target::Name { .. } => None,
        }
    }
}

/// One request of ours.
#[derive(Debug)]
pub(crate) struct ClientTransaction {
    machine: Machine,
    request: Request,
    path: RequestPath,
    user: User,
    timers: Timers,
}

impl Endpoint {
    /// Sends a request whose top `Via` has `branch`.
    pub(crate) fn open_client(
        &mut self,
        branch: &str,
        request: Request,
        path: RequestPath,
        user: User,
        now: Instant,
    ) {
        let key = key::client(&self.keyer, branch.as_bytes(), request.method());
        let reliable = path.transport.is_reliable();
        let settings = self.config.timers;
        let (machine, actions) = if *request.method() == Method::Invite {
            let (machine, actions) = ClientInvite::start(&settings, reliable);
            (Machine::Invite(machine), actions)
        } else {
            let (machine, actions) = ClientNonInvite::start(&settings, reliable);
            (Machine::NonInvite(machine), actions)
        };
        let timers = Timers::default();
        self.counters.traffic_out.count_request(request.method());
        self.clients.insert(key, ClientTransaction { machine, request, path, user, timers });
        self.apply_client(key, actions, None, now);
    }

    /// A response came.
    pub(crate) fn receive_response(&mut self, flow: Flow, response: Response, now: Instant) {
        let settings = self.config.timers;
        let Ok(key) = key::of_response(&self.keyer, &response) else {
            self.counters.unreadable += 1;
            return;
        };
        // Another hop's below ours: not for us (§8.1.3.3).
        if response.headers().list(HeaderName::Via).nth(1).is_some() {
            self.counters.stray_responses += 1;
            return;
        }
        let Some(client) = self.clients.get_mut(&key) else {
            self.counters.stray_responses += 1;
            return;
        };
        let class = Class::of(response.status());
        let reliable = client.path.transport.is_reliable();
        let mut actions = Actions::new();
        client.machine = match client.machine {
            Machine::Invite(m) => Machine::Invite(m.on_response(class, &settings, reliable, &mut actions)),
            Machine::NonInvite(m) => {
                Machine::NonInvite(m.on_response(class, &settings, reliable, &mut actions))
            }
        };
        self.apply_client(key, actions, Some((flow, response)), now);
    }

    /// Gives a cancelled INVITE as long as anything else to get its final response (§9.1).
    pub(crate) fn limit_cancelled(&mut self, branch: &str, now: Instant) {
        let key = key::client(&self.keyer, branch.as_bytes(), &Method::Invite);
        let at = now + Timer::Cancelled.first(&self.config.timers, false);
        if let Some(client) = self.clients.get_mut(&key) {
            self.timers.start(&mut client.timers, Owner::Client(key), Timer::Cancelled, at);
        }
    }

    pub(crate) fn client_timer(&mut self, key: Key, timer: Timer, serial: u64, now: Instant) {
        let settings = self.config.timers;
        let Some(client) = self.clients.get_mut(&key) else { return };
        if !client.timers.fire(timer, serial) {
            return;
        }
        let mut actions = Actions::new();
        client.machine = match client.machine {
            Machine::Invite(m) => Machine::Invite(m.on_timer(timer, &mut actions)),
            Machine::NonInvite(m) => Machine::NonInvite(m.on_timer(timer, &settings, &mut actions)),
        };
        self.apply_client(key, actions, None, now);
    }

    /// The transport gave up (§8.1.3.1).
    pub(crate) fn client_undeliverable(&mut self, key: Key, now: Instant) {
        // After an answer of any kind, one copy of the request that got lost means nothing.
        let unanswered = self.clients.get(&key).is_some_and(|client| {
            matches!(
                client.machine,
                Machine::Invite(ClientInvite::Calling { .. })
                    | Machine::NonInvite(ClientNonInvite::Trying { .. })
            )
        });
        if unanswered && let Some(client) = self.clients.remove(&key) {
            self.client_failed(client.user, StatusCode::SERVICE_UNAVAILABLE, now);
        }
    }

    fn apply_client(&mut self, key: Key, actions: Actions, response: Option<(Flow, Response)>, now: Instant) {
        for action in actions {
            let Some(client) = self.clients.get_mut(&key) else { return };
            match action {
                Action::Send => {
                    let transmit = Transmit {
                        transport: client.path.transport,
                        target: client.path.target.clone(),
                        connection: client.path.connection,
                        bytes: client.request.as_bytes().clone(),
                        ticket: Some(Ticket(key)),
                    };
                    self.transmit(transmit);
                }
                Action::Start(timer, after) => {
                    self.timers.start(&mut client.timers, Owner::Client(key), timer, now + after);
                }
                Action::Stop(timer) => client.timers.stop(timer),
                Action::Deliver => {
                    let user = client.user;
                    if let Some((flow, response)) = response.clone() {
                        self.client_answered(user, flow, response, now);
                    }
                }
                Action::TimedOut => {
                    let user = client.user;
                    self.client_failed(user, StatusCode::REQUEST_TIMEOUT, now);
                }
                Action::Destroy => {
                    if let Some(client) = self.clients.remove(&key)
                        && let User::Invite(invite) = client.user
                    {
                        self.remove_outgoing(invite);
                    }
                    shrink(&mut self.clients);
                }
                Action::Acknowledge => {
                    let refreshes = matches!(client.user, User::Refresh(..));
                    let built = match (client.user, &response) {
                        (User::Invite(invite), Some((_, response))) => {
                            self.acknowledge_refusal(invite, response)
                        }
                        (_, Some((_, response))) if refreshes => {
                            let to = response.headers().get(HeaderName::To).unwrap_or_default();
                            Some((hop_request(&client.request, Method::Ack, to), client.path.clone()))
                        }
                        _ => None,
                    };
                    if let Some((ack, path)) = built {
                        self.send_ack(&ack, &path);
                    }
                }
            }
        }
    }

    fn client_answered(&mut self, user: User, flow: Flow, response: Response, now: Instant) {
        let status = response.status();
        match user {
            User::Owner(client) => self.emit(Event::Response { client, response }),
            User::Invite(invite) => self.invite_answered(invite, response, flow, now),
            User::Cancel => {}
            _ if status.is_provisional() => {}
            User::Bye(dialog) => self.dialog_closed(dialog),
            User::Refer(dialog, cseq) => self.refer_answered(dialog, cseq, status),
            User::Refresh(dialog, cseq) => self.refresh_answered(dialog, cseq, &response, now),
        }
    }

    /// `status` is what stands for the failure (§8.1.3.1).
    fn client_failed(&mut self, user: User, status: StatusCode, now: Instant) {
        match user {
            User::Owner(client) => self.emit(Event::NoResponse { client }),
            User::Invite(invite) => self.invite_failed(invite, status),
            User::Cancel => {}
            User::Bye(dialog) => self.dialog_closed(dialog),
            User::Refresh(id, cseq) => self.refresh_failed(id, cseq, status, None, now),
            User::Refer(id, cseq) => {
                if let Some(dialog) = self.dialog_referring(id, cseq) {
                    dialog.refer = None;
                    self.emit(Event::Refer { dialog: id, progress: ReferProgress::Unanswered });
                }
            }
        }
    }

    /// The dialog, if it still waits for what becomes of the REFER with this CSeq: a last NOTIFY
    /// may have come before, and another REFER after it.
    fn dialog_referring(&mut self, id: DialogId, cseq: u32) -> Option<&mut Dialog> {
        let dialog = self.dialogs.get_mut(&id)?;
        dialog.refer.as_ref().is_some_and(|refer| refer.cseq == cseq).then_some(dialog)
    }

    fn refer_answered(&mut self, id: DialogId, cseq: u32, status: StatusCode) {
        let Some(dialog) = self.dialog_referring(id, cseq) else { return };
        if !status.is_success() {
            dialog.refer = None;
        }
        self.emit(Event::Refer { dialog: id, progress: ReferProgress::Answered(status) });
    }

    /// A branch for a new request (§8.1.1.7).
    pub(crate) fn new_branch(&mut self) -> String {
        format!("z9hG4bK{}", self.tokens.next_token())
    }

    /// The value of `Via` for a request of ours; `rport` always (RFC 3581 §3).
    pub(crate) fn via(&self, transport: Transport, local: SocketAddr, branch: &str) -> String {
        format!("SIP/2.0/{} {};rport;branch={branch}", transport.via_name(), self.sent_by(local))
    }

    /// What stands for us in `Via` and `Contact`.
    pub(crate) fn sent_by(&self, local: SocketAddr) -> String {
        match &self.config.advertised {
            Some((host, Some(port))) => format!("{host}:{port}"),
            Some((host, None)) => format!("{host}:{}", local.port()),
            None => local.to_string(),
        }
    }

    /// The value of `Contact` of ours (§8.1.1.8).
    pub(crate) fn contact(&self, transport: Transport, local: SocketAddr) -> String {
        match transport {
            Transport::Udp => format!("<sip:{}>", self.sent_by(local)),
            Transport::Tcp => format!("<sip:{};transport=tcp>", self.sent_by(local)),
        }
    }
}
