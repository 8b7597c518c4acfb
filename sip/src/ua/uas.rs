//! Answering calls (RFC 3261 §12.1.1, §13.3 and §14.2).

use std::time::Instant;

use bytes::Bytes;

use crate::dialog::route_set::RouteSet;
use crate::dialog::{Dialog, DialogId, Phase, Unacknowledged};
use crate::endpoint::Endpoint;
use crate::endpoint::flow::{Flow, Transport};
use crate::endpoint::timers::Timers;
use crate::message::{HeaderError, HeaderName, Method, Request, Response, StatusCode, Uri};
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
        let remote_target = super::body::first_contact(request)
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
            phase: Phase::Early(invite),
            unacknowledged: None,
            pending_offer: None,
            refer: None,
            requesting: Requesting::default(),
            bye_wanted: None,
            forgotten: false,
            timers: Timers::default(),
        })
    }

    /// Sends a provisional response, such as `180` (§13.3.1.1).
    ///
    /// # Errors
    /// When the INVITE no longer waits.
    pub fn ring(&mut self, id: DialogId, status: StatusCode, now: Instant) -> Result<(), AnswerError> {
        let (key, request, tag, flow) = self.waiting_invite(id)?;
        let response = self
            .response(&request, status)
            .to_tag(tag.as_bytes())
            .record_route()
            .header(HeaderName::Contact, self.contact(flow.transport, flow.local))
            .header(HeaderName::Allow, crate::endpoint::ALLOW)
            .build();
        self.respond(key, &response, now);
        let after = Timer::Provisional.first(&self.timer_settings(), false);
        self.set_dialog_timer(id, Timer::Provisional, now + after);
        Ok(())
    }

    /// Answers with `200` and a session description; it is repeated until the ACK (§13.3.1.4).
    ///
    /// # Errors
    /// When the INVITE no longer waits.
    pub fn accept(&mut self, id: DialogId, sdp: Bytes, now: Instant) -> Result<(), AnswerError> {
        let (key, request, tag, flow) = self.waiting_invite(id)?;
        let response = self
            .response(&request, StatusCode::OK)
            .to_tag(tag.as_bytes())
            .record_route()
            .header(HeaderName::Contact, self.contact(flow.transport, flow.local))
            .header(HeaderName::Allow, crate::endpoint::ALLOW)
            .body("application/sdp", sdp)
            .build();
        self.respond(key, &response, now);
        if let Some(dialog) = self.dialog_mut(id) {
            dialog.phase = Phase::Established;
            dialog.timers.stop(Timer::Provisional);
            dialog.timers.stop(Timer::Expires);
        }
        self.await_ack(id, key, &request, &response, now);
        Ok(())
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
            dialog.phase = Phase::Closed;
        }
        self.drop_if_forgotten(id);
        Ok(())
    }

    /// Answers a re-INVITE or UPDATE: with a session description (or none, for an UPDATE without
    /// one), or with a failure that leaves the session as it was (§14.2).
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
        let flow = dialog.flow;
        let pending = dialog.pending_offer.take().ok_or(AnswerError::NotWaiting)?;
        let request = self.server_request(pending.transaction).ok_or(AnswerError::NotWaiting)?;
        let status = match &answer {
            Ok(_) => StatusCode::OK,
            Err(status) => *status,
        };
        let mut builder = self.response(&request, status);
        if let Ok(sdp) = answer {
            builder = builder
                .record_route()
                .header(HeaderName::Contact, self.contact(flow.transport, flow.local))
                .header(HeaderName::Allow, crate::endpoint::ALLOW);
            if let Some(sdp) = sdp {
                builder = builder.body("application/sdp", sdp);
            }
        }
        let response = builder.build();
        self.respond(pending.transaction, &response, now);
        if status.is_success() && pending.method == Method::Invite {
            self.await_ack(id, pending.transaction, &request, &response, now);
        }
        Ok(())
    }

    /// Whether the far end's transport delivers by itself.
    #[must_use]
    pub fn transport_of(&self, id: DialogId) -> Option<Transport> {
        self.dialog(id).map(|dialog| dialog.flow.transport)
    }

    /// Sends the last provisional response again, lest a proxy gives up (§13.3.1.1).
    pub(crate) fn renew_provisional(&mut self, id: DialogId, now: Instant) {
        if let Ok((key, ..)) = self.waiting_invite(id) {
            self.repeat_response(key, now);
            let after = Timer::Provisional.first(&self.timer_settings(), false);
            self.set_dialog_timer(id, Timer::Provisional, now + after);
        }
    }

    fn waiting_invite(&self, id: DialogId) -> Result<(Key, Request, String, Flow), AnswerError> {
        let dialog = self.dialog(id).ok_or(AnswerError::NotWaiting)?;
        let Phase::Early(key) = dialog.phase else { return Err(AnswerError::NotWaiting) };
        let request = self.server_request(key).ok_or(AnswerError::NotWaiting)?;
        Ok((key, request, dialog.local_tag.clone(), dialog.flow))
    }

    /// Repeats a 2xx to `invite` until its ACK comes, whatever the transport (§13.3.1.4).
    fn await_ack(&mut self, id: DialogId, key: Key, invite: &Request, response: &Response, now: Instant) {
        let settings = self.timer_settings();
        let interval = Timer::Success.first(&settings, false);
        let Some(path) = self.server_path(key) else { return };
        let Some(dialog) = self.dialog_mut(id) else { return };
        dialog.unacknowledged = Some(Unacknowledged {
            cseq: invite.headers().cseq().map_or(0, |cseq| cseq.number),
            offered: invite.body().is_empty(),
            response: response.as_bytes().clone(),
            interval,
            path,
        });
        self.set_dialog_timer(id, Timer::Success, now + interval);
        self.set_dialog_timer(id, Timer::Ack, now + Timer::Ack.first(&settings, false));
    }
}
