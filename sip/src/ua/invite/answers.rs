//! What comes back for a call of ours (RFC 3261 §13.2.2).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{Outgoing, Stage};
use crate::dialog::route_set::RouteSet;
use crate::dialog::session::Session;
use crate::dialog::{Dialog, DialogId, Phase};
use crate::endpoint::client::ClientTransaction;
use crate::endpoint::flow::Flow;
use crate::endpoint::timers::Timers;
use crate::endpoint::{Course, Endpoint, Event, InviteId, User};
use crate::message::{HeaderName, Method, Response, StatusCode};
use crate::random::Key;
use crate::ua::body;
use crate::ua::requesting::{Owed, Requesting, Role};
use crate::ua::trust::{Auth, Trust};
use crate::ua::uac::Draft;

impl Endpoint {
    /// The INVITE of this transaction, one of the call's, was answered.
    pub(crate) fn invite_answered(
        &mut self,
        id: InviteId,
        key: Key,
        response: Response,
        flow: Flow,
        now: Instant,
    ) {
        let status = response.status();
        if status.is_provisional() {
            self.invite_proceeds(id, key, response, flow, now);
        } else if status.is_success() {
            self.invite_succeeded(id, key, response, flow, now);
        } else {
            let waited = self.outgoing(id).is_some_and(|outgoing| outgoing.waits_for(key));
            if waited && self.invite_changed(id, key, &response, now) {
                return;
            }
            self.invite_rejected(id, key, status, Some(response), now);
        }
    }

    /// Nobody answered, or nobody could be asked.
    pub(crate) fn invite_failed(&mut self, id: InviteId, key: Key, status: StatusCode, now: Instant) {
        let cancelled = self.outgoing(id).is_some_and(Outgoing::is_cancelled);
        let status = if cancelled { StatusCode::REQUEST_TERMINATED } else { status };
        self.invite_rejected(id, key, status, None, now);
    }

    /// Only the refusal of the INVITE that counts is the call's.
    fn invite_rejected(
        &mut self,
        id: InviteId,
        key: Key,
        status: StatusCode,
        response: Option<Response>,
        now: Instant,
    ) {
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        if matches!(outgoing.stage, Stage::Calling { attempt, .. } if attempt == Some(key)) {
            outgoing.stage = Stage::Over;
            self.drop_early(id, None, now);
            self.emit(Event::Rejected { invite: id, status, response });
        }
    }

    fn invite_succeeded(&mut self, id: InviteId, key: Key, response: Response, flow: Flow, now: Instant) {
        let (Some(outgoing), Some(client)) = (self.outgoing(id), self.client(key)) else { return };
        let Some(mut dialog) = uac_dialog(outgoing, client, &response, flow, Phase::Established) else {
            // There is no telling whom to send the ACK to.
            self.invite_rejected(id, key, StatusCode::BAD_GATEWAY, Some(response), now);
            return;
        };
        let remote_tag = response.headers().to().ok().and_then(|to| to.tag().map(<[u8]>::to_vec));
        let remote_tag = remote_tag.unwrap_or_default();
        let dialog_id =
            DialogId::new(self.keyer(), &dialog.call_id, dialog.local_tag.as_bytes(), &remote_tag);
        let (offers, stage) = (outgoing.offers, outgoing.stage);
        if self.acknowledge_again(dialog_id, key) {
            return;
        }
        match stage {
            Stage::Calling { cancelled: false, .. } => {
                self.carry_over(dialog_id, &mut dialog);
                self.adopt(id, key, dialog_id, dialog, now);
                self.tell_answer(id, key, dialog_id, response, offers, now);
            }
            // Its ACK waits for the owner's answer.
            Stage::Answered(answered) if answered == dialog_id => {}
            // A 2xx that crossed the CANCEL (§9.1): the owner has done with the call.
            Stage::Calling { cancelled: true, .. } => {
                self.send_away(id, key, dialog_id, dialog, now);
                self.drop_early(id, None, now);
                if let Some(outgoing) = self.outgoing_mut(id) {
                    outgoing.stage = Stage::Over;
                }
                let status = StatusCode::REQUEST_TERMINATED;
                self.emit(Event::Rejected { invite: id, status, response: None });
            }
            // One phone has answered already (§13.2.2.4), or the call is over.
            Stage::Answered(_) | Stage::Over => self.send_away(id, key, dialog_id, dialog, now),
        }
    }

    /// The early dialog goes on as the one that it has become, with the route set and the target of
    /// the 2xx (§13.2.2.4).
    fn carry_over(&mut self, id: DialogId, dialog: &mut Dialog) {
        let Some(early) = self.dialog_mut(id).filter(|early| early.is_calling()) else { return };
        dialog.local_cseq = early.local_cseq;
        dialog.remote_cseq = early.remote_cseq;
        dialog.pending_offer = early.pending_offer.take();
        dialog.requesting = std::mem::take(&mut early.requesting);
        dialog.session = std::mem::take(&mut early.session);
        dialog.timers = std::mem::take(&mut early.timers);
    }

    /// Makes this dialog the call's. The phones that still ring are left to the proxy that forked
    /// the call; other INVITEs of ours are cancelled as soon as they may be.
    fn adopt(&mut self, id: InviteId, key: Key, dialog_id: DialogId, mut dialog: Dialog, now: Instant) {
        dialog.requesting.trust = self.trust_of_call(id);
        self.insert_dialog(dialog_id, dialog);
        let Some(outgoing) = self.outgoing(id) else { return };
        let others: Vec<Key> = outgoing.attempts.iter().copied().filter(|other| *other != key).collect();
        for other in others {
            self.cancel_client(other, now);
        }
    }

    fn tell_answer(
        &mut self,
        id: InviteId,
        key: Key,
        dialog: DialogId,
        response: Response,
        offers: bool,
        now: Instant,
    ) {
        let described = answer_in(&response);
        let earlier = self.described_early(id, dialog);
        let agreed = self.dialog(dialog).is_some_and(|dialog| dialog.requesting.agreed);
        if let Some(outgoing) = self.outgoing_mut(id) {
            outgoing.stage = Stage::Answered(dialog);
        }
        self.drop_early(id, Some(dialog), now);
        if !offers && !agreed && described.is_some() {
            if let Some(dialog) = self.dialog_mut(dialog) {
                dialog.requesting.owed = Some(Owed::Ack(key));
            }
        } else {
            self.acknowledge(dialog, key, None);
        }
        self.begin_caller_session(dialog, key, &response, now);
        // A 2xx may leave out what a provisional response has said already (RFC 3261 §13.2.1).
        let answer = described.or(earlier).unwrap_or_default();
        self.emit(Event::Answered { invite: id, dialog, answer, response });
    }

    /// Who may ask for credentials in the dialogs of a call: whoever might for its last INVITE.
    pub(super) fn trust_of_call(&self, id: InviteId) -> Option<Arc<Trust>> {
        let attempts = self.outgoing(id)?.attempts.iter().rev();
        let mut courses = attempts.filter_map(|key| self.client(*key)?.course.as_ref());
        courses.find_map(|course| Some(Arc::new(course.auth.as_ref()?.trust())))
    }

    /// ACK and BYE to one who answered a call that isn't his any more.
    fn send_away(&mut self, call: InviteId, key: Key, id: DialogId, mut dialog: Dialog, now: Instant) {
        if !self.has_room_for_ack(key) {
            return;
        }
        let (ack_branch, branch) = (self.new_branch(), self.new_branch());
        let Some(client) = self.client(key) else { return };
        let (ack, path) = self.build_ack(&dialog, &client.request, None, &ack_branch);
        let auth = self.trust_of_call(call).map(|trust| Auth::within(&trust));
        self.keep_and_send_ack(id, key, &ack_branch, ack, path);
        let cseq = dialog.next_cseq();
        let bye = self.build_in_dialog(&dialog, Method::Bye, cseq, Draft::default(), &branch);
        let course = Course { auth, ..Course::default() };
        self.launch(&branch, bye, User::Nobody, Some(Box::new(course)), now);
    }
}

/// The session description in a response.
pub(super) fn answer_in(response: &Response) -> Option<Bytes> {
    body::session_description_in(response.headers(), response.body()).ok().flatten()
}

/// The dialog that a response makes (§12.1.2).
pub(super) fn uac_dialog(
    outgoing: &Outgoing,
    client: &ClientTransaction,
    response: &Response,
    flow: Flow,
    phase: Phase,
) -> Option<Dialog> {
    let (sent, headers) = (client.request.headers(), response.headers());
    let remote_target = body::first_contact_of(headers).unwrap_or_else(|| client.request.uri().clone());
    Some(Dialog {
        call_id: Bytes::copy_from_slice(sent.call_id().ok()?),
        local_tag: outgoing.local_tag.clone(),
        local: Bytes::copy_from_slice(sent.get(HeaderName::From)?),
        remote: Bytes::copy_from_slice(headers.get(HeaderName::To)?),
        local_cseq: sent.cseq().ok()?.number,
        remote_cseq: None,
        remote_target: remote_target.detach(),
        route_set: RouteSet::of_response(response).ok()?,
        flow: Flow { local: client.path.local, ..flow },
        policy: outgoing.policy,
        phase,
        session: Session::default(),
        reliable: None,
        unacknowledged: None,
        pending_offer: None,
        refer: None,
        requesting: Requesting { role: Role::Uac, ..Requesting::default() },
        bye_wanted: None,
        forgotten: false,
        timers: Timers::default(),
    })
}
