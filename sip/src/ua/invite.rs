//! Calling somebody (RFC 3261 §9.1, §12.1.2, §13.2).

use std::time::Instant;

use bytes::Bytes;

use crate::dialog::route_set::RouteSet;
use crate::dialog::session::Session;
use crate::dialog::{Dialog, DialogId, Phase};
use crate::endpoint::flow::Flow;
use crate::endpoint::policy::PolicyId;
use crate::endpoint::timers::Timers;
use crate::endpoint::{Endpoint, Event, InviteId, OutsideRequest, RequestPath, User};
use crate::message::{HeaderName, Method, Request, RequestBuilder, Response, StatusCode};
use crate::ua::uac::MAX_FORWARDS;

/// A call of ours that has no final answer yet, or whose 2xx may still be repeated.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The INVITE; ACK to a refusal and CANCEL are made from it.
    pub request: Request,
    pub branch: String,
    pub path: RequestPath,
    local_tag: String,
    flow: Flow,
    heard: Heard,
    cancelled: bool,
    /// The ACK of each dialog that an answer made (several when the call forked).
    acknowledgements: Vec<(DialogId, Request, RequestPath)>,
}

/// What has come back for an INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Provisional,
    Final,
}

impl Endpoint {
    /// Calls. `request` is an INVITE with `From` (without a tag), `To`, `Call-ID`, `CSeq` and
    /// `Contact` left out: they are made here from `from` and `to`, both name-addr values.
    /// [`Event::Progress`], [`Event::Answered`] or [`Event::Rejected`] follow.
    pub fn invite(
        &mut self,
        request: OutsideRequest,
        from: &str,
        to: &str,
        sdp: Bytes,
        now: Instant,
    ) -> InviteId {
        let id = self.take_invite_id();
        let branch = self.new_branch();
        let local_tag = self.new_token();
        let call_id = self.new_token();
        let mut builder = RequestBuilder::new(Method::Invite, &request.uri)
            .header(HeaderName::Via, self.via(request.transport, request.local, &branch))
            .header(HeaderName::MaxForwards, MAX_FORWARDS)
            .header(HeaderName::From, format!("{from};tag={local_tag}"))
            .header(HeaderName::To, to)
            .header(HeaderName::CallId, call_id)
            .header(HeaderName::CSeq, "1 INVITE")
            .header(HeaderName::Contact, self.contact(request.transport, request.local))
            .header(HeaderName::Allow, crate::endpoint::ALLOW)
            .header(HeaderName::UserAgent, self.product());
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let built = builder.body("application/sdp", sdp).build();
        let path = RequestPath {
            transport: request.transport,
            target: request.target,
            connection: request.connection,
        };
        let peer = path.address().unwrap_or(request.local);
        let flow =
            Flow { transport: request.transport, peer, local: request.local, connection: request.connection };
        let outgoing = Outgoing {
            request: built.clone(),
            branch: branch.clone(),
            path: path.clone(),
            local_tag,
            flow,
            heard: Heard::Nothing,
            cancelled: false,
            acknowledgements: Vec::new(),
        };
        self.insert_outgoing(id, outgoing);
        self.open_client(&branch, built, path, User::Invite(id), now);
        id
    }

    /// Gives a call up before it is answered. The CANCEL waits for the first provisional response
    /// (§9.1). An answer that crosses it still comes as [`Event::Answered`].
    pub fn cancel(&mut self, id: InviteId, now: Instant) {
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        let again = std::mem::replace(&mut outgoing.cancelled, true);
        if !again && outgoing.heard == Heard::Provisional {
            self.send_cancel(id, now);
        }
    }

    pub(crate) fn invite_answered(&mut self, id: InviteId, response: Response, flow: Flow, now: Instant) {
        let status = response.status();
        if status.is_provisional() {
            let Some(outgoing) = self.outgoing_mut(id) else { return };
            let first = std::mem::replace(&mut outgoing.heard, Heard::Provisional) == Heard::Nothing;
            if first && outgoing.cancelled {
                self.send_cancel(id, now);
            }
            self.emit(Event::Progress { invite: id, response });
        } else if status.is_success() {
            self.invite_succeeded(id, &response, flow, now);
        } else {
            self.invite_rejected(id, status);
        }
    }

    /// Nobody answered, or nobody could be asked.
    pub(crate) fn invite_failed(&mut self, id: InviteId, status: StatusCode) {
        let cancelled = self.outgoing(id).is_some_and(|outgoing| outgoing.cancelled);
        self.invite_rejected(id, if cancelled { StatusCode::REQUEST_TERMINATED } else { status });
        self.remove_outgoing(id);
    }

    fn invite_rejected(&mut self, id: InviteId, status: StatusCode) {
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        if std::mem::replace(&mut outgoing.heard, Heard::Final) != Heard::Final {
            self.emit(Event::Rejected { invite: id, status });
        }
    }

    /// The ACK of a refusal: hop by hop, with the INVITE's branch (§17.1.1.3).
    pub(crate) fn acknowledge_refusal(
        &self,
        id: InviteId,
        response: &Response,
    ) -> Option<(Request, RequestPath)> {
        let outgoing = self.outgoing(id)?;
        let to = response.headers().get(HeaderName::To)?.to_vec();
        Some((hop_request(&outgoing.request, Method::Ack, &to), outgoing.path.clone()))
    }

    fn send_cancel(&mut self, id: InviteId, now: Instant) {
        let Some(outgoing) = self.outgoing(id) else { return };
        let to = outgoing.request.headers().get(HeaderName::To).unwrap_or_default().to_vec();
        let cancel = hop_request(&outgoing.request, Method::Cancel, &to);
        let (branch, path) = (outgoing.branch.clone(), outgoing.path.clone());
        self.open_client(&branch, cancel, path, User::Cancel, now);
        self.limit_cancelled(&branch, now);
    }

    fn invite_succeeded(&mut self, id: InviteId, response: &Response, flow: Flow, now: Instant) {
        let Some(outgoing) = self.outgoing(id) else { return };
        let Some(dialog) = uac_dialog(outgoing, response, flow) else {
            // There is no telling whom to send the ACK to.
            self.invite_rejected(id, StatusCode::BAD_GATEWAY);
            return;
        };
        let remote_tag = response.headers().to().ok().and_then(|to| to.tag().map(<[u8]>::to_vec));
        let remote_tag = remote_tag.unwrap_or_default();
        let dialog_id =
            DialogId::new(self.keyer(), &dialog.call_id, dialog.local_tag.as_bytes(), &remote_tag);
        let again = outgoing.acknowledgements.iter().find(|(known, ..)| *known == dialog_id);
        if let Some((_, ack, path)) = again {
            let (ack, path) = (ack.clone(), path.clone());
            self.send_ack(&ack, &path);
            return;
        }
        let cseq = outgoing.request.headers().cseq().map_or(1, |cseq| cseq.number);
        let offered = outgoing.request.body().clone();
        self.insert_dialog(dialog_id, dialog);
        self.begin_caller_session(dialog_id, offered, response, now);
        let Some((ack, path)) = self.request_in_dialog(dialog_id, Method::Ack, cseq, &[]) else { return };
        self.send_ack(&ack.0, &path);
        if let Some(outgoing) = self.outgoing_mut(id) {
            outgoing.heard = Heard::Final;
            outgoing.acknowledgements.push((dialog_id, ack.0, path));
        }
        let answer = super::body::session_description_in(response.headers(), response.body());
        let answer = answer.ok().flatten().unwrap_or_default();
        self.emit(Event::Answered { invite: id, dialog: dialog_id, answer });
    }
}

/// A request that stays on the INVITE's hop: ACK to a refusal, CANCEL (§9.1, §17.1.1.3).
pub(crate) fn hop_request(invite: &Request, method: Method, to: &[u8]) -> Request {
    let headers = invite.headers();
    let cseq = headers.cseq().map_or(1, |cseq| cseq.number);
    let copy = |name: HeaderName| headers.get(name).unwrap_or_default().to_vec();
    let mut builder = RequestBuilder::new(method.clone(), invite.uri())
        .header(HeaderName::Via, copy(HeaderName::Via))
        .header(HeaderName::MaxForwards, MAX_FORWARDS);
    for route in headers.get_all(HeaderName::Route) {
        builder = builder.header(HeaderName::Route, route);
    }
    builder
        .header(HeaderName::From, copy(HeaderName::From))
        .header(HeaderName::To, to)
        .header(HeaderName::CallId, copy(HeaderName::CallId))
        .header(HeaderName::CSeq, format!("{cseq} {}", method.as_str()))
        .build()
}

/// The dialog that a 2xx makes (§12.1.2).
fn uac_dialog(outgoing: &Outgoing, response: &Response, flow: Flow) -> Option<Dialog> {
    let headers = response.headers();
    let sent = outgoing.request.headers();
    let remote_target =
        super::body::first_contact_of(headers).unwrap_or_else(|| outgoing.request.uri().clone());
    Some(Dialog {
        call_id: Bytes::copy_from_slice(sent.call_id().ok()?),
        local_tag: outgoing.local_tag.clone(),
        local: Bytes::copy_from_slice(sent.get(HeaderName::From)?),
        remote: Bytes::copy_from_slice(headers.get(HeaderName::To)?),
        local_cseq: sent.cseq().ok()?.number,
        remote_cseq: None,
        remote_target,
        route_set: RouteSet::of_response(response).ok()?,
        flow: Flow { local: outgoing.flow.local, ..flow },
        policy: PolicyId::default(),
        phase: Phase::Established,
        session: Session::default(),
        reliable: None,
        unacknowledged: None,
        pending_offer: None,
        refer: None,
        bye_wanted: None,
        forgotten: false,
        timers: Timers::default(),
    })
}
