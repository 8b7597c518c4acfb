//! Messages as they come: reading, matching to transactions, and requests outside dialogs
//! (RFC 3261 §8.2 and §9.2).

use std::time::Instant;

use bytes::Bytes;

use super::event::Event;
use super::flow::Flow;
use super::timers::Owner;
use super::{Admission, Endpoint, ReplyPath};
use crate::dialog::{DialogId, Phase};
use crate::message::{
    Framing, HeaderName, Message, Method, ParseError, Request, StatusCode, parse, validate,
};
use crate::random::Key;
use crate::transaction::key;
use crate::transaction::timer::Timer;
use crate::ua::body;

impl Endpoint {
    pub(crate) fn receive(&mut self, flow: Flow, bytes: Bytes, now: Instant) {
        self.counters.received += 1;
        let framing = if flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        match parse(bytes, framing) {
            Ok(Message::Request(request)) => {
                let request = request.received_from(flow.peer);
                if let Err(reject) = validate(&request) {
                    self.refuse_malformed(flow, &request, reject.status, reject.reason);
                } else {
                    self.receive_request(flow, request, now);
                }
            }
            Ok(Message::Response(response)) => self.receive_response(flow, response, now),
            Err(ParseError::Reply(bad)) => {
                let request = bad.request.clone().received_from(flow.peer);
                self.refuse_malformed(flow, &request, bad.status, bad.reason);
            }
            Err(ParseError::Silent(_)) => self.counters.unreadable += 1,
        }
    }

    fn receive_request(&mut self, flow: Flow, request: Request, now: Instant) {
        // `validate` has seen to it that these headers can be read.
        let headers = request.headers();
        let (Ok(key), Ok(from), Ok(to)) = (key::server(&self.keyer, &request), headers.from(), headers.to())
        else {
            self.counters.unreadable += 1;
            return;
        };
        let from_tag = from.tag().unwrap_or_default();
        if *request.method() == Method::Ack {
            if !self.server_ack(key, now) {
                let id = self.dialog_of(&request, from_tag, to.tag());
                self.receive_ack(id, &request, now);
            }
            return;
        }
        if self.servers.contains_key(&key) {
            self.server_retransmission(key, now);
            return;
        }
        if *request.method() == Method::Cancel {
            self.receive_cancel(key, flow, &request, now);
            return;
        }
        if to.tag().is_some() {
            let id = self.dialog_of(&request, from_tag, to.tag());
            self.receive_in_dialog(key, id, flow, request, now);
        } else if let Some(status) = refusal_of_loop(self, &request) {
            self.refuse_statelessly(flow, &request, status, &[]);
        } else {
            self.receive_outside_dialog(key, flow, request, from_tag, now);
        }
    }

    fn receive_outside_dialog(
        &mut self,
        key: Key,
        flow: Flow,
        request: Request,
        from_tag: &[u8],
        now: Instant,
    ) {
        match request.method() {
            Method::Invite => self.receive_invite(key, flow, request, from_tag, now),
            Method::Options => self.receive_options(flow, &request),
            // They belong in a dialog, and name none that exists (§12.2.2).
            Method::Bye | Method::Info | Method::Update | Method::Notify | Method::Prack => {
                self.counters.stray_requests += 1;
                self.refuse_statelessly(flow, &request, StatusCode::CALL_DOES_NOT_EXIST, &[]);
            }
            Method::Other(_) => {
                let allow = [(HeaderName::Allow, ALLOW.to_owned())];
                self.refuse_statelessly(flow, &request, StatusCode::NOT_IMPLEMENTED, &allow);
            }
            _ => {
                let allow = [(HeaderName::Allow, ALLOW.to_owned())];
                self.refuse_statelessly(flow, &request, StatusCode::METHOD_NOT_ALLOWED, &allow);
            }
        }
    }

    /// Whether a new call would be turned away now.
    fn is_shedding(&self) -> bool {
        self.admission == Admission::Closed
            || self.dialogs.len() >= self.config.max_dialogs
            || self.servers.len() >= self.config.max_transactions
    }

    /// Answers as an INVITE would be answered (§11.2).
    fn receive_options(&mut self, flow: Flow, request: &Request) {
        if self.is_shedding() {
            self.refuse_statelessly(flow, request, StatusCode::SERVICE_UNAVAILABLE, &[]);
            return;
        }
        if let Some((status, headers)) = unsupported(request) {
            self.refuse_statelessly(flow, request, status, &headers);
            return;
        }
        let response = self
            .stateless_response(request, StatusCode::OK)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Accept, ACCEPT);
        self.send_statelessly(flow, request, response);
    }

    fn receive_cancel(&mut self, key: Key, flow: Flow, cancel: &Request, now: Instant) {
        let invite = key::cancelled(&self.keyer, cancel).ok().filter(|k| self.servers.contains_key(k));
        let Some(invite) = invite else {
            self.counters.stray_requests += 1;
            self.refuse_statelessly(flow, cancel, StatusCode::CALL_DOES_NOT_EXIST, &[]);
            return;
        };
        let dialog = self.servers.get(&invite).and_then(|server| server.dialog);
        let tag = dialog
            .and_then(|id| self.dialogs.get(&id))
            .map_or_else(|| self.tokens.next_token(), |dialog| dialog.local_tag.clone());
        let response = self.response(cancel, StatusCode::OK).to_tag(tag.as_bytes()).build();
        self.open_server(key, ReplyPath::of(flow, cancel), cancel.clone(), None, None);
        self.respond(key, &response, now);
        if !self.is_proceeding(invite) {
            return;
        }
        self.respond_status(invite, StatusCode::REQUEST_TERMINATED, &tag, now);
        let Some(id) = dialog else { return };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if matches!(dialog.phase, Phase::Early(early) if early == invite) {
            dialog.phase = Phase::Closed;
            self.emit(Event::Cancelled { dialog: id });
            self.drop_if_forgotten(id);
        } else if dialog.pending_offer.as_ref().is_some_and(|pending| pending.transaction == invite) {
            // A re-INVITE was cancelled: the session goes on as it was (§14.1).
            dialog.pending_offer = None;
        }
    }

    fn receive_invite(&mut self, key: Key, flow: Flow, request: Request, from_tag: &[u8], now: Instant) {
        let Ok(merged) = key::merged(&self.keyer, &request, from_tag) else { return };
        if self.merged.contains_key(&merged) {
            self.refuse_statelessly(flow, &request, StatusCode::LOOP_DETECTED, &[]);
            return;
        }
        if self.is_shedding() {
            self.counters.shed += 1;
            self.refuse_statelessly(flow, &request, StatusCode::SERVICE_UNAVAILABLE, &[]);
            return;
        }
        if let Some((status, headers)) = unsupported(&request) {
            self.refuse_statelessly(flow, &request, status, &headers);
            return;
        }
        let offer = match body::session_description(&request) {
            Ok(offer) => offer,
            Err(status) => {
                let accept = [(HeaderName::Accept, ACCEPT.to_owned())];
                self.refuse_statelessly(flow, &request, status, &accept);
                return;
            }
        };
        let tag = self.tokens.next_token();
        let dialog = match self.uas_dialog(key, flow, &request, tag) {
            Ok(dialog) => dialog,
            Err(error) => {
                self.refuse_malformed(flow, &request, StatusCode::BAD_REQUEST, error.reason());
                return;
            }
        };
        let id = DialogId::new(&self.keyer, &dialog.call_id, dialog.local_tag.as_bytes(), from_tag);
        let trying = ReplyPath::of(flow, &request);
        let response = self.response(&request, StatusCode::TRYING).build();
        self.open_server(key, trying, request.clone(), Some(id), Some(merged));
        self.respond(key, &response, now);
        self.dialogs.insert(id, dialog);
        self.start_invite_expiry(id, &request, now);
        self.counters.invites += 1;
        self.emit(Event::Invite { dialog: id, request, offer, flow });
    }

    /// Honours `Expires` on an INVITE (§13.3.1).
    fn start_invite_expiry(&mut self, id: DialogId, request: &Request, now: Instant) {
        if let Ok(Some(seconds)) = request.headers().expires()
            && let Some(dialog) = self.dialogs.get_mut(&id)
        {
            let after = std::time::Duration::from_secs(u64::from(seconds))
                .min(Timer::Expires.first(&self.config.timers, false));
            self.timers.start(&mut dialog.timers, Owner::Dialog(id), Timer::Expires, now + after);
        }
    }

    /// Answers a request inside a dialog with a failure, in a transaction of its own.
    pub(crate) fn refuse(
        &mut self,
        key: Key,
        flow: Flow,
        request: Request,
        status: StatusCode,
        headers: &[(HeaderName, String)],
        now: Instant,
    ) {
        self.count_refusal(status);
        let tag = self.tokens.next_token();
        let mut builder = self.response(&request, status).to_tag(tag.as_bytes());
        for (name, value) in headers {
            builder = builder.header(name.clone(), value.as_bytes());
        }
        let response = builder.build();
        let path = ReplyPath::of(flow, &request);
        self.open_server(key, path, request, None, None);
        self.respond(key, &response, now);
    }

    /// Answers the request of a transaction with a mere status.
    pub(crate) fn respond_status(&mut self, key: Key, status: StatusCode, tag: &str, now: Instant) {
        let Some(request) = self.servers.get(&key).and_then(|server| server.request.clone()) else {
            return;
        };
        let response = self.response(&request, status).to_tag(tag.as_bytes()).build();
        self.respond(key, &response, now);
    }
}

/// How many option tags are named in `Unsupported`.
const MOST_TAGS: usize = 16;

/// What bodies are understood, in `Accept`.
pub(crate) const ACCEPT: &str = "application/sdp";

/// What methods are understood, in `Allow` (§20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY";

/// Extensions that the far end demands and we lack (§8.2.2.3), content that we can't use (§8.2.3), answers that it
/// can't.
pub(crate) fn unsupported(request: &Request) -> Option<(StatusCode, Vec<(HeaderName, String)>)> {
    let required: Vec<String> = request
        .headers()
        .list(HeaderName::Require)
        .filter(|tag| !tag.is_empty())
        // Nobody means thousands of them; the answer to who sends them stays small.
        .take(MOST_TAGS)
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    if !required.is_empty() {
        let header = (HeaderName::Unsupported, required.join(", "));
        return Some((StatusCode::BAD_EXTENSION, vec![header]));
    }
    let encoding = request.headers().get(HeaderName::ContentEncoding).unwrap_or_default();
    if !request.body().is_empty() && !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity") {
        let header = (HeaderName::AcceptEncoding, "identity".to_owned());
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, vec![header]));
    }
    // An INVITE is answered with a session description or not at all (RFC 3261 §20.1, RFC 4475 §3.3.15).
    let accepted = request.headers().accept().ok().flatten();
    let refuses_sdp = accepted.is_some_and(|all| !all.iter().any(|a| a.matches("application", "sdp")));
    (*request.method() == Method::Invite && refuses_sdp).then(|| (StatusCode::NOT_ACCEPTABLE, Vec::new()))
}

/// A request that has been here before came back to us: its `Via` has an address of ours with a
/// branch that we made (§16.3 item 4, which a UAS that also sends requests needs as well).
fn refusal_of_loop(endpoint: &Endpoint, request: &Request) -> Option<StatusCode> {
    // Most requests have come over no proxy, or none that we sent anything to.
    request.headers().list(HeaderName::Via).nth(1)?;
    let vias = request.headers().vias().unwrap_or_default();
    let looped = vias
        .iter()
        .skip(1)
        .any(|via| via.branch().is_some_and(|branch| endpoint.made_branch(branch, request.method())));
    let exhausted = matches!(request.headers().max_forwards(), Ok(Some(0)));
    match (looped, exhausted) {
        (true, true) => Some(StatusCode::TOO_MANY_HOPS),
        (true, false) => Some(StatusCode::LOOP_DETECTED),
        (false, _) => None,
    }
}
