//! What a request of ours goes through before its fate is told: other addresses (RFC 3263 §4.3),
//! another transport because of its size (RFC 3261 §18.1.1), challenges (§22).

use std::collections::VecDeque;
use std::time::Instant;

use super::flow::{Flow, Hop, Transport};
use super::path::{RequestPath, Size};
use super::{Endpoint, User};
use crate::message::{Request, Response, Scheme, StatusCode};
use crate::random::Key;
use crate::transaction::timer::Timer;
use crate::ua::reissue::{Changes, reissue};
use crate::ua::trust::Auth;

/// What is left to try for a request.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// The addresses after the one in use.
    pub hops: VecDeque<Hop>,
    /// Set where the `Contact` is ours to write; its scheme.
    pub contact: Option<Scheme>,
    pub auth: Option<Auth>,
    /// When the whole of it is given up.
    pub deadline: Option<Instant>,
    /// Whether any attempt before this one may have left the machine.
    pub sent: bool,
}

/// Why another way is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The transport reports failure.
    Unreachable,
    /// Nothing came back.
    Silence,
    /// `503` (RFC 3263 §4.3).
    Overload,
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
        self.launch(branch, (request, path), user, None, now);
    }

    /// As [`Endpoint::open_client`], with what else is to be tried.
    pub(crate) fn launch(
        &mut self,
        branch: &str,
        (request, path): (Request, RequestPath),
        user: User,
        course: Option<Box<Course>>,
        now: Instant,
    ) -> Key {
        let (request, path) = self.sized(branch, request, path);
        let others = course.as_ref().is_some_and(|course| !course.hops.is_empty());
        let impatient = others || path.size == Size::Switched;
        let deadline = course.as_ref().and_then(|course| course.deadline);
        let key = self.start_client(branch, request, path, user, course, now);
        if let User::Invite(id) = user {
            self.invite_attempted(id, key, now);
        }
        if impatient {
            self.set_client_timer(key, Timer::Attempt, now + self.config.attempt);
        }
        if let Some(deadline) = deadline {
            self.set_client_timer(key, Timer::Patience, deadline);
        }
        key
    }

    /// A request too large for a datagram goes over TCP, and says so in its `Via` (§18.1.1).
    fn sized(&self, branch: &str, request: Request, path: RequestPath) -> (Request, RequestPath) {
        let large = request.as_bytes().len() > self.config.max_udp_request;
        if !large || path.transport != Transport::Udp || path.size != Size::Counts {
            return (request, path);
        }
        let path = path.over_tcp();
        let via = self.via(path.transport, path.local, branch);
        (reissue(&request, &Changes { via, ..Changes::default() }), path)
    }

    /// Nothing has come back for as long as one of several ways is waited for.
    pub(crate) fn attempt_over(&mut self, key: Key, now: Instant) {
        if self.client(key).is_some_and(super::client::ClientTransaction::is_unanswered) {
            self.try_next(key, Cause::Silence, now);
        }
    }

    /// Whether a final response is not the end of it: the request goes out once more.
    pub(crate) fn goes_on(&mut self, key: Key, flow: Flow, response: &Response, now: Instant) -> bool {
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => self.try_next(key, Cause::Overload, now),
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                self.answer_challenge(key, flow, response, now)
            }
            _ => false,
        }
    }

    /// Sends a request the next way: over UDP after all, or to the next address, as a new
    /// transaction with a new branch. False when there is none.
    pub(crate) fn try_next(&mut self, key: Key, cause: Cause, now: Instant) -> bool {
        if !self.is_wanted(key) {
            return false;
        }
        let Some(client) = self.client_mut(key) else { return false };
        let path = if client.path.size == Size::Switched && cause != Cause::Overload {
            client.path.clone().over_udp_after_all()
        } else {
            let hop = client.course.as_mut().and_then(|course| course.hops.pop_front());
            let Some(hop) = hop else { return false };
            RequestPath::to(hop, None, client.path.local)
        };
        let (request, user) = (client.request.clone(), client.user);
        let mut course = client.course.take();
        if let Some(course) = &mut course {
            course.sent |= client.copies > 0;
        }
        client.fall_silent();
        if !matches!(user, User::Invite(_)) {
            client.user = User::Nobody;
        }
        let branch = self.new_branch();
        let own = course.as_ref().and_then(|course| course.contact);
        let changes = Changes {
            via: self.via(path.transport, path.local, &branch),
            contact: own.map(|scheme| self.contact_as(scheme, path.transport, path.local)),
            ..Changes::default()
        };
        let request = reissue(&request, &changes);
        self.launch(&branch, (request, path), user, course, now);
        true
    }

    /// Answers a 401 or 407 with the next request, if it comes from whom the request was meant for.
    /// The credentials may only be shown to that one.
    fn answer_challenge(&mut self, key: Key, flow: Flow, response: &Response, now: Instant) -> bool {
        if !self.is_wanted(key) {
            return false;
        }
        let trust = self.client(key).and_then(|client| self.trust_of(client.user));
        let cnonce = (u128::from(self.tokens.next_u64()) << 64) | u128::from(self.tokens.next_u64());
        let Some(client) = self.client_mut(key) else { return false };
        let meant = client.path.address().map_or(flow.peer.ip(), |address| address.ip());
        let course = client.course.get_or_insert_default();
        if course.auth.is_none() {
            course.auth = trust.map(|trust| Auth::within(&trust));
        }
        let (method, uri) = (client.request.method().clone(), client.request.uri().clone());
        let answers = course
            .auth
            .as_mut()
            .filter(|auth| auth.knows(flow.peer.ip()) && auth.knows(meant))
            .and_then(|auth| auth.answer(response, &method, &uri, cnonce));
        let Some(answers) = answers else { return false };
        self.send_again(key, Changes { authorization: Some(answers), ..Changes::default() }, now)
    }

    /// Sends a request again to the same address with these changes, the next CSeq and a branch of
    /// its own (§8.1.3.5). False when its dialog is gone.
    pub(crate) fn send_again(&mut self, key: Key, mut changes: Changes, now: Instant) -> bool {
        let Some(client) = self.client(key) else { return false };
        let (request, path, user) = (client.request.clone(), client.path.clone(), client.user);
        let Some((user, cseq)) = self.next_cseq_of(user, &request) else { return false };
        let Some(client) = self.client_mut(key) else { return false };
        let course = client.course.take();
        client.fall_silent();
        if !matches!(user, User::Invite(_)) {
            client.user = User::Nobody;
        }
        let branch = self.new_branch();
        changes.via = self.via(path.transport, path.local, &branch);
        changes.cseq = Some(cseq);
        let request = reissue(&request, &changes);
        self.launch(&branch, (request, path), user, course, now);
        true
    }
}
