//! Requests inside dialogs (RFC 3261 §12.2.2) and what dialogs wait for.

use std::time::Instant;

use bytes::Bytes;

use super::event::{Event, OfferMethod, ReferProgress, Suspicion};
use super::flow::Flow;
use super::policy::{PolicyId, supported};
use super::receive::{ACCEPT, ALLOW, unsupported};
use super::timers::Owner;
use super::{Endpoint, ReplyPath, shrink};
use crate::dialog::{DialogId, Phase};
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
    pub(crate) fn receive_ack(&mut self, id: DialogId, ack: &Request, now: Instant) {
        let Ok(cseq) = ack.headers().cseq() else { return };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        match &dialog.unacknowledged {
            Some(waiting) if waiting.cseq == cseq.number => {}
            _ => {
                self.counters.retransmissions += 1;
                return;
            }
        }
        let answer = body::session_description(ack).ok().flatten();
        self.confirm(id, answer, now);
    }

    /// The far end has our 2xx.
    pub(crate) fn confirm(&mut self, id: DialogId, answer: Option<Bytes>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        dialog.unacknowledged = None;
        dialog.reliable = None;
        dialog.timers.stop(Timer::Success);
        dialog.timers.stop(Timer::Ack);
        let bye = dialog.bye_wanted.take();
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
        policy: Option<PolicyId>,
        now: Instant,
    ) {
        let Some(id) = id else {
            self.counters.stray_requests += 1;
            self.suspect(flow, Suspicion::StrayRequest);
            self.refuse_statelessly(flow, &request, StatusCode::CALL_DOES_NOT_EXIST, &[]);
            return;
        };
        if !self.is_of_dialog(id, flow, policy) {
            self.drop_wrong_source(flow);
            return;
        }
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
            && let Some((status, headers)) = unsupported(&request, self.policies.get(dialog.policy))
        {
            self.refuse(key, flow, request, status, &headers, now);
            return;
        }
        self.dispatch(key, id, flow, request, now);
    }

    fn dispatch(&mut self, key: Key, id: DialogId, flow: Flow, request: Request, now: Instant) {
        let status = match request.method() {
            Method::Bye => return self.receive_bye(key, id, flow, request, now),
            Method::Invite => return self.receive_offer(key, id, flow, request, OfferMethod::Invite, now),
            Method::Update => return self.receive_offer(key, id, flow, request, OfferMethod::Update, now),
            Method::Prack => return self.receive_prack(key, id, flow, request, now),
            Method::Notify => return self.receive_notify(key, id, flow, request, now),
            Method::Info => return self.receive_info(key, id, flow, request, now),
            Method::Options => StatusCode::OK,
            // Nobody hands our calls over but us (Transfers: the far end's REFER is refused).
            Method::Refer => StatusCode::DECLINE,
            Method::Other(_) => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        };
        self.answer_in_dialog(key, id, flow, request, status, None, now);
    }

    /// Answers at once, inside the dialog.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the answer; used in this room only")]
    pub(crate) fn answer_in_dialog(
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
            let policy = self.dialogs.get(&id).map(|dialog| self.policies.get(dialog.policy));
            builder = builder
                .header(HeaderName::Accept, ACCEPT)
                .header(HeaderName::Supported, policy.map_or("", |policy| supported(policy)));
        }
        let response = builder.build();
        self.open_server(key, ReplyPath::of(flow, &request), request, Some(id), None);
        self.answer_and_emit(key, &response, event, now);
    }

    fn receive_bye(&mut self, key: Key, id: DialogId, flow: Flow, request: Request, now: Instant) {
        let reason = request.headers().get(HeaderName::Reason).map(Bytes::copy_from_slice);
        self.answer_in_dialog(key, id, flow, request, StatusCode::OK, None, now);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        // A BYE ends an early dialog too (§15.1.2): the INVITE gets its final response.
        if let Phase::Early(invite) = dialog.phase {
            let tag = dialog.local_tag.clone();
            dialog.close();
            self.terminate_pending_offer(id, now);
            self.respond_status(invite, StatusCode::REQUEST_TERMINATED, &tag, now);
            self.emit(Event::Bye { dialog: id, reason });
            self.drop_if_forgotten(id);
            return;
        }
        let ours_crossed = matches!(dialog.phase, Phase::Closing);
        // Our INVITE still gets its final response, which tells how the call ends.
        let calling = dialog.is_calling();
        dialog.close();
        dialog.unacknowledged = None;
        let ours_waits = dialog.bye_wanted.take().is_some();
        dialog.timers.stop(Timer::Success);
        dialog.timers.stop(Timer::Ack);
        self.terminate_pending_offer(id, now);
        // Ours crossed theirs, or was on its way as soon as the ACK should come: whatever comes
        // back for ours, it is over now.
        if ours_crossed || ours_waits {
            self.emit(Event::Closed { dialog: id });
        } else if !calling {
            self.emit(Event::Bye { dialog: id, reason });
        }
        self.drop_if_forgotten(id);
    }

    fn receive_info(&mut self, key: Key, id: DialogId, flow: Flow, request: Request, now: Instant) {
        // No package is served, which the empty list says (RFC 6086 §4.2.2, §7.2).
        if request.headers().contains(HeaderName::InfoPackage) {
            let none = [(HeaderName::RecvInfo, String::new())];
            self.refuse(key, flow, request, StatusCode::BAD_INFO_PACKAGE, &none, now);
            return;
        }
        let event = (!request.body().is_empty()).then(|| {
            let content_type = request.headers().get(HeaderName::ContentType).unwrap_or_default();
            let content_type = Bytes::copy_from_slice(content_type);
            Event::Info { dialog: id, content_type, body: request.body().clone() }
        });
        self.answer_in_dialog(key, id, flow, request, StatusCode::OK, event, now);
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
            Timer::Expires => self.abandon_early(id, StatusCode::REQUEST_TERMINATED, None, now),
            Timer::Reliable => self.repeat_reliable(id, now),
            Timer::Prack => self.give_up_prack(id, now),
            Timer::Session => self.session_timer(id, now),
            Timer::Glare => self.offer_again(id, now),
            _ => {}
        }
    }

    /// Our BYE is done.
    pub(crate) fn dialog_closed(&mut self, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if matches!(dialog.phase, Phase::Closing) {
            dialog.close();
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
