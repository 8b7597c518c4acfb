//! Calling somebody (RFC 3261 §9.1, §12.1.2, §13.2).
//!
//! A call may take several INVITEs: one for each address that is tried, one for each challenge, one
//! where the session interval was too short. Each may be forked by proxies to several phones. All
//! of them are one call to its owner: the first 2xx from anywhere makes it, whatever else is
//! answered gets ACK and BYE, and its fate is told once.

mod ack;
mod answers;
mod cancel;
mod early;
mod retry;
mod session;

use std::time::Instant;

use smallvec::SmallVec;

pub use self::ack::DelayedError;
use self::early::Early;
use self::retry::Retries;
use super::trust::Auth;
use super::uac::{MAX_FORWARDS, peers_of};
use crate::dialog::DialogId;
use crate::dialog::route_set::RouteSet;
use crate::endpoint::policy::PolicyId;
use crate::endpoint::{Course, Endpoint, Event, InviteId, OutgoingCall, RequestPath, User, contact_scheme};
use crate::message::{HeaderName, Method, Request, RequestBuilder, StatusCode};
use crate::random::Key;

/// Where a call of ours stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No final answer yet. Of the INVITEs that are out, `attempt` is the one whose answer counts.
    Calling {
        attempt: Option<Key>,
        /// Its owner has given it up.
        cancelled: bool,
    },
    /// This dialog was made.
    Answered(DialogId),
    /// Its owner has been told that it failed.
    Over,
}

/// A call of ours that has no final answer yet, or whose 2xx may still be repeated.
#[derive(Debug)]
pub(crate) struct Outgoing {
    local_tag: String,
    /// Whether the offer is ours.
    offers: bool,
    policy: PolicyId,
    stage: Stage,
    /// Its INVITE transactions, as long as they live.
    attempts: SmallVec<[Key; 2]>,
    early: Vec<Early>,
    retries: Retries,
}

impl Endpoint {
    /// Calls. [`Event::Progress`], [`Event::Answered`] or [`Event::Rejected`] follow, the last two
    /// once. There is no limit of time here but that of an INVITE that nobody answers at all: how
    /// long it may ring is its owner's to say, with [`Endpoint::cancel`].
    pub fn invite(&mut self, call: OutgoingCall, now: Instant) -> InviteId {
        let id = self.take_invite_id();
        let peers = peers_of(&call.hops);
        let mut hops = call.hops.clone().into_iter();
        let Some(first) = hops.next() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            self.emit(Event::Rejected { invite: id, status, response: None });
            return id;
        };
        let path = RequestPath::to(first, call.connection, call.local);
        let (branch, local_tag) = (self.new_branch(), self.new_token());
        let routes = RouteSet::of_values(&call.routes);
        let scheme = contact_scheme(&call.uri, routes.first());
        let request = self.build_invite(&call, &routes, &path, (&branch, &local_tag));
        let outgoing = Outgoing {
            local_tag,
            offers: call.sdp.is_some(),
            policy: call.policy,
            stage: Stage::Calling { attempt: None, cancelled: false },
            attempts: SmallVec::new(),
            early: Vec::new(),
            retries: Retries::default(),
        };
        self.insert_outgoing(id, outgoing);
        let course = Course {
            hops: hops.collect(),
            contact: Some(scheme),
            auth: call.credentials.map(|credentials| Auth::new(credentials, peers)),
            ..Course::default()
        };
        self.launch(&branch, (request, path), User::Invite(id), Some(Box::new(course)), now);
        id
    }

    fn build_invite(
        &mut self,
        call: &OutgoingCall,
        routes: &RouteSet,
        path: &RequestPath,
        (branch, local_tag): (&str, &str),
    ) -> Request {
        let call_id = call.call_id.clone().unwrap_or_else(|| self.new_token());
        let policy = self.policy(call.policy);
        let routed = routes.route(&call.uri);
        let scheme = contact_scheme(&call.uri, routes.first());
        let mut builder = RequestBuilder::new(Method::Invite, &routed.request_uri)
            .header(HeaderName::Via, self.via(path.transport, path.local, branch))
            .header(HeaderName::MaxForwards, MAX_FORWARDS)
            .headers(HeaderName::Route, &routed.routes)
            .header(HeaderName::From, format!("{};tag={local_tag}", call.from))
            .header(HeaderName::To, &call.to)
            .header(HeaderName::CallId, call_id)
            .header(HeaderName::CSeq, "1 INVITE")
            .header(HeaderName::Contact, self.contact_as(scheme, path.transport, path.local))
            .header(HeaderName::Allow, crate::endpoint::ALLOW)
            .header(HeaderName::UserAgent, self.product());
        for (name, value) in session::extensions(&policy) {
            builder = builder.header(name, value);
        }
        for (name, value) in &call.headers {
            builder = builder.header(name.clone(), value);
        }
        match &call.sdp {
            Some(sdp) => builder.body("application/sdp", sdp.clone()).build(),
            None => builder.build(),
        }
    }

    /// An INVITE of this call has gone out: its answer counts from now on.
    pub(crate) fn invite_attempted(&mut self, id: InviteId, key: Key, now: Instant) {
        self.drop_early(id, None, now);
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        outgoing.attempts.push(key);
        if let Stage::Calling { attempt, .. } = &mut outgoing.stage {
            *attempt = Some(key);
        }
    }

    /// An INVITE transaction of this call has ended.
    pub(crate) fn invite_attempt_gone(&mut self, id: InviteId, key: Key, now: Instant) {
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        outgoing.attempts.retain(|attempt| *attempt != key);
        if outgoing.attempts.is_empty() {
            self.drop_early(id, None, now);
            self.remove_outgoing(id);
        }
    }

    /// Whether whoever sent a request still wants to hear how it ends, so that it may be sent
    /// again. A call does as long as it rings, and only of its last INVITE.
    pub(crate) fn is_wanted(&self, key: Key) -> bool {
        match self.client(key).map(|client| client.user) {
            Some(User::Invite(id)) => self.outgoing(id).is_some_and(|outgoing| outgoing.waits_for(key)),
            Some(User::Offer(id, cseq)) => self.offer_waits(id, cseq),
            Some(_) => true,
            None => false,
        }
    }
}

impl Outgoing {
    /// Whether the answer to this INVITE is what the call's fate depends on.
    fn waits_for(&self, key: Key) -> bool {
        self.stage == Stage::Calling { attempt: Some(key), cancelled: false }
    }

    fn is_cancelled(&self) -> bool {
        matches!(self.stage, Stage::Calling { cancelled: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_for_its_last_invite_only_and_for_none_once_given_up() {
        let keyer = crate::random::Keyer::new(&mut crate::random::Tokens::new([1; 32]));
        let (one, two) = (keyer.key(&[b"1"]), keyer.key(&[b"2"]));
        let mut outgoing = Outgoing {
            local_tag: String::new(),
            offers: true,
            policy: PolicyId::default(),
            stage: Stage::Calling { attempt: Some(two), cancelled: false },
            attempts: SmallVec::from_slice(&[one, two]),
            early: Vec::new(),
            retries: Retries::default(),
        };
        assert!(outgoing.waits_for(two) && !outgoing.waits_for(one));
        outgoing.stage = Stage::Calling { attempt: Some(two), cancelled: true };
        assert!(!outgoing.waits_for(two) && outgoing.is_cancelled());
    }
}
