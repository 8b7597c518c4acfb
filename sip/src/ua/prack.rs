//! Provisional responses, also those that must arrive (RFC 3261 §13.3.1.1, RFC 3262).

use std::time::Instant;

use bytes::Bytes;

use super::body;
use super::uas::AnswerError;
use crate::dialog::prack::Reliable;
use crate::dialog::session::Exchange;
use crate::dialog::{DialogId, Phase};
use crate::endpoint::flow::Flow;
use crate::endpoint::{Endpoint, Event, OfferMethod};
use crate::message::{HeaderName, Request, ResponseBuilder, StatusCode};
use crate::random::Key;
use crate::transaction::timer::Timer;

impl Endpoint {
    /// Sends a provisional response, such as `180`, or `183` with a session description for early
    /// media. It goes reliably where the caller demands it, or where the caller can take it so and
    /// the policy wants it; then a second one waits for the PRACK of the first, and so does the
    /// 200 if there was a session description in it. A description that is sent here must be the
    /// one given to [`Endpoint::accept`].
    ///
    /// Nothing is sent when the caller takes nothing but reliable responses and has left the offer
    /// to us, and there is none here: the first such response must bear it (RFC 3262 §5).
    ///
    /// # Errors
    /// When the INVITE no longer waits.
    pub fn ring(
        &mut self,
        id: DialogId,
        status: StatusCode,
        sdp: Option<Bytes>,
        now: Instant,
    ) -> Result<(), AnswerError> {
        let (key, request, ..) = self.waiting_invite(id)?;
        let lists = |name| request.headers().list(name).any(|tag| tag.eq_ignore_ascii_case(b"100rel"));
        let demanded = lists(HeaderName::Require);
        let Some(dialog) = self.dialog(id) else { return Err(AnswerError::NotWaiting) };
        let wanted = self.policy_of(dialog).reliable_provisional && lists(HeaderName::Supported);
        let offerless = dialog.session.exchange == Exchange::Wanted && sdp.is_none();
        if demanded && offerless {
            return Ok(());
        }
        if demanded || wanted && !offerless {
            self.ring_reliably(id, key, &request, status, sdp, now);
        } else {
            let response = self.provisional(id, &request, status, sdp).build();
            self.respond(key, &response, now);
            self.start_renewal(id, now);
        }
        Ok(())
    }

    fn provisional(
        &self,
        id: DialogId,
        request: &Request,
        status: StatusCode,
        sdp: Option<Bytes>,
    ) -> ResponseBuilder {
        let mut builder = self.response(request, status).record_route();
        if let Some(dialog) = self.dialog(id) {
            builder = builder
                .to_tag(dialog.local_tag.as_bytes())
                .header(HeaderName::Contact, self.contact(dialog.flow.transport, dialog.flow.local));
        }
        builder = builder.header(HeaderName::Allow, crate::endpoint::ALLOW);
        match sdp {
            Some(sdp) => builder.body("application/sdp", sdp),
            None => builder,
        }
    }

    fn ring_reliably(
        &mut self,
        id: DialogId,
        key: Key,
        request: &Request,
        status: StatusCode,
        sdp: Option<Bytes>,
        now: Instant,
    ) {
        let (random, settings) = (self.random(), self.timer_settings());
        let interval = Timer::Reliable.first(&settings, false);
        let Some(dialog) = self.dialog_mut(id) else { return };
        let reliable = dialog.reliable.get_or_insert_with(|| Box::new(Reliable::new(random)));
        if reliable.is_waiting() {
            reliable.queue(status, sdp);
            return;
        }
        // After offer and answer there is nothing to be said here any more (RFC 6337 §3.1).
        let session = &mut dialog.session;
        let sdp = sdp.filter(|_| matches!(session.exchange, Exchange::Offered | Exchange::Wanted));
        if let Some(sdp) = &sdp {
            session.local = Some(sdp.clone());
            session.exchange = match session.exchange {
                Exchange::Offered => Exchange::Done,
                _ => Exchange::Sent,
            };
        }
        let cseq = request.headers().cseq().map_or(0, |cseq| cseq.number);
        let rseq = reliable.send(status, cseq, sdp.is_some(), interval);
        let response = self
            .provisional(id, request, status, sdp)
            .header(HeaderName::Require, "100rel")
            .header(HeaderName::RSeq, rseq.to_string())
            .build();
        self.respond(key, &response, now);
        self.set_dialog_timer(id, Timer::Reliable, now + interval);
        self.set_dialog_timer(id, Timer::Prack, now + Timer::Prack.first(&settings, false));
        self.start_renewal(id, now);
    }

    fn start_renewal(&mut self, id: DialogId, now: Instant) {
        let after = Timer::Provisional.first(&self.timer_settings(), false);
        self.set_dialog_timer(id, Timer::Provisional, now + after);
    }

    /// Sends a provisional response again, lest a proxy gives up (§13.3.1.1): the last one, or one
    /// with a number of its own when it was reliable.
    pub(crate) fn renew_provisional(&mut self, id: DialogId, now: Instant) {
        let Ok((key, request, ..)) = self.waiting_invite(id) else { return };
        let Some(dialog) = self.dialog(id) else { return };
        match dialog.reliable.as_ref().map(|reliable| (reliable.status(), reliable.is_waiting())) {
            Some((status, false)) => self.ring_reliably(id, key, &request, status, None, now),
            Some((_, true)) => {}
            None => {
                self.repeat_response(key, now);
                self.start_renewal(id, now);
            }
        }
    }

    /// RFC 3262 §3: whatever the transport, until the PRACK comes.
    pub(crate) fn repeat_reliable(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        let Phase::Early(key) = dialog.phase else { return };
        let Some(interval) = dialog.reliable.as_mut().and_then(|reliable| reliable.back_off()) else {
            return;
        };
        self.repeat_response(key, now);
        self.set_dialog_timer(id, Timer::Reliable, now + interval);
    }

    /// No PRACK after 64 × T1: the INVITE is refused with a 5xx (RFC 3262 §3).
    pub(crate) fn give_up_prack(&mut self, id: DialogId, now: Instant) {
        let reason = Bytes::from_static(b"SIP;cause=504;text=\"No PRACK\"");
        self.abandon_early(id, StatusCode::SERVER_TIMEOUT, Some(reason), now);
    }

    /// RFC 3262 §3 and §5.
    pub(crate) fn receive_prack(
        &mut self,
        key: Key,
        id: DialogId,
        flow: Flow,
        request: Request,
        now: Instant,
    ) {
        let sdp = match body::session_description(&request) {
            Ok(sdp) => sdp,
            Err(status) => {
                let accept = [(HeaderName::Accept, crate::endpoint::ACCEPT.to_owned())];
                self.refuse(key, flow, request, status, &accept, now);
                return;
            }
        };
        let Some(dialog) = self.dialog_mut(id) else { return };
        let rack = request.headers().rack().ok().flatten();
        let fitting = dialog.reliable.as_mut().zip(rack).filter(|(reliable, rack)| reliable.fits(rack));
        let Some((reliable, _)) = fitting else {
            let status = StatusCode::CALL_DOES_NOT_EXIST;
            self.answer_in_dialog(key, id, flow, request, status, None, now);
            return;
        };
        let exchange = dialog.session.exchange;
        // Another offer comes after the answer to the first one, and one at a time.
        let early = matches!(dialog.phase, Phase::Early(_));
        let timely = exchange == Exchange::Done && early && dialog.pending_offer.is_none();
        let is_offer = sdp.is_some() && exchange != Exchange::Sent;
        if is_offer && !timely {
            self.refuse_clash(key, flow, request, StatusCode::SERVER_INTERNAL_ERROR, now);
            return;
        }
        reliable.acknowledge();
        dialog.timers.stop(Timer::Reliable);
        dialog.timers.stop(Timer::Prack);
        if is_offer {
            self.pend_offer(key, id, flow, request, OfferMethod::Prack, None, now);
            self.emit(Event::Offer { dialog: id, method: OfferMethod::Prack, offer: sdp });
            return;
        }
        let event = (exchange == Exchange::Sent).then(|| {
            dialog.session.exchange = Exchange::Done;
            Event::EarlyAnswer { dialog: id, answer: sdp }
        });
        self.answer_in_dialog(key, id, flow, request, StatusCode::OK, event, now);
        self.go_on_ringing(id, now);
    }

    /// Sends what waited for a PRACK, or for the answer to an offer in it.
    pub(crate) fn go_on_ringing(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        let Phase::Early(key) = dialog.phase else { return };
        let Some(reliable) = dialog.reliable.as_mut() else { return };
        if reliable.is_waiting() || dialog.pending_offer.is_some() {
            return;
        }
        if let Some(sdp) = reliable.take_accepted() {
            self.succeed(id, key, sdp, now);
        } else if let Some((status, sdp)) = reliable.next() {
            // The caller took the last one reliably, and will take this one.
            if let Some(request) = self.server_request(key) {
                self.ring_reliably(id, key, &request, status, sdp, now);
            }
        }
    }

    /// Takes back an acceptance whose 200 still waits. False when there is none.
    pub(crate) fn regret(&mut self, id: DialogId, now: Instant) -> bool {
        let Some(dialog) = self.dialog_mut(id) else { return false };
        let Phase::Early(key) = dialog.phase else { return false };
        if !dialog.reliable.as_ref().is_some_and(|reliable| reliable.is_accepted()) {
            return false;
        }
        dialog.close();
        let tag = dialog.local_tag.clone();
        self.terminate_pending_offer(id, now);
        self.respond_status(key, StatusCode::TEMPORARILY_UNAVAILABLE, &tag, now);
        self.emit(Event::Closed { dialog: id });
        self.drop_if_forgotten(id);
        true
    }
}
