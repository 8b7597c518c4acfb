//! Offers of ours in a running dialog: re-INVITE and UPDATE (RFC 3261 §14, RFC 3311 §5.1).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::requesting::{Owed, Role};
use super::uac::Draft;
use crate::dialog::{Dialog, DialogId, Phase};
use crate::endpoint::flow::Flow;
use crate::endpoint::{Endpoint, Event, OfferMethod, User};
use crate::message::{HeaderName, Method, Response, StatusCode};
use crate::random::Key;
use crate::transaction::timer::Timer;
use crate::ua::body;

/// Collisions in a row after which an offer is given up: two that draw from the intervals of
/// §14.1 never collide for ever, so this far end refuses in a strange way.
const MOST_GLARES: u8 = 8;

/// Why an offer can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// There is no dialog of this id that is up; or it is an early one without a first answer, or
    /// the method isn't UPDATE there.
    #[error("the call isn't up")]
    NotEstablished,
    /// An offer, ours or theirs, waits for its answer, or our last 2xx for its ACK (§14.1).
    #[error("another offer is under way")]
    Pending,
}

/// Whether an offer of ours is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// By the request with this CSeq.
    Out { cseq: u32 },
    /// It collided with one of theirs, and waits (§14.1).
    Waiting,
}

/// For whom an offer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The owner wants something changed.
    Change,
    /// The session must not run out (RFC 4028 §7.4); nothing changes.
    Refresh,
}

/// An offer of ours that has no answer yet.
#[derive(Debug)]
pub(crate) struct Offering {
    method: OfferMethod,
    sdp: Option<Bytes>,
    headers: Vec<(HeaderName, Vec<u8>)>,
    purpose: Purpose,
    pub step: Step,
    glares: u8,
}

impl Offering {
    /// Whether it is an offer in the sense of RFC 3264: an UPDATE without a session description
    /// is none, an INVITE without one asks for theirs.
    pub fn offers(&self) -> bool {
        self.sdp.is_some() || self.method == OfferMethod::Invite
    }

    /// The request goes out again with another CSeq; `None` if it isn't this offer's.
    pub fn renumber(&mut self, before: u32, cseq: u32) -> Option<()> {
        (self.step == Step::Out { cseq: before }).then(|| self.step = Step::Out { cseq })
    }
}

impl Endpoint {
    /// Offers anew (§14.1): by re-INVITE, or by UPDATE, which also an early dialog takes once it
    /// has its first answer. A re-INVITE without a session description asks the far end for its
    /// offer, to be answered by [`Endpoint::answer_delayed`]. [`Event::OfferAnswered`] follows, or
    /// [`Event::Ended`]; offers that collide are made again from here after the RFC's wait.
    ///
    /// # Errors
    /// When there is nobody to offer to, or another offer is under way.
    pub fn send_offer(
        &mut self,
        id: DialogId,
        method: OfferMethod,
        sdp: Option<Bytes>,
        now: Instant,
    ) -> Result<(), OfferError> {
        self.offer_with(id, method, sdp, Vec::new(), Purpose::Change, now)
    }

    /// As [`Endpoint::send_offer`], with headers of its own, as those of a session refresh.
    pub(crate) fn offer_with(
        &mut self,
        id: DialogId,
        method: OfferMethod,
        sdp: Option<Bytes>,
        headers: Vec<(HeaderName, Vec<u8>)>,
        purpose: Purpose,
        now: Instant,
    ) -> Result<(), OfferError> {
        let dialog = self.dialog_mut(id).ok_or(OfferError::NotEstablished)?;
        match dialog.phase {
            Phase::Established => {}
            Phase::Calling(_) if method != OfferMethod::Invite && dialog.requesting.agreed => {}
            _ => return Err(OfferError::NotEstablished),
        }
        if dialog.has_offer_pending() || dialog.requesting.offering.is_some() {
            return Err(OfferError::Pending);
        }
        let offering = Offering { method, sdp, headers, purpose, step: Step::Waiting, glares: 0 };
        dialog.requesting.offering = Some(offering);
        self.send_offering(id, now);
        Ok(())
    }

    fn send_offering(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        // The one that `send_in_dialog` gives it.
        let cseq = dialog.local_cseq.wrapping_add(1) & 0x7fff_ffff;
        let Some(offering) = &mut dialog.requesting.offering else { return };
        offering.step = Step::Out { cseq };
        let body = offering.sdp.clone().map(|sdp| ("application/sdp".to_owned(), sdp));
        let draft = Draft { headers: offering.headers.clone(), body };
        let method = if offering.method == OfferMethod::Invite { Method::Invite } else { Method::Update };
        self.send_in_dialog(id, method, draft, |cseq| User::Offer(id, cseq), now);
    }

    /// The wait after a collision is over.
    pub(crate) fn offer_again(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        let up = matches!(dialog.phase, Phase::Established | Phase::Calling(_));
        if dialog.requesting.offering.as_ref().is_none_or(|offering| offering.step != Step::Waiting) || !up {
            return;
        }
        if dialog.has_offer_pending() {
            // Theirs came first, and isn't answered yet.
            self.wait_for_turn(id, now);
        } else {
            self.send_offering(id, now);
        }
    }

    /// §14.1: who made the Call-ID waits for 2.1 to 4 s, the other for up to 2 s, both in units of
    /// 10 ms, so that one of them comes first.
    fn wait_for_turn(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialog(id) else { return };
        let tens = match dialog.requesting.role {
            Role::Uac => 210 + self.random_below(191),
            Role::Uas => self.random_below(201),
        };
        self.set_dialog_timer(id, Timer::Glare, now + Duration::from_millis(tens * 10));
    }

    /// Whether this is the request of the dialog's offer, and the dialog still goes on.
    pub(crate) fn offer_waits(&self, id: DialogId, cseq: u32) -> bool {
        self.dialog(id).is_some_and(|dialog| {
            let ours = |offering: &super::offer::Offering| offering.step == Step::Out { cseq };
            matches!(dialog.phase, Phase::Established | Phase::Calling(_))
                && dialog.requesting.offering.as_ref().is_some_and(ours)
        })
    }

    /// A re-INVITE has had a provisional response, after which nothing limits its transaction; its
    /// dialog may be gone already.
    pub(crate) fn offer_proceeds(&mut self, key: Key, now: Instant) {
        if self.client(key).is_some_and(|client| *client.request.method() == Method::Invite) {
            let after = Timer::Offer.first(&self.timer_settings(), false);
            self.set_client_timer(key, Timer::Offer, now + after);
        }
    }

    pub(crate) fn offer_answered(
        &mut self,
        (id, cseq): (DialogId, u32),
        key: Key,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        let status = response.status();
        if !status.is_success() {
            if status == StatusCode::REQUEST_PENDING && self.offer_waits(id, cseq) && self.collided(id) {
                self.wait_for_turn(id, now);
            } else {
                self.offer_failed((id, cseq), key, status, Some(response), now);
            }
            return;
        }
        // It came again, because the ACK was lost.
        if self.acknowledge_again(id, key) {
            return;
        }
        let waited = self.offer_waits(id, cseq);
        let invite = self.client(key).is_some_and(|client| *client.request.method() == Method::Invite);
        let Some(dialog) = self.dialog_mut(id) else { return };
        let answer = body::session_description_in(response.headers(), response.body()).ok().flatten();
        let offering = if waited { dialog.requesting.offering.take() } else { None };
        if let Some(offering) = &offering {
            refresh_target(dialog, response, flow);
            match &offering.sdp {
                Some(sdp) => dialog.session.local = Some(sdp.clone()),
                None if invite && answer.is_some() => dialog.requesting.owed = Some(Owed::Ack(key)),
                None => {}
            }
        }
        if invite && self.dialog(id).is_some_and(|dialog| dialog.requesting.owed.is_none()) {
            self.acknowledge(id, key, None);
        }
        let Some(offering) = offering else { return };
        self.session_prolonged(id, response, now);
        // A refresh changes nothing; but an INVITE's answer may, whatever it was sent for.
        if offering.purpose == Purpose::Change || answer.is_some() {
            self.emit(Event::OfferAnswered { dialog: id, answer: Ok(answer) });
        }
    }

    /// Counts a collision. False when there were too many.
    fn collided(&mut self, id: DialogId) -> bool {
        let Some(dialog) = self.dialog_mut(id) else { return false };
        let Some(offering) = &mut dialog.requesting.offering else { return false };
        offering.glares += 1;
        if offering.glares > MOST_GLARES {
            return false;
        }
        offering.step = Step::Waiting;
        true
    }

    /// An offer was refused, or nobody answered it: the session stays as it was (§14.1), unless the
    /// far end knows of no session (§12.2.1.2).
    pub(crate) fn offer_failed(
        &mut self,
        (id, cseq): (DialogId, u32),
        key: Key,
        status: StatusCode,
        response: Option<&Response>,
        now: Instant,
    ) {
        if !self.offer_waits(id, cseq) {
            return;
        }
        let cancelled = self.client(key).is_some_and(|client| client.cancelled);
        let Some(dialog) = self.dialog_mut(id) else { return };
        let Some(offering) = dialog.requesting.offering.take() else { return };
        if offering.purpose == Purpose::Refresh {
            self.refresh_failed(id, offering.method, status, response, now);
            return;
        }
        let gone = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CALL_DOES_NOT_EXIST);
        // A re-INVITE that we cancelled because somebody thought about it for too long says
        // nothing about the call.
        let status = if cancelled && gone { StatusCode::REQUEST_TERMINATED } else { status };
        self.emit(Event::OfferAnswered { dialog: id, answer: Err(status) });
        if gone && !cancelled {
            self.end_lost_dialog(id, status, now);
        }
    }

    /// Ends a dialog that only we know of. Nobody waits for what becomes of the BYE.
    fn end_lost_dialog(&mut self, id: DialogId, status: StatusCode, now: Instant) {
        let Some(dialog) = self.dialog_mut(id).filter(|dialog| dialog.phase == Phase::Established) else {
            return;
        };
        dialog.phase = Phase::Closed;
        self.terminate_pending_offer(id, now);
        self.send_in_dialog(id, Method::Bye, Draft::default(), |_| User::Nobody, now);
        self.emit(Event::Ended { dialog: id, status });
        self.drop_if_forgotten(id);
    }
}

impl Dialog {
    /// Whether one of theirs waits for our answer, a 2xx of ours for its ACK, or an answer is owed.
    fn has_offer_pending(&self) -> bool {
        self.pending_offer.is_some() || self.unacknowledged.is_some() || self.requesting.owed.is_some()
    }
}

/// A 2xx to a re-INVITE or UPDATE may name another target (§12.2.1.2), and comes over the
/// connection that there is now.
fn refresh_target(dialog: &mut Dialog, response: &Response, flow: Flow) {
    if let Some(contact) = body::first_contact_of(response.headers()) {
        dialog.remote_target = contact.detach();
    }
    dialog.flow = Flow { local: dialog.flow.local, ..flow };
}
