//! What a message carries: its session description, and where its sender is to be reached.

use bytes::Bytes;
use memchr::memmem;

use crate::message::{HeaderName, Headers, Request, StatusCode, Uri};

/// Most parts of a multipart body that are looked at.
const MAX_PARTS: usize = 16;

/// The session description of a request: the body itself or the first such part of a multipart
/// body (RFC 5621). `None` when there is none.
///
/// # Errors
/// `415` when there is a body that must be understood and isn't (§8.2.3).
pub(crate) fn session_description(request: &Request) -> Result<Option<Bytes>, StatusCode> {
    session_description_in(request.headers(), request.body())
}

/// As [`session_description`], for the headers and body of any message.
pub(crate) fn session_description_in(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, StatusCode> {
    if body.is_empty() {
        return Ok(None);
    }
    let content_type = headers.get(HeaderName::ContentType).unwrap_or_default();
    let media_type = media_type(content_type);
    if media_type.eq_ignore_ascii_case(b"application/sdp") {
        return Ok(Some(body.clone()));
    }
    if media_type.len() > 10
        && media_type.get(..10).is_some_and(|head| head.eq_ignore_ascii_case(b"multipart/"))
        && let Some(boundary) = boundary(content_type)
    {
        return Ok(parts(body, &boundary).find_map(|part| sdp_part(&part)));
    }
    let disposition = headers.get(HeaderName::ContentDisposition).unwrap_or_default();
    if memmem::find(&disposition.to_ascii_lowercase(), b"handling=optional").is_some() {
        return Ok(None);
    }
    Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
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

fn media_type(value: &[u8]) -> &[u8] {
    value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
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

fn parts<'a>(body: &'a Bytes, boundary: &[u8]) -> impl Iterator<Item = Bytes> + 'a {
    let delimiter = [b"--", boundary].concat();
    let places: Vec<usize> = memmem::find_iter(body, &delimiter).take(MAX_PARTS + 1).collect();
    let length = delimiter.len();
    let ends: Vec<usize> = places.iter().skip(1).copied().collect();
    places.into_iter().zip(ends).map(move |(start, end)| body.slice((start + length).min(end)..end))
}

fn sdp_part(part: &Bytes) -> Option<Bytes> {
    let (headers_end, separator) = memmem::find(part, b"\r\n\r\n")
        .map(|at| (at, 4))
        .or_else(|| memmem::find(part, b"\n\n").map(|at| (at, 2)))?;
    let headers = part.get(..headers_end)?.to_ascii_lowercase();
    let line = headers.split(|b| *b == b'\n').find_map(|line| {
        let line = line.trim_ascii();
        line.strip_prefix(b"content-type").or_else(|| line.strip_prefix(b"c"))
    })?;
    let value = line.trim_ascii_start().strip_prefix(b":")?;
    if media_type(value) != b"application/sdp" {
        return None;
    }
    let mut sdp = part.slice(headers_end + separator..);
    while sdp.ends_with(b"\n\r\n") || sdp.ends_with(b"\r\n\r\n") {
        sdp.truncate(sdp.len() - 2);
    }
    Some(sdp)
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
}
