//! Proxies on the path: Record-Route in, Route out (RFC 3261 §12.1.1, §12.2.1.1).

use bytes::Bytes;
use sip::dialog::DialogId;

use crate::rig::{ANSWER, Caller, Rig, Sent, status};

/// A call that came through the proxies of these `Record-Route` lines.
fn through(lines: &str) -> (Rig, Caller, DialogId, Vec<Sent>) {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    caller.extra = lines.to_owned();
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.ring(dialog, status(180), None, now)).unwrap();
    rig.act(|e, now| e.accept(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
    let sent = rig.sent();
    caller.to_tag = sent[1].to_tag().to_owned();
    caller.extra.clear();
    rig.give(&caller.ack());
    rig.events();
    (rig, caller, dialog, sent)
}

#[test]
fn record_route_is_echoed_where_it_makes_a_dialog() {
    let lines = "Record-Route: <sip:198.51.100.1;lr>, <sip:198.51.100.2:5062;lr=on>\r\nRecord-Route: \"P, 3\" <sip:p3.example.net;lr>;x=y\r\n";
    let (_, _, _, sent) = through(lines);
    for response in sent {
        assert_eq!(
            response.headers("Record-Route"),
            ["<sip:198.51.100.1;lr>, <sip:198.51.100.2:5062;lr=on>", "\"P, 3\" <sip:p3.example.net;lr>;x=y"],
            "{}",
            response.what()
        );
    }
}

#[test]
fn requests_go_through_the_proxies_in_order() {
    let lines = "Record-Route: <sip:198.51.100.1:5066;lr>,<sip:198.51.100.2;lr>\r\n";
    let (mut rig, _, dialog, _) = through(lines);
    rig.act(|e, now| e.refer(dialog, "sip:x@y", now)).unwrap();
    rig.act(|e, now| e.bye(dialog, "", now));
    for request in rig.sent() {
        assert_eq!(request.request_uri(), "sip:caller@192.0.2.10:5060");
        assert_eq!(request.headers("Route"), ["<sip:198.51.100.1:5066;lr>", "<sip:198.51.100.2;lr>"]);
        assert_eq!(request.goes_to(), "Address(198.51.100.1:5066)");
    }
}

#[test]
fn a_strict_router_gets_its_own_address_as_request_uri() {
    let (mut rig, _, dialog, _) =
        through("Record-Route: <sip:198.51.100.1>\r\nRecord-Route: <sip:198.51.100.2;lr>\r\n");
    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    assert_eq!(bye.request_uri(), "sip:198.51.100.1");
    assert_eq!(bye.headers("Route"), ["<sip:198.51.100.2;lr>", "<sip:caller@192.0.2.10:5060>"]);
    assert_eq!(bye.goes_to(), "Address(198.51.100.1:5060)");
}

#[test]
fn a_proxy_may_be_a_name() {
    let (mut rig, _, dialog, _) = through("Record-Route: <sip:edge.example.net:5080;lr>\r\n");
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.one().goes_to(), "Name { host: \"edge.example.net\", port: Some(5080) }");
}

#[test]
fn the_route_set_stays_when_the_contact_changes() {
    let (mut rig, mut caller, dialog, _) = through("Record-Route: <sip:198.51.100.1;lr>\r\n");
    caller.contact = "<sip:moved@192.0.2.20>".to_owned();
    caller.extra = "Record-Route: <sip:203.0.113.66;lr>\r\n".to_owned();
    rig.give(&caller.next("UPDATE", "", ""));
    assert_eq!(rig.one().what(), "200");
    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    assert_eq!(
        (bye.request_uri(), bye.headers("Route")),
        ("sip:moved@192.0.2.20", vec!["<sip:198.51.100.1;lr>"])
    );
}

#[test]
fn a_broken_record_route_refuses_the_invite() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.give(&caller.invite("Record-Route: <sip:198.51.100.1;lr\r\n"));
    assert_eq!(rig.one().what(), "400");
    assert_eq!((rig.endpoint.dialog_count(), rig.endpoint.transaction_count()), (0, 0));
}

#[test]
fn a_contact_is_followed_unless_it_cant_be_reached_from_here() {
    for (contact, peer, expected) in [
        ("<sip:a@192.0.2.33:5070>", "192.0.2.10:5060", "192.0.2.33:5070"),
        ("<sip:a@192.0.2.33>", "192.0.2.10:5060", "192.0.2.33:5060"),
        ("<sip:a@[2001:db8::1]:5071>", "192.0.2.10:5060", "[2001:db8::1]:5071"),
        // Behind a NAT.
        ("<sip:a@10.0.0.5:5060>", "192.0.2.10:31000", "192.0.2.10:31000"),
        ("<sip:a@127.0.0.1:5060>", "10.0.0.9:5060", "10.0.0.9:5060"),
        ("<sip:a@0.0.0.0:5060>", "127.0.0.1:5070", "127.0.0.1:5070"),
        // The same private network.
        ("<sip:a@10.0.0.5:5080>", "10.0.0.9:5060", "10.0.0.5:5080"),
        ("<sip:a@127.0.0.1:5080>", "127.0.0.1:5060", "127.0.0.1:5080"),
        ("<sip:a@phone.local>", "192.0.2.10:5060", "192.0.2.10:5060"),
        ("<tel:+3312>", "192.0.2.10:5060", "192.0.2.10:5060"),
    ] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        caller.contact = contact.to_owned();
        caller.flow = crate::rig::udp_from(peer);
        let dialog = rig.established(&mut caller);
        rig.act(|e, now| e.bye(dialog, "", now));
        assert_eq!(rig.one().goes_to(), format!("Address({expected})"), "{contact} from {peer}");
    }
}

#[test]
fn an_invite_without_a_contact_is_answered_where_it_came_from() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let invite = caller.invite("").replace(&format!("Contact: {}\r\n", caller.contact), "");
    rig.give(&invite);
    let sip::endpoint::Event::Invite { dialog, .. } = rig.event() else { panic!() };
    rig.sent();
    rig.act(|e, now| e.accept(dialog, Bytes::new(), now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    rig.give(&caller.ack());
    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    assert_eq!(
        (bye.request_uri(), bye.goes_to().as_str()),
        ("sip:192.0.2.10:5060", "Address(192.0.2.10:5060)")
    );
}
