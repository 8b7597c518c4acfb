//! Making a message fit into a call that is up, without touching what is peculiar about it: only what says which call
//! and which transaction it belongs to is changed.

use bytes::Bytes;
use sip::endpoint::Event;
use sip::message::{Framing, Message, ParseError, parse};

use crate::disposition::is_response;
use crate::rig::{ANSWER, Caller, Rig};

/// A message of a call that is up.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Adapted {
    /// From the caller, who goes on from there.
    Request { bytes: Bytes, caller: Caller },
    /// To a request of ours.
    Response { bytes: Bytes },
}

/// Sets a call up that the message then belongs to.
pub fn to_call(rig: &mut Rig, mut caller: Caller, message: &Bytes) -> Adapted {
    if is_response(message) {
        let dialog = rig.established(&mut caller);
        rig.act(|endpoint, now| endpoint.refer(dialog, "sip:x@y", now)).unwrap();
        let refer = rig.one();
        let mut lines = Lines::of(message);
        // The rest of its Via and a CSeq that can't be read are what some of these are about.
        lines.replace_first("via", "v", refer.header("Via"));
        lines.replace("from", "f", refer.header("From"));
        lines.replace("to", "t", refer.header("To"));
        lines.replace("call-id", "i", refer.header("Call-ID"));
        let (ours, theirs) = (refer.header("CSeq").to_owned(), lines.value("cseq", "cseq"));
        let number = theirs.split_whitespace().nth(1).unwrap_or_default();
        let readable = number.parse::<u32>().is_ok();
        lines.replace("cseq", "cseq", &if readable { ours } else { format!("{number} REFER") });
        return Adapted::Response { bytes: lines.join() };
    }
    let mut lines = Lines::of(message);
    // The call that the message says it belongs to, where it says so.
    let (call_id, from, cseq) = identity(message);
    if let Some(call_id) = call_id {
        caller.call_id = call_id;
    }
    caller.from = from.unwrap_or_else(|| "<sip:other@example.com>;tag=none".to_owned());
    caller.cseq = 0;
    established(rig, &mut caller);
    if lines.has("to", "t") {
        lines.tag("to", "t", &caller.to_tag);
    } else {
        lines.add(&format!("To: <sip:x@y>;tag={}", caller.to_tag));
    }
    // A retransmission of the INVITE would be another matter.
    if cseq == Some(0) {
        lines.number("cseq", 1);
    }
    Adapted::Request { bytes: lines.join(), caller }
}

/// As [`Rig::established`], for a From without a tag, too.
fn established(rig: &mut Rig, caller: &mut Caller) {
    let invite = caller.invite("");
    rig.give_from(caller.flow, &invite);
    assert_eq!(rig.one().what(), "100");
    let Event::Invite { dialog, .. } = rig.event() else { panic!("a call") };
    rig.act(|endpoint, now| endpoint.accept(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    let ack = caller.ack();
    rig.give_from(caller.flow, &ack);
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
}

/// Call-ID, From and CSeq as they can be read.
fn identity(message: &Bytes) -> (Option<String>, Option<String>, Option<u32>) {
    let request = match parse(message.clone(), Framing::Datagram) {
        Ok(Message::Request(request)) => request,
        Err(ParseError::Reply(bad)) => bad.request,
        _ => return (None, None, None),
    };
    let headers = request.headers();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let from = headers.from().ok().and_then(|from| text(from.raw()));
    let cseq = headers.cseq().ok().map(|cseq| cseq.number);
    (headers.call_id().ok().and_then(text), from.filter(|from| !from.contains('\0')), cseq)
}

/// Start line, header fields with what is folded into them, and the rest.
struct Lines {
    head: Vec<Vec<u8>>,
    rest: Vec<u8>,
}

impl Lines {
    fn of(message: &[u8]) -> Self {
        let end = message.windows(4).position(|w| w == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
        let (head, rest) = message.split_at(end);
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for line in head.split_inclusive(|b| *b == b'\n') {
            match lines.last_mut() {
                Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    last.extend_from_slice(line)
                }
                _ => lines.push(line.to_vec()),
            }
        }
        Self { head: lines, rest: rest.to_vec() }
    }

    fn join(self) -> Bytes {
        Bytes::from([self.head.concat(), self.rest].concat())
    }

    fn places(&self, name: &str, compact: &str) -> Vec<usize> {
        let is = |line: &Vec<u8>| {
            let found = line.split(|b| *b == b':').next().unwrap_or_default().trim_ascii();
            found.eq_ignore_ascii_case(name.as_bytes()) || found.eq_ignore_ascii_case(compact.as_bytes())
        };
        (1..self.head.len()).filter(|at| is(&self.head[*at])).collect()
    }

    fn has(&self, name: &str, compact: &str) -> bool {
        !self.places(name, compact).is_empty()
    }

    fn value(&self, name: &str, compact: &str) -> String {
        let at = self.places(name, compact);
        at.first().map(|at| String::from_utf8_lossy(&self.head[*at]).into_owned()).unwrap_or_default()
    }

    fn replace(&mut self, name: &str, compact: &str, value: &str) {
        for at in self.places(name, compact) {
            self.head[at] = format!("{name}: {value}\r\n").into_bytes();
        }
    }

    fn replace_first(&mut self, name: &str, compact: &str, value: &str) {
        if let Some(at) = self.places(name, compact).first() {
            self.head[*at] = format!("{name}: {value}\r\n").into_bytes();
        }
    }

    fn add(&mut self, line: &str) {
        self.head.push(format!("{line}\r\n").into_bytes());
    }

    /// Our tag instead of the one that is there, or at the end.
    fn tag(&mut self, name: &str, compact: &str, tag: &str) {
        for at in self.places(name, compact) {
            let line = &mut self.head[at];
            let lower = line.to_ascii_lowercase();
            let named = lower.windows(3).rposition(|w| w == b"tag");
            let cut =
                named.and_then(|at| lower[..at].iter().rposition(|b| *b == b';')).unwrap_or(line.len() - 2);
            line.truncate(cut);
            line.extend_from_slice(format!(";tag={tag}\r\n").as_bytes());
        }
    }

    fn number(&mut self, name: &str, number: u32) {
        for at in self.places(name, name) {
            let method = self.value(name, name).split_whitespace().last().unwrap_or_default().to_owned();
            self.head[at] = format!("{name}: {number} {method}\r\n").into_bytes();
        }
    }
}
