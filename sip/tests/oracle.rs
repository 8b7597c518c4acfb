//! Two other parsers read the same messages: `rsip` and `rvoip-sip-core`. Where they and this crate agree on what a
//! message says, nothing is listed; every disagreement is, with the reason this crate is right. A disagreement that
//! isn't listed fails, and so does a listed one that is gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests

use std::path::Path;

use bytes::Bytes;
use sip::message::{Framing, Message, parse, validate};

/// What all three can be asked about a message.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    /// Method or status code.
    start: String,
    call_id: String,
    cseq: String,
    from_tag: Option<String>,
    to_tag: Option<String>,
    /// URI of From, without parameters.
    from_uri: String,
    /// Branch of the top Via.
    branch: Option<String>,
    body: usize,
}

impl Reading {
    /// The names of the parts that differ.
    fn differences(&self, other: &Reading) -> Vec<&'static str> {
        [
            ("start", self.start != other.start),
            ("call-id", self.call_id != other.call_id),
            ("cseq", self.cseq != other.cseq),
            ("from-tag", self.from_tag != other.from_tag),
            ("to-tag", self.to_tag != other.to_tag),
            ("from-uri", self.from_uri != other.from_uri),
            ("branch", self.branch != other.branch),
            ("body", self.body != other.body),
        ]
        .iter()
        .filter_map(|(name, differs)| differs.then_some(*name))
        .collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Up to the parameters, scheme in lower case; enough to see that the same URI was found.
fn without_params(uri: &str) -> String {
    let (user, host) = uri.rsplit_once('@').map_or(("", uri), |(user, host)| (user, host));
    let host = host.split([';', '?']).next().unwrap_or_default().to_ascii_lowercase();
    if user.is_empty() { host } else { format!("{user}@{host}") }
}

fn ours(bytes: &[u8]) -> Option<Reading> {
    let message = parse(Bytes::copy_from_slice(bytes), Framing::Datagram).ok()?;
    let start = match &message {
        Message::Request(request) => {
            validate(request).ok()?;
            request.method().to_string()
        }
        Message::Response(response) => response.status().to_string(),
    };
    let h = message.headers();
    let from = h.from().ok()?;
    Some(Reading {
        start,
        call_id: text(h.call_id().ok()?),
        cseq: h.cseq().ok()?.to_string(),
        from_tag: from.tag().map(text),
        to_tag: h.to().ok()?.tag().map(text),
        from_uri: without_params(&from.uri.to_string()),
        branch: h.top_via().ok()?.branch().map(text),
        body: match &message {
            Message::Request(request) => request.body().len(),
            Message::Response(response) => response.body().len(),
        },
    })
}

mod by_rsip {
    use super::{Reading, without_params};
    use rsip::SipMessage;
    use rsip::message::HeadersExt;
    use rsip::prelude::{ToTypedHeader, UntypedHeader};

    pub fn read(bytes: &[u8]) -> Option<Reading> {
        let message = SipMessage::try_from(bytes).ok()?;
        let (start, body) = match &message {
            SipMessage::Request(request) => (request.method.to_string(), request.body.len()),
            SipMessage::Response(response) => (response.status_code.code().to_string(), response.body.len()),
        };
        let cseq = message.cseq_header().ok()?.typed().ok()?;
        let from = message.from_header().ok()?.typed().ok()?;
        let to = message.to_header().ok()?.typed().ok()?;
        let via = message.via_header().ok()?.typed().ok()?;
        Some(Reading {
            start,
            call_id: message.call_id_header().ok()?.value().to_owned(),
            cseq: format!("{} {}", cseq.seq, cseq.method),
            from_tag: from.tag().map(ToString::to_string),
            to_tag: to.tag().map(ToString::to_string),
            from_uri: without_params(&from.uri.to_string()),
            branch: via.branch().map(ToString::to_string),
            body,
        })
    }
}

mod by_rvoip {
    use super::{Reading, without_params};
    use rvoip_sip_core::types::TypedHeader;
    use rvoip_sip_core::{Message, parse_message};

    pub fn read(bytes: &[u8]) -> Option<Reading> {
        let message = parse_message(bytes).ok()?;
        let start = match &message {
            Message::Request(request) => request.method().to_string(),
            Message::Response(response) => response.status_code().to_string(),
        };
        let cseq = message.all_headers().iter().find_map(|header| match header {
            TypedHeader::CSeq(cseq) => Some(format!("{} {}", cseq.seq, cseq.method)),
            _ => None,
        })?;
        let from = message.from()?;
        Some(Reading {
            start,
            call_id: message.call_id()?.0.clone(),
            cseq,
            from_tag: from.tag().map(ToOwned::to_owned),
            to_tag: message.to()?.tag().map(ToOwned::to_owned),
            from_uri: without_params(&from.0.uri.to_string()),
            branch: message.first_via()?.branch().map(ToOwned::to_owned),
            body: message.body().len(),
        })
    }
}

/// How another reading compares with ours, in a few words.
fn verdict(ours: Option<&Reading>, theirs: Option<&Reading>) -> Option<String> {
    match (ours, theirs) {
        (None, None) => None,
        (Some(_), None) => Some("refuses".to_owned()),
        (None, Some(_)) => Some("accepts".to_owned()),
        (Some(ours), Some(theirs)) => {
            let differences = ours.differences(theirs);
            (!differences.is_empty()).then(|| format!("differs: {}", differences.join(" ")))
        }
    }
}

/// A parser that panics refuses, too.
fn shielded(read: fn(&[u8]) -> Option<Reading>, bytes: &[u8]) -> Option<Reading> {
    std::panic::catch_unwind(|| read(bytes)).unwrap_or_default()
}

fn messages() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut messages: Vec<_> = [root.join("tests/corpus"), root.join("../tests/golden/rfc4475")]
        .iter()
        .flat_map(|directory| std::fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sip" || e == "dat"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    messages.sort();
    messages
}

fn check(name: &str, read: fn(&[u8]) -> Option<Reading>, known: &[Disagreement]) {
    let mut unlisted = Vec::new();
    let mut agreed = 0;
    let mut listed: Vec<(&str, &Disagreement)> =
        known.iter().flat_map(|known| known.messages.iter().map(move |&message| (message, known))).collect();
    let explained = listed.len();
    let all = messages();
    for (message, bytes) in &all {
        let (ours, theirs) = (ours(bytes), shielded(read, bytes));
        match verdict(ours.as_ref(), theirs.as_ref()) {
            None => agreed += 1,
            Some(verdict) => {
                match listed.iter().position(|(m, known)| m == message && known.verdict == verdict) {
                    Some(at) => drop(listed.swap_remove(at)),
                    None => {
                        unlisted.push(format!("{message}: {verdict}\n    ours {ours:?}\n  theirs {theirs:?}"))
                    }
                }
            }
        }
    }
    println!("{name} agrees on {agreed} of {} messages; {explained} disagreements are explained", all.len());
    let gone: Vec<_> = listed.iter().map(|(message, known)| (message, known.verdict, known.reason)).collect();
    assert!(unlisted.is_empty(), "{name}: unexplained:\n{}", unlisted.join("\n"));
    assert!(gone.is_empty(), "{name}: explained, but gone: {gone:?}");
}

/// One reason, what comes of it, and the messages it concerns.
struct Disagreement {
    verdict: &'static str,
    reason: &'static str,
    messages: &'static [&'static str],
}

const fn because(
    reason: &'static str,
    verdict: &'static str,
    messages: &'static [&'static str],
) -> Disagreement {
    Disagreement { verdict, reason, messages }
}

const RSIP: &[Disagreement] = &[
    because(
        "header fields may be folded (RFC 3261 §7.3.1)",
        "refuses",
        &["invite-folded", "esc01", "semiuri", "wsinv"],
    ),
    because(
        "compact names are the same names (RFC 3261 §7.3.3)",
        "refuses",
        &["dblreq", "invite-compact", "moved"],
    ),
    because("a host may be an IPv6 reference (RFC 3261 §25.1)", "refuses", &["invite-ipv6"]),
    because(
        "a method is any token (RFC 3261 §25.1 `extension-method`)",
        "refuses",
        &["esc02", "intmeth", "unknown-method"],
    ),
    because("one byte that is not UTF-8 costs it the message", "refuses", &["invite-latin1"]),
    because("lines may be long, and `F` is From (RFC 4475 §3.1.1.7)", "refuses", &["longreq"]),
    because("an unknown scheme in From is valid (RFC 4475 §3.3.4)", "refuses", &["unksm2"]),
    because(
        "Content-Length must agree with the body (RFC 3261 §18.3)",
        "accepts",
        &["clerr", "mcl01", "ncl"],
    ),
    because("empty parameters and elements are malformed (RFC 4475 §3.1.2.1)", "accepts", &["badinv01"]),
    because("a Request-URI has no angle brackets (RFC 4475 §3.1.2.7)", "accepts", &["ltgtruri"]),
    because("CSeq names the method of the request (RFC 3261 §8.1.1.5)", "accepts", &["mismatch01"]),
    because("single header fields may not be repeated (RFC 4475 §3.3.8)", "accepts", &["multi01"]),
    because("nothing can serve this scheme: 416 (RFC 4475 §3.3.3)", "accepts", &["novelsc"]),
    because("quotes must be closed (RFC 4475 §3.1.2.6)", "accepts", &["quotbal"]),
    because("a URI with `?` needs brackets (RFC 3261 §20.10, RFC 4475 §3.1.2.13)", "accepts", &["regbadct"]),
];

const RVOIP: &[Disagreement] = &[
    because(
        "without brackets parameters belong to the header field (RFC 3261 §20.10), so the tag is lost",
        "differs: from-tag",
        &[
            "badbranch",
            "baddate",
            "bext01",
            "cparam01",
            "cparam02",
            "dblreq",
            "escnull",
            "invite-compact",
            "invut",
            "longreq",
            "options",
            "regaut01",
            "regescrt",
            "sdp01",
            "semiuri",
            "subscribe",
            "zeromf",
        ],
    ),
    because("the same, in both addresses", "differs: from-tag to-tag", &["bcast", "unreason"]),
    because(
        "it escapes the `+` of a number, which may stand as it is and must be sent back unchanged",
        "differs: from-uri",
        &["cancel", "inv2543", "invite", "invite-trunk"],
    ),
    because("a quoted string may hold any encoding: names are bytes", "refuses", &["invite-latin1"]),
    because("an unknown scheme in From is valid (RFC 4475 §3.3.4)", "refuses", &["unksm2"]),
    because("white space may stand around `;` and `=` (RFC 4475 §3.1.1.1)", "refuses", &["wsinv"]),
    because("empty parameters and elements are malformed (RFC 4475 §3.1.2.1)", "accepts", &["badinv01"]),
    because("SIP/7.0 is not our version: 505 (RFC 4475 §3.1.2.16)", "accepts", &["badvers"]),
    because("a Request-URI has no headers (RFC 4475 §3.1.2.11)", "accepts", &["escruri"]),
    because("a Request-URI has no angle brackets (RFC 4475 §3.1.2.7)", "accepts", &["ltgtruri"]),
    because("the request line has single spaces (RFC 4475 §3.1.2.9)", "accepts", &["lwsstart"]),
    because(
        "CSeq names the method of the request (RFC 3261 §8.1.1.5)",
        "accepts",
        &["mismatch01", "mismatch02"],
    ),
    because("single header fields may not be repeated (RFC 4475 §3.3.8)", "accepts", &["multi01"]),
    because(
        "nothing can serve these schemes: 416 (RFC 4475 §3.3.2, §3.3.3)",
        "accepts",
        &["novelsc", "unkscm"],
    ),
    because("a URI with `?` needs brackets (RFC 3261 §20.10, RFC 4475 §3.1.2.13)", "accepts", &["regbadct"]),
];

#[test]
fn disagreements_with_rsip_are_explained() {
    check("rsip", by_rsip::read, RSIP);
}

#[test]
fn disagreements_with_rvoip_are_explained() {
    check("rvoip-sip-core", by_rvoip::read, RVOIP);
}
