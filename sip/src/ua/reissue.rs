//! A request sent once more in another form: over another hop, with credentials, with a higher
//! CSeq. Everything else stays as it was (RFC 3261 §8.1.3.5).

use super::digest::Answer;
use super::trust::answer_header;
use crate::message::{HeaderName, Request, RequestBuilder};

/// What is different.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The top `Via`, which is always another one.
    pub via: String,
    pub cseq: Option<u32>,
    pub contact: Option<String>,
    /// Credentials instead of those of before.
    pub authorization: Option<Vec<Answer>>,
    /// Headers with another value, or, with none, left out.
    pub headers: Vec<(HeaderName, Option<String>)>,
}

/// The request with these changes.
pub(crate) fn reissue(request: &Request, changes: &Changes) -> Request {
    let mut builder =
        RequestBuilder::new(request.method().clone(), request.uri()).header(HeaderName::Via, &changes.via);
    let mut content_type = None;
    for field in request.headers().iter() {
        let name = field.name();
        match (&name, &changes.contact, changes.cseq) {
            (HeaderName::Via | HeaderName::ContentLength, ..) => {}
            (HeaderName::Authorization | HeaderName::ProxyAuthorization, ..)
                if changes.authorization.is_some() => {}
            (HeaderName::ContentType, ..) => content_type = Some(field.value()),
            (HeaderName::Contact, Some(contact), _) => builder = builder.header(name, contact),
            (HeaderName::CSeq, _, Some(number)) => {
                builder = builder.header(name, format!("{number} {}", request.method().as_str()));
            }
            _ if changes.headers.iter().any(|(changed, _)| *changed == name) => {}
            _ => builder = builder.header(name, field.value()),
        }
    }
    for answer in changes.authorization.iter().flatten() {
        builder = builder.header(answer_header(answer.challenger), &answer.value);
    }
    for (name, value) in &changes.headers {
        if let Some(value) = value {
            builder = builder.header(name.clone(), value);
        }
    }
    match content_type {
        Some(kind) => builder.body(&String::from_utf8_lossy(kind), request.body().clone()).build(),
        None => builder.build(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Method, Uri};

    #[test]
    fn what_isnt_changed_stays() {
        let uri = Uri::parse(b"sip:a@b").unwrap();
        let request = RequestBuilder::new(Method::Invite, &uri)
            .header(HeaderName::Via, "old")
            .header(HeaderName::Route, "<sip:p;lr>")
            .header(HeaderName::CSeq, "7 INVITE")
            .header(HeaderName::Contact, "<sip:us>")
            .header(HeaderName::MinSe, "90")
            .header(HeaderName::from_bytes(b"X-Mine").unwrap(), "1")
            .body("application/sdp", Bytes::from_static(b"v=0\r\n"))
            .build();
        let again = reissue(
            &request,
            &Changes {
                via: "new".to_owned(),
                cseq: Some(8),
                contact: Some("<sip:them>".to_owned()),
                authorization: None,
                headers: vec![(HeaderName::MinSe, Some("120".to_owned()))],
            },
        );
        let text = String::from_utf8(again.as_bytes().to_vec()).unwrap();
        assert_eq!(
            text,
            "INVITE sip:a@b SIP/2.0\r\nVia: new\r\nRoute: <sip:p;lr>\r\nCSeq: 8 INVITE\r\nContact: <sip:them>\r\n\
             X-Mine: 1\r\nMin-SE: 120\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
    }
}
