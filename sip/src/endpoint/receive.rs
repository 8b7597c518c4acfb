//! Messages as they come: reading them, and finding the transaction or dialog that they belong to
//! (RFC 3261 §8.2, §9.2 and §17.2.3).

use std::time::Instant;

use bytes::Bytes;

use super::event::{Event, Suspicion};
use super::flow::Flow;
use super::policy::{PeerPolicy, PolicyId, Standing, supports};
use super::server::ServerTransaction;
use super::{Endpoint, ReplyPath};
use crate::dialog::Phase;
use crate::message::{
    Framing, HeaderName, Headers, Message, Method, ParseError, Request, SilentKind, StatusCode, parse,
    validate,
};
use crate::random::Key;
use crate::transaction::key;

impl Endpoint {
    pub(crate) fn receive(&mut self, flow: Flow, bytes: Bytes, standing: Standing, now: Instant) {
        self.counters.received += 1;
        let framing = if flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        match (parse(bytes, framing), standing) {
            // Nobody else can know the branch that a response must bear.
            (Ok(Message::Response(response)), _) => {
                if let Ok(cseq) = response.headers().cseq() {
                    self.counters.traffic_in.count_response(&cseq.method, response.status());
                }
                self.receive_response(flow, response, now);
            }
            (Ok(Message::Request(request)), standing) => {
                if standing == Standing::Unlisted && !self.is_under_way(flow, &request) {
                    self.counters.unlisted += 1;
                    return;
                }
                let request = request.received_from(flow.peer);
                if let Err(reject) = validate(&request) {
                    self.refuse_malformed(flow, &request, reject.status, reject.reason);
                } else {
                    self.receive_request(flow, request, standing.policy(), now);
                }
            }
            (Err(_), Standing::Unlisted) => self.counters.unlisted += 1,
            (Err(ParseError::Reply(bad)), Standing::Listed(_)) => {
                let request = bad.request.clone().received_from(flow.peer);
                self.refuse_malformed(flow, &request, bad.status, bad.reason);
            }
            (Err(ParseError::Silent(kind)), Standing::Listed(_)) => {
                self.counters.unreadable += 1;
                if kind != SilentKind::KeepAlive {
                    self.suspect(flow, Suspicion::Malformed);
                }
            }
        }
    }

    fn receive_request(&mut self, flow: Flow, request: Request, policy: Option<PolicyId>, now: Instant) {
        // `validate` has seen to it that these headers can be read.
        let headers = request.headers();
        let (Ok(key), Ok(from), Ok(to)) = (key::server(&self.keyer, &request), headers.from(), headers.to())
        else {
            self.counters.unreadable += 1;
            return;
        };
        let from_tag = from.tag().unwrap_or_default();
        let known = self.servers.contains_key(&key);
        if known && !self.is_of_transaction(key, flow, policy) {
            self.drop_wrong_source(flow);
            return;
        }
        if *request.method() == Method::Ack {
            self.counters.traffic_in.count_request(&Method::Ack);
            if !known || !self.server_ack(key, now) {
                self.find_ack(flow, &request, from_tag, to.tag(), policy, now);
            }
            return;
        }
        if known {
            self.server_retransmission(key, now);
            return;
        }
        self.counters.traffic_in.count_request(request.method());
        if *request.method() == Method::Cancel {
            self.receive_cancel(key, flow, &request, policy, now);
        } else if to.tag().is_some() {
            let id = self.dialog_of(&request, from_tag, to.tag());
            self.receive_in_dialog(key, id, flow, request, policy, now);
        } else if let Some(status) = refusal_of_loop(self, &request) {
            self.refuse_statelessly(flow, &request, status, &[]);
        } else if let Some(policy) = policy {
            self.receive_outside_dialog(key, flow, request, from_tag, policy, now);
        } else {
            self.counters.unlisted += 1;
        }
    }

    /// An ACK that belongs to no transaction: that of a 2xx, or that of a refusal of which no
    /// state was kept.
    fn find_ack(
        &mut self,
        flow: Flow,
        ack: &Request,
        from_tag: &[u8],
        to_tag: Option<&[u8]>,
        policy: Option<PolicyId>,
        now: Instant,
    ) {
        match self.dialog_of(ack, from_tag, to_tag) {
            Some(id) if self.is_of_dialog(id, flow, policy) => self.receive_ack(id, ack, now),
            Some(_) => self.drop_wrong_source(flow),
            None if to_tag == Some(self.stateless_tag(ack).as_bytes()) => {}
            None => self.counters.stray_requests += 1,
        }
    }

    fn receive_cancel(
        &mut self,
        key: Key,
        flow: Flow,
        cancel: &Request,
        policy: Option<PolicyId>,
        now: Instant,
    ) {
        let found = key::cancelled(&self.keyer, cancel).ok();
        let invite = found.filter(|key| self.servers.get(key).is_some_and(|server| is_of(server, cancel)));
        let Some(invite) = invite else {
            self.counters.stray_requests += 1;
            self.suspect(flow, Suspicion::StrayRequest);
            self.refuse_statelessly(flow, cancel, StatusCode::CALL_DOES_NOT_EXIST, &[]);
            return;
        };
        if !self.is_of_transaction(invite, flow, policy) {
            self.drop_wrong_source(flow);
            return;
        }
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
        let Some(id) = dialog else {
            self.respond_status(invite, StatusCode::REQUEST_TERMINATED, &tag, now);
            return;
        };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if matches!(dialog.phase, Phase::Early(early) if early == invite) {
            self.abandon_early(id, StatusCode::REQUEST_TERMINATED, None, now);
        } else {
            // A re-INVITE was cancelled: the session goes on as it was (§14.1).
            if dialog.pending_offer.as_ref().is_some_and(|pending| pending.transaction == invite) {
                dialog.pending_offer = None;
            }
            self.respond_status(invite, StatusCode::REQUEST_TERMINATED, &tag, now);
        }
    }

    /// Gives an INVITE that never came to its end a final response. Whoever has already accepted
    /// the call is told that the far end has hung up.
    pub(crate) fn abandon_early(
        &mut self,
        id: crate::dialog::DialogId,
        status: StatusCode,
        reason: Option<Bytes>,
        now: Instant,
    ) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let Phase::Early(invite) = dialog.phase else { return };
        let accepted = dialog.reliable.as_ref().is_some_and(|reliable| reliable.is_accepted());
        dialog.close();
        let tag = dialog.local_tag.clone();
        self.terminate_pending_offer(id, now);
        self.respond_status(invite, status, &tag, now);
        self.emit(if accepted { Event::Bye { dialog: id, reason } } else { Event::Cancelled { dialog: id } });
        self.drop_if_forgotten(id);
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

/// Whether a CANCEL says the same as the INVITE whose branch it bears (§9.1).
fn is_of(invite: &ServerTransaction, cancel: &Request) -> bool {
    // Once the INVITE has its final response nothing depends on it any more.
    let Some(invite) = &invite.request else { return true };
    let (ours, theirs) = (invite.headers(), cancel.headers());
    let tag = |headers: &Headers| headers.from().ok().and_then(|from| from.tag().map(<[u8]>::to_vec));
    let number = |headers: &Headers| headers.cseq().ok().map(|cseq| cseq.number);
    ours.call_id() == theirs.call_id() && number(ours) == number(theirs) && tag(ours) == tag(theirs)
}

/// How many option tags are named in `Unsupported`.
const MOST_TAGS: usize = 16;

/// What bodies are understood, in `Accept`.
pub(crate) const ACCEPT: &str = "application/sdp";

/// What methods are understood, in `Allow` (§20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY, PRACK";

/// Extensions that the far end demands and we lack (§8.2.2.3), content that we can't use (§8.2.3), answers that it
/// can't.
pub(crate) fn unsupported(
    request: &Request,
    policy: &PeerPolicy,
) -> Option<(StatusCode, Vec<(HeaderName, String)>)> {
    let required: Vec<String> = request
        .headers()
        .list(HeaderName::Require)
        .filter(|tag| !tag.is_empty() && !supports(policy, tag))
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
