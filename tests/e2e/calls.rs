//! Calls as a whole: answered, refused, given up, over UDP and TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::rig::{Home, Message, Phone, SOON, http, seed, shipped};

const HARBOR: &str = "+12025550101";

#[test]
fn a_caller_hears_the_greeting_and_the_record_tells_of_the_call() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::call(&service, HARBOR);
    let greeting = shipped::sentence("en-us/thank-you-for-calling-harbor-homes");
    phone.media.hear("the greeting", &greeting, 0, SOON);
    phone.hang_up();
    service.stop();

    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
    assert_eq!(record.tenant_id, "tenant-demo-0002");
    assert_eq!(record.to.number.as_deref(), Some(HARBOR));
    assert_eq!(record.sip_call_id, phone.call_id);
    assert_eq!(record.sip_status, Some(200));
    let times = [Some(&record.started_at), record.answered_at.as_ref(), record.ended_at.as_ref()];
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{record:#?}");
    assert!(record.duration_ms > Some(1_000), "{record:#?}");
    let media = record.media.unwrap();
    assert!(media.packets_received > 50 && media.packets_sent > 50, "{media:?}");
}

#[test]
fn a_caller_who_cancels_at_once_gets_487() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::new(&service);
    phone.invite(HARBOR);
    phone.cancel();
    let cancelled = phone.wait("a response to CANCEL", SOON, |m| m.method() == "CANCEL");
    assert_eq!(cancelled.status(), Some(200));
    let answer = phone.answer();
    phone.ack(&answer);
    assert_eq!(answer.status(), Some(487));
    assert_eq!(answer.param("To", "tag"), cancelled.param("To", "tag"), "RFC 3261 §9.2");
    service.wait_for_metric("offhook_calls", 0);
    service.stop();
    assert_eq!(home.only_call().end(), ("cancelled", "caller", "cancelled"));
}

#[test]
fn a_call_over_tcp_goes_both_ways_on_one_connection() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::new(&service);
    let sdp = phone.offer();
    let over_tcp = |request: String| request.replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    let invite = over_tcp(phone.first_invite(HARBOR, &sdp, ""));
    let mut stream = TcpStream::connect(service.sip).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();

    // A stream has no message borders: the request comes in three pieces.
    for piece in [&invite[..20], &invite[20..300], &invite[300..]] {
        stream.write_all(piece.as_bytes()).unwrap();
        stream.flush().unwrap();
    }
    let mut answer = read(&mut stream);
    while answer.status() < Some(200) {
        answer = read(&mut stream);
    }
    assert_eq!(answer.status(), Some(200), "{answer:?}");
    assert!(answer.uri("Contact").contains("transport=tcp"), "{answer:?}");

    let common = format!(
        "Via: SIP/2.0/TCP {};branch=z9hG4bKtcp;rport\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nMax-Forwards: 70\r\n",
        phone.local(),
        answer.header("From"),
        answer.header("To"),
        phone.call_id
    );
    let target = answer.uri("Contact");
    // Two requests at once: that too is nothing to a stream.
    let both = format!(
        "ACK {target} SIP/2.0\r\n{common}CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n\
         BYE {target} SIP/2.0\r\n{common}CSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(both.as_bytes()).unwrap();
    let bye = read(&mut stream);
    assert_eq!((bye.status(), bye.method()), (Some(200), "BYE"));
    service.stop();
    assert_eq!(home.only_call().end(), ("completed", "caller", "caller_hangup"));
}

#[test]
fn a_tenant_that_is_put_in_while_the_service_runs_is_answered_within_a_second() {
    let home = Home::new();
    let service = home.start();
    let number = "+33199000091";
    assert_eq!(Phone::new(&service).dial(number).status(), Some(404));
    seed::scenario(&home, "one-call-at-a-time.json");
    crate::rig::eventually("the new tenant's number", Duration::from_secs(3), || {
        let mut phone = Phone::new(&service);
        let answered = phone.dial(number).status() == Some(200);
        answered.then(|| phone.hang_up())
    });
    service.stop();
    assert_eq!(home.only_call().tenant_id, "scenario-one-call");
}

#[test]
fn health_and_counters_follow_a_call() {
    let home = Home::new();
    let service = home.start();
    assert_eq!(service.metric("offhook_calls"), 0);
    let mut phone = Phone::call(&service, HARBOR);
    phone.media.listen(Duration::from_millis(100), SOON);
    assert_eq!(service.metric("offhook_calls"), 1);
    assert_eq!(service.metric("offhook_rtp_streams"), 1);
    assert_eq!(http::get(service.http, "/ready").unwrap().0, 200);
    phone.hang_up();
    service.wait_for_metric("offhook_calls", 0);
    service.wait_for_metric("offhook_rtp_streams", 0);
    assert_eq!(service.metric("offhook_sip_invites_total"), 1);
    assert_eq!(http::get(service.http, "/nothing").unwrap().0, 404);
    service.stop();
}

#[test]
fn the_log_tells_of_a_call_without_its_numbers_and_keys() {
    let home = Home::new();
    let service = home.start_logging("trace", &["--log-format", "json"]);
    assert_eq!(Phone::new(&service).dial("+33199000099").status(), Some(404));
    let mut phone = Phone::call(&service, "+33199000001");
    phone.media.press('2');
    phone.media.press('1');
    let refer = phone.expect("REFER", Duration::from_secs(20));
    phone.reply(&refer, 603);
    phone.request("INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=7\r\n");
    assert_eq!(phone.response().status(), Some(200));
    phone.hang_up();
    let log = service.stop();
    assert!(log.contains("nobody's number"), "{log}");
    let numbers = ["33639980002", "33199000001", "33199000099", "33199000011", "33199000010"];
    for line in log.lines() {
        for told in numbers.into_iter().chain(["Signal=7", "\"21\"", "Digit("]) {
            assert!(!line.contains(told), "{told} is in the log: {line}");
        }
    }
    assert_eq!(home.only_call().keys(), "21");
}

/// Reads one message off a stream.
fn read(stream: &mut TcpStream) -> Message {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let length = Message::parse(&bytes).header("Content-Length").parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    bytes.extend(body);
    Message::parse(&bytes)
}
