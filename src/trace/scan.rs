//! The few things that a trace wants to know of a message, read without judging it: what is too
//! broken to be answered belongs into a trace all the more.

use std::fmt;
use std::ops::Range;

/// The longest Call-ID that is told apart; what is beyond it doesn't count.
const MAX_CALL_ID: usize = 256;
/// The longest reason phrase, `Reason` or `sipfrag` line that is shown.
const MAX_SHOWN: usize = 64;

/// A header field: the places of its name and of its value, folded lines included.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// The places of a message's parts.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub start: Range<usize>,
    pub fields: Vec<Field>,
    pub body: Range<usize>,
}

/// The most header fields looked at; the endpoint takes as many.
const MAX_FIELDS: usize = 256;

/// Finds the parts of a message.
pub(super) fn parts(bytes: &[u8]) -> Parts {
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n' | 0)).count();
    let mut lines = Lines { bytes, at: blank };
    let start = lines.next().unwrap_or(blank..blank);
    let mut fields: Vec<Field> = Vec::with_capacity(16);
    for line in lines.by_ref() {
        let text = bytes.get(line.clone()).unwrap_or_default();
        if text.is_empty() {
            break;
        }
        // RFC 3261 §7.3.1: a line that begins with white space goes on with the one before.
        if matches!(text.first(), Some(b' ' | b'\t')) {
            if let Some(last) = fields.last_mut() {
                last.value.end = line.end;
            }
            continue;
        }
        if fields.len() >= MAX_FIELDS {
            continue;
        }
        let Some(colon) = text.iter().position(|b| *b == b':') else { continue };
        let name = text.get(..colon).unwrap_or_default().trim_ascii_end().len();
        fields.push(Field { name: line.start..line.start + name, value: line.start + colon + 1..line.end });
    }
    Parts { start, fields, body: lines.at.min(bytes.len())..bytes.len() }
}

/// Lines without their ends.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let range = self.at..self.at + line.len();
        self.at += length + 1;
        Some(range)
    }
}

impl Parts {
    /// The first value of the field with this name or compact name.
    pub fn value<'a>(&self, bytes: &'a [u8], name: &str, compact: &str) -> Option<&'a [u8]> {
        let is = |field: &&Field| {
            let found = bytes.get(field.name.clone()).unwrap_or_default();
            found.eq_ignore_ascii_case(name.as_bytes())
                || (!compact.is_empty() && found.eq_ignore_ascii_case(compact.as_bytes()))
        };
        self.fields.iter().find(is).and_then(|field| bytes.get(field.value.clone())).map(<[u8]>::trim_ascii)
    }

    /// The Call-ID, cut to a bounded length; empty when there is none.
    pub fn call_id<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bounded(self.value(bytes, "Call-ID", "i").unwrap_or_default())
    }
}

/// A Call-ID, cut to what is told apart.
pub(super) fn bounded(call_id: &[u8]) -> &[u8] {
    call_id.get(..MAX_CALL_ID).unwrap_or(call_id)
}

/// What a message is, in a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The method: of a request its own, of a response that of `CSeq`.
    pub method: Option<String>,
    /// The status of a response.
    pub status: Option<u16>,
    /// The number in `CSeq`.
    pub cseq: Option<u32>,
    /// Whether it carries a session description.
    pub sdp: bool,
    /// The reason phrase of a response.
    phrase: String,
    /// What else there is to say: the status that a NOTIFY reports, the `Reason` of a BYE.
    detail: Option<String>,
}

impl Summary {
    /// Reads it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::read(bytes, &parts(bytes))
    }

    pub(super) fn read(bytes: &[u8], parts: &Parts) -> Self {
        let start = bytes.get(parts.start.clone()).unwrap_or_default();
        let cseq = parts.value(bytes, "CSeq", "").map(shown).unwrap_or_default();
        let (number, cseq_method) = cseq.split_once([' ', '\t']).unwrap_or((&cseq, ""));
        let cseq_method = Some(cseq_method.trim().to_owned()).filter(|method| !method.is_empty());
        let kind =
            parts.value(bytes, "Content-Type", "c").map(shown).unwrap_or_default().to_ascii_lowercase();
        let body = bytes.get(parts.body.clone()).unwrap_or_default();
        let mut summary = Self {
            cseq: number.trim().parse().ok(),
            sdp: !body.is_empty()
                && (kind.starts_with("application/sdp")
                    || (kind.starts_with("multipart/") && contains(body, b"application/sdp"))),
            ..Self::default()
        };
        if let Some(status_line) = start.strip_prefix(b"SIP/2.0 ") {
            let (status, phrase) = status_line.split_at_checked(3).unwrap_or((status_line, b""));
            summary.status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
            summary.phrase = shown(phrase.trim_ascii());
            summary.method = cseq_method;
        } else {
            let method = start.split(|b| *b == b' ').next().unwrap_or_default();
            summary.method = Some(shown(method)).filter(|method| !method.is_empty());
            summary.detail = match summary.method.as_deref() {
                Some("NOTIFY") if kind.starts_with("message/sipfrag") => {
                    let line = body.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
                    Some(shown(line.strip_prefix(b"SIP/2.0 ").unwrap_or(line)))
                }
                Some("BYE" | "CANCEL") => parts.value(bytes, "Reason", "").map(shown),
                _ => None,
            };
        }
        summary
    }

    /// Whether it is a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.status.is_none()
    }

    /// Whether it is this request, or a response to one.
    #[must_use]
    pub fn is_about(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_deref().unwrap_or("?");
        match self.status {
            None => f.write_str(method)?,
            Some(status) => write!(f, "{status} {} ({method})", self.phrase)?,
        }
        if self.sdp {
            f.write_str(" SDP")?;
        }
        match &self.detail {
            Some(detail) => write!(f, " [{detail}]"),
            None => Ok(()),
        }
    }
}

/// Text from outside for a terminal: bounded, nothing that moves the cursor.
fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..MAX_SHOWN).unwrap_or(bytes);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    String::from_utf8_lossy(cut).chars().map(plain).collect()
}

pub(super) fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses_are_told_in_a_line() {
        for (text, told) in [
            ("INVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\r\nc: application/sdp\r\n\r\nv=0\r\n", "INVITE SDP"),
            ("SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n", "180 Ringing (INVITE)"),
            ("SIP/2.0 200\r\nCSeq: 2\tBYE\r\n\r\n", "200  (BYE)"),
            ("BYE sip:a SIP/2.0\r\nReason: Q.850;cause=16\r\n\r\n", "BYE [Q.850;cause=16]"),
            (
                "NOTIFY sip:a SIP/2.0\r\nContent-Type: message/sipfrag;version=2.0\r\n\r\nSIP/2.0 486 Busy Here\r\n",
                "NOTIFY [486 Busy Here]",
            ),
            ("\x1b[2J\r\n\r\n", " [2J"),
        ] {
            assert_eq!(Summary::of(text.as_bytes()).to_string(), told, "{text:?}");
        }
    }

    #[test]
    fn the_call_id_is_found_folded_compact_and_bounded() {
        let id = |text: &str| parts(text.as_bytes()).call_id(text.as_bytes()).to_vec();
        assert_eq!(id("OPTIONS sip:a SIP/2.0\r\nVia: x\r\n y\r\ni : abc@d\r\n\r\n"), b"abc@d");
        assert_eq!(id("OPTIONS sip:a SIP/2.0\nCALL-ID:\r\n abc\r\n\r\n"), b"abc");
        assert_eq!(id("\r\n\r\nOPTIONS sip:a SIP/2.0\r\n\r\nCall-ID: body\r\n"), b"");
        assert_eq!(id(&format!("A b SIP/2.0\r\nCall-ID: {}\r\n\r\n", "x".repeat(999))).len(), MAX_CALL_ID);
    }

    #[test]
    fn any_bytes_are_read_without_complaint() {
        let text =
            b"NOTIFY sip:a SIP/2.0\r\nCSeq: 9 NOTIFY\r\nContent-Type: message/sipfrag\r\n\r\nSIP/2.0 100\r\n";
        for end in 0..text.len() {
            let _ = Summary::of(&text[..end]).to_string();
            let mut changed = text.to_vec();
            changed[end] ^= 0xff;
            let _ = Summary::of(&changed).to_string();
        }
    }
}
