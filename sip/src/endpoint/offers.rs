//! re-INVITE and UPDATE from the far end (RFC 3261 §14.2, RFC 3311 §5.2, RFC 6141): which can be
//! taken when, and what the far end hears of the others.

use std::time::Instant;

use bytes::Bytes;

use super::event::{Event, OfferMethod};
use super::flow::Flow;
use super::receive::ACCEPT;
use super::{Endpoint, ReplyPath};
use crate::dialog::session::Exchange;
use crate::dialog::{Dialog, DialogId, PendingOffer, Phase, session_timer};
use crate::message::{HeaderName, Request, StatusCode};
use crate::random::Key;
use crate::ua::body;

impl Endpoint {
    pub(crate) fn receive_offer(
        &mut self,
        key: Key,
        id: DialogId,
        flow: Flow,
        request: Request,
        method: OfferMethod,
        now: Instant,
    ) {
        let offer = match self.read_offer(id, &request) {
            Ok(offer) => offer,
            Err((status, header)) => {
                self.refuse(key, flow, request, status, &[header], now);
                return;
            }
        };
        // Who sends another INVITE has our last 2xx, and its ACK is late or lost (RFC 5407
        // §3.1.4). Only an answer in that ACK would have to be waited for.
        let implied = |dialog: &Dialog| dialog.unacknowledged.as_ref().is_some_and(|one| !one.offered);
        if method == OfferMethod::Invite && self.dialogs.get(&id).is_some_and(implied) {
            self.confirm(id, None, now);
        }
        let Some(dialog) = self.dialogs.get(&id) else { return };
        if let Some(status) = clash(dialog, method, offer.is_some()) {
            self.refuse_clash(key, flow, request, status, now);
            return;
        }
        let contact = body::first_contact(&request);
        if method == OfferMethod::Update && offer.is_none() {
            self.answer_refresh(key, id, flow, request, contact, now);
            return;
        }
        self.pend_offer(key, id, flow, request, method, contact, now);
        self.emit(Event::Offer { dialog: id, method, offer });
    }

    /// The offer in a request, if there is one and the request can be taken at all.
    fn read_offer(
        &self,
        id: DialogId,
        request: &Request,
    ) -> Result<Option<Bytes>, (StatusCode, (HeaderName, String))> {
        let timer =
            self.dialogs.get(&id).map(|d| self.policies.get(d.policy).session_timer).unwrap_or_default();
        session_timer::check(timer, request.headers())
            .map_err(|refusal| (StatusCode::SESSION_INTERVAL_TOO_SMALL, refusal.header()))?;
        body::session_description(request).map_err(|status| (status, (HeaderName::Accept, ACCEPT.to_owned())))
    }

    pub(crate) fn refuse_clash(
        &mut self,
        key: Key,
        flow: Flow,
        request: Request,
        status: StatusCode,
        now: Instant,
    ) {
        if status == StatusCode::SERVER_INTERNAL_ERROR {
            // Try again in a moment of chance length, up to ten seconds.
            let wait = (self.random() % 11).to_string();
            self.refuse(key, flow, request, status, &[(HeaderName::RetryAfter, wait)], now);
        } else {
            self.refuse(key, flow, request, status, &[], now);
        }
    }

    /// Keeps a request until the owner has answered it.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the request; used in this room only")]
    pub(crate) fn pend_offer(
        &mut self,
        key: Key,
        id: DialogId,
        flow: Flow,
        request: Request,
        method: OfferMethod,
        contact: Option<crate::message::Uri>,
        now: Instant,
    ) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        dialog.pending_offer = Some(PendingOffer { transaction: key, method, contact, flow });
        let path = ReplyPath::of(flow, &request);
        let trying =
            (method == OfferMethod::Invite).then(|| self.response(&request, StatusCode::TRYING).build());
        self.open_server(key, path, request, Some(id), None);
        if let Some(trying) = trying {
            self.respond(key, &trying, now);
        }
    }

    /// An UPDATE without an offer refreshes the target and the session, and is no matter of the
    /// owner's.
    fn answer_refresh(
        &mut self,
        key: Key,
        id: DialogId,
        flow: Flow,
        request: Request,
        contact: Option<crate::message::Uri>,
        now: Instant,
    ) {
        let builder = self
            .response(&request, StatusCode::OK)
            .header(HeaderName::Contact, self.contact(flow.transport, flow.local));
        let early =
            self.dialogs.get(&id).is_some_and(|d| matches!(d.phase, Phase::Early(_) | Phase::Calling(_)));
        // Before the call is answered there is no session whose time could run.
        let builder =
            if early { builder } else { self.with_session_timer(id, request.headers(), builder, now) };
        let response = builder.build();
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.move_to(contact, flow);
        }
        self.open_server(key, ReplyPath::of(flow, &request), request, Some(id), None);
        self.respond(key, &response, now);
    }

    /// A re-INVITE, UPDATE or PRACK that waits gets its final response before the dialog ends
    /// (§15.1.2).
    pub(crate) fn terminate_pending_offer(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let tag = dialog.local_tag.clone();
        if let Some(pending) = dialog.pending_offer.take() {
            self.respond_status(pending.transaction, StatusCode::REQUEST_TERMINATED, &tag, now);
        }
    }
}

/// Why a re-INVITE or UPDATE can't be taken just now: one offer at a time (§14.2, RFC 3311 §5.2).
/// 491 where ours is under way, 500 where theirs is.
fn clash(dialog: &Dialog, method: OfferMethod, has_offer: bool) -> Option<StatusCode> {
    let (wait, ours) = (StatusCode::SERVER_INTERNAL_ERROR, StatusCode::REQUEST_PENDING);
    let bare_update = method == OfferMethod::Update && !has_offer;
    let pending = dialog.pending_offer.as_ref().map(|pending| pending.method);
    if matches!(dialog.phase, Phase::Closing | Phase::Closed) {
        return Some(StatusCode::CALL_DOES_NOT_EXIST);
    }
    if bare_update {
        // It doesn't touch the offer that waits, unless it overtakes another UPDATE.
        return (pending == Some(OfferMethod::Update)).then_some(wait);
    }
    if pending.is_some() {
        return Some(wait);
    }
    // Ringing at the far end: its first answer must have come for good (RFC 3311 §5.1).
    if dialog.is_calling() && (method == OfferMethod::Invite || !dialog.requesting.agreed) {
        return Some(wait);
    }
    if matches!(dialog.phase, Phase::Early(_)) {
        return match dialog.session.exchange {
            _ if method == OfferMethod::Invite => Some(wait),
            Exchange::Done => None,
            Exchange::Sent => Some(ours),
            Exchange::Offered | Exchange::Wanted => Some(wait),
        };
    }
    // Our own offer waits for its answer: that of a request of ours, or in the ACK.
    let own = dialog.requesting.offer_is_out();
    let in_ack = dialog.unacknowledged.as_ref().is_some_and(|one| one.offered);
    (own || in_ack).then_some(ours)
}
