//! Client transactions with the requests that they carry.

use std::time::Instant;

use super::attempts::Course;
use super::event::{Event, InviteId, Ticket, Transmit};
use super::flow::Flow;
use super::path::RequestPath;
use super::timers::{Owner, Timers};
use super::{ClientId, Endpoint, shrink};
use crate::dialog::DialogId;
use crate::message::{HeaderName, Method, Request, Response, StatusCode};
use crate::random::Key;
use crate::transaction::client_invite::ClientInvite;
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::key;
use crate::transaction::timer::{Settings, Timer};
use crate::transaction::{Action, Actions, Class};

/// For whom a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// The owner of the endpoint, outside any dialog.
    Owner(ClientId),
    /// A call of ours.
    Invite(InviteId),
    /// Nobody: a CANCEL, whose INVITE tells how it ends; a goodbye to somebody who isn't wanted; a
    /// request that was left for another attempt.
    Nobody,
    /// A dialog that ends.
    Bye(DialogId),
    /// A dialog that hands its caller over, by the REFER with this CSeq.
    Refer(DialogId, u32),
    /// A dialog that offers anew, by the re-INVITE or UPDATE with this CSeq.
    Offer(DialogId, u32),
    /// A dialog whose owner wants to know no more than the status: INFO, OPTIONS.
    Query(DialogId),
    /// An early dialog that acknowledges a reliable provisional response.
    Prack(DialogId),
}

#[derive(Debug, Clone, Copy)]
enum Machine {
    Invite(ClientInvite),
    NonInvite(ClientNonInvite),
}

impl Machine {
    fn start(method: &Method, settings: &Settings, reliable: bool) -> (Self, Actions) {
        if *method == Method::Invite {
            let (machine, actions) = ClientInvite::start(settings, reliable);
            (Self::Invite(machine), actions)
        } else {
            let (machine, actions) = ClientNonInvite::start(settings, reliable);
            (Self::NonInvite(machine), actions)
        }
    }

    fn on_response(self, class: Class, settings: &Settings, reliable: bool, actions: &mut Actions) -> Self {
        match self {
            Self::Invite(m) => Self::Invite(m.on_response(class, settings, reliable, actions)),
            Self::NonInvite(m) => Self::NonInvite(m.on_response(class, settings, reliable, actions)),
        }
    }

    fn on_timer(self, timer: Timer, settings: &Settings, actions: &mut Actions) -> Self {
        match self {
            Self::Invite(m) => Self::Invite(m.on_timer(timer, actions)),
            Self::NonInvite(m) => Self::NonInvite(m.on_timer(timer, settings, actions)),
        }
    }

    /// Whether nothing at all has come back.
    fn is_unanswered(self) -> bool {
        matches!(
            self,
            Self::Invite(ClientInvite::Calling { .. }) | Self::NonInvite(ClientNonInvite::Trying { .. })
        )
    }

    /// Whether the final response is still to come.
    fn is_pending(self) -> bool {
        self.is_unanswered()
            || matches!(
                self,
                Self::Invite(ClientInvite::Proceeding) | Self::NonInvite(ClientNonInvite::Proceeding)
            )
    }
}

/// The ACK of a 2xx, kept to be sent again when the 2xx comes again (§13.2.2.4).
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    pub dialog: DialogId,
    pub ack: Request,
    pub path: RequestPath,
}

/// One request of ours.
#[derive(Debug)]
pub(crate) struct ClientTransaction {
    machine: Machine,
    pub request: Request,
    pub path: RequestPath,
    pub user: User,
    /// What else can be tried.
    pub course: Option<Box<Course>>,
    /// Copies that may have left this machine.
    pub copies: u32,
    /// The CANCEL is out.
    pub cancelled: bool,
    /// Of an INVITE with a 2xx: one for each dialog that answered.
    pub acknowledgements: Vec<Acknowledgement>,
    timers: Timers,
}

impl ClientTransaction {
    /// Whether nothing at all has come back.
    pub fn is_unanswered(&self) -> bool {
        self.machine.is_unanswered()
    }

    /// Whether provisional responses have come, and no final one.
    pub fn is_proceeding(&self) -> bool {
        self.machine.is_pending() && !self.machine.is_unanswered()
    }

    /// Sends no more copies, and no longer waits to be left.
    pub fn fall_silent(&mut self) {
        for timer in [Timer::A, Timer::E, Timer::Attempt, Timer::Patience] {
            self.timers.stop(timer);
        }
    }

    /// Whether a response is to this very request: branch and method are known to match, and
    /// whoever knows those knows the rest as well.
    fn is_answered_by(&self, response: &Response) -> bool {
        let (ours, theirs) = (self.request.headers(), response.headers());
        let tag = |name: fn(&crate::message::Headers) -> Option<Vec<u8>>| (name(ours), name(theirs));
        let (our_from, their_from) = tag(|headers| Some(headers.from().ok()?.tag()?.to_vec()));
        let (our_to, their_to) = tag(|headers| Some(headers.to().ok()?.tag()?.to_vec()));
        let numbers = (ours.cseq().map(|cseq| cseq.number), theirs.cseq().map(|cseq| cseq.number));
        ours.get(HeaderName::CallId) == theirs.get(HeaderName::CallId)
            && our_from == their_from
            && (our_to.is_none() || our_to == their_to)
            && matches!(numbers, (Ok(ours), Ok(theirs)) if ours == theirs)
    }
}

impl Endpoint {
    /// Makes the transaction of a request with this branch, and sends it.
    pub(crate) fn start_client(
        &mut self,
        branch: &str,
        request: Request,
        path: RequestPath,
        user: User,
        course: Option<Box<Course>>,
        now: Instant,
    ) -> Key {
        let key = key::client(&self.keyer, branch.as_bytes(), request.method());
        let reliable = path.transport.is_reliable();
        let (machine, actions) = Machine::start(request.method(), &self.config.timers, reliable);
        let client = ClientTransaction {
            machine,
            request,
            path,
            user,
            course,
            copies: 0,
            cancelled: false,
            acknowledgements: Vec::new(),
            timers: Timers::default(),
        };
        self.counters.traffic_out.count_request(client.request.method());
        self.clients.insert(key, client);
        self.apply_client(key, actions, None, now);
        key
    }

    /// A response came.
    pub(crate) fn receive_response(&mut self, flow: Flow, response: Response, now: Instant) {
        let settings = self.config.timers;
        let Ok(key) = key::of_response(&self.keyer, &response) else {
            self.counters.unreadable += 1;
            return;
        };
        // Another hop's below ours: not for us (§8.1.3.3).
        let foreign = response.headers().list(HeaderName::Via).nth(1).is_some();
        let client = self.clients.get_mut(&key).filter(|client| !foreign && client.is_answered_by(&response));
        let Some(client) = client else {
            self.counters.stray_responses += 1;
            return;
        };
        client.timers.stop(Timer::Attempt);
        let class = Class::of(response.status());
        let reliable = client.path.transport.is_reliable();
        let mut actions = Actions::new();
        client.machine = client.machine.on_response(class, &settings, reliable, &mut actions);
        self.apply_client(key, actions, Some((flow, response)), now);
    }

    /// Sets a timer of a transaction.
    pub(crate) fn set_client_timer(&mut self, key: Key, timer: Timer, at: Instant) {
        if let Some(client) = self.clients.get_mut(&key) {
            self.timers.start(&mut client.timers, Owner::Client(key), timer, at);
        }
    }

    pub(crate) fn client(&self, key: Key) -> Option<&ClientTransaction> {
        self.clients.get(&key)
    }

    pub(crate) fn client_mut(&mut self, key: Key) -> Option<&mut ClientTransaction> {
        self.clients.get_mut(&key)
    }

    pub(crate) fn client_timer(&mut self, key: Key, timer: Timer, serial: u64, now: Instant) {
        let settings = self.config.timers;
        let Some(client) = self.clients.get_mut(&key) else { return };
        if !client.timers.fire(timer, serial) {
            return;
        }
        match timer {
            Timer::Attempt => self.attempt_over(key, now),
            Timer::Patience => {
                if client.machine.is_pending() {
                    self.client_failed(key, StatusCode::REQUEST_TIMEOUT, now);
                    self.destroy_client(key, now);
                }
            }
            Timer::Offer => self.cancel_client(key, now),
            _ => {
                let mut actions = Actions::new();
                client.machine = client.machine.on_timer(timer, &settings, &mut actions);
                self.apply_client(key, actions, None, now);
            }
        }
    }

    /// The transport gave up (§8.1.3.1).
    pub(crate) fn client_undeliverable(&mut self, key: Key, now: Instant) {
        // After an answer of any kind, one copy of the request that got lost means nothing.
        let Some(client) = self.clients.get_mut(&key).filter(|client| client.is_unanswered()) else { return };
        client.copies = client.copies.saturating_sub(1);
        if !self.try_next(key, super::attempts::Cause::Unreachable, now) {
            self.client_failed(key, StatusCode::SERVICE_UNAVAILABLE, now);
        }
        self.destroy_client(key, now);
    }

    fn apply_client(&mut self, key: Key, actions: Actions, response: Option<(Flow, Response)>, now: Instant) {
        for action in actions {
            let Some(client) = self.clients.get_mut(&key) else { return };
            match action {
                Action::Send => {
                    client.copies = client.copies.saturating_add(1);
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
                    if let Some((flow, response)) = response.clone() {
                        self.client_answered(key, flow, response, now);
                    }
                }
                Action::TimedOut => self.client_failed(key, StatusCode::REQUEST_TIMEOUT, now),
                Action::Destroy => self.destroy_client(key, now),
                Action::Acknowledge => {
                    if let Some((_, response)) = &response {
                        self.acknowledge_refusal(key, response);
                    }
                }
            }
        }
    }

    fn destroy_client(&mut self, key: Key, now: Instant) {
        if let Some(client) = self.clients.remove(&key)
            && let User::Invite(invite) = client.user
        {
            self.invite_attempt_gone(invite, key, now);
        }
        shrink(&mut self.clients);
    }

    fn client_answered(&mut self, key: Key, flow: Flow, response: Response, now: Instant) {
        let Some(user) = self.clients.get(&key).map(|client| client.user) else { return };
        let status = response.status();
        if status.is_final() && self.goes_on(key, flow, &response, now) {
            return;
        }
        match user {
            User::Owner(client) => self.emit(Event::Response { client, response }),
            User::Invite(invite) => self.invite_answered(invite, key, response, flow, now),
            User::Offer(..) if status.is_provisional() => self.offer_proceeds(key, now),
            // A re-INVITE that was left for another way: nothing else would end it.
            User::Nobody if status.is_provisional() => self.cancel_client(key, now),
            User::Nobody | User::Prack(_) => {}
            _ if status.is_provisional() => {}
            User::Bye(dialog) => self.dialog_closed(dialog),
            User::Refer(dialog, cseq) => self.refer_answered(dialog, cseq, Some(status)),
            User::Offer(dialog, cseq) => self.offer_answered((dialog, cseq), key, &response, flow, now),
            User::Query(dialog) => self.query_answered(dialog, key, status),
        }
    }

    /// `status` is what stands for the failure (§8.1.3.1).
    fn client_failed(&mut self, key: Key, status: StatusCode, now: Instant) {
        let Some(client) = self.clients.get(&key) else { return };
        let sent = client.copies > 0 || client.course.as_ref().is_some_and(|course| course.sent);
        match client.user {
            User::Owner(client) => self.emit(Event::NoResponse { client, sent }),
            User::Invite(invite) => self.invite_failed(invite, key, status, now),
            User::Nobody | User::Prack(_) => {}
            User::Bye(dialog) => self.dialog_closed(dialog),
            User::Refer(dialog, cseq) => self.refer_answered(dialog, cseq, None),
            User::Offer(dialog, cseq) => self.offer_failed((dialog, cseq), key, status, None, now),
            User::Query(dialog) => self.query_answered(dialog, key, status),
        }
    }
}
