//! Reading a message: start line, places of the header fields, body (RFC 3261 §7, §18.3).

mod sections;

use bytes::Bytes;

use super::name::NameId;
use super::request::{self, Request, Version};
use super::response::{self, Response};
use super::{BadRequest, Message, Method, ParseError, SilentKind, StatusCode, Uri, lex};

use sections::Sections;
pub(crate) use sections::content_length_of;

/// Bounds on what is read. Nothing on a telephone network comes near them.
pub mod limits {
    /// Bytes of a message in a datagram.
    pub const DATAGRAM: usize = 65_535;
    /// Bytes of start line and header section.
    pub const HEADER_SECTION: usize = 65_536;
    /// Bytes of the start line.
    pub const START_LINE: usize = 8_192;
    /// Header fields of one message.
    pub const HEADER_FIELDS: usize = 256;
    /// Bytes of a body on a stream.
    pub const STREAM_BODY: usize = 262_144;
}

/// What the transport says about where a message ends (RFC 3261 §18.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One datagram: Content-Length may be missing, bytes beyond it are dropped.
    Datagram,
    /// Cut out of a stream by [`StreamFramer`](crate::framing::StreamFramer): Content-Length must be there.
    Stream,
}

/// What is wrong with a message, in the words of the answer.
type Problem = (StatusCode, &'static str);

const fn bad(reason: &'static str) -> Problem {
    (StatusCode::BAD_REQUEST, reason)
}

/// Reads one message.
///
/// # Errors
/// [`ParseError::Reply`] when it is a request that can be answered with what is wrong, else [`ParseError::Silent`].
/// Only framing is checked here; what the header fields say is [`validate`](super::validate)'s business.
pub fn parse(bytes: Bytes, framing: Framing) -> Result<Message, ParseError> {
    // RFC 3261 §7.5: line ends before the start line are ignored; RFC 5626 §3.5.1 uses them as keep-alives.
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n' | 0)).count();
    if blank == bytes.len() {
        return Err(ParseError::Silent(SilentKind::KeepAlive));
    }
    let bytes = bytes.slice(blank..);
    let most = match framing {
        Framing::Datagram => limits::DATAGRAM,
        Framing::Stream => limits::HEADER_SECTION + limits::STREAM_BODY,
    };
    if bytes.len() > most {
        return Err(ParseError::Silent(SilentKind::TooLarge));
    }
    let line_end = memchr::memchr(b'\n', &bytes).unwrap_or(bytes.len());
    let line = bytes.get(..line_end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        parse_response(&bytes, line, framing).map(Message::Response)
    } else {
        parse_request(&bytes, line, framing).map(Message::Request)
    }
}

fn parse_response(bytes: &Bytes, line: &[u8], framing: Framing) -> Result<Response, ParseError> {
    let refuse = || ParseError::Silent(SilentKind::BadResponse);
    let (status, reason) = status_line(line).ok_or_else(refuse)?;
    let sections = Sections::read(bytes, line.len(), framing);
    if sections.problem.is_some() {
        return Err(refuse());
    }
    Ok(Response::from_inner(response::Inner {
        status,
        reason: bytes.slice(lex::range_in(bytes, reason)),
        headers: sections.headers,
        body: sections.body,
        bytes: bytes.slice(..sections.end),
    }))
}

/// `SIP-Version SP Status-Code SP Reason-Phrase`; the second space may be missing when the phrase is empty.
fn status_line(line: &[u8]) -> Option<(StatusCode, &[u8])> {
    let (version, rest) = line.split_at_checked(8)?;
    let (code, reason) = rest.split_at_checked(3)?;
    if !version.eq_ignore_ascii_case(b"SIP/2.0 ") || memchr::memchr3(b'\r', b'\n', 0, reason).is_some() {
        return None;
    }
    let status = StatusCode::new(lex::decimal(code)?)?;
    match reason {
        [] => Some((status, reason)),
        [b' ', reason @ ..] => Some((status, reason)),
        _ => None,
    }
}

fn parse_request(bytes: &Bytes, line: &[u8], framing: Framing) -> Result<Request, ParseError> {
    let (start, mut problem) = request_line(bytes, line)?;
    let mut sections = Sections::read(bytes, line.len(), framing);
    problem = problem.or(sections.problem.take());
    let unanswerable = sections.headers.first_value(NameId::Via).is_none();
    let is_ack = start.method == Method::Ack;
    let request = Request::from_inner(request::Inner {
        method: start.method,
        uri: start.uri,
        version: start.version,
        headers: sections.headers,
        body: sections.body,
        bytes: bytes.slice(..sections.end),
        source: None,
    });
    match problem {
        _ if unanswerable => Err(ParseError::Silent(SilentKind::NoReturnPath)),
        None => Ok(request),
        Some(_) if is_ack => Err(ParseError::Silent(SilentKind::BadAck)),
        Some((status, reason)) => Err(ParseError::Reply(Box::new(BadRequest { request, status, reason }))),
    }
}

struct RequestLine {
    method: Method,
    uri: Uri,
    version: Version,
}

/// `Method SP Request-URI SP SIP-Version`, each space exactly one (RFC 3261 §7.1).
fn request_line(bytes: &Bytes, line: &[u8]) -> Result<(RequestLine, Option<Problem>), ParseError> {
    let not_sip = || ParseError::Silent(SilentKind::NotSip);
    let space = memchr::memchr(b' ', line).ok_or_else(not_sip)?;
    let method = line.get(..space).and_then(Method::from_bytes).ok_or_else(not_sip)?;
    let after = line.get(space + 1..).unwrap_or_default();
    let wrong = |uri: &[u8], problem| {
        let uri = Uri::opaque(bytes.slice(lex::range_in(bytes, uri)));
        Ok((RequestLine { method: method.clone(), uri, version: Version::Two }, Some(problem)))
    };
    let last_space = memchr::memrchr(b' ', after).ok_or_else(not_sip)?;
    let uri = after.get(..last_space).unwrap_or_default();
    let Some(version) = after.get(last_space + 1..).and_then(version) else {
        // RFC 4475 §3.1.2.9, §3.1.2.10: recognisable, and wrong.
        let mentions_sip = after.windows(5).any(|five| five.eq_ignore_ascii_case(b" SIP/"));
        return if mentions_sip { wrong(after, bad("Malformed Request-Line")) } else { Err(not_sip()) };
    };
    if line.len() > limits::START_LINE {
        return wrong(
            &[],
            (StatusCode::REQUEST_URI_TOO_LONG, StatusCode::REQUEST_URI_TOO_LONG.default_reason()),
        );
    }
    if uri.is_empty() || uri.starts_with(b" ") || uri.ends_with(b" ") {
        return wrong(uri, bad("Malformed Request-Line"));
    }
    match Uri::from_shared(bytes.slice(lex::range_in(bytes, uri))) {
        Ok(uri) => Ok((RequestLine { method, uri, version }, None)),
        Err(_) => wrong(uri, bad("Malformed Request-URI")),
    }
}

/// `SIP/` 1*DIGIT `.` 1*DIGIT
fn version(text: &[u8]) -> Option<Version> {
    if text == b"SIP/2.0" {
        return Some(Version::Two);
    }
    let (name, number) = text.split_at_checked(4)?;
    let (major, minor) = lex::split_outside(number, b'.');
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if !name.eq_ignore_ascii_case(b"SIP/") || !digits(major) || !digits(minor?) {
        return None;
    }
    Some(if number == b"2.0" { Version::Two } else { Version::Other })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HeaderName;

    const HEAD: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n";

    fn read(text: impl Into<Vec<u8>>) -> Result<Message, ParseError> {
        parse(Bytes::from(text.into()), Framing::Datagram)
    }

    fn request(text: impl Into<Vec<u8>>) -> Request {
        match read(text) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn problem(text: impl Into<Vec<u8>>) -> (u16, &'static str) {
        match read(text) {
            Err(ParseError::Reply(bad)) => (bad.status.as_u16(), bad.reason),
            other => panic!("{other:?}"),
        }
    }

    fn silence(text: impl Into<Vec<u8>>) -> SilentKind {
        match read(text) {
            Err(ParseError::Silent(kind)) => kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn folded_lines_are_joined_and_the_bytes_stay_as_they_were() {
        let text = format!(
            "OPTIONS sip:a SIP/2.0\r\n{HEAD}Subject : one \r\n \t two\r\n\tthree\r\ns:\r\n four\r\n\r\nbody"
        );
        let r = request(text.clone());
        let subjects: Vec<_> = r.headers().get_all(HeaderName::Subject).collect();
        assert_eq!(subjects, [&b"one two three"[..], b"four"]);
        assert_eq!((&r.body()[..], &r.as_bytes()[..]), (&b"body"[..], text.as_bytes()));
    }

    #[test]
    fn bytes_of_any_encoding_survive() {
        let mut text = format!("OPTIONS sip:a SIP/2.0\r\n{HEAD}From: \"J").into_bytes();
        text.extend_from_slice(b"\xfcrgen\" <sip:j@x>;tag=1\r\nX-Odd: \xff\xfe\r\n\r\n");
        let r = request(text);
        assert_eq!(r.headers().from().unwrap().display.as_deref(), Some(&b"J\xfcrgen"[..]));
        assert_eq!(r.headers().get(HeaderName::from_bytes(b"x-odd").unwrap()), Some(&b"\xff\xfe"[..]));
    }

    #[test]
    fn content_length_bounds_the_body() {
        let with = |length: &str, body: &str| format!("OPTIONS sip:a SIP/2.0\r\n{HEAD}{length}\r\n{body}");
        assert_eq!(&request(with("l: 3\r\n", "abcdef")).body()[..], b"abc");
        assert_eq!(&request(with("", "abcdef")).body()[..], b"abcdef");
        assert_eq!(problem(with("l: 7\r\n", "abcdef")), (400, "Body Shorter Than Content-Length"));
        assert_eq!(problem(with("l: -1\r\n", "")), (400, "Malformed Content-Length Header Field"));
        assert_eq!(problem(with("l: 18446744073709551615\r\n", "")).0, 513);
        assert_eq!(problem(with("l: 99999999999999999999999\r\n", "")).0, 400);
        assert_eq!(
            problem(with("l: 3\r\nl: 4\r\n", "abcdef")),
            (400, "Repeated Content-Length Header Field")
        );
        let stream = parse(with("", "").into(), Framing::Stream);
        assert!(
            matches!(stream, Err(ParseError::Reply(bad)) if bad.reason == "Missing Content-Length Header Field")
        );
    }

    #[test]
    fn lone_line_ends_and_nuls_are_refused() {
        let with = |line: &str| format!("OPTIONS sip:a SIP/2.0\r\n{HEAD}{line}\r\n\r\n");
        assert_eq!(problem(with("Subject: a\nX: y")), (400, "Malformed Line End"));
        assert_eq!(problem(with("Subject: a\rX: y")), (400, "Malformed Line End"));
        assert_eq!(problem(with("Subject: a\0")), (400, "NUL in Header Field"));
        assert_eq!(problem(with("no colon")), (400, "Malformed Header Field"));
        assert_eq!(problem(with(": no name")), (400, "Malformed Header Field"));
        assert_eq!(
            problem(format!("OPTIONS sip:a SIP/2.0\r\n{HEAD}Subject: cut")),
            (400, "Unfinished Header Section")
        );
        request(with("To: \"a\\\0b\" <sip:a>"));
    }

    #[test]
    fn request_lines_that_are_nearly_right_are_answered() {
        for line in
            ["INVITE  sip:a SIP/2.0", "INVITE sip:a  SIP/2.0", "INVITE sip:a SIP/2.0 ", "INVITE sip:a SIP/x"]
        {
            assert_eq!(problem(format!("{line}\r\n{HEAD}\r\n")), (400, "Malformed Request-Line"), "{line}");
        }
        assert_eq!(problem(format!("INVITE <sip:a> SIP/2.0\r\n{HEAD}\r\n")), (400, "Malformed Request-URI"));
        let long = "x".repeat(limits::START_LINE);
        assert_eq!(problem(format!("INVITE sip:{long} SIP/2.0\r\n{HEAD}\r\n")).0, 414);
    }

    #[test]
    fn what_nobody_can_be_told_is_dropped() {
        assert_eq!(silence(""), SilentKind::KeepAlive);
        assert_eq!(silence("\r\n\r\n"), SilentKind::KeepAlive);
        assert_eq!(silence("\0\0\0\0"), SilentKind::KeepAlive);
        assert_eq!(silence("GET / HTTP/1.1\r\n\r\n"), SilentKind::NotSip);
        assert_eq!(silence("\x16\x03\x01"), SilentKind::NotSip);
        assert_eq!(silence("INVITE sip:a SIP/2.0\r\n\r\n"), SilentKind::NoReturnPath);
        assert_eq!(silence(format!("ACK sip:a  SIP/2.0\r\n{HEAD}\r\n")), SilentKind::BadAck);
        assert_eq!(silence(vec![b'a'; limits::DATAGRAM + 1]), SilentKind::TooLarge);
        for line in [
            "SIP/2.0 99 x",
            "SIP/2.0 4294967301 x",
            "SIP/2.0 2000 x",
            "SIP/3.0 200 OK",
            "SIP/2.0 20x OK",
            "SIP/2.0",
        ] {
            assert_eq!(silence(format!("{line}\r\n{HEAD}\r\n")), SilentKind::BadResponse, "{line}");
        }
    }

    #[test]
    fn header_fields_are_counted_and_bounded() {
        let with = |n: usize| format!("OPTIONS sip:a SIP/2.0\r\n{HEAD}{}\r\n", "X: y\r\n".repeat(n - 1));
        assert_eq!(request(with(limits::HEADER_FIELDS)).headers().len(), limits::HEADER_FIELDS);
        assert_eq!(problem(with(limits::HEADER_FIELDS + 1)), (513, "Too Many Header Fields"));
        let long = format!(
            "OPTIONS sip:a SIP/2.0\r\n{HEAD}X: {}\r\nl: 0\r\n\r\n",
            "y".repeat(limits::HEADER_SECTION)
        );
        let stream = parse(long.into(), Framing::Stream);
        assert!(matches!(stream, Err(ParseError::Reply(bad)) if bad.reason == "Header Section Too Long"));
    }

    #[test]
    fn line_ends_before_the_start_line_do_not_count() {
        let r = request(format!("\r\n\r\nOPTIONS sip:a SIP/2.0\r\n{HEAD}\r\n"));
        assert!(r.as_bytes().starts_with(b"OPTIONS"));
    }

    #[test]
    fn lists_run_over_lines_and_respect_quotes() {
        let r = request(format!(
            "OPTIONS sip:a SIP/2.0\r\n{HEAD}Contact: \"a, b\" <sip:a>, <sip:b,c@d>\r\nm: sip:d\r\nAllow: INVITE,ACK , BYE\r\n\r\n"
        ));
        let contacts: Vec<_> = r.headers().contacts().unwrap().iter().map(|c| c.uri.to_string()).collect();
        assert_eq!(contacts, ["sip:a", "sip:b,c@d", "sip:d"]);
        assert_eq!(r.headers().list(HeaderName::Allow).collect::<Vec<_>>(), [&b"INVITE"[..], b"ACK", b"BYE"]);
    }
}
