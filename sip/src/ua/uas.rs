//! Answering calls (RFC 3261 §12.1.1, §13.3 and §14.2).

use std::time::Instant;

use bytes::Bytes;

use super::body;
use crate::dialog::route_set::RouteSet;
use crate::dialog::session::{Exchange, Session};
use crate::dialog::{Dialog, DialogId, Phase, Unacknowledged};
use crate::endpoint::flow::{Flow, Transport};
use crate::endpoint::policy::{PolicyId, supported};
use crate::endpoint::timers::Timers;
use crate::endpoint::{Endpoint, OfferMethod};
use crate::message::{HeaderError, HeaderName, Request, Response, StatusCode, Uri};
use crate::random::Key;
use crate::transaction::timer::Timer;
use crate::ua::requesting::Requesting;

/// Why an answer didn't go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The INVITE has been answered, cancelled or forgotten.
    #[error("the INVITE no longer waits for an answer")]
    NotWaiting,
}

impl Endpoint {
    /// The dialog that an answer to `request` makes (§12.1.1).
    pub(crate) fn uas_dialog(
        &mut self,
        invite: Key,
        flow: Flow,
        request: &Request,
        tag: String,
    ) -> Result<Dialog, HeaderError> {
        let headers = request.headers();
        let route_set = RouteSet::of_request(request)?;
        // A peer of RFC 2543 may send no Contact; then it is where it called from.
        let remote_target = body::first_contact(request)
            .or_else(|| Uri::parse(format!("sip:{}", flow.peer).as_bytes()).ok())
            .ok_or(HeaderError::Missing(HeaderName::Contact))?;
        let to = headers.get(HeaderName::To).unwrap_or_default();
        let from = headers.get(HeaderName::From).unwrap_or_default();
        Ok(Dialog {
            call_id: Bytes::copy_from_slice(headers.call_id()?),
            local: Bytes::from([to, b";tag=", tag.as_bytes()].concat()),
            remote: Bytes::copy_from_slice(from),
            local_tag: tag,
            local_cseq: 0,
            remote_cseq: Some(headers.cseq()?.number),
            remote_target,
            route_set,
            flow,
            policy: PolicyId::default(),
            phase: Phase::Early(invite),
            session: Session::default(),
            reliable: None,
            unacknowledged: None,
            pending_offer: None,
            refer: None,
            requesting: Requesting::default(),
            bye_wanted: None,
            forgotten: false,
            timers: Timers::default(),
        })
    }

    /// Answers with `200` and a session description; it is repeated until the ACK (§13.3.1.4). The
    /// description is left out where a reliable provisional response has brought it already. While
    /// such a response waits for its PRACK the 200 waits too (RFC 3262 §3); should the caller give
    /// up meanwhile, [`crate::endpoint::Event::Bye`] says so.
    ///
    /// # Errors
    /// When the INVITE no longer waits.
    pub fn accept(&mut self, id: DialogId, sdp: Bytes, now: Instant) -> Result<(), AnswerError> {
        let (key, ..) = self.waiting_invite(id)?;
        let Some(dialog) = self.dialog_mut(id) else { return Err(AnswerError::NotWaiting) };
        if let Some(reliable) = dialog.reliable.as_mut()
            && (reliable.holds_success() || dialog.pending_offer.is_some())
        {
            reliable.accept(sdp);
            return Ok(());
        }
        self.succeed(id, key, sdp, now);
        Ok(())
    }

    /// Sends the 200 to an INVITE.
    pub(crate) fn succeed(&mut self, id: DialogId, key: Key, sdp: Bytes, now: Instant) {
        let Some(request) = self.server_request(key) else { return };
        let Some(dialog) = self.dialog_mut(id) else { return };
        let (tag, flow) = (dialog.local_tag.clone(), dialog.flow);
        let exchange = std::mem::replace(&mut dialog.session.exchange, Exchange::Done);
        dialog.phase = Phase::Established;
        dialog.stop_early_timers();
        let mut builder = self
            .response(&request, StatusCode::OK)
            .to_tag(tag.as_bytes())
            .record_route()
            .header(HeaderName::Contact, self.contact(flow.transport, flow.local))
            .header(HeaderName::Allow, crate::endpoint::ALLOW);
        if let Some(dialog) = self.dialog(id) {
            builder = builder.header(HeaderName::Supported, supported(self.policy_of(dialog)));
        }
        builder = self.with_session_timer(id, request.headers(), builder, now);
        if exchange != Exchange::Done {
            if let Some(dialog) = self.dialog_mut(id) {
                dialog.session.local = Some(sdp.clone()).filter(|sdp| !sdp.is_empty());
            }
            builder = builder.body("application/sdp", sdp);
        }
        let response = builder.build();
        self.respond(key, &response, now);
        self.await_ack(id, key, &request, &response, exchange == Exchange::Wanted, now);
    }

    /// Refuses with a final status; `headers` go with it (`Retry-After`, `Warning`…).
    ///
    /// # Errors
    /// When the INVITE no longer waits.
    pub fn reject(
        &mut self,
        id: DialogId,
        status: StatusCode,
        headers: &[(HeaderName, String)],
        now: Instant,
    ) -> Result<(), AnswerError> {
        let (key, request, tag, _) = self.waiting_invite(id)?;
        let mut builder = self.response(&request, status).to_tag(tag.as_bytes());
        for (name, value) in headers {
            builder = builder.header(name.clone(), value.as_bytes());
        }
        let response = builder.build();
        self.respond(key, &response, now);
        if let Some(dialog) = self.dialog_mut(id) {
            dialog.close();
        }
        self.terminate_pending_offer(id, now);
        self.drop_if_forgotten(id);
        Ok(())
    }

    /// Answers a re-INVITE, UPDATE or PRACK: with a session description, or with a failure that
    /// leaves the session, and where the far end is to be reached, as they were (§14.2).
    ///
    /// # Errors
    /// When none waits.
    pub fn answer_offer(
        &mut self,
        id: DialogId,
        answer: Result<Option<Bytes>, StatusCode>,
        now: Instant,
    ) -> Result<(), AnswerError> {
        let dialog = self.dialog_mut(id).ok_or(AnswerError::NotWaiting)?;
        let pending = dialog.pending_offer.take().ok_or(AnswerError::NotWaiting)?;
        let early = matches!(dialog.phase, Phase::Early(_));
        let request = self.server_request(pending.transaction).ok_or(AnswerError::NotWaiting)?;
        let status = match &answer {
            Ok(_) => StatusCode::OK,
            Err(status) => *status,
        };
        let mut builder = self.response(&request, status);
        if let Ok(sdp) = answer {
            let flow = pending.flow;
            if pending.method != OfferMethod::Prack {
                builder = builder
                    .record_route()
                    .header(HeaderName::Contact, self.contact(flow.transport, flow.local))
                    .header(HeaderName::Allow, crate::endpoint::ALLOW);
                if !early {
                    builder = self.with_session_timer(id, request.headers(), builder, now);
                }
            }
            if let Some(dialog) = self.dialog_mut(id) {
                dialog.move_to(pending.contact, flow);
                if sdp.is_some() {
                    dialog.session.local.clone_from(&sdp);
                }
            }
            if let Some(sdp) = sdp {
                builder = builder.body("application/sdp", sdp);
            }
        }
        let response = builder.build();
        self.respond(pending.transaction, &response, now);
        if status.is_success() && pending.method == OfferMethod::Invite {
            let offered = body::session_description(&request).is_ok_and(|offer| offer.is_none());
            self.await_ack(id, pending.transaction, &request, &response, offered, now);
        }
        self.go_on_ringing(id, now);
        Ok(())
    }

    /// Whether the far end's transport delivers by itself.
    #[must_use]
    pub fn transport_of(&self, id: DialogId) -> Option<Transport> {
        self.dialog(id).map(|dialog| dialog.flow.transport)
    }

    pub(crate) fn waiting_invite(&self, id: DialogId) -> Result<(Key, Request, String, Flow), AnswerError> {
        let dialog = self.dialog(id).ok_or(AnswerError::NotWaiting)?;
        let Phase::Early(key) = dialog.phase else { return Err(AnswerError::NotWaiting) };
        if dialog.reliable.as_ref().is_some_and(|reliable| reliable.is_accepted()) {
            return Err(AnswerError::NotWaiting);
        }
        let request = self.server_request(key).ok_or(AnswerError::NotWaiting)?;
        Ok((key, request, dialog.local_tag.clone(), dialog.flow))
    }

    /// Repeats a 2xx to `invite` until its ACK comes, whatever the transport (§13.3.1.4). With an
    /// offer of ours in the 2xx the ACK brings the answer.
    fn await_ack(
        &mut self,
        id: DialogId,
        key: Key,
        invite: &Request,
        response: &Response,
        offered: bool,
        now: Instant,
    ) {
        let settings = self.timer_settings();
        let interval = Timer::Success.first(&settings, false);
        let Some(path) = self.server_path(key) else { return };
        let Some(dialog) = self.dialog_mut(id) else { return };
        dialog.unacknowledged = Some(Unacknowledged {
            cseq: invite.headers().cseq().map_or(0, |cseq| cseq.number),
            offered,
            response: response.as_bytes().clone(),
            interval,
            path,
        });
        self.set_dialog_timer(id, Timer::Success, now + interval);
        self.set_dialog_timer(id, Timer::Ack, now + Timer::Ack.first(&settings, false));
    }
}
