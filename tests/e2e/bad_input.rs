//! What comes from the network and is wrong, and what the service makes of it: the RFC's answer
//! or silence, a count, and the next call as good as ever.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::rig::{Home, Message, Phone, SOON, Service, eventually};

const HARBOR: &str = "+12025550101";

/// A request that belongs to no call, answered.
fn ask(service: &Service, change: impl Fn(String) -> String) -> Message {
    let mut phone = Phone::new(service);
    let sdp = phone.offer();
    let request = change(phone.first_invite(HARBOR, &sdp, ""));
    phone.send(&request);
    let answer = phone.wait("a final response", SOON, |message| message.status() >= Some(200));
    if request.starts_with("INVITE ") {
        phone.ack(&answer);
    }
    answer
}

/// An INVITE turned into another method, without its body.
fn as_method(invite: &str, method: &str) -> String {
    let head = invite.split("Content-Type").next().unwrap();
    let head = head.replacen("INVITE", method, 1).replace("1 INVITE", &format!("1 {method}"));
    format!("{head}Content-Length: 0\r\n\r\n")
}

/// The service still does what it is for.
fn still_answers(service: &Service) {
    Phone::call(service, HARBOR).hang_up();
}

/// Runs `send` and waits until the counter has gone up.
fn counts<T>(service: &Service, counter: &str, send: impl FnOnce() -> T) -> T {
    let before = service.metric(counter);
    let result = send();
    eventually(counter, SOON, || (service.metric(counter) > before).then_some(()));
    result
}

#[test]
fn datagrams_that_are_no_sip_are_dropped_and_counted() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::new(&service);
    let garbage: [&[u8]; 5] = [
        b"hello",
        b"\x00\x01\x02\x03\xff\xfe",
        b"INVITE sip:x@y SIP/2.0\r\n\r\n",
        b"SIP/2.0 200\r\nVia: nothing\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    for datagram in garbage {
        counts(&service, "offhook_sip_unreadable_total", || phone.send_bytes(datagram));
    }
    still_answers(&service);
    let answered = phone.anything();
    assert!(answered.is_none(), "an unreadable datagram was answered: {answered:?}");
    service.stop();
    assert_eq!(home.calls().len(), 1);
}

#[test]
fn the_largest_datagram_there_is_does_no_harm() {
    const LARGEST: usize = 65_507;
    let home = Home::new();
    let service = home.start();
    let phone = Phone::new(&service);
    counts(&service, "offhook_sip_unreadable_total", || phone.send_bytes(&vec![b'A'; LARGEST]));

    // The same size, and a good INVITE but for its size: whatever is answered, it is a final one.
    let mut phone = Phone::new(&service);
    let sdp = phone.offer();
    let plain = phone.first_invite(HARBOR, &sdp, "");
    let filler = "x".repeat(LARGEST - plain.len() - "Subject: \r\n".len());
    let large = plain.replacen("Content-Type", &format!("Subject: {filler}\r\nContent-Type"), 1);
    assert_eq!(large.len(), LARGEST);
    phone.send(&large);
    let answer = phone.answer();
    phone.ack(&answer);
    println!("a datagram of {LARGEST} bytes is answered with {}", answer.start);
    if answer.status() == Some(200) {
        phone.hang_up();
    }
    still_answers(&service);
    service.stop();
}

#[test]
fn malformed_requests_get_400_with_what_is_wrong() {
    let home = Home::new();
    let service = home.start();
    let wrong: [(&str, &str); 4] = [
        ("CSeq: 1 INVITE", "CSeq: one INVITE"),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE"),
        ("Max-Forwards: 70", "Max-Forwards: many"),
        ("From: <sip:", "From: <<sip:"),
    ];
    for (right, wrong) in wrong {
        let answer = counts(&service, "offhook_sip_malformed_total", || {
            ask(&service, |invite| invite.replacen(right, wrong, 1))
        });
        assert_eq!(answer.status(), Some(400), "{wrong}: {answer:?}");
    }
    let answer = counts(&service, "offhook_sip_malformed_total", || {
        ask(&service, |invite| invite.replacen(" SIP/2.0", " SIP/7.0", 1))
    });
    assert_eq!(answer.status(), Some(505), "{answer:?}");
    still_answers(&service);
    service.stop();
    assert_eq!(home.calls().len(), 1);
}

#[test]
fn streams_that_end_in_the_middle_of_a_message_are_counted() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::new(&service);
    let sdp = phone.offer();
    let invite = phone.first_invite(HARBOR, &sdp, "").replace("/UDP", "/TCP");
    for cut in [10, 200, invite.len() - 5] {
        counts(&service, "offhook_sip_tcp_cut_total", || {
            let mut stream = TcpStream::connect(service.sip).unwrap();
            stream.write_all(&invite.as_bytes()[..cut]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            closed(stream)
        });
    }
    service.wait_for_metric("offhook_sip_tcp_connections", 0);
    still_answers(&service);
    service.stop();
    assert_eq!(home.calls().len(), 1, "half an INVITE is no call");
}

#[test]
fn streams_that_are_no_sip_are_closed_and_counted() {
    let home = Home::new();
    let service = home.start();
    counts(&service, "offhook_sip_tcp_unframed_total", || {
        let mut stream = TcpStream::connect(service.sip).unwrap();
        // The service may well hang up before it has all of it.
        let _ = stream.write_all(&[b'A'; 200_000]);
        closed(stream)
    });
    still_answers(&service);
    service.stop();
}

/// Waits until the service has closed its side.
fn closed(mut stream: TcpStream) {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

#[test]
fn an_offer_without_a_common_codec_gets_488_and_a_record() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::new(&service);
    let sdp = phone.offer().replace("RTP/AVP 8 96", "RTP/AVP 18 9").replace("8 PCMA", "18 G729");
    let sdp = sdp.replace("96 telephone-event", "9 G722").replace("a=fmtp:96 0-15\r\n", "");
    let invite = phone.first_invite(HARBOR, &sdp, "");
    phone.send(&invite);
    let answer = phone.answer();
    phone.ack(&answer);
    assert_eq!(answer.status(), Some(488), "{answer:?}");
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("rejected", "us", "rejected_media"));
    assert_eq!(record.sip_status, Some(488));
}

#[test]
fn a_body_that_is_no_session_description_is_refused_as_such() {
    let home = Home::new();
    let service = home.start();
    let answer = counts(&service, "offhook_sip_refused_total", || {
        ask(&service, |invite| invite.replacen("application/sdp", "text/plain", 1))
    });
    assert_eq!(answer.status(), Some(415), "{answer:?}");
    assert_eq!(answer.header("Accept"), "application/sdp", "RFC 3261 §21.4.13");
    let answer = ask(&service, |invite| invite.replacen("v=0", "v=x", 1));
    assert!(matches!(answer.status(), Some(400 | 488)), "{answer:?}");
    still_answers(&service);
    service.stop();
    let calls = home.calls();
    assert_eq!(calls.len(), 2, "the tenant of the second is known: it has a record");
    assert_eq!(calls[0].end(), ("rejected", "us", "rejected_request"));
}

#[test]
fn methods_that_are_not_served_are_told_apart() {
    let home = Home::new();
    let service = home.start();
    for (method, status) in [("JUGGLE", 501), ("SUBSCRIBE", 405), ("REGISTER", 405), ("MESSAGE", 405)] {
        let answer = counts(&service, "offhook_sip_refused_total", || {
            ask(&service, |invite| as_method(&invite, method))
        });
        assert_eq!(answer.status(), Some(status), "{method}: {answer:?}");
        assert!(answer.header("Allow").contains("INVITE"), "RFC 3261 §8.2.1: {answer:?}");
    }
    let options = ask(&service, |invite| as_method(&invite, "OPTIONS"));
    assert_eq!(options.status(), Some(200), "{options:?}");
    still_answers(&service);
    service.stop();
}

#[test]
fn a_request_outside_a_dialog_that_belongs_into_one_gets_481() {
    let home = Home::new();
    let service = home.start();
    for method in ["BYE", "INFO", "UPDATE", "NOTIFY", "CANCEL"] {
        let answer = counts(&service, "offhook_sip_stray_requests_total", || {
            ask(&service, |invite| as_method(&invite, method))
        });
        assert_eq!(answer.status(), Some(481), "{method}: {answer:?}");
    }
    // With a To tag, as of a dialog that was here once.
    for method in ["BYE", "INVITE"] {
        let answer = counts(&service, "offhook_sip_stray_requests_total", || {
            ask(&service, |invite| {
                let request = if method == "INVITE" { invite } else { as_method(&invite, method) };
                let to = request.lines().find(|line| line.starts_with("To: ")).unwrap().to_owned();
                request.replace(&to, &format!("{to};tag=gone"))
            })
        });
        assert_eq!(answer.status(), Some(481), "{method}: {answer:?}");
    }
    still_answers(&service);
    service.stop();
    assert_eq!(home.calls().len(), 1);
}

#[test]
fn an_extension_that_is_demanded_and_unknown_gets_420() {
    let home = Home::new();
    let service = home.start();
    let answer = counts(&service, "offhook_sip_refused_total", || {
        ask(&service, |invite| invite.replacen("Content-Type", "Require: levitation\r\nContent-Type", 1))
    });
    assert_eq!(answer.status(), Some(420), "{answer:?}");
    assert_eq!(answer.header("Unsupported"), "levitation");
    still_answers(&service);
    service.stop();
}

#[test]
fn an_invite_that_came_by_two_ways_gets_482_on_the_second() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::new(&service);
    let sdp = phone.offer();
    let invite = phone.first_invite(HARBOR, &sdp, "");
    phone.send(&invite);
    // The same request, forked on its way: another branch (RFC 3261 §8.2.2.2).
    let second = invite.replacen("branch=z9hG4bK", "branch=z9hG4bKother", 1);
    counts(&service, "offhook_sip_refused_total", || phone.send(&second));
    let merged = phone.wait("482", SOON, |message| message.status() == Some(482));
    assert!(merged.header("Via").contains("z9hG4bKother"));
    let answer = phone.wait("200", SOON, |message| message.status() == Some(200));
    phone.ack(&answer);
    phone.hang_up();
    service.stop();
    assert_eq!(home.calls().len(), 1);
}

#[test]
fn a_request_of_our_own_that_comes_back_gets_482_and_483_when_it_has_no_hops_left() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::call(&service, HARBOR);
    phone.media.press('3');
    let refer = phone.expect("REFER", SOON);
    phone.reply(&refer, 603);
    for (hops, status) in [(70, 482), (0, 483)] {
        let hops = format!("Forwards: {hops}");
        let answer = counts(&service, "offhook_sip_refused_total", || {
            ask(&service, |invite| {
                let looped = format!("Via: {}\r\nMax-Forwards", refer.header("Via"));
                let request = as_method(&invite, "REFER").replacen("Max-Forwards", &looped, 1);
                let to = "Refer-To: <tel:+12025550112>\r\nContent-Length";
                request.replacen("Content-Length", to, 1).replacen("Forwards: 70", &hops, 1)
            })
        });
        assert_eq!(answer.status(), Some(status), "{answer:?}");
    }
    phone.hang_up();
    service.stop();
}
