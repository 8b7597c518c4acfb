//! Requests outside dialogs (RFC 3261 §8.2, §11.2 and §13.3).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::{Event, Suspicion};
use super::flow::Flow;
use super::policy::{PeerPolicy, PolicyId, supported};
use super::receive::{ACCEPT, ALLOW, unsupported};
use super::timers::Owner;
use super::{Admission, Endpoint, ReplyPath};
use crate::dialog::session_timer;
use crate::dialog::{DialogId, Phase};
use crate::message::{HeaderName, Method, Request, StatusCode};
use crate::random::Key;
use crate::transaction::key;
use crate::transaction::timer::Timer;
use crate::ua::body;

/// Why a request is refused, and what goes with the refusal.
type Refusal = (StatusCode, Vec<(HeaderName, String)>);

impl Endpoint {
    pub(crate) fn receive_outside_dialog(
        &mut self,
        key: Key,
        flow: Flow,
        request: Request,
        from_tag: &[u8],
        id: PolicyId,
        now: Instant,
    ) {
        // Load first: the refusal costs less than anything that follows.
        if *request.method() == Method::Invite && self.is_full(Admission::Closed) {
            self.counters.shed += 1;
            self.refuse_statelessly(flow, &request, StatusCode::SERVICE_UNAVAILABLE, &[]);
            return;
        }
        let policy = self.policy(id);
        if !self.is_authenticated(flow, &request, &policy, now) {
            return;
        }
        match request.method() {
            Method::Invite => self.receive_invite(key, flow, request, from_tag, (id, &policy), now),
            Method::Options => self.receive_options(flow, &request, &policy),
            // They belong in a dialog, and name none that exists (§12.2.2).
            Method::Bye | Method::Info | Method::Update | Method::Notify | Method::Prack => {
                self.counters.stray_requests += 1;
                self.suspect(flow, Suspicion::StrayRequest);
                self.refuse_statelessly(flow, &request, StatusCode::CALL_DOES_NOT_EXIST, &[]);
            }
            method => {
                let (status, kind) = match method {
                    Method::Other(_) => (StatusCode::NOT_IMPLEMENTED, Suspicion::UnknownMethod),
                    Method::Register => (StatusCode::METHOD_NOT_ALLOWED, Suspicion::Registration),
                    _ => (StatusCode::METHOD_NOT_ALLOWED, Suspicion::MethodNotServed),
                };
                self.suspect(flow, kind);
                let allow = [(HeaderName::Allow, ALLOW.to_owned())];
                self.refuse_statelessly(flow, &request, status, &allow);
            }
        }
    }

    /// Whether there is no room, or the door is as far closed as `door` or further.
    fn is_full(&self, door: Admission) -> bool {
        self.admission >= door
            || self.dialogs.len() >= self.config.max_dialogs
            || self.servers.len() >= self.config.max_transactions
    }

    /// Answers as an INVITE would be answered (§11.2).
    fn receive_options(&mut self, flow: Flow, request: &Request, policy: &PeerPolicy) {
        if self.is_full(Admission::Draining) {
            self.refuse_statelessly(flow, request, StatusCode::SERVICE_UNAVAILABLE, &[]);
            return;
        }
        if let Some((status, headers)) = unsupported(request, policy) {
            self.refuse_statelessly(flow, request, status, &headers);
            return;
        }
        let response = self
            .stateless_response(request, StatusCode::OK)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Accept, ACCEPT)
            .header(HeaderName::AcceptEncoding, "identity")
            .header(HeaderName::Supported, supported(policy));
        self.send_statelessly(flow, request, response);
    }

    fn receive_invite(
        &mut self,
        key: Key,
        flow: Flow,
        request: Request,
        from_tag: &[u8],
        (policy_id, policy): (PolicyId, &Arc<PeerPolicy>),
        now: Instant,
    ) {
        let Ok(merged) = key::merged(&self.keyer, &request, from_tag) else { return };
        if self.merged.contains_key(&merged) {
            self.refuse_statelessly(flow, &request, StatusCode::LOOP_DETECTED, &[]);
            return;
        }
        let (offer, replaces) = match self.read_invite(flow, &request, policy_id, policy) {
            Ok(read) => read,
            Err((status, headers)) => {
                self.refuse_statelessly(flow, &request, status, &headers);
                return;
            }
        };
        let tag = self.tokens.next_token();
        let mut dialog = match self.uas_dialog(key, flow, &request, tag) {
            Ok(dialog) => dialog,
            Err(error) => {
                self.refuse_malformed(flow, &request, StatusCode::BAD_REQUEST, error.reason());
                return;
            }
        };
        dialog.policy = policy_id;
        dialog.session.begin(offer.is_some());
        let id = DialogId::new(&self.keyer, &dialog.call_id, dialog.local_tag.as_bytes(), from_tag);
        let trying = ReplyPath::of(flow, &request);
        let response = self.response(&request, StatusCode::TRYING).build();
        self.open_server(key, trying, request.clone(), Some(id), Some(merged));
        self.respond(key, &response, now);
        self.dialogs.insert(id, dialog);
        self.start_invite_expiry(id, &request, now);
        self.counters.invites += 1;
        self.emit(Event::Invite { dialog: id, request, offer, replaces, flow });
    }

    /// What an INVITE wants: its offer, and the dialog whose place it takes.
    fn read_invite(
        &mut self,
        flow: Flow,
        request: &Request,
        policy_id: PolicyId,
        policy: &PeerPolicy,
    ) -> Result<(Option<bytes::Bytes>, Option<DialogId>), Refusal> {
        if let Some(refusal) = unsupported(request, policy) {
            return Err(refusal);
        }
        let offer = body::session_description(request)
            .map_err(|status| (status, vec![(HeaderName::Accept, ACCEPT.to_owned())]))?;
        session_timer::check(policy.session_timer, request.headers())
            .map_err(|refusal| (StatusCode::SESSION_INTERVAL_TOO_SMALL, vec![refusal.header()]))?;
        let replaces = self.replaced_dialog(flow, request, policy_id, policy)?;
        Ok((offer, replaces))
    }

    /// The dialog that `Replaces` names (RFC 3891 §3).
    fn replaced_dialog(
        &mut self,
        flow: Flow,
        request: &Request,
        policy_id: PolicyId,
        policy: &PeerPolicy,
    ) -> Result<Option<DialogId>, Refusal> {
        let Ok(Some(replaces)) = request.headers().replaces() else { return Ok(None) };
        let refused = |status| Err((status, Vec::new()));
        // Declined before anything is looked up, so that nobody learns by it which calls are up.
        // 603 and not 403: it is the RFC's word for a replacement that isn't wanted, and no other
        // branch of a fork is to be tried for it.
        if !policy.accept_replaces {
            self.suspect(flow, Suspicion::Replaces);
            return refused(StatusCode::DECLINE);
        }
        let id = DialogId::new(&self.keyer, &replaces.call_id, &replaces.to_tag, &replaces.from_tag);
        // Somebody else's call is as good as none: a peer moves its own calls only.
        let Some(dialog) = self.dialogs.get(&id).filter(|dialog| dialog.policy == policy_id) else {
            return refused(StatusCode::CALL_DOES_NOT_EXIST);
        };
        match dialog.phase {
            Phase::Established if replaces.early_only => refused(StatusCode::BUSY_HERE),
            Phase::Established => Ok(Some(id)),
            // We didn't begin it.
            Phase::Early(_) => refused(StatusCode::CALL_DOES_NOT_EXIST),
            // A call of ours is its owner's to give up.
            Phase::Calling(_) | Phase::Closing | Phase::Closed => refused(StatusCode::DECLINE),
        }
    }

    /// Honours `Expires` on an INVITE (§13.3.1).
    fn start_invite_expiry(&mut self, id: DialogId, request: &Request, now: Instant) {
        if let Ok(Some(seconds)) = request.headers().expires()
            && let Some(dialog) = self.dialogs.get_mut(&id)
        {
            let after =
                Duration::from_secs(u64::from(seconds)).min(Timer::Expires.first(&self.config.timers, false));
            self.timers.start(&mut dialog.timers, Owner::Dialog(id), Timer::Expires, now + after);
        }
    }
}
