//! Credentials: for whom they are given, and for whom not (RFC 3261 §22, RFC 8760, CVE-2021-41158).

use std::sync::Arc;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::Transport;
use sip::endpoint::{Event, OfferMethod, OutgoingCall, OutsideRequest, ReferProgress};
use sip::message::Method;
use sip::ua::digest::{Credentials, Password};

use crate::callee::{CONTACT, answered, call_with, hop, outgoing, rejected};
use crate::calling::outside;
use crate::rig::{ANSWER, Caller, OFFER, PEER, Rig, Sent, response, secs, udp_from};

const MD5: &str = r#"Digest realm="carrier", nonce="n1", qop="auth", algorithm=MD5"#;
const SHA256: &str = r#"Digest realm="carrier", nonce="n2", qop="auth", algorithm=SHA-256"#;

fn credentials(realm: Option<&str>) -> Arc<Credentials> {
    Arc::new(Credentials {
        username: "us".into(),
        password: Password::new("secret"),
        realm: realm.map(Into::into),
    })
}

fn trunk(realm: Option<&str>) -> OutgoingCall {
    OutgoingCall { credentials: Some(credentials(realm)), ..outgoing() }
}

fn challenge(request: &Sent, value: &str) -> String {
    response(request, "401 Unauthorized", "c", &format!("WWW-Authenticate: {value}\r\n"), "")
}

fn proxy_challenge(request: &Sent, value: &str) -> String {
    response(request, "407 Proxy", "c", &format!("Proxy-Authenticate: {value}\r\n"), "")
}

/// The ACK of the challenge, and the request that answers it.
fn retried(rig: &mut Rig) -> Sent {
    let mut sent = rig.sent();
    assert_eq!([sent[0].what(), sent[1].what()], ["ACK", "INVITE"], "{sent:#?}");
    sent.pop().unwrap()
}

fn assert_next(again: &Sent, before: &Sent, cseq: &str) {
    assert_eq!(again.header("CSeq"), cseq);
    assert_ne!(again.header("Via"), before.header("Via"));
    for name in ["From", "To", "Call-ID"] {
        assert_eq!(again.header(name), before.header(name), "{name}");
    }
    assert_eq!((again.request_uri(), again.body()), (before.request_uri(), before.body()));
}

#[test]
fn a_challenged_invite_is_acknowledged_and_made_again_with_an_answer() {
    let mut rig = Rig::new();
    let (id, invite) = call_with(&mut rig, trunk(Some("carrier")));
    rig.give(&challenge(&invite, MD5));
    let again = retried(&mut rig);
    assert_next(&again, &invite, "2 INVITE");
    let answer = again.header("Authorization");
    assert!(
        answer
            .starts_with(r#"Digest username="us", realm="carrier", nonce="n1", uri="sip:callee@192.0.2.10""#)
    );
    assert!(answer.contains("nc=00000001"));
    assert!(rig.events().is_empty());
    // Repeated, because the ACK was lost.
    rig.give(&challenge(&invite, MD5));
    assert_eq!(rig.one().what(), "ACK");

    rig.give(&response(&again, "200 OK", "t", CONTACT, ANSWER));
    let Event::Answered { invite: i, dialog, .. } = rig.event() else { panic!() };
    assert_eq!(i, id);
    let ack = rig.one();
    // §13.2.2.4: the ACK carries the credentials of its INVITE.
    assert_eq!((ack.header("CSeq"), ack.header("Authorization")), ("2 ACK", answer));
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.one().header("CSeq"), "3 BYE");
}

#[test]
fn the_strongest_of_several_challenges_is_answered_and_each_realm_that_asks() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, trunk(None));
    let both = format!("WWW-Authenticate: {MD5}\r\nWWW-Authenticate: {SHA256}\r\n");
    rig.give(&response(&invite, "401 Unauthorized", "c", &both, ""));
    let second = retried(&mut rig);
    assert!(second.header("Authorization").contains("algorithm=SHA-256"));
    rig.give(&proxy_challenge(&second, r#"Digest realm="edge", nonce="p1", qop="auth""#));
    let third = retried(&mut rig);
    assert_next(&third, &invite, "3 INVITE");
    assert!(third.header("Authorization").contains(r#"nonce="n2""#));
    assert!(third.header("Authorization").contains("nc=00000002"));
    assert!(third.header("Proxy-Authorization").contains(r#"realm="edge""#));
}

#[test]
fn an_answer_that_is_refused_is_the_end_and_a_stale_nonce_isnt() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, trunk(Some("carrier")));
    rig.give(&challenge(&invite, SHA256));
    let again = retried(&mut rig);
    rig.give(&challenge(&again, r#"Digest realm="carrier", nonce="n3", qop="auth", stale=true"#));
    let fresh = retried(&mut rig);
    assert!(fresh.header("Authorization").contains(r#"nonce="n3""#));
    rig.give(&challenge(&fresh, r#"Digest realm="carrier", nonce="n4", qop="auth""#));
    assert_eq!(rejected(&mut rig), 401);
    assert_eq!(rig.one().what(), "ACK");
    rig.assert_empty_in_the_end();
}

#[test]
fn endless_stale_nonces_end() {
    let mut rig = Rig::new();
    let (_, mut invite) = call_with(&mut rig, trunk(Some("carrier")));
    for n in 0..20 {
        let value = format!(r#"Digest realm="carrier", nonce="s{n}", qop="auth", stale=true"#);
        rig.give(&challenge(&invite, &value));
        let mut sent = rig.sent();
        if sent.len() == 1 {
            assert_eq!(rejected(&mut rig), 401);
            assert!(n >= 3);
            return;
        }
        invite = sent.pop().unwrap();
    }
    panic!("it goes on for ever");
}

#[test]
fn only_the_configured_realm_is_answered_and_only_if_there_are_credentials() {
    for call in [trunk(Some("other")), outgoing()] {
        let mut rig = Rig::new();
        let (_, invite) = call_with(&mut rig, call);
        rig.give(&challenge(&invite, SHA256));
        let Event::Rejected { status, response, .. } = rig.event() else { panic!() };
        assert_eq!((status.as_u16(), response.unwrap().status()), (401, status));
        assert_eq!(rig.sent_in_short(), ["ACK"]);
    }
}

#[test]
fn a_challenge_from_elsewhere_isnt_answered() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, trunk(Some("carrier")));
    rig.give_from(udp_from("203.0.113.66:5060"), &challenge(&invite, SHA256));
    assert_eq!(rejected(&mut rig), 401);
    assert_eq!(rig.sent_in_short(), ["ACK"]);
}

#[test]
fn a_call_given_up_isnt_authenticated() {
    let mut rig = Rig::new();
    let (id, invite) = call_with(&mut rig, trunk(Some("carrier")));
    rig.act(|e, now| e.cancel(id, now));
    rig.give(&challenge(&invite, SHA256));
    assert_eq!(rejected(&mut rig), 401);
    assert_eq!(rig.sent_in_short(), ["ACK"]);
}

#[test]
fn the_answer_goes_to_the_address_that_asked_and_the_others_stay_in_reserve() {
    let hops = [PEER, "192.0.2.11:5060", "192.0.2.12:5060"].map(|text| hop(Transport::Udp, text)).to_vec();
    let mut rig = Rig::new();
    let (_, _) = call_with(&mut rig, OutgoingCall { hops, ..trunk(Some("carrier")) });
    rig.pass(secs(4));
    let second = rig.last();
    rig.give_from(udp_from("192.0.2.11:5060"), &challenge(&second, SHA256));
    let again = retried(&mut rig);
    assert_eq!(again.goes_to(), "Address(192.0.2.11:5060)");
    rig.pass(secs(4));
    let third = rig.last();
    assert_eq!((third.goes_to().as_str(), third.header("CSeq")), ("Address(192.0.2.12:5060)", "2 INVITE"));
}

#[test]
fn a_request_outside_any_dialog_is_answered_for_too() {
    let mut rig = Rig::new();
    let request =
        OutsideRequest { credentials: Some(credentials(Some("carrier"))), ..outside(Method::Options) };
    rig.act(|e, now| e.request(request, now));
    let options = rig.one();
    rig.give(&challenge(&options, SHA256));
    let again = rig.one();
    assert_eq!(again.header("CSeq"), "2 OPTIONS");
    assert!(again.header("Authorization").contains(r#"uri="sip:callee@192.0.2.10""#));
    rig.give(&response(&again, "200 OK", "t", "", ""));
    assert!(matches!(rig.event(), Event::Response { .. }));
    rig.assert_empty_in_the_end();
}

/// A call that the trunk's credentials got through, or one that needed none.
fn up(rig: &mut Rig, realm: Option<&str>, challenged: bool, contact: &str) -> DialogId {
    let (_, mut invite) = call_with(rig, trunk(realm));
    if challenged {
        rig.give(&challenge(&invite, SHA256));
        invite = retried(rig);
    }
    let contact = format!("Contact: <sip:callee@{contact}>\r\n");
    rig.give(&response(&invite, "200 OK", "t", &contact, ANSWER));
    let dialog = answered(rig);
    rig.sent();
    dialog
}

/// Challenges what the endpoint sends in the dialog; gives the next request, if there is one.
fn challenged(rig: &mut Rig, source: &str, request: &Sent) -> Option<Sent> {
    rig.give_from(
        udp_from(source),
        &proxy_challenge(request, r#"Digest realm="carrier", nonce="d", qop="auth""#),
    );
    let mut sent = rig.sent();
    sent.retain(|sent| sent.what() != "ACK");
    sent.pop()
}

#[test]
fn every_request_in_a_call_of_ours_is_answered_for() {
    type Send = fn(&mut Rig, DialogId);
    let sends: [(&str, Send); 5] = [
        ("BYE", |rig, id| rig.act(|e, now| e.bye(id, "", now))),
        ("INFO", |rig, id| rig.act(|e, now| e.info(id, "text/plain", Bytes::from_static(b"x"), now))),
        ("REFER", |rig, id| rig.act(|e, now| e.refer(id, "tel:+331", now)).unwrap()),
        ("UPDATE", |rig, id| {
            let sdp = Some(Bytes::from_static(OFFER.as_bytes()));
            rig.act(|e, now| e.send_offer(id, OfferMethod::Update, sdp, now)).unwrap();
        }),
        ("INVITE", |rig, id| {
            let sdp = Some(Bytes::from_static(OFFER.as_bytes()));
            rig.act(|e, now| e.send_offer(id, OfferMethod::Invite, sdp, now)).unwrap();
        }),
    ];
    for (method, send) in sends {
        let mut rig = Rig::new();
        let dialog = up(&mut rig, Some("carrier"), false, "192.0.2.10:5070");
        send(&mut rig, dialog);
        let request = rig.one();
        let again = challenged(&mut rig, PEER, &request).expect(method);
        assert_eq!(again.header("CSeq"), format!("3 {method}"));
        assert!(again.header("Proxy-Authorization").contains(r#"nonce="d""#));
        for name in ["From", "To", "Call-ID"] {
            assert_eq!(again.header(name), request.header(name));
        }
        rig.give(&response(&again, "200 OK", "", CONTACT, if method == "INVITE" { ANSWER } else { "" }));
        match (method, rig.event()) {
            ("BYE", Event::Closed { .. })
            | ("INFO", Event::Replied { .. })
            | ("UPDATE" | "INVITE", Event::OfferAnswered { answer: Ok(_), .. }) => {}
            ("REFER", Event::Refer { progress: ReferProgress::Answered(status), .. }) => {
                assert!(status.is_success());
            }
            other => panic!("{other:?}"),
        }
        if method == "INVITE" {
            let ack = rig.one();
            assert_eq!(ack.header("CSeq"), "3 ACK");
            assert_eq!(ack.header("Proxy-Authorization"), again.header("Proxy-Authorization"));
        }
        // Refused again, it is let be.
        let mut rig = Rig::new();
        let dialog = up(&mut rig, Some("carrier"), false, "192.0.2.10:5070");
        send(&mut rig, dialog);
        let request = rig.one();
        let again = challenged(&mut rig, PEER, &request).expect(method);
        assert!(challenged(&mut rig, PEER, &again).is_none(), "{method}");
        assert_eq!(rig.events().len(), 1, "{method}");
    }
}

#[test]
fn the_id_of_a_transfer_is_that_of_the_refer_that_got_through() {
    let mut rig = Rig::new();
    let dialog = up(&mut rig, Some("carrier"), false, "192.0.2.10:5070");
    rig.act(|e, now| e.refer(dialog, "tel:+331", now)).unwrap();
    let request = rig.one();
    let again = challenged(&mut rig, PEER, &request).unwrap();
    rig.give(&response(&again, "202 Accepted", "", "", ""));
    rig.events();
    let mut callee = Caller {
        call_id: request.header("Call-ID").to_owned(),
        from: "<sip:callee@192.0.2.10>;tag=t".to_owned(),
        to_tag: request.header("From").split_once(";tag=").unwrap().1.to_owned(),
        ..Caller::new(1)
    };
    for (id, expected) in [(2, "481"), (3, "200")] {
        let headers = format!(
            "Event: refer;id={id}\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n"
        );
        rig.give(&callee.next("NOTIFY", &headers, "SIP/2.0 100 Trying"));
        assert_eq!(rig.one().what(), expected);
    }
}

#[test]
fn inside_a_call_only_the_peer_it_was_made_to_may_ask() {
    // The contact is somebody else's: our BYE goes there, and so would the answer.
    for contact in ["203.0.113.66:5060", "192.0.2.10:5070"] {
        let mut rig = Rig::new();
        let dialog = up(&mut rig, Some("carrier"), true, contact);
        rig.act(|e, now| e.bye(dialog, "", now));
        let bye = rig.one();
        assert_eq!(bye.goes_to(), format!("Address({contact})"));
        assert!(challenged(&mut rig, "203.0.113.66:5060", &bye).is_none());
        assert!(matches!(rig.event(), Event::Closed { .. }));
    }
    let mut rig = Rig::new();
    let dialog = up(&mut rig, Some("carrier"), true, "203.0.113.66:5060");
    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    // From the peer's address, but to a request that was meant for another.
    assert!(challenged(&mut rig, PEER, &bye).is_none());
}

#[test]
fn without_a_configured_realm_only_those_that_let_the_call_through_may_ask_in_it() {
    for (asked_before, expected) in [(true, true), (false, false)] {
        let mut rig = Rig::new();
        let dialog = up(&mut rig, None, asked_before, "192.0.2.10:5070");
        rig.act(|e, now| e.bye(dialog, "", now));
        let bye = rig.one();
        assert_eq!(challenged(&mut rig, PEER, &bye).is_some(), expected);
    }
}

#[test]
fn in_a_call_that_came_to_us_nothing_is_answered_unless_its_owner_says_so_and_then_to_its_peer_only() {
    let given = |realm| Some(credentials(realm));
    for (credentials, source, expected) in [
        (None, PEER, false),
        (given(Some("carrier")), PEER, true),
        (given(Some("other")), PEER, false),
        (given(None), PEER, false),
        (given(Some("carrier")), "203.0.113.66:5060", false),
    ] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        let why = format!("{credentials:?} {source}");
        if let Some(credentials) = credentials {
            rig.endpoint.set_credentials(dialog, credentials);
        }
        rig.act(|e, now| e.bye(dialog, "", now));
        let bye = rig.one();
        assert_eq!(challenged(&mut rig, source, &bye).is_some(), expected, "{why}");
    }
}

#[test]
fn a_second_phone_that_answers_may_ask_before_it_hangs_up() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, trunk(Some("carrier")));
    rig.give(&response(&invite, "200 OK", "a", CONTACT, ANSWER));
    rig.give(&response(&invite, "200 OK", "b", CONTACT, ANSWER));
    let bye = rig.last();
    assert_eq!((bye.what(), bye.to_tag()), ("BYE", "b"));
    let again = challenged(&mut rig, PEER, &bye).unwrap();
    assert_eq!(again.header("CSeq"), "3 BYE");
}
