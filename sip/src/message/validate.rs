//! Checking what a request's header fields say, before anything acts on them.

use super::name::NameId;
use super::{HeaderError, HeaderName, Method, NameAddr, Reject, Request, Scheme, StatusCode, Version, Via};

/// Header fields that may stand only once and would mean different things to different readers if they stood twice.
const SINGLE: [NameId; 16] = [
    NameId::From,
    NameId::To,
    NameId::CallId,
    NameId::CSeq,
    NameId::MaxForwards,
    NameId::ContentLength,
    NameId::ContentType,
    NameId::Expires,
    NameId::Event,
    NameId::ReferTo,
    NameId::ReferredBy,
    NameId::Replaces,
    NameId::RAck,
    NameId::SessionExpires,
    NameId::MinSe,
    NameId::SubscriptionState,
];

/// Checks everything about a request that doesn't depend on who receives it: version, mandatory header fields, those
/// that stand twice, their grammar, CSeq against the method, the scheme of the Request-URI (RFC 3261 §8.1.1, §8.2,
/// RFC 4475). What depends on the receiver (405, 415, 420, 481, 483, 501 …) is left to it.
///
/// # Errors
/// The status and reason phrase to answer with. An ACK is dropped instead.
pub fn validate(request: &Request) -> Result<(), Reject> {
    if request.version() != Version::Two {
        return Err(reject(StatusCode::VERSION_NOT_SUPPORTED));
    }
    let headers = request.headers();
    let counts = headers.counts();
    let count = |id: NameId| counts.get(id as usize).copied().unwrap_or(0);
    for id in [NameId::Via, NameId::From, NameId::To, NameId::CallId, NameId::CSeq] {
        if count(id) == 0 {
            return Err(bad(id.missing_reason()));
        }
    }
    if let Some(id) = SINGLE.into_iter().find(|&id| count(id) > 1) {
        return Err(bad(id.repeated_reason()));
    }
    syntax(request)?;
    if headers.cseq().map_err(malformed)?.method != *request.method() {
        // RFC 4475 §3.1.2.18: of a method nobody knows, 501 says more.
        return Err(match request.method() {
            Method::Other(_) => reject(StatusCode::NOT_IMPLEMENTED),
            _ => bad("CSeq Method Does Not Match Request Method"),
        });
    }
    request_uri(request)?;
    match request.method() {
        Method::Refer if count(NameId::ReferTo) == 0 => Err(bad(NameId::ReferTo.missing_reason())),
        Method::Prack if count(NameId::RAck) == 0 => Err(bad(NameId::RAck.missing_reason())),
        _ => Ok(()),
    }
}

/// The grammar of every header field that something acts on. Others may be malformed: RFC 3261 §8.2 has them ignored,
/// RFC 4475 §3.1.2.12 says so of Date, and a malformed expiry counts as the default (RFC 3261 §10.2.1.1).
fn syntax(request: &Request) -> Result<(), Reject> {
    let headers = request.headers();
    let checks = || {
        headers.all_elements(HeaderName::Via, Via::check)?;
        headers.first_if_any(HeaderName::From, NameAddr::check)?;
        headers.first_if_any(HeaderName::To, NameAddr::check)?;
        headers.call_id()?;
        headers.cseq()?;
        headers.max_forwards()?;
        headers.content_length()?;
        headers.content_type()?;
        let contacts = headers.first_value(NameId::Contact);
        if contacts == Some(b"*") {
            headers.contacts()?;
        } else {
            headers.all_elements(HeaderName::Contact, NameAddr::check)?;
        }
        headers.all_elements(HeaderName::RecordRoute, NameAddr::check)?;
        headers.all_elements(HeaderName::Route, NameAddr::check)?;
        headers.require()?;
        headers.event()?;
        headers.session_expires()?;
        headers.min_se()?;
        headers.first_if_any(HeaderName::ReferTo, NameAddr::check)?;
        headers.replaces()?;
        headers.rack()?;
        headers.subscription_state()?;
        Ok(())
    };
    checks().map_err(malformed)
}

fn request_uri(request: &Request) -> Result<(), Reject> {
    let uri = request.uri();
    if uri.scheme() == Scheme::Other {
        return Err(reject(StatusCode::UNSUPPORTED_URI_SCHEME));
    }
    // RFC 3261 §19.1.1, table 1; RFC 4475 §3.1.2.11
    if uri.headers_raw().is_some() {
        return Err(bad("Headers in Request-URI"));
    }
    Ok(())
}

fn malformed(error: HeaderError) -> Reject {
    bad(error.reason())
}

fn bad(reason: &'static str) -> Reject {
    Reject { status: StatusCode::BAD_REQUEST, reason }
}

fn reject(status: StatusCode) -> Reject {
    Reject { status, reason: status.default_reason() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Framing, Message, parse};

    const GOOD: &str = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:x@y>;tag=f\r\nTo: <sip:a@b>\r\n\
                        Call-ID: 1@x\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:x@z>\r\n";

    fn verdict(head: &str) -> Result<(), Reject> {
        match parse(format!("{head}\r\n").into(), Framing::Datagram) {
            Ok(Message::Request(request)) => validate(&request),
            other => panic!("{head}: {other:?}"),
        }
    }

    fn reason_of(head: &str) -> &'static str {
        let reject = verdict(head).unwrap_err();
        assert_eq!(reject.status, StatusCode::BAD_REQUEST);
        reject.reason
    }

    #[test]
    fn a_plain_request_passes() {
        assert_eq!(verdict(GOOD), Ok(()));
        // RFC 2543 peers send neither.
        assert_eq!(verdict(&GOOD.replace("Max-Forwards: 70\r\nContact: <sip:x@z>\r\n", "")), Ok(()));
    }

    #[test]
    fn every_mandatory_header_field_is_missed_by_name() {
        for (line, name) in [
            ("From: <sip:x@y>;tag=f\r\n", "From"),
            ("To: <sip:a@b>\r\n", "To"),
            ("Call-ID: 1@x\r\n", "Call-ID"),
            ("CSeq: 7 INVITE\r\n", "CSeq"),
        ] {
            assert_eq!(reason_of(&GOOD.replace(line, "")), format!("Missing {name} Header Field"));
        }
    }

    #[test]
    fn header_fields_that_may_stand_once_do() {
        for line in ["From: <sip:x@y>", "t: <sip:a@b>", "i: 2", "CSeq: 7 INVITE", "Max-Forwards: 70"] {
            assert!(reason_of(&format!("{GOOD}{line}\r\n")).starts_with("Repeated "), "{line}");
        }
        assert_eq!(
            reason_of(&format!("{GOOD}l: 0\r\nContent-Length: 0\r\n")),
            "Repeated Content-Length Header Field"
        );
        assert_eq!(verdict(&format!("{GOOD}Contact: <sip:q@z>\r\nDate: x\r\nDate: y\r\n")), Ok(()));
    }

    #[test]
    fn malformed_header_fields_are_named() {
        for line in [
            "Contact: <sip:a b>",
            "Route: x",
            "Record-Route: <sip:p;lr>, ",
            "Require: a b",
            "Content-Type: sdp",
            "Session-Expires: long",
            "Refer-To: <>",
            "Event: ;",
        ] {
            let name = line.split(':').next().unwrap();
            assert_eq!(
                reason_of(&format!("{GOOD}{line}\r\n")),
                format!("Malformed {name} Header Field"),
                "{line}"
            );
        }
        assert_eq!(reason_of(&GOOD.replace("70", "256")), "Malformed Max-Forwards Header Field");
    }

    #[test]
    fn header_fields_nothing_depends_on_may_be_malformed() {
        for line in ["Date: yesterday", "Expires: never", "Warning: x", "Subject:", "P-Asserted-Identity: ?"]
        {
            assert_eq!(verdict(&format!("{GOOD}{line}\r\n")), Ok(()), "{line}");
        }
    }

    #[test]
    fn method_scheme_and_version_have_statuses_of_their_own() {
        let status = |head: &str| verdict(head).unwrap_err().status;
        assert_eq!(
            status(&GOOD.replace("SIP/2.0\r\nVia", "SIP/2.1\r\nVia")),
            StatusCode::VERSION_NOT_SUPPORTED
        );
        assert_eq!(
            status(&GOOD.replace("INVITE sip:a@b", "INVITE http://a")),
            StatusCode::UNSUPPORTED_URI_SCHEME
        );
        assert_eq!(status(&GOOD.replace("INVITE sip:", "NEW sip:")), StatusCode::NOT_IMPLEMENTED);
        assert_eq!(
            reason_of(&GOOD.replace("INVITE sip:", "BYE sip:")),
            "CSeq Method Does Not Match Request Method"
        );
        assert_eq!(reason_of(&GOOD.replace("sip:a@b SIP", "sip:a@b?x=y SIP")), "Headers in Request-URI");
        assert_eq!(verdict(&GOOD.replace("INVITE sip:a@b", "INVITE tel:+33199000001")), Ok(()));
    }

    #[test]
    fn refer_needs_to_say_where() {
        assert_eq!(reason_of(&GOOD.replace("INVITE", "REFER")), "Missing Refer-To Header Field");
    }
}
