use std::borrow::Cow;

use super::*;

const SECOND: u64 = 1_000_000;

struct Desk {
    book: Book,
    now: u64,
}

impl Desk {
    fn new(total: usize, per_call: usize) -> Self {
        let limits = Limits { total, per_call, keep: Duration::from_secs(600) };
        Self { book: Book::new(limits), now: 1_000 * SECOND }
    }

    fn see(&mut self, call_id: &str, way: Way, start: &str, cseq: &str) {
        let text = format!("{start}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\r\n");
        self.now += 1;
        let message = Message {
            at: self.now,
            way,
            transport: Cow::Borrowed("UDP"),
            source: "192.0.2.1:5060".parse().unwrap(),
            destination: "192.0.2.2:5060".parse().unwrap(),
            bytes: text.as_bytes().into(),
        };
        self.book.take(call_id.as_bytes(), &Summary::of(text.as_bytes()), message);
    }

    fn invite(&mut self, call_id: &str) {
        self.see(call_id, Way::In, "INVITE sip:a SIP/2.0", "1 INVITE");
    }

    fn answered(&mut self, call_id: &str) {
        self.invite(call_id);
        self.see(call_id, Way::Out, "SIP/2.0 100 Trying", "1 INVITE");
        self.see(call_id, Way::Out, "SIP/2.0 200 OK", "1 INVITE");
        self.see(call_id, Way::In, "ACK sip:a SIP/2.0", "1 ACK");
    }

    fn ended(&mut self, call_id: &str) {
        self.answered(call_id);
        self.see(call_id, Way::In, "BYE sip:a SIP/2.0", "2 BYE");
        self.see(call_id, Way::Out, "SIP/2.0 200 OK", "2 BYE");
    }

    fn holds(&self, call_id: &str) -> bool {
        self.book.find(call_id).is_some()
    }

    fn running(&self, call_id: &str) -> bool {
        let listed = self.book.list(1_000);
        listed.iter().any(|one| one.sip_call_id == call_id.as_bytes() && one.running)
    }
}

#[test]
fn a_call_is_kept_for_a_while_after_its_end_and_a_running_one_for_as_long_as_it_runs() {
    let mut desk = Desk::new(1 << 20, 1 << 16);
    desk.ended("over");
    desk.answered("running");
    desk.now += 599 * SECOND;
    desk.book.make_room(desk.now);
    assert!(desk.holds("over") && desk.holds("running"));
    desk.now += 2 * SECOND;
    desk.book.make_room(desk.now);
    assert!(!desk.holds("over") && desk.running("running"));
}

#[test]
fn scanners_go_first_then_calls_that_are_over_then_running_ones() {
    let mut desk = Desk::new(6_000, 1 << 16);
    desk.answered("running");
    desk.ended("over");
    for scan in 0..100 {
        desk.invite(&format!("scan-{scan}"));
        assert!(desk.book.bytes() <= 6_000);
    }
    assert!(desk.holds("running") && desk.holds("over") && desk.holds("scan-99") && !desk.holds("scan-0"));
    for call in 0..20 {
        desk.answered(&format!("call-{call}"));
    }
    assert!(!desk.holds("over") && !desk.holds("scan-99"));
    assert!(!desk.holds("running") && desk.running("call-19"), "of running calls the oldest goes first");
}

#[test]
fn of_a_call_with_too_many_messages_the_first_and_the_last_stay() {
    let mut desk = Desk::new(1 << 20, 4_096);
    desk.answered("long");
    for cseq in 2..500 {
        desk.see("long", Way::In, "INFO sip:a SIP/2.0", &format!("{cseq} INFO"));
    }
    let trace = desk.book.find("long").unwrap();
    assert!(trace.messages[0].bytes.starts_with(b"INVITE"));
    let last = Summary::of(&trace.messages.last().unwrap().bytes);
    assert_eq!((last.cseq, trace.omitted + trace.messages.len() as u64), (Some(499), 502));
    assert!(trace.before_gap > 0 && desk.book.bytes() < 4_096 + 512);
}

#[test]
fn a_call_refused_for_its_missing_password_runs_again_with_the_next_invite() {
    let mut desk = Desk::new(1 << 20, 1 << 16);
    desk.see("out", Way::Out, "INVITE sip:a SIP/2.0", "1 INVITE");
    assert!(desk.running("out"));
    desk.see("out", Way::In, "SIP/2.0 401 Unauthorized", "1 INVITE");
    assert!(!desk.running("out"));
    desk.see("out", Way::Out, "INVITE sip:a SIP/2.0", "2 INVITE");
    desk.see("out", Way::In, "SIP/2.0 200 OK", "2 INVITE");
    desk.see("out", Way::In, "SIP/2.0 491 Request Pending", "3 INVITE");
    assert!(desk.running("out"), "a refused re-INVITE ends nothing");
}

#[test]
fn a_registration_is_kept_while_it_is_refreshed() {
    let mut desk = Desk::new(1 << 20, 1 << 16);
    for _ in 0..5 {
        desk.see("reg", Way::Out, "REGISTER sip:a SIP/2.0", "1 REGISTER");
        desk.see("reg", Way::In, "SIP/2.0 200 OK", "1 REGISTER");
        desk.now += 300 * SECOND;
        desk.book.make_room(desk.now);
    }
    assert!(desk.holds("reg"));
    desk.now += 400 * SECOND;
    desk.book.make_room(desk.now);
    assert!(!desk.holds("reg"));
}

#[test]
fn a_call_is_found_by_its_own_name() {
    let mut desk = Desk::new(1 << 20, 1 << 16);
    desk.answered("x@y");
    let call = CallId::generate();
    desk.book.name(call, b"x@y", desk.now);
    // Known before its first message, which never comes.
    desk.book.name(CallId::generate(), b"nobody's", desk.now);
    assert_eq!(desk.book.find(&call.to_string()).unwrap().sip_call_id, b"x@y");
    desk.see("x@y", Way::In, "BYE sip:a SIP/2.0", "2 BYE");
    desk.now += 601 * SECOND;
    desk.book.make_room(desk.now);
    assert!(desk.book.find(&call.to_string()).is_none() && desk.book.names.is_empty());
    assert_eq!((desk.book.bytes(), desk.book.order.len()), (0, 0));
}

#[test]
fn nothing_is_held_when_it_is_switched_off() {
    let mut desk = Desk::new(0, 1 << 16);
    desk.answered("x");
    assert_eq!((desk.book.calls(), desk.book.bytes()), (0, 0));
}
