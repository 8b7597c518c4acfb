//! What a message carries: its session description, and where its sender is to be reached.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;

use crate::message::{HeaderName, Headers, Request, StatusCode, Uri};

/// Most parts of a multipart body that are looked at.
const MAX_PARTS: usize = 16;
/// How deep parts may lie within parts.
const MAX_DEPTH: u8 = 3;

/// The session description of a request: the body itself, or the first such part of a multipart
/// body (RFC 5621), however deep. `None` when there is none.
///
/// # Errors
/// `415` when there is a body that must be understood and isn't (RFC 3261 §8.2.3).
pub(crate) fn session_description(request: &Request) -> Result<Option<Bytes>, StatusCode> {
    session_description_in(request.headers(), request.body())
}

/// As [`session_description`], for the headers and body of any message.
pub(crate) fn session_description_in(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, StatusCode> {
    if body.is_empty() {
        return Ok(None);
    }
    let entity = Entity {
        content_type: headers.get(HeaderName::ContentType).unwrap_or_default(),
        disposition: headers.get(HeaderName::ContentDisposition).unwrap_or_default(),
        encoding: b"",
        body,
    };
    match entity.read(MAX_DEPTH) {
        Found::Description(sdp) => Ok(Some(sdp)),
        Found::Nothing => Ok(None),
        // What isn't said is required (§20.11).
        Found::Unknown if entity.handling() == Some(Handling::Optional) => Ok(None),
        Found::Unknown | Found::Required => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

/// The URI of the first `Contact`, if there is one.
pub(crate) fn first_contact(request: &Request) -> Option<Uri> {
    first_contact_of(request.headers())
}

/// The URI of the first `Contact` among the headers; nothing can be sent to one of another scheme (§8.1.1.8).
pub(crate) fn first_contact_of(headers: &Headers) -> Option<Uri> {
    let value = headers.list(HeaderName::Contact).next()?;
    crate::message::NameAddr::parse(value).map(|contact| contact.uri).filter(Uri::is_sip)
}

/// A body, or a part of one, with what is said of it.
struct Entity<'a> {
    content_type: &'a [u8],
    disposition: &'a [u8],
    /// `Content-Transfer-Encoding`, which parts may have.
    encoding: &'a [u8],
    body: &'a Bytes,
}

/// What came of looking at one.
enum Found {
    Description(Bytes),
    /// All of it is known, and no session description.
    Nothing,
    /// It isn't known what it is.
    Unknown,
    /// Nor is it known of a part that must be.
    Required,
}

/// `handling` of `Content-Disposition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handling {
    Optional,
    Required,
}

impl Entity<'_> {
    fn read(&self, depth: u8) -> Found {
        let media_type = first_token(self.content_type);
        let multipart =
            media_type.get(..10).is_some_and(|head| head.eq_ignore_ascii_case(b"multipart/")) && depth > 0;
        if multipart && let Some(boundary) = boundary(self.content_type) {
            return read_parts(self.body, &boundary, depth - 1);
        }
        // RFC 3261 §20.11: a session description is for the session unless it says otherwise, as
        // one for early media does (RFC 3959).
        let disposition = first_token(self.disposition);
        let for_session = disposition.is_empty() || disposition.eq_ignore_ascii_case(b"session");
        let plain = ["", "7bit", "8bit", "binary"];
        let encoded = !plain.iter().any(|plain| self.encoding.eq_ignore_ascii_case(plain.as_bytes()));
        if media_type.eq_ignore_ascii_case(b"application/sdp") && for_session && !encoded {
            return Found::Description(self.body.clone());
        }
        Found::Unknown
    }

    fn handling(&self) -> Option<Handling> {
        match parameter(self.disposition, b"handling")?.to_ascii_lowercase().as_slice() {
            b"optional" => Some(Handling::Optional),
            b"required" => Some(Handling::Required),
            _ => None,
        }
    }
}

/// The first session description among the parts. The RFC has each part required that doesn't
/// say otherwise (RFC 5621 §5.3). Carriers add parts of their own without a word about them, and
/// mean no harm by it: only what is marked as required is.
fn read_parts(body: &Bytes, boundary: &[u8], depth: u8) -> Found {
    let mut description = None;
    for part in parts(body, boundary) {
        let Some((head, content)) = split_part(&part) else { continue };
        let entity = Entity {
            content_type: field(&head, b"content-type").or_else(|| field(&head, b"c")).unwrap_or_default(),
            disposition: field(&head, b"content-disposition").unwrap_or_default(),
            encoding: field(&head, b"content-transfer-encoding").unwrap_or_default(),
            body: &content,
        };
        match entity.read(depth) {
            Found::Description(sdp) => description = description.or(Some(sdp)),
            Found::Required => return Found::Required,
            Found::Unknown if entity.handling() == Some(Handling::Required) => return Found::Required,
            Found::Nothing | Found::Unknown => {}
        }
    }
    description.map_or(Found::Nothing, Found::Description)
}

/// What stands before the parameters of a value.
fn first_token(value: &[u8]) -> &[u8] {
    value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

/// A parameter of a value, without its quotes.
fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    value.split(|b| *b == b';').skip(1).find_map(|one| {
        let one = one.trim_ascii();
        let at = memchr::memchr(b'=', one)?;
        let (found, rest) = one.split_at(at);
        let rest = rest.get(1..)?.trim_ascii();
        let unquoted = rest.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        found.trim_ascii_end().eq_ignore_ascii_case(name).then_some(unquoted.unwrap_or(rest))
    })
}

fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let lower = content_type.to_ascii_lowercase();
    let at = memmem::find(&lower, b"boundary=")? + b"boundary=".len();
    let value = content_type.get(at..)?;
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|b| *b == b'"').next()?,
        None => value.split(|b| *b == b';' || b.is_ascii_whitespace()).next()?,
    };
    // RFC 2046 §5.1.1: 1 to 70 characters.
    (1..=70).contains(&value.len()).then(|| value.to_vec())
}

/// What stands between the delimiter lines (RFC 2046 §5.1.1).
fn parts<'a>(body: &'a Bytes, boundary: &[u8]) -> impl Iterator<Item = Bytes> + 'a {
    let delimiter = [b"--", boundary].concat();
    let length = delimiter.len();
    let is_line = |at: &usize| {
        let before = at.checked_sub(1).and_then(|before| body.get(before));
        let after = body.get(at + length);
        matches!(before, None | Some(b'\n'))
            && matches!(after, None | Some(b'\r' | b'\n' | b' ' | b'\t' | b'-'))
    };
    let places: Vec<usize> =
        memmem::find_iter(body, &delimiter).filter(is_line).take(MAX_PARTS + 1).collect();
    let ends: Vec<usize> = places.iter().skip(1).copied().collect();
    places.into_iter().zip(ends).map(move |(start, end)| body.slice((start + length).min(end)..end))
}

/// The headers of a part, their continued lines joined, and its content.
fn split_part(part: &Bytes) -> Option<(Cow<'_, [u8]>, Bytes)> {
    let (end, separator) = memmem::find(part, b"\r\n\r\n")
        .map(|at| (at, 4))
        .or_else(|| memmem::find(part, b"\n\n").map(|at| (at, 2)))?;
    let head = part.get(..end)?;
    let folded = head.windows(2).any(|two| matches!(two, b"\n " | b"\n\t"));
    let head = if folded {
        let mut joined = Vec::with_capacity(head.len());
        for line in head.split_inclusive(|b| *b == b'\n') {
            if matches!(line.first(), Some(b' ' | b'\t')) {
                while matches!(joined.last(), Some(b'\r' | b'\n')) {
                    joined.pop();
                }
            }
            joined.extend_from_slice(line);
        }
        Cow::Owned(joined)
    } else {
        Cow::Borrowed(head)
    };
    let mut content = part.slice(end + separator..);
    // The line end before the delimiter belongs to the delimiter; some write another one.
    while content.ends_with(b"\n\r\n") || content.ends_with(b"\r\n\r\n") {
        content.truncate(content.len() - 2);
    }
    Some((head, content))
}

/// The value of a header of a part.
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let at = memchr::memchr(b':', line)?;
        let (found, value) = line.split_at(at);
        found.trim_ascii().eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Method, RequestBuilder};

    fn with_body(content_type: &str, body: &'static [u8]) -> Request {
        let uri = Uri::parse(b"sip:a@b").unwrap();
        RequestBuilder::new(Method::Invite, &uri).body(content_type, Bytes::from_static(body)).build()
    }

    #[test]
    fn a_session_description_is_found_by_itself_and_inside_a_multipart_body() {
        let plain = with_body("application/SDP; charset=utf-8", b"v=0\r\n");
        assert_eq!(session_description(&plain), Ok(Some(Bytes::from_static(b"v=0\r\n"))));
        let mixed = with_body(
            "multipart/mixed; boundary=\"x y\"",
            b"--x y\r\nContent-Type: application/isup\r\n\r\nabc\r\n--x y\r\nContent-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n--x y--\r\n",
        );
        assert_eq!(session_description(&mixed), Ok(Some(Bytes::from_static(b"v=0\r\ns=-\r\n"))));
    }

    #[test]
    fn a_body_of_another_type_is_refused() {
        let text = with_body("text/plain", b"hello");
        assert_eq!(session_description(&text), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }

    #[test]
    fn a_multipart_body_without_a_description_makes_the_offer_ours() {
        let mixed =
            with_body("multipart/mixed; boundary=b", b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--");
        assert_eq!(session_description(&mixed), Ok(None));
    }

    #[test]
    fn a_description_is_found_in_parts_within_parts_behind_folded_headers() {
        let nested = with_body(
            "multipart/mixed;boundary=a",
            b"preamble\r\n--a\r\nContent-Type: multipart/alternative;\r\n boundary=ab\r\n\r\n--ab\r\n\r\ntext\r\n\
              --ab\r\nc:\r\n application/sdp\r\n\r\nv=0\r\na=--a\r\n\r\n--ab--\r\n--a--",
        );
        assert_eq!(session_description(&nested), Ok(Some(Bytes::from_static(b"v=0\r\na=--a\r\n"))));
    }

    #[test]
    fn a_part_that_must_be_understood_and_isnt_is_refused() {
        for (handling, expected) in [
            ("", Ok(Some(Bytes::from_static(b"v=0\r\n")))),
            ("Content-Disposition: signal; handling=optional\r\n", Ok(Some(Bytes::from_static(b"v=0\r\n")))),
            (
                "Content-Disposition: signal ; Handling=\"required\"\r\n",
                Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ),
        ] {
            let body = format!(
                "--b\r\nContent-Type: application/isup\r\n{handling}\r\nx\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b--"
            );
            let request = RequestBuilder::new(Method::Invite, &Uri::parse(b"sip:a@b").unwrap())
                .body("multipart/mixed;boundary=b", Bytes::from(body))
                .build();
            assert_eq!(session_description(&request), expected, "{handling}");
        }
    }

    #[test]
    fn a_description_for_something_else_or_in_a_coding_isnt_the_offer() {
        for line in ["Content-Disposition: early-session\r\n", "Content-Transfer-Encoding: base64\r\n"] {
            let body = format!("--b\r\nContent-Type: application/sdp\r\n{line}\r\nv=0\r\n--b--");
            let request = RequestBuilder::new(Method::Invite, &Uri::parse(b"sip:a@b").unwrap())
                .body("multipart/mixed;boundary=b", Bytes::from(body))
                .build();
            assert_eq!(session_description(&request), Ok(None), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_or_refused(boundary in "[ab]{1,3}", pieces: Vec<proptest::sample::Index>) {
            const PIECES: [&str; 8] =
                ["--a", "--b", "--", "\r\n", "\r\n\r\n", "Content-Type: application/sdp", "Content-Type: multipart/mixed;boundary=b", " "];
            let body: String = pieces.iter().map(|piece| *piece.get(&PIECES)).collect();
            let request = RequestBuilder::new(Method::Invite, &Uri::parse(b"sip:a@b").unwrap())
                .body(&format!("multipart/mixed;boundary={boundary}"), Bytes::from(body))
                .build();
            let _ = session_description(&request);
        }
    }
}
