//! A look at a message before anything is parsed: what it is, whether it names a dialog, and who
//! says that they sent it. Bounded, without allocation, and never wrong to anyone's harm but the
//! sender's own: what it says decides over order and silence only.

use memchr::{memchr, memrchr};

/// How much of a message is looked at.
const MOST: usize = 8_192;
/// Longest first line that is searched for its version.
const LONGEST_START: usize = 4_096;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An INVITE.
    Invite,
    /// An ACK.
    Ack,
    /// A CANCEL.
    Cancel,
    /// A request of any other method.
    Request,
    /// A response.
    Response,
    /// Nothing but line ends, zeroes, or a STUN binding request: what telephones keep a NAT open with.
    KeepAlive,
    /// No SIP.
    Other,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek<'a> {
    /// What it is.
    pub kind: Kind,
    /// Whether `To` has a tag: the request is of a dialog (RFC 3261 §12.2), or pretends to be.
    pub in_dialog: bool,
    /// The `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
}

/// Looks at a message.
#[must_use]
pub fn peek(message: &[u8]) -> Peek<'_> {
    let head = message.get(..MOST).unwrap_or(message);
    let mut seen = Peek { kind: Kind::Other, in_dialog: false, user_agent: None };
    // Line ends before the start line are allowed (RFC 3261 §7.5).
    let begin = head.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(head.len());
    let head = head.get(begin..).unwrap_or_default();
    let (start, rest) = split_line(head);
    seen.kind = kind_of(start, message);
    if matches!(seen.kind, Kind::Other | Kind::KeepAlive | Kind::Response) {
        return seen;
    }
    let mut to_seen = false;
    let mut rest = rest;
    while !rest.is_empty() {
        let (field, after) = split_field(rest);
        rest = after;
        if field.is_empty() {
            break;
        }
        let Some(colon) = memchr(b':', field) else { continue };
        let (name, value) = field.split_at(colon);
        let name = name.trim_ascii_end();
        let value = value.get(1..).unwrap_or_default();
        if !to_seen && (name.eq_ignore_ascii_case(b"To") || name.eq_ignore_ascii_case(b"t")) {
            to_seen = true;
            seen.in_dialog = has_tag(value);
        } else if seen.user_agent.is_none() && name.eq_ignore_ascii_case(b"User-Agent") {
            seen.user_agent = Some(value.trim_ascii());
        }
        if to_seen && seen.user_agent.is_some() {
            break;
        }
    }
    seen
}

fn kind_of(start: &[u8], message: &[u8]) -> Kind {
    if start.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case(b"SIP/")) {
        return Kind::Response;
    }
    let is_request = start.len() <= LONGEST_START
        && memrchr(b' ', start)
            .and_then(|at| start.get(at + 1..))
            .and_then(|version| version.get(..4))
            .is_some_and(|version| version.eq_ignore_ascii_case(b"SIP/"));
    if !is_request {
        return if is_keep_alive(message) { Kind::KeepAlive } else { Kind::Other };
    }
    // Methods are compared as they are (RFC 3261 §7.1).
    match start.split(|b| *b == b' ').next() {
        Some(b"INVITE") => Kind::Invite,
        Some(b"ACK") => Kind::Ack,
        Some(b"CANCEL") => Kind::Cancel,
        _ => Kind::Request,
    }
}

/// Double line ends (RFC 5626 §4.4.1), zeroes as some telephones send them, or a STUN binding
/// request (RFC 5626 §4.4.2), told by its cookie.
fn is_keep_alive(message: &[u8]) -> bool {
    let padding = message.len() <= 8 && message.iter().all(|b| matches!(b, b'\r' | b'\n' | 0 | b' '));
    let stun = message.get(..2) == Some(&[0, 1]) && message.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42]);
    padding || stun
}

/// The first line without its end, and what follows it.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', text) {
        Some(at) => {
            let (line, rest) = text.split_at(at);
            (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default())
        }
        None => (text, &[]),
    }
}

/// The first header field with the lines it is folded over (RFC 3261 §7.3.1), and what follows.
fn split_field(text: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    while let Some(end) = text.get(from..).and_then(|rest| memchr(b'\n', rest)).map(|at| from + at) {
        // The empty line ends the headers, whatever the body begins with.
        let blank = text.get(..end).is_some_and(|line| line.trim_ascii().is_empty());
        if blank || !matches!(text.get(end + 1), Some(b' ' | b'\t')) {
            let (field, rest) = text.split_at(end);
            return (field.strip_suffix(b"\r").unwrap_or(field), rest.get(1..).unwrap_or_default());
        }
        from = end + 1;
    }
    (text, &[])
}

/// Whether the parameters of a `To` hold a tag: those after the address, not those within it.
fn has_tag(value: &[u8]) -> bool {
    let params = memrchr(b'>', value).and_then(|at| value.get(at + 1..)).unwrap_or(value);
    params.split(|b| *b == b';').skip(1).any(|param| {
        let (name, rest) = param.split_at(memchr(b'=', param).unwrap_or(param.len()));
        name.trim_ascii().eq_ignore_ascii_case(b"tag") && rest.len() > 1
    })
}

/// Names of scanners, compared without case.
#[derive(Debug, Clone, Default)]
pub(super) struct Scanners(Vec<Vec<u8>>);

impl Scanners {
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase().into_bytes()).collect())
    }

    /// Whether a `User-Agent` holds one of the names.
    pub fn hold(&self, user_agent: &[u8]) -> bool {
        /// The names of real scanners stand at the beginning.
        const LOOKED_AT: usize = 128;
        let agent = user_agent.get(..LOOKED_AT).unwrap_or(user_agent).to_ascii_lowercase();
        self.0.iter().any(|name| memchr::memmem::find(&agent, name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(start: &str, headers: &str) -> String {
        format!("{start} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n{headers}\r\n\r\n")
    }

    #[test]
    fn kinds_are_told_by_the_first_line() {
        for (message, kind) in [
            ("INVITE sip:x@y SIP/2.0\r\n\r\n", Kind::Invite),
            ("\r\n\r\nINVITE sip:x@y SIP/2.0\r\n\r\n", Kind::Invite),
            ("INVITE sip:x@y SIP/7.0\n\n", Kind::Invite),
            ("ACK sip:x@y SIP/2.0\r\n", Kind::Ack),
            ("CANCEL sip:x@y SIP/2.0", Kind::Cancel),
            ("REGISTER sip:y SIP/2.0\r\n\r\n", Kind::Request),
            ("invite sip:y SIP/2.0\r\n\r\n", Kind::Request),
            ("SIP/2.0 200 OK\r\n\r\n", Kind::Response),
            ("GET / HTTP/1.1\r\n\r\n", Kind::Other),
            ("hello", Kind::Other),
            ("\r\n\r\n", Kind::KeepAlive),
            ("\0\0\0\0", Kind::KeepAlive),
            ("", Kind::KeepAlive),
            ("\0\x01\0\x08\x21\x12", Kind::Other),
        ] {
            assert_eq!(peek(message.as_bytes()).kind, kind, "{message:?}");
        }
        let stun = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(peek(&stun).kind, Kind::KeepAlive);
    }

    #[test]
    fn a_dialog_is_told_by_the_tag_of_to_and_nothing_else() {
        for (to, in_dialog) in [
            ("To: <sip:x@y>;tag=1", true),
            ("t: sip:x@y;tag=1", true),
            ("TO : \"A >;tag=2\" <sip:x@y> ; TAG = 1", true),
            ("To: <sip:x@y>\r\n ;tag=1", true),
            ("To: <sip:x@y>", false),
            ("To: <sip:x@y;tag=1>", false),
            ("To: <sip:x@y>;tags=1;tag", false),
            ("To: <sip:x@y>;tag=", false),
            ("From: <sip:x@y>;tag=1\r\nTo: <sip:x@y>", false),
            ("To: <sip:x@y>\r\nTo: <sip:x@y>;tag=1", false),
            ("X: y", false),
            ("", false),
        ] {
            assert_eq!(peek(request("BYE sip:x@y", to).as_bytes()).in_dialog, in_dialog, "{to:?}");
        }
        let body = request("INVITE sip:x@y", "Subject: x") + "To: <sip:x@y>;tag=1\r\n";
        assert!(!peek(body.as_bytes()).in_dialog, "a body is no header");
    }

    #[test]
    fn scanners_are_known_by_their_user_agent() {
        let scanners = Scanners::new(&["friendly-scanner".to_owned(), "VaxSIPUserAgent".to_owned()]);
        for (agent, scanner) in [
            ("User-Agent: friendly-scanner", true),
            ("user-agent:   Friendly-Scanner/1.0", true),
            ("User-Agent: eval VAXSIPUSERAGENT/3.1", true),
            ("User-Agent: Telephone", false),
            ("Server: friendly-scanner", false),
        ] {
            let message = request("OPTIONS sip:x@y", agent);
            let found = peek(message.as_bytes()).user_agent.is_some_and(|agent| scanners.hold(agent));
            assert_eq!(found, scanner, "{agent}");
        }
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm() {
        let whole = request("INVITE sip:x@y", "To: \"x\" <sip:x@y>\r\n ;tag=1\r\nUser-Agent: z");
        for cut in 0..whole.len() {
            let _ = peek(&whole.as_bytes()[..cut]);
            let _ = peek(&whole.as_bytes()[cut..]);
            let mut changed = whole.clone().into_bytes();
            for byte in [0, b'\n', b' ', b':', b';', 0xff] {
                changed[cut] = byte;
                let _ = peek(&changed);
            }
        }
        let _ = peek(&[b' '; 70_000]);
        let _ = peek(&[b'\n'; 70_000]);
    }
}
