//! Requests inside dialogs (RFC 3261 §12.2.2) and what dialogs wait for.

use std::time::Instant;

use bytes::Bytes;

use super::event::{Event, OfferMethod, ReferProgress};
use super::flow::Flow;
use super::receive::{ACCEPT, ALLOW, unsupported};
use super::timers::Owner;
use super::{Endpoint, ReplyPath, shrink};
use crate::dialog::{Dialog, DialogId, PendingOffer, Phase};
use crate::message::{HeaderName, Method, Request, StatusCode};
use crate::random::Key;
use crate::transaction::timer::{Timer, backed_off};
use crate::ua::{body, refer};

impl Endpoint {
    /// The dialog that a request from the far end names (§12.2.2).
    pub(crate) fn dialog_of(
        &self,
        request: &Request,
        from_tag: &[u8],
        to_tag: Option<&[u8]>,
    ) -> Option<DialogId> {
        let call_id = request.headers().call_id().ok()?;
        let id = DialogId::new(&self.keyer, call_id, to_tag?, from_tag);
        self.dialogs.contains_key(&id).then_some(id)
    }

    /// An ACK that belongs to no transaction: that of a 2xx.
    pub(crate) fn receive_ack(&mut self, id: Option<DialogId>, ack: &Request, now: Instant) {
        let Some(id) = id else {
            self.counters.stray_requests += 1;
            return;
        };
        let Ok(cseq) = ack.headers().cseq() else { return };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        match &dialog.unacknowledged {
            Some(waiting) if waiting.cseq == cseq.number => {}
            _ => {
                self.counters.retransmissions += 1;
                return;
            }
        }
        dialog.unacknowledged = None;
        dialog.timers.stop(Timer::Success);
        dialog.timers.stop(Timer::Ack);
        let bye = dialog.bye_wanted.take();
        let answer = body::session_description(ack).ok().flatten();
        self.emit(Event::Confirmed { dialog: id, answer });
        if let Some(reason) = bye {
            self.send_bye(id, &reason, now);
        }
    }

    pub(crate) fn receive_in_dialog(
        &mut self,
        key: Key,
        id: Option<DialogId>,
        flow: Flow,
        request: Request,
        now: Instant,
    ) {
        let Some(id) = id else {
            self.counters.stray_requests += 1;
            self.refuse_statelessly(flow, &request, StatusCode::CALL_DOES_NOT_EXIST, &[]);
            return;
        };
        let full = self.servers.len() >= self.config.max_transactions;
        let (Ok(cseq), Some(dialog)) = (request.headers().cseq(), self.dialogs.get_mut(&id)) else {
            return;
        };
        if matches!(dialog.phase, Phase::Closed) {
            self.refuse_statelessly(flow, &request, StatusCode::CALL_DOES_NOT_EXIST, &[]);
            return;
        }
        // A call may always be ended, however busy we are.
        if full && *request.method() != Method::Bye {
            self.counters.shed += 1;
            self.refuse_statelessly(flow, &request, StatusCode::SERVICE_UNAVAILABLE, &[]);
            return;
        }
        if dialog.remote_cseq.is_some_and(|last| cseq.number <= last) {
            // Out of order: §12.2.2.
            self.refuse_statelessly(flow, &request, StatusCode::SERVER_INTERNAL_ERROR, &[]);
            return;
        }
        dialog.remote_cseq = Some(cseq.number);
        if *request.method() != Method::Bye
            && let Some((status, headers)) = unsupported(&request)
        {
            self.refuse(key, flow, request, status, &headers, now);
            return;
        }
        match request.method() {
            Method::Bye => self.receive_bye(key, id, flow, request, now),
            Method::Invite => self.receive_offer(key, id, flow, request, OfferMethod::Invite, now),
            Method::Update => self.receive_offer(key, id, flow, request, OfferMethod::Update, now),
            Method::Notify => self.receive_notify(key, id, flow, request, now),
            Method::Info => {
                let content_type = request.headers().get(HeaderName::ContentType).unwrap_or_default();
                let content_type = Bytes::copy_from_slice(content_type);
                let event = Event::Info { dialog: id, content_type, body: request.body().clone() };
                self.answer_in_dialog(key, id, flow, request, StatusCode::OK, Some(event), now);
            }
            Method::Options => {
                self.answer_in_dialog(key, id, flow, request, StatusCode::OK, None, now);
            }
            // Nobody hands our calls over but us (Transfers: the far end's REFER is refused).
            Method::Refer => {
                self.answer_in_dialog(key, id, flow, request, StatusCode::DECLINE, None, now);
            }
            Method::Prack => {
                let status = StatusCode::CALL_DOES_NOT_EXIST;
                self.answer_in_dialog(key, id, flow, request, status, None, now);
            }
            Method::Other(_) => {
                self.answer_in_dialog(key, id, flow, request, StatusCode::NOT_IMPLEMENTED, None, now);
            }
            _ => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                self.answer_in_dialog(key, id, flow, request, status, None, now);
            }
        }
    }

    /// Answers at once, inside the dialog.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the answer; used in this file only")]
    fn answer_in_dialog(
        &mut self,
        key: Key,
        id: DialogId,
        flow: Flow,
        request: Request,
        status: StatusCode,
        event: Option<Event>,
        now: Instant,
    ) {
        let mut builder = self.response(&request, status);
        if status == StatusCode::METHOD_NOT_ALLOWED
            || status == StatusCode::NOT_IMPLEMENTED
            || *request.method() == Method::Options
        {
            builder = builder.header(HeaderName::Allow, ALLOW);
        }
        if *request.method() == Method::Options {
            builder = builder.header(HeaderName::Accept, ACCEPT);
        }
        if *request.method() == Method::Update {
            builder = builder.header(HeaderName::Contact, self.contact(flow.transport, flow.local));
        }
        let response = builder.build();
        self.open_server(key, ReplyPath::of(flow, &request), request, Some(id), None);
        self.answer_and_emit(key, &response, event, now);
    }

    fn receive_bye(&mut self, key: Key, id: DialogId, flow: Flow, request: Request, now: Instant) {
        let reason = request.headers().get(HeaderName::Reason).map(Bytes::copy_from_slice);
        self.answer_in_dialog(key, id, flow, request, StatusCode::OK, None, now);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let phase = std::mem::replace(&mut dialog.phase, Phase::Closed);
        let tag = dialog.local_tag.clone();
        dialog.unacknowledged = None;
        let ours_waits = dialog.bye_wanted.take().is_some();
        dialog.timers.stop(Timer::Success);
        dialog.timers.stop(Timer::Ack);
        self.terminate_pending_offer(id, now);
        match phase {
            // A BYE ends an early dialog too (§15.1.2): the INVITE gets its final response.
            Phase::Early(invite) => {
                self.respond_status(invite, StatusCode::REQUEST_TERMINATED, &tag, now);
                self.emit(Event::Bye { dialog: id, reason });
            }
            // Ours was on its way, as soon as the ACK should come.
            Phase::Established if ours_waits => self.emit(Event::Closed { dialog: id }),
            // Our INVITE still gets its final response, which tells how it ends.
            Phase::Calling(_) => {}
            Phase::Established => self.emit(Event::Bye { dialog: id, reason }),
            // Ours crossed theirs: whatever comes back for ours, it is over now.
            Phase::Closing => self.emit(Event::Closed { dialog: id }),
            Phase::Closed => {}
        }
        self.drop_if_forgotten(id);
    }

    fn receive_offer(
        &mut self,
        key: Key,
        id: DialogId,
        flow: Flow,
        request: Request,
        method: OfferMethod,
        now: Instant,
    ) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        match clash(dialog, method, !request.body().is_empty()) {
            None => {}
            Some(StatusCode::SERVER_INTERNAL_ERROR) => {
                // Try again in a moment of chance length.
                let wait = (self.tokens.next_u64() % 11).to_string();
                let headers = [(HeaderName::RetryAfter, wait)];
                self.refuse(key, flow, request, StatusCode::SERVER_INTERNAL_ERROR, &headers, now);
                return;
            }
            Some(status) => {
                self.refuse(key, flow, request, status, &[], now);
                return;
            }
        }
        let offer = match body::session_description(&request) {
            Ok(offer) => offer,
            Err(status) => {
                let accept = [(HeaderName::Accept, ACCEPT.to_owned())];
                self.refuse(key, flow, request, status, &accept, now);
                return;
            }
        };
        // Both are target refresh requests (§12.2.2, RFC 3311 §5.2).
        if let Some(contact) = body::first_contact(&request) {
            dialog.remote_target = contact;
        }
        dialog.flow = flow;
        if matches!(dialog.phase, Phase::Early(_)) || (dialog.is_calling() && offer.is_none()) {
            // Only an UPDATE without an offer gets here: a mere refresh, no matter of the owner's.
            self.answer_in_dialog(key, id, flow, request, StatusCode::OK, None, now);
            return;
        }
        dialog.pending_offer = Some(PendingOffer { transaction: key, method: request.method().clone() });
        let path = ReplyPath::of(flow, &request);
        let trying =
            (method == OfferMethod::Invite).then(|| self.response(&request, StatusCode::TRYING).build());
        self.open_server(key, path, request, Some(id), None);
        if let Some(trying) = trying {
            self.respond(key, &trying, now);
        }
        self.emit(Event::Offer { dialog: id, method, offer });
    }

    /// A re-INVITE or UPDATE that waits gets its final response before the dialog ends (§15.1.2).
    pub(crate) fn terminate_pending_offer(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let tag = dialog.local_tag.clone();
        if let Some(pending) = dialog.pending_offer.take() {
            self.respond_status(pending.transaction, StatusCode::REQUEST_TERMINATED, &tag, now);
        }
    }

    fn receive_notify(&mut self, key: Key, id: DialogId, flow: Flow, request: Request, now: Instant) {
        let subscribed = self.dialogs.get(&id).and_then(|dialog| dialog.refer.as_ref()).map(|r| r.cseq);
        let progress = match refer::read_notify(&request, subscribed) {
            Ok(progress) => progress,
            Err(status) => {
                self.answer_in_dialog(key, id, flow, request, status, None, now);
                return;
            }
        };
        if let ReferProgress::Notified { terminated: true, .. } = progress
            && let Some(dialog) = self.dialogs.get_mut(&id)
        {
            dialog.refer = None;
        }
        let event = Event::Refer { dialog: id, progress };
        self.answer_in_dialog(key, id, flow, request, StatusCode::OK, Some(event), now);
    }

    pub(crate) fn dialog_timer(&mut self, id: DialogId, timer: Timer, serial: u64, now: Instant) {
        let cap = self.config.timers.t2;
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if !dialog.timers.fire(timer, serial) {
            return;
        }
        match timer {
            Timer::Success => {
                let Some(waiting) = dialog.unacknowledged.as_mut() else { return };
                waiting.interval = backed_off(waiting.interval, Some(cap));
                let transmit = waiting.path.transmit(waiting.response.clone());
                let at = now + waiting.interval;
                self.timers.start(&mut dialog.timers, Owner::Dialog(id), Timer::Success, at);
                self.transmit(transmit);
            }
            Timer::Ack => {
                dialog.unacknowledged = None;
                dialog.timers.stop(Timer::Success);
                let bye = dialog.bye_wanted.take();
                self.emit(Event::Unconfirmed { dialog: id });
                if let Some(reason) = bye {
                    self.send_bye(id, &reason, now);
                }
            }
            Timer::Provisional => self.renew_provisional(id, now),
            Timer::Glare => self.offer_again(id, now),
            Timer::Expires => {
                if let Phase::Early(invite) = dialog.phase {
                    dialog.phase = Phase::Closed;
                    let tag = dialog.local_tag.clone();
                    self.respond_status(invite, StatusCode::REQUEST_TERMINATED, &tag, now);
                    self.emit(Event::Cancelled { dialog: id });
                    self.drop_if_forgotten(id);
                }
            }
            _ => {}
        }
    }

    /// Our BYE is done.
    pub(crate) fn dialog_closed(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if matches!(dialog.phase, Phase::Closing) {
            dialog.phase = Phase::Closed;
            self.emit(Event::Closed { dialog: id });
            self.drop_if_forgotten(id);
        }
    }

    pub(crate) fn drop_if_forgotten(&mut self, id: DialogId) {
        let gone = self
            .dialogs
            .get(&id)
            .is_some_and(|dialog| dialog.forgotten && matches!(dialog.phase, Phase::Closed));
        if gone {
            self.dialogs.remove(&id);
            shrink(&mut self.dialogs);
        }
    }
}

/// Why a re-INVITE or UPDATE can't be taken just now: one offer at a time (§14.2, RFC 3311 §5.2).
fn clash(dialog: &Dialog, method: OfferMethod, has_offer: bool) -> Option<StatusCode> {
    let update = method == OfferMethod::Update;
    match (&dialog.phase, &dialog.unacknowledged) {
        (Phase::Closing | Phase::Closed, _) => Some(StatusCode::CALL_DOES_NOT_EXIST),
        (Phase::Early(_), _) if update && !has_offer => None,
        (Phase::Early(_), _) => Some(StatusCode::SERVER_INTERNAL_ERROR),
        (Phase::Calling(_), _) if !update || (has_offer && !dialog.requesting.agreed) => {
            Some(StatusCode::SERVER_INTERNAL_ERROR)
        }
        // Two offers that cross: neither is taken, and both are made again after a wait of chance.
        _ if dialog.requesting.offer_is_out() && (!update || has_offer) => Some(StatusCode::REQUEST_PENDING),
        _ if dialog.pending_offer.is_some() => Some(StatusCode::SERVER_INTERNAL_ERROR),
        (_, Some(_)) if !update => Some(StatusCode::SERVER_INTERNAL_ERROR),
        // Our own offer waits for the answer in the ACK.
        (_, Some(waiting)) if waiting.offered && has_offer => Some(StatusCode::REQUEST_PENDING),
        _ => None,
    }
}
