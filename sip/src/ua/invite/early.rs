//! Provisional responses: the early dialogs that they make (RFC 3261 §12.1.2, §13.2.2.1), and those
//! that must be acknowledged (RFC 3262 §4).

use std::time::Instant;

use bytes::Bytes;

use super::Stage;
use super::answers::{answer_in, uac_dialog};
use crate::dialog::{DialogId, Phase};
use crate::endpoint::flow::Flow;
use crate::endpoint::{Endpoint, Event, InviteId, User};
use crate::message::{HeaderName, Method, Response};
use crate::random::Key;
use crate::ua::requesting::Owed;
use crate::ua::uac::Draft;

/// Phones of one call that are told apart while they ring. A response from one more is passed on
/// without a dialog.
const MOST: usize = 8;

/// An early dialog of a call of ours.
#[derive(Debug)]
pub(super) struct Early {
    pub dialog: DialogId,
    /// The last session description that came from there.
    pub description: Option<Bytes>,
    /// The last reliable response.
    rseq: Option<u32>,
}

impl Endpoint {
    pub(super) fn invite_proceeds(
        &mut self,
        id: InviteId,
        key: Key,
        response: Response,
        flow: Flow,
        now: Instant,
    ) {
        let waited = self.outgoing(id).is_some_and(|outgoing| outgoing.waits_for(key));
        if !waited {
            // Given up, or answered elsewhere (§9.1; the copies of an address that was left too).
            self.cancel_client(key, now);
            return;
        }
        let dialog = self.early_dialog(id, key, &response, flow);
        let description = answer_in(&response);
        let reliable = reliable_number(&response);
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        let offers = outgoing.offers;
        if let Some(early) = outgoing.early.iter_mut().find(|early| Some(early.dialog) == dialog) {
            match (reliable, early.rseq) {
                (None, _) | (Some(_), None) => {}
                // RFC 3262 §4: one after the other; all else is neither acknowledged nor looked at.
                (Some(number), Some(last)) if Some(number) == last.checked_add(1) => {}
                (Some(_), Some(_)) => return,
            }
            early.rseq = reliable.or(early.rseq);
            if description.is_some() {
                early.description.clone_from(&description);
            }
        }
        if let (Some(dialog), Some(number)) = (dialog, reliable) {
            let cseq = response.headers().cseq().map_or(1, |cseq| cseq.number);
            let rack = format!("{number} {cseq} INVITE");
            self.acknowledge_provisional(dialog, rack, offers, description.is_some(), now);
        }
        self.emit(Event::Progress { invite: id, dialog, response, early_media: description });
    }

    /// The early dialog that a response belongs to, made where it is the first from there. A `100`
    /// makes none, and neither does one without a tag (§12.1).
    fn early_dialog(&mut self, id: InviteId, key: Key, response: &Response, flow: Flow) -> Option<DialogId> {
        let to = response.headers().to().ok()?;
        let tag = to.tag()?;
        if response.status().as_u16() == 100 {
            return None;
        }
        let mut dialog =
            uac_dialog(self.outgoing(id)?, self.client(key)?, response, flow, Phase::Calling(id))?;
        dialog.requesting.trust = self.trust_of_call(id);
        let dialog_id = DialogId::new(self.keyer(), &dialog.call_id, dialog.local_tag.as_bytes(), tag);
        let outgoing = self.outgoing_mut(id)?;
        if outgoing.early.iter().any(|early| early.dialog == dialog_id) {
            // The target may have become another one (§12.2.1.2 for what follows in the dialog).
            let target = dialog.remote_target;
            self.dialog_mut(dialog_id)?.remote_target = target;
            return Some(dialog_id);
        }
        if outgoing.early.len() >= MOST {
            return None;
        }
        outgoing.early.push(Early { dialog: dialog_id, description: None, rseq: None });
        self.insert_dialog(dialog_id, dialog);
        Some(dialog_id)
    }

    /// Sends the PRACK, unless it has to bring an answer that the owner makes first (RFC 3262 §5).
    fn acknowledge_provisional(
        &mut self,
        id: DialogId,
        rack: String,
        offers: bool,
        described: bool,
        now: Instant,
    ) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        let first = !dialog.requesting.agreed;
        if described && !offers && first {
            dialog.requesting.owed = Some(Owed::Prack(rack));
            return;
        }
        // An offer that has its answer in a reliable response has it for good (RFC 3262 §5).
        dialog.requesting.agreed |= described;
        self.send_prack(id, rack, None, now);
    }

    pub(super) fn send_prack(&mut self, id: DialogId, rack: String, sdp: Option<Bytes>, now: Instant) {
        let headers = vec![(HeaderName::RAck, rack.into_bytes())];
        let body = sdp.map(|sdp| ("application/sdp".to_owned(), sdp));
        self.send_in_dialog(id, Method::Prack, Draft { headers, body }, |_| User::Prack(id), now);
    }

    /// Forgets the early dialogs of a call but one: a final response has ended them (§13.2.2.3), or
    /// another phone has answered.
    pub(super) fn drop_early(&mut self, id: InviteId, kept: Option<DialogId>, now: Instant) {
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        for early in std::mem::take(&mut outgoing.early) {
            if Some(early.dialog) != kept {
                self.terminate_pending_offer(early.dialog, now);
                self.remove_dialog(early.dialog);
            }
        }
    }

    /// What a phone has described of its session before it answered.
    pub(super) fn described_early(&self, id: InviteId, dialog: DialogId) -> Option<Bytes> {
        let outgoing = self.outgoing(id).filter(|o| matches!(o.stage, Stage::Calling { .. }))?;
        outgoing.early.iter().find(|early| early.dialog == dialog)?.description.clone()
    }
}

/// The number of a response that wants a PRACK.
fn reliable_number(response: &Response) -> Option<u32> {
    let headers = response.headers();
    let required = headers.require().is_ok_and(|required| required.contains("100rel"));
    headers.rseq().ok().flatten().filter(|_| required)
}
