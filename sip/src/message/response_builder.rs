//! Making responses.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::header::via;
use super::headers::Headers;
use super::name::NameId;
use super::request::Request;
use super::response::{Inner, Response};
use super::uri::HostKind;
use super::writer::{Writer, decimal};
use super::{HeaderName, NameAddr, StatusCode, lex, params};

/// Builds a [`Response`] to a request (RFC 3261 §8.2.6).
///
/// Via, From, To, Call-ID and CSeq are copied from the request, Timestamp for a 100; if the request knows where it came
/// from ([`Request::received_from`]), its top Via gets `received` and `rport`. CR, LF and NUL in anything given become
/// spaces, so that no value can add a header field.
pub struct ResponseBuilder {
    request: Request,
    status: StatusCode,
    reason: Option<Vec<u8>>,
    to_tag: Vec<u8>,
    record_route: bool,
    extra: Writer,
    body: Bytes,
}

impl ResponseBuilder {
    /// Begins a response.
    pub fn reply_to(request: &Request, status: StatusCode) -> ResponseBuilder {
        ResponseBuilder {
            request: request.clone(),
            status,
            reason: None,
            to_tag: Vec::new(),
            record_route: false,
            extra: Writer::with_capacity(320),
            body: Bytes::new(),
        }
    }

    /// A reason phrase other than the registered one.
    #[must_use]
    pub fn reason(mut self, reason: impl AsRef<[u8]>) -> ResponseBuilder {
        self.reason = Some(reason.as_ref().to_vec());
        self
    }

    /// The tag for To, used if the request has none there (RFC 3261 §8.2.6.2).
    #[must_use]
    pub fn to_tag(mut self, tag: &[u8]) -> ResponseBuilder {
        self.to_tag = tag.iter().copied().filter(|&b| lex::is_token_byte(b)).collect();
        self
    }

    /// Copies Record-Route from the request, as a response that makes a dialog must (RFC 3261 §12.1.1).
    #[must_use]
    pub fn record_route(mut self) -> ResponseBuilder {
        self.record_route = true;
        self
    }

    /// Adds a header field after the copied ones. Content-Length is ignored, and so is Content-Type: see
    /// [`ResponseBuilder::body`].
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> ResponseBuilder {
        if !matches!(name, HeaderName::ContentLength | HeaderName::ContentType) {
            self.extra.field(&name, value.as_ref());
        }
        self
    }

    /// Sets the body and writes its Content-Type here. To be called at most once.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: Bytes) -> ResponseBuilder {
        self.extra.field(&HeaderName::ContentType, content_type.as_bytes());
        self.body = body;
        self
    }

    /// The response.
    pub fn build(self) -> Response {
        let reason: &[u8] = self.reason.as_deref().unwrap_or(self.status.default_reason().as_bytes());
        let mut writer = Writer::with_capacity(640 + self.extra.buf.len() + self.body.len());
        writer.buf.extend_from_slice(b"SIP/2.0 ");
        writer.buf.extend_from_slice(&self.status.digits());
        writer.buf.push(b' ');
        let reason_start = writer.buf.len();
        writer.inert(reason);
        let reason_end = writer.buf.len();
        writer.buf.extend_from_slice(b"\r\n");
        self.copied(&mut writer);
        writer.append(&self.extra);
        let body_start = writer.finish(&self.body);
        let bytes = Bytes::from(writer.buf);
        Response::from_inner(Inner {
            status: self.status,
            reason: bytes.slice(reason_start..reason_end),
            headers: Headers::new(bytes.slice(..body_start), writer.entries),
            body: bytes.slice(body_start..),
            bytes,
        })
    }

    fn copied(&self, writer: &mut Writer) {
        let headers = self.request.headers();
        let mut vias = headers.raw_values(NameId::Via);
        if let Some(first) = vias.next() {
            top_via(writer, first, self.request.source());
        }
        for via in vias {
            writer.field(&HeaderName::Via, via);
        }
        if self.record_route {
            for route in headers.raw_values(NameId::RecordRoute) {
                writer.field(&HeaderName::RecordRoute, route);
            }
        }
        if let Some(from) = headers.first_value(NameId::From) {
            writer.field(&HeaderName::From, from);
        }
        if let Some(to) = headers.first_value(NameId::To) {
            // A To that can't be read is sent back as it is.
            if !self.to_tag.is_empty() && NameAddr::is_tagged(to) == Some(false) {
                writer.field_of(&HeaderName::To, &[to, b";tag=", &self.to_tag]);
            } else {
                writer.field(&HeaderName::To, to);
            }
        }
        for (name, id) in [(HeaderName::CallId, NameId::CallId), (HeaderName::CSeq, NameId::CSeq)] {
            if let Some(value) = headers.first_value(id) {
                writer.field(&name, value);
            }
        }
        if self.status == StatusCode::TRYING
            && let Some(timestamp) = headers.timestamp()
        {
            writer.field(&HeaderName::Timestamp, timestamp);
        }
    }
}

/// The first Via line, its first element with `received` (RFC 3261 §18.2.1) and `rport` (RFC 3581 §4) if need be.
fn top_via(writer: &mut Writer, line: &[u8], source: Option<SocketAddr>) {
    let (element, rest) = lex::split_outside(line, b',');
    let amended = source.and_then(|source| amend(element, source));
    match (amended, rest) {
        (None, _) => writer.field(&HeaderName::Via, line),
        (Some(via), None) => writer.field(&HeaderName::Via, &via),
        (Some(via), Some(rest)) => writer.field_of(&HeaderName::Via, &[&via, b",", rest]),
    }
}

/// `None` if the Via is right as it is.
fn amend(element: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let via = via::Parts::of(element)?;
    let address = source.ip().to_canonical();
    let (mut asked_for_port, mut forged) = (false, false);
    for (name, _) in params::iter(via.params) {
        asked_for_port |= name.eq_ignore_ascii_case(b"rport");
        forged |= name.eq_ignore_ascii_case(b"received");
    }
    let sent_by = match HostKind::of(via.host)? {
        HostKind::Domain => None,
        HostKind::V4(address) => Some(IpAddr::V4(address)),
        HostKind::V6(address) => Some(IpAddr::V6(address)),
    };
    if sent_by == Some(address) && !asked_for_port && !forged {
        return None;
    }
    let mut out = Vec::with_capacity(element.len() + 64);
    out.extend_from_slice(lex::split_outside(element, b';').0);
    for (name, value) in params::iter(via.params) {
        if name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport") {
            continue;
        }
        out.push(b';');
        out.extend_from_slice(name);
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out.extend_from_slice(b";received=");
    // Writing to a vector can't fail.
    let _ = write!(out, "{address}");
    if asked_for_port {
        out.extend_from_slice(b";rport=");
        out.extend_from_slice(decimal(usize::from(source.port()), &mut [0; 20]));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Framing, Message, parse};

    fn request(via: &str) -> Request {
        let text = format!(
            "OPTIONS sip:a@b SIP/2.0\r\n{via}\r\nRecord-Route: <sip:p;lr>\r\nTimestamp: 54\r\nFrom: <sip:x@y>;tag=f\r\n\
             t: \"B\" <sip:a@b>\r\nCall-ID: 1@x\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        match parse(text.into(), Framing::Datagram) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn text(response: &Response) -> String {
        String::from_utf8(response.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_response_carries_what_ties_it_to_its_request() {
        let request = request("v: SIP/2.0/UDP h;branch=z9hG4bK1 , SIP/2.0/UDP i;branch=z9hG4bK2");
        let response = ResponseBuilder::reply_to(&request, StatusCode::OK)
            .to_tag(b"t\r\n1")
            .record_route()
            .header(HeaderName::Server, "x\r\ny")
            .body("application/sdp", Bytes::from_static(b"v=0\r\n"))
            .build();
        assert_eq!(
            text(&response),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1 , SIP/2.0/UDP i;branch=z9hG4bK2\r\n\
             Record-Route: <sip:p;lr>\r\nFrom: <sip:x@y>;tag=f\r\nTo: \"B\" <sip:a@b>;tag=t1\r\nCall-ID: 1@x\r\n\
             CSeq: 7 OPTIONS\r\nServer: x  y\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
        let Ok(Message::Response(read)) = parse(response.as_bytes().clone(), Framing::Datagram) else {
            panic!()
        };
        assert_eq!(format!("{:?}", read.headers()), format!("{:?}", response.headers()));
        assert_eq!(
            (read.status(), read.reason(), read.body()),
            (StatusCode::OK, &b"OK"[..], response.body())
        );
    }

    #[test]
    fn a_100_repeats_the_timestamp() {
        let response = ResponseBuilder::reply_to(&request("Via: SIP/2.0/UDP h"), StatusCode::TRYING).build();
        assert!(text(&response).contains("Timestamp: 54\r\n"));
    }

    #[test]
    fn the_top_via_says_where_the_request_came_from() {
        let source: SocketAddr = "192.0.2.1:5099".parse().unwrap();
        let via = |via: &str| {
            let request = request(via).received_from(source);
            let response = ResponseBuilder::reply_to(&request, StatusCode::OK).build();
            let first = response.headers().get(HeaderName::Via).map(<[u8]>::to_vec).unwrap();
            String::from_utf8(first).unwrap()
        };
        assert_eq!(via("Via: SIP/2.0/UDP 192.0.2.1;branch=z"), "SIP/2.0/UDP 192.0.2.1;branch=z");
        assert_eq!(via("Via: SIP/2.0/UDP host;branch=z"), "SIP/2.0/UDP host;branch=z;received=192.0.2.1");
        assert_eq!(
            via("Via: SIP/2.0/UDP 192.0.2.1;rport;branch=z,SIP/2.0/UDP b"),
            "SIP/2.0/UDP 192.0.2.1;branch=z;received=192.0.2.1;rport=5099,SIP/2.0/UDP b"
        );
        assert_eq!(
            via("Via: SIP/2.0/UDP 10.0.0.1;received=6.6.6.6;rport=1;branch=z"),
            "SIP/2.0/UDP 10.0.0.1;branch=z;received=192.0.2.1;rport=5099"
        );
    }

    #[test]
    fn a_tag_that_is_there_stays() {
        let request = parse(
            Bytes::from_static(b"BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nTo: <sip:a>;tag=mine\r\n\r\n"),
            Framing::Datagram,
        );
        let Ok(Message::Request(request)) = request else { panic!() };
        let response = ResponseBuilder::reply_to(&request, StatusCode::OK).to_tag(b"other").build();
        assert!(text(&response).contains("To: <sip:a>;tag=mine\r\n"));
    }
}
