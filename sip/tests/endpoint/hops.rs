//! Several addresses of one peer (RFC 3263 §4.3) and the size of datagrams (RFC 3261 §18.1.1).

use bytes::Bytes;
use sip::endpoint::flow::{ConnectionId, Transport};
use sip::endpoint::{Config, Event, Input, OutgoingCall, OutsideRequest};
use sip::message::{HeaderName, Method};

use crate::callee::{CONTACT, answered, call_with, hop, outgoing, rejected};
use crate::calling::outside;
use crate::rig::{ANSWER, PEER, Rig, Sent, ms, response, secs, tcp, udp_from};

const SECOND: &str = "192.0.2.11:5070";
const THIRD: &str = "192.0.2.12:5060";

fn request() -> OutsideRequest {
    let hops = [PEER, SECOND, THIRD].map(|text| hop(Transport::Udp, text)).to_vec();
    OutsideRequest { hops, ..outside(Method::Options) }
}

fn two() -> OutgoingCall {
    OutgoingCall { hops: [PEER, SECOND].map(|text| hop(Transport::Udp, text)).to_vec(), ..outgoing() }
}

fn targets(sent: &[Sent]) -> Vec<String> {
    let mut targets: Vec<String> = sent.iter().map(Sent::goes_to).collect();
    targets.dedup();
    targets
}

fn address(text: &str) -> String {
    format!("Address({text})")
}

#[test]
fn a_silent_address_is_left_after_four_seconds_for_the_next_with_a_new_branch() {
    let mut rig = Rig::new();
    let id = rig.act(|e, now| e.request(request(), now));
    let first = rig.one();
    rig.pass(ms(3_999));
    assert_eq!(targets(&rig.sent()), [address(PEER)]);
    rig.pass(ms(1));
    let second = rig.one();
    assert_eq!(second.goes_to(), address(SECOND));
    assert_ne!(second.header("Via"), first.header("Via"));
    for name in ["From", "To", "Call-ID", "CSeq"] {
        assert_eq!(second.header(name), first.header(name));
    }
    // The one that was left isn't tried any more, and too late an answer of its is no answer.
    rig.pass(ms(3_000));
    assert_eq!(targets(&rig.sent()), [address(SECOND)]);
    rig.give(&response(&first, "200 OK", "a", "", ""));
    assert!(rig.events().is_empty());
    rig.give_from(udp_from(SECOND), &response(&second, "200 OK", "b", "", ""));
    let Event::Response { client, .. } = rig.event() else { panic!() };
    assert_eq!(client, id);
    rig.assert_empty_in_the_end();
    assert!(rig.events().is_empty());
}

#[test]
fn a_provisional_response_keeps_a_request_where_it_is() {
    let mut rig = Rig::new();
    rig.act(|e, now| e.request(request(), now));
    let first = rig.one();
    rig.give(&response(&first, "100 Trying", "", "", ""));
    rig.events();
    rig.pass(secs(10));
    assert_eq!(targets(&rig.sent()), [address(PEER)]);
}

#[test]
fn what_cant_be_delivered_or_is_answered_503_goes_to_the_next_at_once_and_the_last_fate_is_told() {
    let mut rig = Rig::new();
    rig.act(|e, now| e.request(request(), now));
    let first = rig.one();
    rig.give_input(Input::Undeliverable(first.transmit.ticket.unwrap()));
    let second = rig.one();
    assert_eq!(second.goes_to(), address(SECOND));
    rig.give_from(udp_from(SECOND), &response(&second, "503 Busy", "b", "", ""));
    let third = rig.one();
    assert_eq!(third.goes_to(), address(THIRD));
    assert!(rig.events().is_empty());
    rig.give_from(udp_from(THIRD), &response(&third, "503 Busy", "c", "", ""));
    let Event::Response { response, .. } = rig.event() else { panic!() };
    assert_eq!(response.status().as_u16(), 503);
    rig.assert_empty_in_the_end();
}

#[test]
fn other_refusals_are_answers() {
    let mut rig = Rig::new();
    rig.act(|e, now| e.request(request(), now));
    let first = rig.one();
    rig.give(&response(&first, "500 Oh", "a", "", ""));
    assert!(matches!(rig.event(), Event::Response { .. }));
    rig.assert_empty_in_the_end();
}

#[test]
fn when_all_are_silent_it_is_told_once() {
    let mut rig = Rig::new();
    rig.act(|e, now| e.request(request(), now));
    rig.pass(secs(8 + 32));
    assert!(matches!(rig.event(), Event::NoResponse { sent: true, .. }));
    assert_eq!(targets(&rig.sent()), [PEER, SECOND, THIRD].map(address));
    rig.assert_empty_in_the_end();
    assert!(rig.events().is_empty());
}

#[test]
fn what_never_left_the_machine_is_told_apart() {
    let mut rig = Rig::new();
    rig.act(|e, now| e.request(request(), now));
    for _ in 0..3 {
        let ticket = rig.one().transmit.ticket.unwrap();
        rig.give_input(Input::Undeliverable(ticket));
    }
    assert!(matches!(rig.event(), Event::NoResponse { sent: false, .. }));
    // Without an address there is nobody to ask.
    rig.act(|e, now| e.request(OutsideRequest { hops: Vec::new(), ..request() }, now));
    assert!(matches!(rig.event(), Event::NoResponse { sent: false, .. }));
    rig.act(|e, now| e.invite(OutgoingCall { hops: Vec::new(), ..outgoing() }, now));
    assert_eq!(rejected(&mut rig), 503);
    assert!(rig.sent().is_empty());
    rig.assert_empty_in_the_end();
}

#[test]
fn a_request_with_a_limit_ends_by_it_wherever_it_is() {
    let mut rig = Rig::new();
    rig.act(|e, now| e.request_within(request(), secs(5), now));
    rig.pass(ms(4_999));
    assert!(rig.events().is_empty());
    assert_eq!(targets(&rig.sent()), [PEER, SECOND].map(address));
    rig.pass(ms(1));
    assert!(matches!(rig.event(), Event::NoResponse { sent: true, .. }));
    rig.assert_empty_in_the_end();
    assert!(rig.sent().is_empty() && rig.events().is_empty());
}

#[test]
fn a_call_goes_to_the_next_address_on_silence_503_and_failure() {
    for how in ["silence", "503", "failure"] {
        let mut rig = Rig::new();
        let (id, first) = call_with(&mut rig, two());
        match how {
            "silence" => rig.pass(secs(4)),
            "503" => rig.give(&response(&first, "503 Busy", "a", "", "")),
            _ => rig.give_input(Input::Undeliverable(first.transmit.ticket.unwrap())),
        }
        let mut sent = rig.sent();
        let second = sent.pop().unwrap();
        assert_eq!((second.what(), second.goes_to()), ("INVITE", address(SECOND)));
        assert_eq!(second.header("CSeq"), "1 INVITE");
        assert_ne!(second.header("Via"), first.header("Via"));
        if how == "503" {
            assert_eq!(sent[0].what(), "ACK");
        }
        rig.give_from(udp_from(SECOND), &response(&second, "200 OK", "b", CONTACT, ANSWER));
        let Event::Answered { invite, .. } = rig.event() else { panic!() };
        assert_eq!(invite, id, "{how}");
        assert_eq!(rig.one().what(), "ACK");
    }
}

#[test]
fn an_address_that_answers_after_it_was_left_is_cancelled() {
    let mut rig = Rig::new();
    let (_, first) = call_with(&mut rig, two());
    rig.pass(secs(4));
    let second = rig.last();
    rig.give(&response(&first, "180 Ringing", "a", CONTACT, ""));
    let cancel = rig.one();
    assert_eq!((cancel.what(), cancel.goes_to()), ("CANCEL", address(PEER)));
    assert_eq!(cancel.header("Via"), first.header("Via"));
    assert!(rig.events().is_empty());
    rig.give(&response(&first, "487 Terminated", "a", "", ""));
    assert_eq!(rig.one().what(), "ACK");
    assert!(rig.events().is_empty());
    rig.give_from(udp_from(SECOND), &response(&second, "486 Busy", "b", "", ""));
    assert_eq!(rejected(&mut rig), 486);
    rig.assert_empty_in_the_end();
}

#[test]
fn the_first_2xx_from_any_address_makes_the_call_and_the_other_is_ended() {
    let mut rig = Rig::new();
    let (_, first) = call_with(&mut rig, two());
    rig.pass(secs(4));
    let second = rig.last();
    rig.give(&response(&first, "200 OK", "a", CONTACT, ANSWER));
    answered(&mut rig);
    assert_eq!(rig.one().what(), "ACK");
    rig.give_from(udp_from(SECOND), &response(&second, "180 Ringing", "b", CONTACT, ""));
    assert_eq!(rig.one().what(), "CANCEL");
    rig.give_from(udp_from(SECOND), &response(&second, "200 OK", "b", CONTACT, ANSWER));
    let sent = rig.sent();
    assert_eq!([sent[0].what(), sent[1].what()], ["ACK", "BYE"]);
    assert!(rig.events().is_empty());
}

#[test]
fn a_call_given_up_isnt_taken_elsewhere() {
    let mut rig = Rig::new();
    let (id, first) = call_with(&mut rig, two());
    rig.act(|e, now| e.cancel(id, now));
    rig.pass(secs(5));
    assert_eq!(targets(&rig.sent()), [address(PEER)]);
    rig.give(&response(&first, "503 Busy", "a", "", ""));
    assert_eq!(rejected(&mut rig), 503);
    assert_eq!(rig.one().what(), "ACK");
    rig.assert_empty_in_the_end();
}

#[test]
fn the_next_address_may_have_another_transport() {
    let hops = vec![hop(Transport::Tls, "192.0.2.10:5061"), hop(Transport::Udp, SECOND)];
    let mut rig = Rig::new();
    let (_, first) = call_with(&mut rig, OutgoingCall { hops, ..outgoing() });
    assert!(first.header("Via").starts_with("SIP/2.0/TLS "));
    assert_eq!(first.header("Contact"), "<sip:192.0.2.1:5060;transport=tls>");
    rig.give_input(Input::Undeliverable(first.transmit.ticket.unwrap()));
    let second = rig.one();
    assert!(second.header("Via").starts_with("SIP/2.0/UDP "));
    assert_eq!(second.header("Contact"), "<sip:192.0.2.1:5060>");
    assert_eq!(second.transmit.transport, Transport::Udp);
}

#[test]
fn an_open_connection_is_the_first_addresss_only() {
    let hops = vec![hop(Transport::Tcp, PEER), hop(Transport::Tcp, SECOND)];
    let mut rig = Rig::new();
    let connection = Some(ConnectionId(7));
    let (_, first) = call_with(&mut rig, OutgoingCall { hops, connection, ..outgoing() });
    assert_eq!(first.transmit.connection, connection);
    rig.give_input(Input::Undeliverable(first.transmit.ticket.unwrap()));
    assert_eq!(rig.one().transmit.connection, None);
}

fn large() -> OutgoingCall {
    let headers = vec![(HeaderName::Subject, Bytes::from(vec![b'x'; 1_300]))];
    OutgoingCall { headers, ..two() }
}

#[test]
fn a_request_that_may_not_fit_into_a_packet_goes_over_tcp() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, large());
    assert_eq!((invite.transmit.transport, invite.goes_to()), (Transport::Tcp, address(PEER)));
    assert!(invite.header("Via").starts_with("SIP/2.0/TCP 192.0.2.1:5060;rport;branch=z9hG4bK"));
    rig.pass(secs(3));
    assert!(rig.sent().is_empty(), "nothing is repeated on a stream");
    // The ACK of its refusal stays on the way of the INVITE.
    rig.give_from(tcp(3), &response(&invite, "486 Busy", "t", "", ""));
    assert_eq!(rig.one().transmit.transport, Transport::Tcp);
    assert_eq!(rejected(&mut rig), 486);

    let exact = 1_300 - call_with(&mut Rig::new(), outgoing()).1.text.len() - "Subject: \r\n".len();
    for (more, transport) in [(0, Transport::Udp), (1, Transport::Tcp)] {
        let headers = vec![(HeaderName::Subject, Bytes::from(vec![b'x'; exact + more]))];
        let (_, invite) = call_with(&mut Rig::new(), OutgoingCall { headers, ..outgoing() });
        assert_eq!((invite.text.len(), invite.transmit.transport), (1_300 + more, transport));
    }
}

#[test]
fn where_tcp_cant_be_had_it_goes_over_udp_after_all_before_the_next_address_is_tried() {
    for silent in [false, true] {
        let mut rig = Rig::new();
        let (_, over_tcp) = call_with(&mut rig, large());
        if silent {
            rig.pass(secs(4));
        } else {
            rig.give_input(Input::Undeliverable(over_tcp.transmit.ticket.unwrap()));
        }
        let over_udp = rig.one();
        assert_eq!((over_udp.transmit.transport, over_udp.goes_to()), (Transport::Udp, address(PEER)));
        assert!(over_udp.header("Via").starts_with("SIP/2.0/UDP "));
        assert_ne!(over_udp.header("Via"), over_tcp.header("Via"));
        rig.pass(ms(500));
        assert_eq!(rig.one().text, over_udp.text);
        rig.give(&response(&over_udp, "503 Busy", "t", "", ""));
        let sent = rig.sent();
        assert_eq!((sent[0].what(), sent[0].transmit.transport), ("ACK", Transport::Udp));
        assert_eq!((sent[1].transmit.transport, sent[1].goes_to()), (Transport::Tcp, address(SECOND)));
    }
}

#[test]
fn a_large_request_inside_a_dialog_goes_over_tcp_too_and_responses_never_do() {
    let mut rig = Rig::with(Config { max_udp_request: 600, ..Config::default() });
    let short = OutgoingCall { sdp: None, ..outgoing() };
    let (_, invite) = call_with(&mut rig, short);
    assert_eq!(invite.transmit.transport, Transport::Udp);
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ""));
    let dialog = answered(&mut rig);
    assert_eq!(rig.one().transmit.transport, Transport::Udp);
    rig.act(|e, now| e.info(dialog, "text/plain", Bytes::from(vec![b'x'; 600]), now));
    let info = rig.one();
    assert_eq!((info.what(), info.transmit.transport), ("INFO", Transport::Tcp));
    rig.give_input(Input::Undeliverable(info.transmit.ticket.unwrap()));
    let again = rig.one();
    assert_eq!((again.what(), again.transmit.transport), ("INFO", Transport::Udp));
    rig.give(&response(&again, "200 OK", "", "", ""));
    assert!(matches!(rig.event(), Event::Replied { .. }));

    let mut caller = crate::rig::Caller::new(9);
    caller.extra = format!("Record-Route: <sip:192.0.2.10;lr;x={}>\r\n", "y".repeat(2_000));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.accept(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
    let ok = rig.one();
    assert!(ok.text.len() > 2_000);
    assert_eq!(ok.transmit.transport, Transport::Udp);
}

#[test]
fn the_large_ack_of_a_2xx_goes_over_tcp_and_its_repetition_over_udp() {
    let mut rig = Rig::with(Config { max_udp_request: 700, ..Config::default() });
    let (_, invite) = call_with(&mut rig, OutgoingCall { sdp: None, ..outgoing() });
    let ok = response(&invite, "200 OK", "t", CONTACT, ANSWER);
    rig.give(&ok);
    let dialog = answered(&mut rig);
    let sdp = Bytes::from(vec![b'x'; 700]);
    rig.act(|e, now| e.answer_delayed(dialog, sdp, now)).unwrap();
    let ack = rig.one();
    assert_eq!((ack.what(), ack.transmit.transport), ("ACK", Transport::Tcp));
    assert!(ack.header("Via").starts_with("SIP/2.0/TCP"));
    rig.give(&ok);
    let again = rig.one();
    assert_eq!((again.body(), again.transmit.transport), (ack.body(), Transport::Udp));
}

#[test]
fn a_datagram_of_sixty_kilobytes_is_read() {
    let mut rig = Rig::new();
    let caller = crate::rig::Caller::new(1);
    let body = format!("v=0\r\n{}", "a=x:0123456789\r\n".repeat(3_700));
    let invite = caller.write("INVITE", 1, "", &body);
    assert!(invite.len() > 59_000 && invite.len() < 65_507);
    rig.give(&invite);
    let Event::Invite { offer, .. } = rig.event() else { panic!() };
    assert_eq!(offer.unwrap().len(), body.len());
}

#[test]
fn a_call_that_was_answered_over_tcp_because_of_its_size_goes_on_there() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, large());
    rig.give_from(tcp(3), &response(&invite, "200 OK", "t", CONTACT, ANSWER));
    let dialog = answered(&mut rig);
    let ack = rig.one();
    assert_eq!((ack.transmit.transport, ack.transmit.connection), (Transport::Tcp, Some(ConnectionId(3))));
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.one().transmit.connection, Some(ConnectionId(3)));
}
