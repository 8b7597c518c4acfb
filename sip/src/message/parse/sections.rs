//! What follows the start line: header section and body.

use bytes::Bytes;

use super::{Framing, Problem, bad, limits};
use crate::message::headers::{Entries, Entry, Headers};
use crate::message::name::NameId;
use crate::message::{StatusCode, lex};

/// What follows the start line.
pub(super) struct Sections {
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    /// Where the message ends.
    pub(super) end: usize,
    /// The first thing that is wrong.
    pub(super) problem: Option<Problem>,
}

impl Sections {
    pub(super) fn read(bytes: &Bytes, start_line: usize, framing: Framing) -> Sections {
        let mut scan = Scan::over(bytes, start_line, false);
        let mut text = bytes.clone();
        if scan.folded {
            let head = bytes.get(..head_end(bytes)).unwrap_or_default();
            text = Bytes::from(unfold(head));
            // The body begins where it does in what was received.
            scan = Scan { end: head.len(), ..Scan::over(&text, start_line, true) };
        }
        let body_start = scan.end;
        let headers = Headers::new(text, scan.entries);
        let rest = bytes.len().saturating_sub(body_start);
        let (length, length_problem) = match body_length(&headers, rest, framing) {
            Ok(length) => (length, None),
            Err(problem) => (rest, Some(problem)),
        };
        let end = body_start + length;
        Sections {
            headers,
            body: bytes.slice(body_start..end),
            end,
            problem: scan.problem.or(length_problem),
        }
    }
}

/// RFC 3261 §18.3, §20.14
fn body_length(headers: &Headers, rest: usize, framing: Framing) -> Result<usize, Problem> {
    let mut values = headers.raw_values(NameId::ContentLength);
    let Some(first) = values.next() else {
        return match framing {
            Framing::Datagram => Ok(rest),
            Framing::Stream => Err(bad(NameId::ContentLength.missing_reason())),
        };
    };
    let length = lex::decimal::<usize>(first).ok_or(bad(NameId::ContentLength.malformed_reason()))?;
    if values.any(|other| other != first) {
        return Err(bad(NameId::ContentLength.repeated_reason()));
    }
    if length > limits::STREAM_BODY {
        let status = StatusCode::MESSAGE_TOO_LARGE;
        return Err((status, status.default_reason()));
    }
    if length > rest { Err(bad("Body Shorter Than Content-Length")) } else { Ok(length) }
}

/// One pass over the header section.
struct Scan {
    entries: Entries,
    /// Where the body begins.
    end: usize,
    folded: bool,
    problem: Option<Problem>,
}

impl Scan {
    /// `unfolded`: the text has been through [`unfold`]; a line that begins with white space is then no continuation.
    fn over(text: &[u8], start_line: usize, unfolded: bool) -> Scan {
        let mut scan = Scan { entries: Entries::new(), end: text.len(), folded: unfolded, problem: None };
        let mut at = start_line;
        // The start line ended in CRLF, or this finds that it didn't.
        match text.get(at..) {
            Some([b'\r', b'\n', ..]) => at += 2,
            _ => return scan.broken(bad("Malformed Line End")),
        }
        loop {
            let Some(rest) = text.get(at..) else { return scan.broken(bad("Unfinished Header Section")) };
            if let [b'\r', b'\n', ..] = rest {
                scan.end = at + 2;
                return scan;
            }
            if matches!(rest.first(), Some(b' ' | b'\t')) && !unfolded {
                scan.folded = true;
                return scan;
            }
            let length = match line_length(rest) {
                Ok(length) => length,
                Err(problem) => return scan.broken(problem),
            };
            if scan.entries.len() == limits::HEADER_FIELDS {
                return scan.broken((StatusCode::MESSAGE_TOO_LARGE, "Too Many Header Fields"));
            }
            if at + length > limits::HEADER_SECTION {
                return scan.broken((StatusCode::MESSAGE_TOO_LARGE, "Header Section Too Long"));
            }
            match entry(rest.get(..length).unwrap_or_default(), at) {
                Some(entry) => scan.entries.push(entry),
                None => scan.problem = scan.problem.or(Some(bad("Malformed Header Field"))),
            }
            at += length + 2;
        }
    }

    fn broken(mut self, problem: Problem) -> Scan {
        self.problem = self.problem.or(Some(problem));
        self
    }
}

/// How long the line is, without its CRLF. A lone CR or LF is refused: what reads it as a line end and what doesn't
/// would see different header fields. A NUL may stand only as a quoted pair (RFC 3261 §25.1).
fn line_length(rest: &[u8]) -> Result<usize, Problem> {
    let mut at = 0;
    loop {
        let tail = rest.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr3(b'\r', b'\n', 0, tail) else {
            return Err(bad("Unfinished Header Section"));
        };
        at += found;
        match rest.get(at..) {
            Some([b'\r', b'\n', ..]) => return Ok(at),
            Some([0, ..]) if at > 0 && rest.get(at - 1) == Some(&b'\\') => at += 1,
            Some([0, ..]) => return Err(bad("NUL in Header Field")),
            Some([b'\r']) => return Err(bad("Unfinished Header Section")),
            _ => return Err(bad("Malformed Line End")),
        }
    }
}

/// `field-name *WSP ":" *WSP field-value *WSP`
fn entry(line: &[u8], at: usize) -> Option<Entry> {
    let name_len = line.iter().position(|&b| !lex::is_token_byte(b))?;
    let (name, rest) = line.split_at_checked(name_len)?;
    let before_colon = rest.iter().take_while(|&&b| lex::is_lws(b)).count();
    let value = rest.get(before_colon..)?.strip_prefix(b":")?;
    if name.is_empty() {
        return None;
    }
    let trimmed = lex::range_in(line, lex::trim(value));
    Some(Entry {
        start: u32::try_from(at).ok()?,
        name_len: u16::try_from(name_len).ok()?,
        value_at: u16::try_from(trimmed.start).ok()?,
        value_len: u16::try_from(trimmed.len()).ok()?,
        id: NameId::from_bytes(name),
    })
}

/// Where the header section ends, its empty line included.
fn head_end(bytes: &[u8]) -> usize {
    memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4)
}

/// Joins folded lines: a line end followed by white space is one space (RFC 3261 §7.3.1).
fn unfold(head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len());
    let mut rest = head;
    while let Some(line_end) = memchr::memmem::find(rest, b"\r\n") {
        let (line, after) = rest.split_at_checked(line_end).unwrap_or((rest, &[]));
        out.extend_from_slice(line);
        let after = after.get(2..).unwrap_or_default();
        let indent = after.iter().take_while(|&&b| lex::is_lws(b)).count();
        if indent == 0 {
            out.extend_from_slice(b"\r\n");
        } else {
            while out.last().is_some_and(|&b| lex::is_lws(b)) {
                out.pop();
            }
            out.push(b' ');
        }
        rest = after.get(indent..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// The Content-Length of a whole header section, start line and empty line included; `None` if it is missing,
/// malformed or there are two that differ.
pub(crate) fn content_length_of(head: &[u8]) -> Option<usize> {
    let mut length = None;
    let mut rest = head;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let (line, after) = rest.split_at_checked(end)?;
        rest = after.get(2..)?;
        let colon = memchr::memchr(b':', line).unwrap_or(0);
        if NameId::from_bytes(lex::trim(line.get(..colon)?)) != NameId::ContentLength {
            continue;
        }
        let mut value = line.get(colon + 1..)?.to_vec();
        while let [b' ' | b'\t', ..] = rest {
            let end = memchr::memmem::find(rest, b"\r\n")?;
            value.extend_from_slice(rest.get(..end)?);
            rest = rest.get(end + 2..)?;
        }
        let value = lex::decimal(lex::trim(&value))?;
        if length.replace(value).is_some_and(|earlier| earlier != value) {
            return None;
        }
    }
    length
}
