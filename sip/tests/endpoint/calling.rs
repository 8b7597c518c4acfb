//! Calls of ours, and requests outside any dialog.

use bytes::Bytes;
use sip::endpoint::flow::Transport;
use sip::endpoint::{Event, Input, OutgoingCall, OutsideRequest};
use sip::message::{HeaderName, Method, Uri};

use crate::callee::{CONTACT, answered, call, call_with, hop, outgoing, rejected};
use crate::rig::{ANSWER, Caller, LOCAL, OFFER, PEER, Rig, address, ms, response, secs};

pub fn outside(method: Method) -> OutsideRequest {
    let headers = [
        (HeaderName::From, "<sip:us@192.0.2.1>;tag=u"),
        (HeaderName::To, "<sip:callee@192.0.2.10>"),
        (HeaderName::CallId, "ours"),
        (HeaderName::CSeq, "1 OPTIONS"),
    ]
    .map(|(name, value)| (name, Bytes::from_static(value.as_bytes())))
    .to_vec();
    OutsideRequest {
        method,
        uri: Uri::parse(b"sip:callee@192.0.2.10").unwrap(),
        hops: vec![hop(Transport::Udp, PEER)],
        connection: None,
        local: address(LOCAL),
        headers,
        credentials: None,
    }
}

#[test]
fn a_call_of_ours_rings_is_answered_and_ended() {
    let mut rig = Rig::new();
    let (id, invite) = call(&mut rig);
    assert_eq!((invite.what(), invite.request_uri()), ("INVITE", "sip:callee@192.0.2.10"));
    assert!(invite.header("From").starts_with("\"Us\" <sip:us@192.0.2.1>;tag="));
    assert_eq!((invite.header("CSeq"), invite.body()), ("1 INVITE", OFFER));
    assert!(invite.header("Via").starts_with("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK"));
    rig.pass(ms(1_500));
    assert_eq!(rig.sent_in_short(), ["INVITE", "INVITE"]);
    for line in ["180 Ringing", "183 Session Progress"] {
        rig.give(&response(&invite, line, "t", "", ""));
        let Event::Progress { invite, response, .. } = rig.event() else { panic!() };
        assert_eq!((invite, response.reason()), (id, &line.as_bytes()[4..]));
    }
    rig.pass(secs(60));
    rig.assert_silent();

    let ok = response(&invite, "200 OK", "t", CONTACT, ANSWER);
    rig.give(&ok);
    let Event::Answered { invite: i, dialog, answer, .. } = rig.event() else { panic!() };
    assert_eq!((i, answer.as_ref()), (id, ANSWER.as_bytes()));
    let ack = rig.one();
    assert_eq!(
        (ack.what(), ack.request_uri(), ack.header("CSeq")),
        ("ACK", "sip:callee@192.0.2.10:5070", "1 ACK")
    );
    assert_ne!(ack.header("Via"), invite.header("Via"));
    assert_eq!(ack.goes_to(), "Address(192.0.2.10:5070)");
    // Repeated, because the ACK was lost.
    rig.give(&ok);
    assert_eq!(rig.one().text, ack.text);
    assert!(rig.events().is_empty());

    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    assert_eq!((bye.what(), bye.header("CSeq"), bye.to_tag()), ("BYE", "2 BYE", "t"));
    rig.give(&response(&bye, "200 OK", "", "", ""));
    assert!(matches!(rig.event(), Event::Closed { .. }));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_refusal_is_acknowledged_hop_by_hop_each_time_and_told_once() {
    let mut rig = Rig::new();
    let routes = vec![Bytes::from_static(b"<sip:198.51.100.1;lr>")];
    let (_, invite) = call_with(&mut rig, OutgoingCall { routes, ..outgoing() });
    let busy = response(&invite, "486 Busy Here", "t", "", "");
    rig.give(&busy);
    assert_eq!(rejected(&mut rig), 486);
    let ack = rig.one();
    assert_eq!((ack.what(), ack.request_uri()), ("ACK", invite.request_uri()));
    for name in ["Via", "From", "Call-ID", "Route"] {
        assert_eq!(ack.header(name), invite.header(name), "{name}");
    }
    assert_eq!((ack.to_tag(), ack.header("CSeq"), ack.goes_to()), ("t", "1 ACK", invite.goes_to()));
    rig.give(&busy);
    assert_eq!(rig.one().text, ack.text);
    assert!(rig.events().is_empty());
    rig.assert_empty_in_the_end();
    rig.give(&busy);
    rig.assert_silent();
}

#[test]
fn silence_is_408_after_64_t1_and_a_transport_error_503() {
    let mut rig = Rig::new();
    call(&mut rig);
    rig.pass(secs(32));
    assert_eq!(rejected(&mut rig), 408);
    assert_eq!(rig.sent().len(), 6);
    rig.assert_empty_in_the_end();

    let (_, invite) = call(&mut rig);
    rig.give_input(Input::Undeliverable(invite.transmit.ticket.unwrap()));
    assert_eq!(rejected(&mut rig), 503);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_copy_that_got_lost_after_an_answer_means_nothing() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    rig.give(&response(&invite, "180 Ringing", "t", "", ""));
    rig.events();
    rig.give_input(Input::Undeliverable(invite.transmit.ticket.unwrap()));
    rig.assert_silent();
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ANSWER));
    answered(&mut rig);
}

#[test]
fn a_cancel_waits_for_the_first_provisional_response() {
    let mut rig = Rig::new();
    let (id, invite) = call(&mut rig);
    rig.act(|e, now| e.cancel(id, now));
    rig.assert_silent();
    rig.give(&response(&invite, "100 Trying", "", "", ""));
    let cancel = rig.one();
    assert_eq!(
        (cancel.what(), cancel.request_uri(), cancel.header("CSeq")),
        ("CANCEL", invite.request_uri(), "1 CANCEL")
    );
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.header(name), invite.header(name), "{name}");
    }
    rig.events();
    rig.act(|e, now| e.cancel(id, now));
    rig.assert_silent();
    rig.give(&response(&cancel, "200 OK", "t", "", ""));
    rig.assert_silent();
    rig.give(&response(&invite, "487 Request Terminated", "t", "", ""));
    assert_eq!(rejected(&mut rig), 487);
    assert_eq!(rig.one().what(), "ACK");
    rig.assert_empty_in_the_end();
}

#[test]
fn a_cancel_after_ringing_goes_out_at_once() {
    let mut rig = Rig::new();
    let (id, invite) = call(&mut rig);
    rig.give(&response(&invite, "180 Ringing", "t", "", ""));
    rig.events();
    rig.act(|e, now| e.cancel(id, now));
    let cancel = rig.one();
    assert_eq!((cancel.what(), cancel.header("To")), ("CANCEL", "<sip:callee@192.0.2.10>"));
}

#[test]
fn a_cancelled_call_of_which_nothing_is_heard_any_more_is_over_after_64_t1() {
    for answer_to_cancel in [Some("200 OK"), Some("481 Gone"), None] {
        let mut rig = Rig::new();
        let (id, invite) = call(&mut rig);
        rig.give(&response(&invite, "180 Ringing", "t", "", ""));
        rig.events();
        rig.act(|e, now| e.cancel(id, now));
        let cancel = rig.one();
        if let Some(line) = answer_to_cancel {
            rig.give(&response(&cancel, line, "t", "", ""));
        }
        rig.pass(ms(31_999));
        assert!(rig.events().is_empty());
        rig.pass(ms(1));
        assert_eq!(rejected(&mut rig), 487);
        rig.assert_empty_in_the_end();
    }
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut rig = Rig::new();
    let (id, invite) = call(&mut rig);
    rig.give(&response(&invite, "180 Ringing", "t", "", ""));
    rig.events();
    rig.act(|e, now| e.cancel(id, now));
    rig.sent();
    let ok = response(&invite, "200 OK", "t", CONTACT, ANSWER);
    rig.give(&ok);
    assert_eq!(rejected(&mut rig), 487);
    let sent = rig.sent();
    assert_eq!([sent[0].what(), sent[1].what()], ["ACK", "BYE"]);
    assert_eq!((sent[0].header("CSeq"), sent[1].header("CSeq")), ("1 ACK", "2 BYE"));
    assert_eq!(sent[1].to_tag(), "t");
    rig.give(&ok);
    assert_eq!(rig.one().text, sent[0].text);
    rig.give(&response(&sent[1], "200 OK", "", "", ""));
    assert!(rig.events().is_empty());
    rig.assert_empty_in_the_end();
}

#[test]
fn after_the_final_response_there_is_nothing_to_cancel() {
    for line in ["200 OK", "486 Busy Here"] {
        let mut rig = Rig::new();
        let (id, invite) = call(&mut rig);
        rig.give(&response(&invite, "180 Ringing", "t", "", ""));
        rig.give(&response(&invite, line, "t", CONTACT, ""));
        rig.sent();
        rig.events();
        rig.act(|e, now| e.cancel(id, now));
        rig.assert_silent();
    }
}

#[test]
fn an_answer_brings_its_route_set_in_reverse() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    let headers = format!("Record-Route: <sip:198.51.100.2;lr>, <sip:198.51.100.1;lr>\r\n{CONTACT}");
    rig.give(&response(&invite, "200 OK", "t", &headers, ANSWER));
    let dialog = answered(&mut rig);
    rig.act(|e, now| e.bye(dialog, "", now));
    for request in rig.sent() {
        assert_eq!(
            request.headers("Route"),
            ["<sip:198.51.100.1;lr>", "<sip:198.51.100.2;lr>"],
            "{}",
            request.what()
        );
        assert_eq!(request.goes_to(), "Address(198.51.100.1:5060)");
    }
}

#[test]
fn the_far_end_may_hang_up_and_offer_in_a_call_of_ours() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ANSWER));
    let dialog = answered(&mut rig);
    rig.sent();
    let mut callee = Caller {
        call_id: invite.header("Call-ID").to_owned(),
        from: "<sip:callee@192.0.2.10>;tag=t".to_owned(),
        to_tag: invite.header("From").split_once(";tag=").unwrap().1.to_owned(),
        ..Caller::new(1)
    };
    // Its first CSeq may be anything, zero included.
    rig.give(&callee.write("INFO", 0, "", ""));
    assert_eq!(rig.one().what(), "200");
    callee.cseq = 0;
    rig.give(&callee.next("INVITE", "", OFFER));
    rig.events();
    rig.act(|e, now| e.answer_offer(dialog, Ok(Some(Bytes::from_static(ANSWER.as_bytes()))), now)).unwrap();
    assert_eq!(rig.sent_in_short(), ["100", "200"]);
    rig.give(&callee.ack());
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
    rig.give(&callee.next("BYE", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Bye { .. }));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn an_answer_that_cant_be_read_is_told_as_a_refusal() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    let broken = response(&invite, "200 OK", "t", "Record-Route: <sip:1;lr\r\n", ANSWER);
    rig.give(&broken);
    assert_eq!(rejected(&mut rig), 502);
    rig.give(&broken);
    assert!(rig.events().is_empty());
    rig.assert_empty_in_the_end();
}

#[test]
fn responses_that_arent_ours_are_dropped_and_counted() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    let ok = response(&invite, "200 OK", "t", CONTACT, ANSWER);
    let branch = invite.header("Via").split_once("branch=").unwrap().1;
    rig.give(&ok.replace(branch, "z9hG4bKguess"));
    rig.give(&ok.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"));
    rig.give(&ok.replacen("Via: ", "Via: SIP/2.0/UDP p;branch=x\r\nVia: ", 1));
    rig.give(&ok.replacen("\r\nFrom", "\r\nVia: SIP/2.0/UDP p;branch=x\r\nFrom", 1));
    rig.assert_silent();
    assert_eq!(rig.endpoint.counters().stray_responses, 4);
}

#[test]
fn a_request_outside_any_dialog_is_answered_or_times_out() {
    let mut rig = Rig::new();
    let id = rig.act(|e, now| e.request(outside(Method::Options), now));
    let options = rig.one();
    assert_eq!((options.what(), options.header("Max-Forwards")), ("OPTIONS", "70"));
    rig.give(&response(&options, "200 OK", "t", "", ""));
    let Event::Response { client, response } = rig.event() else { panic!() };
    assert_eq!((client, response.status().as_u16()), (id, 200));
    rig.act(|e, now| e.request(outside(Method::Options), now));
    rig.pass(secs(32));
    assert!(matches!(rig.event(), Event::NoResponse { .. }));
    assert_eq!(rig.sent().len(), 11);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_call_of_ours_over_a_stream_isnt_repeated() {
    let over_tcp = || OutgoingCall { hops: vec![hop(Transport::Tcp, PEER)], ..outgoing() };
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, over_tcp());
    assert_eq!(invite.header("Contact"), "<sip:192.0.2.1:5060;transport=tcp>");
    rig.pass(secs(32));
    assert!(rig.sent().is_empty());
    assert_eq!(rejected(&mut rig), 408);
    let (_, invite) = call_with(&mut rig, over_tcp());
    rig.give_from(crate::rig::tcp(3), &response(&invite, "404 No", "t", "", ""));
    assert_eq!(rejected(&mut rig), 404);
    assert_eq!((rig.one().what(), rig.endpoint.transaction_count()), ("ACK", 0));
}
