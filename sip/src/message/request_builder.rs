//! Making requests.

use bytes::Bytes;

use super::headers::Headers;
use super::request::{Inner, Request, Version};
use super::writer::Writer;
use super::{HeaderName, Method, Uri};

/// Builds a [`Request`]. Header fields come out in the order they are given; Content-Length is added at the end.
///
/// CR, LF and NUL in anything given become spaces, so that no value can add a header field.
pub struct RequestBuilder {
    method: Method,
    uri: Uri,
    writer: Writer,
    body: Bytes,
}

impl RequestBuilder {
    /// Begins a request. Headers and `method` parameter of the URI are left out of the request line
    /// (RFC 3261 §19.1.5).
    pub fn new(method: Method, uri: &Uri) -> RequestBuilder {
        let uri = uri.to_request_uri();
        let mut writer = Writer::with_capacity(768);
        writer.buf.extend_from_slice(method.as_str().as_bytes());
        writer.buf.push(b' ');
        writer.inert(uri.as_bytes());
        writer.buf.extend_from_slice(b" SIP/2.0\r\n");
        RequestBuilder { method, uri, writer, body: Bytes::new() }
    }

    /// Adds a header field. Content-Length is ignored, and so is Content-Type: see [`RequestBuilder::body`].
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> RequestBuilder {
        if !matches!(name, HeaderName::ContentLength | HeaderName::ContentType) {
            self.writer.field(&name, value.as_ref());
        }
        self
    }

    /// Adds a header field for each value, such as the routes of a dialog.
    #[must_use]
    pub fn headers<V: AsRef<[u8]>>(
        mut self,
        name: HeaderName,
        values: impl IntoIterator<Item = V>,
    ) -> RequestBuilder {
        for value in values {
            self = self.header(name.clone(), value);
        }
        self
    }

    /// Sets the body and writes its Content-Type here. To be called at most once.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: Bytes) -> RequestBuilder {
        self.writer.field(&HeaderName::ContentType, content_type.as_bytes());
        self.body = body;
        self
    }

    /// The request.
    pub fn build(mut self) -> Request {
        let body_start = self.writer.finish(&self.body);
        let bytes = Bytes::from(self.writer.buf);
        Request::from_inner(Inner {
            method: self.method,
            uri: self.uri,
            version: Version::Two,
            headers: Headers::new(bytes.slice(..body_start), self.writer.entries),
            body: bytes.slice(body_start..),
            bytes,
            source: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Framing, Message, NameAddr, parse};

    #[test]
    fn what_is_built_reads_back_the_same() {
        let uri = Uri::sip(Some("bob"), "biloxi.example.com", None);
        let from = NameAddr::new(Some("Alice"), &uri).with_param("tag", "a1");
        let request = RequestBuilder::new(Method::Invite, &uri)
            .header(HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1")
            .header(HeaderName::From, &from)
            .headers(HeaderName::Route, ["<sip:p1;lr>", "<sip:p2;lr>"])
            .body("application/sdp", Bytes::from_static(b"v=0\r\n"))
            .build();
        let Ok(Message::Request(read)) = parse(request.as_bytes().clone(), Framing::Datagram) else {
            panic!()
        };
        assert_eq!(format!("{:?}", read.headers()), format!("{:?}", request.headers()));
        assert_eq!(
            (read.body(), read.uri(), read.method()),
            (request.body(), request.uri(), request.method())
        );
        assert_eq!(read.headers().content_length(), Ok(Some(5)));
    }

    #[test]
    fn no_value_can_add_a_line() {
        let uri = Uri::sip(Some("a\r\nX: y"), "h", None);
        let request = RequestBuilder::new(Method::Invite, &uri)
            .header(HeaderName::Subject, "hi\r\nVia: evil\r\n\r\nbody\0")
            .header(HeaderName::ContentLength, "999")
            .body("text/plain\r\nX: y", Bytes::new())
            .build();
        let text = String::from_utf8(request.as_bytes().to_vec()).unwrap();
        assert_eq!(text.matches("\r\n").count(), 5, "{text}");
        assert!(!text.contains('\0') && text.contains("Content-Length: 0\r\n\r\n"));
    }
}
