//! Where responses go and what differs on a stream (RFC 3261 §18, RFC 3581).

use bytes::Bytes;
use sip::endpoint::Event;
use sip::endpoint::flow::{ConnectionId, Transport};

use crate::rig::{ANSWER, Caller, Rig, secs, status, udp_from};

#[test]
fn a_response_goes_to_the_source_and_the_port_that_was_asked_for() {
    for (sent_by, peer, target, via) in [
        ("192.0.2.10:5070", "192.0.2.10:5070", "192.0.2.10:5070", ""),
        ("192.0.2.10:5070", "192.0.2.10:6000", "192.0.2.10:5070", ""),
        ("192.0.2.10", "192.0.2.10:6000", "192.0.2.10:5060", ""),
        ("phone.example", "192.0.2.10:6000", "192.0.2.10:5060", ";received=192.0.2.10"),
        ("10.0.0.1:5080", "192.0.2.10:6000", "192.0.2.10:5080", ";received=192.0.2.10"),
        ("10.0.0.1:5080;rport", "192.0.2.10:6000", "192.0.2.10:6000", ";received=192.0.2.10;rport=6000"),
        ("192.0.2.10:5080;rport", "192.0.2.10:6000", "192.0.2.10:6000", ";received=192.0.2.10;rport=6000"),
        ("192.0.2.10;maddr=203.0.113.9", "192.0.2.10:6000", "192.0.2.10:5060", ""),
    ] {
        let mut rig = Rig::new();
        let mut caller =
            Caller { via: format!("SIP/2.0/UDP {sent_by}"), flow: udp_from(peer), ..Caller::new(1) };
        rig.give_from(caller.flow, &caller.invite(""));
        let trying = rig.one();
        assert_eq!(trying.goes_to(), format!("Address({target})"), "{sent_by} from {peer}");
        assert!(trying.header("Via").ends_with(via), "{} for {sent_by}", trying.header("Via"));
        assert_eq!(trying.header("Via").contains("received="), !via.is_empty(), "{sent_by}");
    }
}

#[test]
fn every_via_is_copied_in_order() {
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    rig.give(&caller.invite("v: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b\r\nVia: SIP/2.0/TLS c;x=y\r\n"));
    let vias = rig.one();
    assert_eq!(
        vias.headers("Via")[1..],
        ["SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b", "SIP/2.0/TLS c;x=y"]
    );
}

#[test]
fn on_a_stream_everything_goes_over_the_connection_of_the_caller() {
    let (mut rig, mut caller) = (Rig::new(), Caller::over_tcp(1, 9));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.refer(dialog, "tel:+331", now)).unwrap();
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.give_from(caller.flow, &caller.next("OPTIONS", "", ""));
    let sent = rig.sent();
    assert_eq!(sent.len(), 3);
    for message in sent {
        assert_eq!(message.transmit.transport, Transport::Tcp, "{}", message.what());
        assert_eq!(message.transmit.connection, Some(ConnectionId(9)), "{}", message.what());
        // Should it have closed: not the port that the connection left from.
        assert_eq!(message.goes_to(), "Address(192.0.2.10:5060)", "{}", message.what());
    }
}

#[test]
fn on_a_stream_nothing_but_the_2xx_is_repeated() {
    let (mut rig, mut caller) = (Rig::new(), Caller::over_tcp(1, 9));
    let refused = rig.offered(&mut caller);
    rig.act(|e, now| e.reject(refused, status(486), &[], now)).unwrap();
    rig.endpoint.forget(refused);
    assert_eq!(rig.one().what(), "486");
    rig.pass(secs(33));
    rig.assert_silent();

    let mut caller = Caller::over_tcp(2, 9);
    let dialog = rig.answered(&mut caller);
    assert!(ANSWER.len() > 10);
    rig.pass(secs(2));
    // A proxy may have sent it on over UDP (§13.3.1.4).
    assert_eq!(rig.sent_in_short(), ["200", "200"]);
    rig.give_from(caller.flow, &caller.ack());
    rig.events();
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.pass(secs(10));
    let bye = rig.one();
    assert_eq!(bye.header("Via").split(';').next(), Some("SIP/2.0/TCP 192.0.2.1:5060"));
    rig.give_from(caller.flow, &crate::rig::response(&bye, "200 OK", "", "", ""));
    assert!(matches!(rig.event(), Event::Closed { .. }));
    rig.endpoint.forget(dialog);
    rig.pass(secs(33));
    assert_eq!((rig.endpoint.dialog_count(), rig.endpoint.transaction_count()), (0, 0));
}

#[test]
fn on_a_stream_finished_transactions_are_gone_at_once() {
    let (mut rig, mut caller) = (Rig::new(), Caller::over_tcp(1, 9));
    let dialog = rig.established(&mut caller);
    rig.give_from(caller.flow, &caller.next("BYE", "", ""));
    rig.endpoint.forget(dialog);
    // The INVITE stays until timer L.
    assert_eq!((rig.endpoint.dialog_count(), rig.endpoint.transaction_count()), (0, 1));
    rig.pass(secs(33));
    assert_eq!(rig.endpoint.transaction_count(), 0);
}

#[test]
fn a_contact_on_a_stream_says_so() {
    let (mut rig, mut caller) = (Rig::new(), Caller::over_tcp(1, 9));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.accept(dialog, Bytes::new(), now)).unwrap();
    assert_eq!(rig.one().header("Contact"), "<sip:192.0.2.1:5060;transport=tcp>");
}

#[test]
fn the_advertised_address_stands_in_via_and_contact() {
    let advertised = Some(("[2001:db8::9]".to_owned(), Some(5090)));
    let mut rig = Rig::with(sip::endpoint::Config { advertised, ..Default::default() });
    let mut caller = Caller::new(1);
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.refer(dialog, "tel:+331", now)).unwrap();
    let refer = rig.one();
    assert_eq!(refer.header("Contact"), "<sip:[2001:db8::9]:5090>");
    assert!(refer.header("Via").starts_with("SIP/2.0/UDP [2001:db8::9]:5090;rport;branch=z9hG4bK"));
}
