//! The way of requests of ours: TLS and `sips:`, proxies of both kinds, what is never followed, and
//! attended transfers (RFC 3261 §12.2.1.1, §16.12.1.2, §18.1.1; RFC 3608; RFC 5923; RFC 3891).

use bytes::Bytes;
use sip::endpoint::flow::{ConnectionId, Flow, Transport};
use sip::endpoint::{Config, OutgoingCall};
use sip::message::{Replaces, Uri};
use sip::ua::refer::{ReferError, Referral};

use crate::callee::{CONTACT, answered, call_with, hop, outgoing, up, up_with};
use crate::rig::{ANSWER, Caller, LOCAL, Rig, address, response};

fn tls(connection: u64) -> Flow {
    Flow {
        transport: Transport::Tls,
        peer: address("192.0.2.10:41000"),
        local: address(LOCAL),
        connection: Some(ConnectionId(connection)),
    }
}

fn over_tls() -> OutgoingCall {
    OutgoingCall { hops: vec![hop(Transport::Tls, "192.0.2.10:5061")], ..outgoing() }
}

#[test]
fn a_call_over_tls_says_so_and_is_never_repeated() {
    let mut rig = Rig::with(Config { tls_port: Some(5_061), ..Config::default() });
    let (_, invite) = call_with(&mut rig, over_tls());
    assert_eq!(invite.transmit.transport, Transport::Tls);
    assert!(invite.header("Via").starts_with("SIP/2.0/TLS 192.0.2.1:5061;rport;branch="));
    assert_eq!(invite.header("Contact"), "<sip:192.0.2.1:5061;transport=tls>");
    rig.pass(crate::rig::secs(20));
    assert!(rig.sent().is_empty());
    let contact = "Contact: <sip:callee@192.0.2.10;transport=tls>\r\n";
    rig.give_from(tls(4), &response(&invite, "200 OK", "t", contact, ANSWER));
    let dialog = answered(&mut rig);
    rig.act(|e, now| e.bye(dialog, "", now));
    for request in rig.sent() {
        assert_eq!(
            (request.transmit.transport, request.transmit.connection),
            (Transport::Tls, Some(ConnectionId(4)))
        );
        assert_eq!(request.goes_to(), "Address(192.0.2.10:5061)", "its default port");
    }
}

#[test]
fn a_call_over_tls_is_answered_over_it() {
    let mut rig = Rig::new();
    let mut caller = Caller { via: "SIP/2.0/TLS 192.0.2.10".to_owned(), flow: tls(4), ..Caller::new(1) };
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.accept(dialog, Bytes::new(), now)).unwrap();
    let ok = rig.one();
    assert_eq!(ok.header("Contact"), "<sip:192.0.2.1:5060;transport=tls>");
    assert_eq!((ok.transmit.transport, ok.transmit.connection), (Transport::Tls, Some(ConnectionId(4))));
    assert_eq!(ok.goes_to(), "Address(192.0.2.10:5061)");
}

#[test]
fn a_secure_uri_demands_tls_and_a_secure_contact() {
    let mut rig = Rig::new();
    let uri = Uri::parse(b"sips:callee@192.0.2.10").unwrap();
    let (_, invite) = call_with(&mut rig, OutgoingCall { uri, ..over_tls() });
    assert_eq!(invite.header("Contact"), "<sips:192.0.2.1:5060>");
    // Over TLS, wherever it came from.
    let contact = "Contact: <sips:callee@192.0.2.20>\r\n";
    rig.give_from(tls(4), &response(&invite, "200 OK", "t", contact, ANSWER));
    let ack = rig.sent().pop().unwrap();
    assert_eq!(
        (ack.transmit.transport, ack.goes_to().as_str()),
        (Transport::Tls, "Address(192.0.2.20:5061)")
    );
}

#[test]
fn the_connection_is_offered_for_the_peers_own_requests_where_that_is_configured() {
    for (hops, expected) in [
        (hop(Transport::Tcp, "192.0.2.10:5060"), true),
        (hop(Transport::Tls, "192.0.2.10:5061"), true),
        (hop(Transport::Udp, "192.0.2.10:5060"), false),
    ] {
        let mut rig = Rig::with(Config { connection_alias: true, ..Config::default() });
        let (_, invite) = call_with(&mut rig, OutgoingCall { hops: vec![hops], ..outgoing() });
        assert_eq!(invite.header("Via").ends_with(";alias"), expected);
        let (_, invite) = call_with(&mut Rig::new(), OutgoingCall { hops: vec![hops], ..outgoing() });
        assert!(!invite.header("Via").contains("alias"));
    }
}

#[test]
fn the_routes_of_a_registration_are_taken_in_order() {
    let routes = ["<sip:edge.example;lr>", "<sip:core.example;lr>"].map(Bytes::from).to_vec();
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, OutgoingCall { routes, ..outgoing() });
    assert_eq!(invite.request_uri(), "sip:callee@192.0.2.10");
    assert_eq!(invite.headers("Route"), ["<sip:edge.example;lr>", "<sip:core.example;lr>"]);
    assert_eq!(invite.goes_to(), "Address(192.0.2.10:5060)", "whatever was found for them");
    // They don't stay with the call: its route set is that of the answer (§12.1.2).
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ANSWER));
    answered(&mut rig);
    assert!(rig.one().headers("Route").is_empty());
}

#[test]
fn an_outbound_proxy_of_the_old_kind_gets_its_own_address_as_request_uri() {
    let routes = ["<sip:old.example;x=y>", "<sip:core.example;lr>"].map(Bytes::from).to_vec();
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, OutgoingCall { routes, ..outgoing() });
    assert_eq!(invite.request_uri(), "sip:old.example;x=y");
    assert_eq!(invite.headers("Route"), ["<sip:core.example;lr>", "<sip:callee@192.0.2.10>"]);
    rig.give(&response(&invite, "486 Busy", "t", "", ""));
    let ack = rig.one();
    assert_eq!((ack.request_uri(), ack.headers("Route")), (invite.request_uri(), invite.headers("Route")));
}

#[test]
fn strict_and_loose_routers_in_the_answer_to_a_call_of_ours() {
    for (record_route, request_uri, routes, target) in [
        (
            "<sip:198.51.100.2;lr>, <sip:198.51.100.1;lr>",
            "sip:callee@192.0.2.10:5070",
            vec!["<sip:198.51.100.1;lr>", "<sip:198.51.100.2;lr>"],
            "198.51.100.1:5060",
        ),
        (
            "<sip:198.51.100.2;lr>, <sip:198.51.100.1:5066>",
            "sip:198.51.100.1:5066",
            vec!["<sip:198.51.100.2;lr>", "<sip:callee@192.0.2.10:5070>"],
            "198.51.100.1:5066",
        ),
        (
            "<sip:198.51.100.2>, <sip:198.51.100.1;lr>",
            "sip:callee@192.0.2.10:5070",
            vec!["<sip:198.51.100.1;lr>", "<sip:198.51.100.2>"],
            "198.51.100.1:5060",
        ),
        (
            "<sip:198.51.100.1;transport=tls;lr>",
            "sip:callee@192.0.2.10:5070",
            vec!["<sip:198.51.100.1;transport=tls;lr>"],
            "198.51.100.1:5061",
        ),
    ] {
        let mut rig = Rig::new();
        let (_, invite) = call_with(&mut rig, outgoing());
        let headers = format!("Record-Route: {record_route}\r\n{CONTACT}");
        rig.give(&response(&invite, "200 OK", "t", &headers, ANSWER));
        let dialog = answered(&mut rig);
        rig.act(|e, now| e.bye(dialog, "", now));
        for request in rig.sent() {
            assert_eq!((request.request_uri(), request.headers("Route")), (request_uri, routes.clone()));
            assert_eq!(request.goes_to(), format!("Address({target})"), "{record_route}");
        }
    }
}

#[test]
fn an_early_dialog_takes_its_routes_and_the_answer_takes_new_ones() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, outgoing());
    let early = format!("Record-Route: <sip:198.51.100.1;lr>\r\nRequire: 100rel\r\nRSeq: 1\r\n{CONTACT}");
    rig.give(&response(&invite, "180 Ringing", "t", &early, ""));
    assert_eq!(rig.one().headers("Route"), ["<sip:198.51.100.1;lr>"]);
    rig.events();
    let headers = format!("Record-Route: <sip:198.51.100.9;lr>\r\n{CONTACT}");
    rig.give(&response(&invite, "200 OK", "t", &headers, ANSWER));
    answered(&mut rig);
    // §13.2.2.4: computed anew.
    assert_eq!(rig.one().headers("Route"), ["<sip:198.51.100.9;lr>"]);
}

#[test]
fn maddr_is_never_followed() {
    let maddr = ";maddr=203.0.113.66";
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, outgoing());
    let contact = format!("Contact: <sip:callee@192.0.2.10:5070{maddr}>\r\n");
    rig.give(&response(&invite, "200 OK", "t", &contact, ANSWER));
    let dialog = answered(&mut rig);
    rig.act(|e, now| e.bye(dialog, "", now));
    assert!(rig.sent().iter().all(|sent| sent.goes_to() == "Address(192.0.2.10:5070)"));

    for routed in [false, true] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        caller.contact = format!("<sip:caller@192.0.2.10:5070{maddr}>");
        if routed {
            caller.extra = format!("Record-Route: <sip:192.0.2.10:5070;lr{maddr}>\r\n");
        }
        let dialog = rig.established(&mut caller);
        rig.act(|e, now| e.bye(dialog, "", now));
        assert_eq!(rig.one().goes_to(), "Address(192.0.2.10:5070)");
    }
}

#[test]
fn a_proxy_that_names_no_transport_is_reached_as_it_reached_us() {
    let (mut rig, mut caller) = (Rig::new(), Caller::over_tcp(1, 9));
    caller.extra = "Record-Route: <sip:192.0.2.10;lr>\r\n".to_owned();
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    assert_eq!((bye.transmit.transport, bye.transmit.connection), (Transport::Tcp, Some(ConnectionId(9))));
}

#[test]
fn an_attended_transfer_names_the_call_to_take_over() {
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    let first = rig.established(&mut caller);
    let (second, invite) =
        up_with(&mut rig, OutgoingCall { call_id: Some("a;b@c/d".to_owned()), ..outgoing() });
    let referral =
        Referral { replaces: Some(second), referred_by: Some("sip:desk@example.net"), ..Default::default() };
    rig.act(|e, now| e.refer_to(first, &referral, now)).unwrap();
    let refer = rig.one();
    assert_eq!(refer.header("Call-ID"), caller.call_id);
    assert_eq!(refer.header("Referred-By"), "<sip:desk@example.net>");
    let refer_to = refer.header("Refer-To");
    assert!(
        refer_to.starts_with("<sip:callee@192.0.2.10:5070?Replaces=a%3Bb%40c%2Fd%3Bto-tag%3Dt%3Bfrom-tag%3D")
    );
    let uri = Uri::parse(refer_to.trim_matches(['<', '>']).as_bytes()).unwrap();
    // Our own Call-ID has no semicolon in it; one from outside is the far end's to read.
    let value = String::from_utf8(uri.header("Replaces").unwrap()).unwrap();
    let our_tag = invite.header("From").split_once(";tag=").unwrap().1;
    assert_eq!(value, format!("a;b@c/d;to-tag=t;from-tag={our_tag}"));

    let (third, invite) = up(&mut rig);
    let referral =
        Referral { target: Some("sip:+331@trunk.example"), replaces: Some(third), ..Default::default() };
    rig.act(|e, now| e.refer_to(first, &referral, now)).unwrap();
    let refer = rig.one();
    let uri = Uri::parse(refer.header("Refer-To").trim_matches(['<', '>']).as_bytes()).unwrap();
    assert_eq!(
        (uri.user(), uri.to_request_uri().to_string().as_str()),
        (Some(&b"+331"[..]), "sip:+331@trunk.example")
    );
    let replaces = Replaces::parse(&uri.header("Replaces").unwrap()).unwrap();
    assert_eq!(
        (&replaces.call_id[..], &replaces.to_tag[..]),
        (invite.header("Call-ID").as_bytes(), &b"t"[..])
    );
}

#[test]
fn an_attended_transfer_needs_both_calls_and_a_sip_uri() {
    let mut rig = Rig::new();
    let (first, _) = up(&mut rig);
    let (second, _) = up(&mut rig);
    let mut refer = |referral: Referral<'_>| rig.act(|e, now| e.refer_to(first, &referral, now));
    let tel = Referral { target: Some("tel:+331"), replaces: Some(second), ..Default::default() };
    assert_eq!(refer(tel), Err(ReferError::BadReplaces));
    assert_eq!(refer(Referral::default()), Err(ReferError::BadTarget));
    let by = Referral { target: Some("sip:a@b"), referred_by: Some("a\r\nb"), ..Default::default() };
    assert_eq!(refer(by), Err(ReferError::BadTarget));
    rig.act(|e, now| e.bye(second, "", now));
    let gone = Referral { replaces: Some(second), ..Default::default() };
    assert_eq!(rig.act(|e, now| e.refer_to(first, &gone, now)), Err(ReferError::BadReplaces));
}
