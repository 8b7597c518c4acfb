//! Requests that can't be served, each with the RFC's answer (RFC 3261 §8.2, §16.3, §21).

use std::time::Duration;

use sip::endpoint::{Admission, Config, Event};

use crate::rig::{Caller, OFFER, Rig, Sent, secs};

/// What the endpoint says to an INVITE changed by `change`.
fn reply_to(change: impl Fn(String) -> String) -> Sent {
    let mut rig = Rig::new();
    let text = change(Caller::new(1).invite(""));
    rig.give(&text);
    assert!(rig.events().is_empty(), "{text}");
    assert_eq!(rig.endpoint.dialog_count(), 0);
    let first = rig.one();
    // A repetition gets the same, tag included.
    rig.give(&text);
    assert_eq!(rig.one().text, first.text);
    first
}

fn with_header(header: &'static str) -> impl Fn(String) -> String {
    move |text| text.replacen("Max-Forwards: 70\r\n", &format!("Max-Forwards: 70\r\n{header}\r\n"), 1)
}

fn method(method: &'static str) -> impl Fn(String) -> String {
    move |text| text.replace("INVITE", method)
}

#[test]
fn a_method_nobody_knows_gets_501_and_one_not_served_405_each_with_allow() {
    for (name, status) in [
        ("FROB", "501"),
        ("invite", "501"),
        ("REGISTER", "405"),
        ("SUBSCRIBE", "405"),
        ("PUBLISH", "405"),
        ("MESSAGE", "405"),
    ] {
        let reply = reply_to(method(name));
        assert_eq!(reply.what(), status, "{name}");
        assert_eq!(
            reply.header("Allow"),
            "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY, PRACK",
            "{name}"
        );
    }
    let refer = reply_to(|text| with_header("Refer-To: <sip:x@y>")(method("REFER")(text)));
    assert_eq!(refer.what(), "405");
}

#[test]
fn an_unknown_extension_gets_420_naming_it() {
    let reply = reply_to(with_header("Require: timer, 100rel, frob\r\nRequire: more, replaces"));
    assert_eq!((reply.what(), reply.header("Unsupported")), ("420", "timer, frob, more, replaces"));
    let options = reply_to(|text| method("OPTIONS")(with_header("Require: frob")(text)));
    assert_eq!((options.what(), options.header("Unsupported")), ("420", "frob"));
    let proxys = Caller::new(1).invite("Proxy-Require: frob\r\nSupported: 100rel\r\n");
    let mut rig = Rig::new();
    rig.give(&proxys);
    assert!(matches!(rig.event(), Event::Invite { .. }));
}

#[test]
fn a_body_that_isnt_understood_gets_415_naming_what_is() {
    let reply = reply_to(|text| text.replace("application/sdp", "application/frob"));
    assert_eq!((reply.what(), reply.header("Accept")), ("415", "application/sdp"));
    let coded = reply_to(with_header("Content-Encoding: gzip"));
    assert_eq!((coded.what(), coded.header("Accept-Encoding")), ("415", "identity"));
    let mut rig = Rig::new();
    rig.give(&with_header("Content-Encoding: identity")(Caller::new(1).invite("")));
    assert!(matches!(rig.event(), Event::Invite { .. }));
}

#[test]
fn a_body_that_may_be_ignored_is() {
    let mut rig = Rig::new();
    let text = Caller::new(1)
        .invite("Content-Disposition: session;handling=optional\r\n")
        .replace("application/sdp", "application/frob");
    rig.give(&text);
    assert!(matches!(rig.event(), Event::Invite { offer: None, .. }));
}

#[test]
fn rules_of_the_message_itself_are_checked_first() {
    for (from, to, status) in [
        ("INVITE sip:+33199000001@192.0.2.1", "INVITE frob:+33199000001", "416"),
        (" SIP/2.0\r\nVia", " SIP/3.0\r\nVia", "505"),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE", "400"),
        ("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE", "400"),
        ("Call-ID: call-1@192.0.2.10\r\n", "", "400"),
        ("To: <sip:+33199000001@192.0.2.1>\r\n", "", "400"),
        ("Max-Forwards: 70", "Max-Forwards: x", "400"),
    ] {
        assert_eq!(reply_to(|text| text.replacen(from, to, 1)).what(), status, "{to}");
    }
    let short =
        reply_to(|text| text.replace(&format!("Content-Length: {}", OFFER.len()), "Content-Length: 9999"));
    assert_eq!(short.what(), "400");
}

#[test]
fn a_request_that_came_twice_over_different_paths_gets_482() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.offered(&mut caller);
    let other = Caller { branch: 5, ..caller.clone() };
    rig.give(&other.clone().invite(""));
    assert_eq!(rig.one().what(), "482");
    assert!(rig.events().is_empty());
    // The first one is as it was, and no other call is taken for a copy.
    rig.give(&caller.cancel());
    assert_eq!(rig.sent_in_short(), ["200", "487"]);
    rig.events();
    rig.offered(&mut Caller { cseq: 2, branch: 6, ..caller });
}

#[test]
fn our_own_request_coming_back_is_a_loop() {
    for (hops, status) in [("Max-Forwards: 12", "482"), ("Max-Forwards: 0", "483")] {
        let mut rig = Rig::new();
        rig.act(|e, now| e.request(crate::calling::outside(sip::message::Method::Options), now));
        let ours = rig.one();
        let text = ours.text.replacen("Via:", "Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKp\r\nVia:", 1);
        rig.give(&text.replacen("Max-Forwards: 70", hops, 1));
        assert_eq!(rig.one().what(), status, "{hops}");
    }
}

#[test]
fn max_forwards_zero_is_no_reason_for_the_one_it_is_for() {
    let zero = |text: String| text.replacen("Max-Forwards: 70", "Max-Forwards: 0", 1);
    assert_eq!(reply_to(|text| zero(method("OPTIONS")(text))).what(), "200");
    let mut rig = Rig::new();
    rig.give(&zero(Caller::new(1).invite("")));
    assert!(matches!(rig.event(), Event::Invite { .. }));
}

#[test]
fn options_say_what_we_can_do_and_leave_no_trace() {
    let mut rig = Rig::new();
    let options = Caller::new(1).write("OPTIONS", 1, "", "");
    rig.give(&options);
    let reply = rig.one();
    assert_eq!(reply.what(), "200");
    assert!(reply.header("Allow").contains("NOTIFY") && !reply.to_tag().is_empty());
    assert_eq!(reply.header("Accept"), "application/sdp");
    assert_eq!((reply.header("Supported"), reply.header("Accept-Encoding")), ("100rel", "identity"));
    rig.give(&options);
    assert_eq!(rig.one().text, reply.text);
    assert_eq!((rig.endpoint.transaction_count(), rig.endpoint.poll_timeout()), (0, None));
}

#[test]
fn a_closed_door_turns_new_calls_away_and_keeps_the_running_ones() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.endpoint.set_admission(Admission::Closed);
    let mut second = Caller::new(2);
    let invite = second.invite("");
    rig.give(&invite);
    let reply = rig.one();
    assert_eq!((reply.what(), reply.header("Retry-After")), ("503", "5"));
    rig.give(&second.ack_refusal(reply.to_tag()));
    rig.give(&Caller::new(3).write("OPTIONS", 1, "", ""));
    assert_eq!(rig.one().what(), "503");
    rig.assert_silent();
    rig.give(&caller.next("INVITE", "", OFFER));
    assert!(matches!(rig.event(), Event::Offer { .. }));
    rig.hang_up(&mut caller, dialog);
    rig.endpoint.set_admission(Admission::Open);
    let mut third = Caller::new(4);
    let dialog = rig.established(&mut third);
    rig.hang_up(&mut third, dialog);
    rig.assert_empty_in_the_end();
    assert_eq!(rig.endpoint.counters().shed, 1);
}

#[test]
fn while_draining_options_turn_peers_away_and_a_call_is_the_owners_to_refuse() {
    let mut rig = Rig::new();
    rig.endpoint.set_admission(Admission::Draining);
    rig.give(&Caller::new(3).write("OPTIONS", 1, "", ""));
    let reply = rig.one();
    assert_eq!((reply.what(), reply.header("Retry-After")), ("503", "5"));
    rig.offered(&mut Caller::new(1));
    assert_eq!(rig.endpoint.counters().shed, 0);
}

#[test]
fn a_full_house_turns_calls_away_without_remembering_them() {
    let config = Config { max_dialogs: 2, retry_after: Duration::from_secs(9), ..Config::default() };
    let mut rig = Rig::with(config);
    let mut callers = [Caller::new(1), Caller::new(2)];
    let dialogs = callers.each_mut().map(|caller| rig.established(caller));
    let before = rig.endpoint.transaction_count();
    for number in 10..1_000 {
        rig.give(&Caller::new(number).invite(""));
        let reply = rig.one();
        assert_eq!((reply.what(), reply.header("Retry-After")), ("503", "9"));
    }
    assert_eq!(rig.endpoint.transaction_count(), before);
    // One goes, one comes, at once.
    rig.hang_up(&mut callers[0], dialogs[0]);
    rig.established(&mut Caller::new(5));
}

#[test]
fn full_tables_still_let_calls_end() {
    let mut rig = Rig::with(Config { max_transactions: 3, ..Config::default() });
    let mut caller = Caller::new(1);
    rig.established(&mut caller);
    rig.give(&caller.next("INFO", "", ""));
    rig.give(&caller.next("INFO", "", ""));
    assert_eq!(rig.sent_in_short(), ["200", "200"]);
    rig.give(&caller.next("INFO", "", ""));
    assert_eq!(rig.one().what(), "503");
    rig.give(&Caller::new(2).invite(""));
    assert_eq!(rig.one().what(), "503");
    rig.events();
    rig.give(&caller.next("BYE", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Bye { .. }));
    rig.pass(secs(40));
    rig.offered(&mut Caller::new(3));
}
