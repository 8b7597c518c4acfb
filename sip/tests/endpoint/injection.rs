//! What comes from outside and goes out again can't end its line: no text of a peer, a tenant or
//! a caller adds a header field or a message.

use bytes::Bytes;
use sip::message::{HeaderName, NameAddr, StatusCode, Uri};

use crate::rig::{Caller, PEER, Rig, Sent, udp_from};

/// What would begin a header field of its own, if anything let it.
const EVIL: [&str; 6] =
    ["\r\nX-Evil: 1", "\nX-Evil: 1", "\rX-Evil: 1", "\0X-Evil: 1", "\r\n\r\nX-Evil: 1", "\r\n X-Evil: 1"];

fn assert_inert(sent: &[Sent], what: &str) {
    for message in sent {
        let head = message.text.split("\r\n\r\n").next().unwrap();
        for line in head.split("\r\n") {
            assert!(!line.to_ascii_lowercase().starts_with("x-evil"), "{what:?}: {}", message.text);
            assert!(!line.contains(['\r', '\n', '\0']), "{what:?}: {line:?}");
        }
        assert!(!message.body().contains("X-Evil"), "{what:?}: {}", message.text);
    }
}

#[test]
fn a_refer_target_ends_no_line() {
    for evil in EVIL {
        for target in [
            format!("tel:+33140000000{evil}"),
            format!("sip:a{evil}@example.net"),
            format!("sip:a@example.net{evil}"),
            format!("sip:a@example.net;x={evil}"),
        ] {
            let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
            let dialog = rig.established(&mut caller);
            let asked = rig.act(|e, now| e.refer(dialog, &target, now));
            let sent = rig.sent();
            assert!(asked.is_err() && sent.is_empty(), "{target:?} was sent: {sent:?}");
        }
    }
}

#[test]
fn what_a_caller_sends_is_given_back_on_its_own_line() {
    for evil in EVIL {
        for place in ["From: \"", "To: \"", "Call-ID: ", "Via: SIP/2.0/UDP 192.0.2.10;x=\""] {
            let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
            // A lone line end in a value is the caller's own; two together are a line end to anybody.
            if evil.starts_with("\r\n") || evil.starts_with('\n') {
                continue;
            }
            let invite =
                caller.invite("").replacen(place.trim_end_matches('"'), &format!("{place}{evil}"), 1);
            rig.give_bytes(udp_from(PEER), Bytes::from(invite));
            assert_inert(&rig.sent(), place);
        }
    }
}

#[test]
fn a_refusals_own_header_fields_end_no_line() {
    for evil in EVIL {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.offered(&mut caller);
        rig.sent();
        let headers = [(HeaderName::RetryAfter, format!("5{evil}")), (HeaderName::Warning, evil.to_owned())];
        rig.act(|e, now| e.reject(dialog, StatusCode::SERVICE_UNAVAILABLE, &headers, now)).unwrap();
        assert_inert(&rig.sent(), evil);
    }
}

#[test]
fn names_and_numbers_stay_within_their_address() {
    for evil in EVIL {
        let uri = Uri::sip(Some(&format!("+33{evil}")), "example.net", None);
        let host = Uri::sip(None, &format!("example.net{evil}"), None);
        let named = NameAddr::new(Some(&format!("A\" <sip:b@c>{evil}")), &uri);
        let named = named.with_param("x", evil);
        for text in [uri.as_bytes(), host.as_bytes(), named.raw()] {
            assert!(!text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{text:?}");
        }
        assert_eq!(named.uri.as_bytes(), uri.as_bytes());
    }
}
