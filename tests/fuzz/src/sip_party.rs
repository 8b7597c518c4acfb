//! The far end of the endpoint under test: messages that fit into what has been said so far, or
//! nearly do.

use std::collections::VecDeque;
use std::net::SocketAddr;

use sip::endpoint::flow::{ConnectionId, Flow, Transport};

use crate::input::{Choices, mutate};

/// Calls that the far end has going at once.
const CALLS: usize = 4;
/// Requests of the endpoint that can still be answered, messages that can be sent again.
const REMEMBERED: usize = 12;

/// Where messages come from. The last three are on streams.
const PEERS: [(&str, Option<u64>); 6] = [
    ("192.0.2.10:5060", None),
    ("192.0.2.10:41000", None),
    ("203.0.113.9:5060", None),
    ("192.0.2.10:42000", Some(1)),
    ("192.0.2.10:42001", Some(2)),
    ("[2001:db8::9]:5060", None),
];

const METHODS: [&str; 20] = [
    "INVITE",
    "INVITE",
    "INVITE",
    "ACK",
    "ACK",
    "ACK",
    "BYE",
    "CANCEL",
    "UPDATE",
    "PRACK",
    "INFO",
    "NOTIFY",
    "OPTIONS",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
    "JUGGLE",
    "INVITE",
];

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n";

const EXTRA: [&str; 24] = [
    "Require: 100rel\r\n",
    "Supported: 100rel, timer, replaces\r\n",
    "Session-Expires: 90;refresher=uac\r\n",
    "Session-Expires: 1800;refresher=uas\r\n",
    "Min-SE: 7200\r\n",
    "Record-Route: <sip:proxy.example.com;lr>\r\n",
    "Record-Route: <sip:192.0.2.33>, <sip:192.0.2.34:5070;transport=tcp;lr>\r\n",
    "Expires: 1\r\n",
    "Expires: 0\r\n",
    "RAck: 1 1 INVITE\r\n",
    "RSeq: 1\r\n",
    "RSeq: 2\r\nRequire: 100rel\r\n",
    "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n",
    "Event: refer;id=2\r\nSubscription-State: active;expires=60\r\n",
    "Refer-To: <sip:x@y?Replaces=c0%3Bto-tag%3Da%3Bfrom-tag%3Db>\r\n",
    "Replaces: c1;to-tag=a;from-tag=b\r\n",
    "Require: replaces, timer\r\n",
    "Reason: Q.850;cause=16;text=\"x\"\r\n",
    "Retry-After: 1\r\n",
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n",
    "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
    "Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:a\", response=\"0\"\r\n",
    "Contact: <sip:elsewhere@203.0.113.7:5062>\r\n",
    "Content-Encoding: gzip\r\n",
];

/// What the far end knows of one of its calls.
#[derive(Debug, Default)]
struct Call {
    cseq: u32,
    /// Branch and number of its last INVITE, for CANCEL and ACK.
    invite: (u32, u32),
    /// The tag that the endpoint chose.
    tag: Option<String>,
}

/// The far end.
#[derive(Debug, Default)]
pub struct SipParty {
    calls: [Call; CALLS],
    branches: u32,
    /// Requests of the endpoint, oldest first.
    requests: VecDeque<String>,
    /// What was sent so far.
    history: VecDeque<(Flow, Vec<u8>)>,
    /// Whether a response was other than the rules have it.
    pub answered_wrongly: bool,
}

/// The way a message comes.
pub fn flow(choices: &mut Choices<'_>) -> Flow {
    let (peer, connection) = choices.one_of(&PEERS);
    let peer: SocketAddr = peer.parse().expect("an address");
    let local = if peer.is_ipv4() { "192.0.2.1:5060" } else { "[2001:db8::1]:5060" };
    let transport = if connection.is_some() { Transport::Tcp } else { Transport::Udp };
    let connection = connection.map(ConnectionId);
    Flow { transport, peer, local: local.parse().expect("an address"), connection }
}

/// Whether this is an address that something came from.
pub fn is_peer(address: SocketAddr) -> bool {
    PEERS.iter().any(|(peer, _)| peer.parse().is_ok_and(|peer: SocketAddr| peer.ip() == address.ip()))
}

impl SipParty {
    /// Something to send: a request, a response, either changed, an earlier message again, or
    /// plain bytes.
    pub fn speak(&mut self, choices: &mut Choices<'_>) -> (Flow, Vec<u8>) {
        let flow = flow(choices);
        let mut changed = false;
        let mut message = match choices.below(10) {
            0..=4 => self.request(choices),
            5..=7 => self.response(choices),
            8 => {
                let at = choices.below(REMEMBERED);
                match self.history.get(at) {
                    Some((earlier, message)) => {
                        return (if choices.chance(200) { *earlier } else { flow }, message.clone());
                    }
                    None => choices.short().to_vec(),
                }
            }
            _ => {
                changed = true;
                choices.short().to_vec()
            }
        };
        if choices.chance(90) {
            changed = true;
            mutate(&mut message, choices);
        }
        self.answered_wrongly |= changed && message.starts_with(b"SIP/");
        self.history.push_front((flow, message.clone()));
        self.history.truncate(REMEMBERED);
        (flow, message)
    }

    /// The endpoint sent a request.
    pub fn hear_request(&mut self, text: &[u8]) {
        self.requests.push_back(String::from_utf8_lossy(text).into_owned());
        if self.requests.len() > REMEMBERED {
            self.requests.pop_front();
        }
    }

    /// The endpoint answered: its tag is needed from now on.
    pub fn hear_response(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let number = line(&text, "Call-ID: c").and_then(|n| n.parse::<usize>().ok());
        let tag = line(&text, "To: ").and_then(|to| to.split_once(";tag=")).map(|(_, tag)| tag.to_owned());
        if let (Some(call), Some(tag)) = (number.and_then(|n| self.calls.get_mut(n)), tag) {
            let first = call.tag.is_none() || text.contains(" INVITE\r\n");
            if first {
                call.tag = Some(tag);
            }
        }
    }

    fn request(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let method = choices.one_of(&METHODS);
        let number = choices.below(CALLS);
        let flags = choices.byte();
        self.branches += 1;
        let new_branch = self.branches;
        let call = &mut self.calls[number];
        let in_call = call.tag.is_some() && flags & 1 == 0;
        if !matches!(method, "ACK" | "CANCEL") {
            call.cseq = call.cseq.wrapping_add([1, 1, 1, 0, 2, u32::MAX, 70_000, 1 << 31][choices.below(8)]);
        }
        let (mut cseq, mut branch) = (call.cseq, new_branch);
        match method {
            "INVITE" => call.invite = (branch, cseq),
            "ACK" | "CANCEL" if flags & 2 == 0 => {
                cseq = call.invite.1;
                if method == "CANCEL" || flags & 4 == 0 {
                    branch = call.invite.0;
                }
            }
            _ if flags & 0x80 != 0 => branch = call.invite.0,
            _ => {}
        }
        let tag = match &call.tag {
            Some(tag) if in_call => format!(";tag={tag}"),
            _ if flags & 8 != 0 => ";tag=wrong".to_owned(),
            _ => String::new(),
        };
        let contact = choices.one_of(&[
            "<sip:far@192.0.2.10:5060>",
            "<sip:far@host.example.com;transport=tcp>",
            "<sip:far@10.0.0.1;lr>",
            "<sip:192.0.2.10?x=y>",
            "sip:far@[2001:db8::9]:5060",
        ]);
        let extra = extra(choices);
        let (kind, body) = body(choices, method == "INVITE" || method == "UPDATE");
        let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        format!(
            "{method} sip:near@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{branch}{}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:far@192.0.2.10>;tag=f{number}\r\nTo: <sip:near@192.0.2.1>{tag}\r\n\
             Call-ID: c{number}\r\nCSeq: {cseq} {method}\r\nContact: {contact}\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            if flags & 16 == 0 { ";rport" } else { "" },
            body.len(),
        )
        .into_bytes()
    }

    fn response(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let at = choices.below(REMEMBERED);
        let Some(request) = self.requests.iter().rev().nth(at) else { return choices.short().to_vec() };
        let status = choices.one_of(&[
            200, 100, 180, 183, 202, 301, 302, 401, 407, 408, 415, 422, 481, 486, 491, 500, 503, 603, 199,
            699,
        ]);
        let header = |name: &str| line(request, name).unwrap_or_default();
        let to = header("To: ");
        let tag = if to.contains(";tag=") { "" } else { choices.one_of(&[";tag=r1", ";tag=r2", ""]) };
        let extra = extra(choices);
        let (kind, body) = body(choices, status < 300);
        format!(
            "SIP/2.0 {status} x\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:far@192.0.2.10:5060>\r\n{extra}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            header("Via: "),
            header("From: "),
            header("Call-ID: "),
            header("CSeq: "),
            body.len(),
        )
        .into_bytes()
    }
}

fn extra(choices: &mut Choices<'_>) -> String {
    (0..choices.below(3)).map(|_| choices.one_of(&EXTRA)).collect()
}

fn body(choices: &mut Choices<'_>, offer: bool) -> (&'static str, &'static str) {
    const FRAGMENT: &str = "SIP/2.0 200 OK\r\n";
    const PARTS: &str = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b--\r\n";
    match (choices.below(8), offer) {
        (0..=4, true) => ("application/sdp", SDP),
        (0..=3, false) => ("application/sdp", ""),
        (4, false) | (5, _) => ("message/sipfrag", FRAGMENT),
        (6, _) => ("multipart/mixed;boundary=b", PARTS),
        _ => ("application/dtmf-relay", "Signal=5\r\nDuration=100\r\n"),
    }
}

fn line<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}
