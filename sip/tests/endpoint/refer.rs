//! Handing a caller over: REFER out, NOTIFY in (RFC 3515).

use sip::dialog::DialogId;
use sip::endpoint::{Event, Input, ReferProgress};
use sip::message::StatusCode;
use sip::ua::refer::ReferError;

use crate::rig::{Caller, Rig, Sent, ms, response, secs, status};

const TARGET: &str = "tel:+33140000000";

fn referred(rig: &mut Rig, caller: &mut Caller) -> (DialogId, Sent) {
    let dialog = rig.established(caller);
    rig.act(|e, now| e.refer(dialog, TARGET, now)).unwrap();
    (dialog, rig.one())
}

fn notify(caller: &mut Caller, event: &str, state: &str, fragment: &str) -> String {
    let headers = format!(
        "Event: {event}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n"
    );
    caller.next("NOTIFY", &headers, fragment)
}

fn progress(rig: &mut Rig) -> ReferProgress {
    match rig.event() {
        Event::Refer { progress, .. } => progress,
        other => panic!("{other:?}"),
    }
}

fn told(code: u16, terminated: bool) -> ReferProgress {
    ReferProgress::Notified { status: StatusCode::new(code), terminated }
}

#[test]
fn a_refer_is_accepted_and_followed_to_its_end() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let (dialog, refer) = referred(&mut rig, &mut caller);
    assert_eq!((refer.what(), refer.request_uri()), ("REFER", "sip:caller@192.0.2.10:5060"));
    assert_eq!(refer.header("Refer-To"), "<tel:+33140000000>");
    assert_eq!(refer.header("Referred-By"), "<sip:+33199000001@192.0.2.1>");
    assert_eq!(refer.header("Contact"), "<sip:192.0.2.1:5060>");
    assert_eq!(refer.header("CSeq"), "1 REFER");
    rig.give(&response(&refer, "202 Accepted", "", "", ""));
    assert_eq!(progress(&mut rig), ReferProgress::Answered(StatusCode::ACCEPTED));
    for (state, fragment, expected) in [
        ("active;expires=60", "SIP/2.0 100 Trying", told(100, false)),
        ("active;expires=60", "SIP/2.0 180 Ringing\r\n", told(180, false)),
        ("terminated;reason=noresource", "SIP/2.0 200 OK\r\nTo: <x>\r\n", told(200, true)),
    ] {
        let notify = notify(&mut caller, "refer", state, fragment);
        rig.give(&notify);
        assert_eq!(rig.one().what(), "200");
        assert_eq!(progress(&mut rig), expected);
        rig.give(&notify);
        assert_eq!(rig.one().what(), "200");
        assert!(rig.events().is_empty());
    }
    // The subscription is over.
    rig.give(&notify(&mut caller, "refer", "active", "SIP/2.0 100 Trying"));
    assert_eq!(rig.one().what(), "481");
    assert!(rig.events().is_empty());
    rig.hang_up(&mut caller, dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_refused_refer_leaves_the_call_up_and_the_next_one_free() {
    for line in ["603 Decline", "405 Method Not Allowed", "503 Busy", "302 Moved"] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let (dialog, refer) = referred(&mut rig, &mut caller);
        rig.give(&response(&refer, "100 Trying", "", "", ""));
        assert!(rig.events().is_empty());
        rig.give(&response(&refer, line, "", "", ""));
        let code = line[..3].parse().unwrap();
        assert_eq!(progress(&mut rig), ReferProgress::Answered(status(code)));
        rig.give(&notify(&mut caller, "refer", "active", "SIP/2.0 100 Trying"));
        assert_eq!(rig.one().what(), "481");
        rig.act(|e, now| e.refer(dialog, "sip:next@example.net", now)).unwrap();
        let next = rig.one();
        assert_eq!((next.header("CSeq"), next.header("Refer-To")), ("2 REFER", "<sip:next@example.net>"));
    }
}

#[test]
fn a_refer_that_nobody_answers_or_that_cant_be_sent_is_told() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    referred(&mut rig, &mut caller);
    rig.pass(ms(31_999));
    assert!(rig.events().is_empty());
    // 500 ms, 1 s, 2 s, then every 4 s.
    assert_eq!(rig.sent().len(), 10);
    rig.pass(ms(1));
    assert_eq!(progress(&mut rig), ReferProgress::Unanswered);

    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let (_, refer) = referred(&mut rig, &mut caller);
    rig.give_input(Input::Undeliverable(refer.transmit.ticket.unwrap()));
    assert_eq!(progress(&mut rig), ReferProgress::Unanswered);
}

#[test]
fn a_notify_may_overtake_the_202() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let (_, refer) = referred(&mut rig, &mut caller);
    rig.give(&notify(&mut caller, "refer;id=1", "active", "SIP/2.0 100 Trying"));
    assert_eq!(rig.one().what(), "200");
    assert_eq!(progress(&mut rig), told(100, false));
    rig.give(&response(&refer, "202 Accepted", "", "", ""));
    assert_eq!(progress(&mut rig), ReferProgress::Answered(StatusCode::ACCEPTED));
}

#[test]
fn after_the_last_notify_the_answer_to_the_refer_no_longer_counts() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let (dialog, refer) = referred(&mut rig, &mut caller);
    rig.give(&notify(&mut caller, "refer", "terminated", "SIP/2.0 486 Busy"));
    assert_eq!(progress(&mut rig), told(486, true));
    rig.sent();
    rig.act(|e, now| e.refer(dialog, "sip:next@example.net", now)).unwrap();
    let next = rig.one();
    // Whatever becomes of the first REFER, it isn't taken for the second one's fate.
    rig.give(&response(&refer, "603 Decline", "", "", ""));
    rig.assert_silent();
    rig.give(&response(&next, "202 Accepted", "", "", ""));
    assert_eq!(progress(&mut rig), ReferProgress::Answered(StatusCode::ACCEPTED));
}

#[test]
fn a_silent_transfer_can_be_followed_by_another_one() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let (dialog, refer) = referred(&mut rig, &mut caller);
    rig.give(&response(&refer, "202 Accepted", "", "", ""));
    rig.events();
    rig.pass(secs(15));
    rig.act(|e, now| e.refer(dialog, "sip:next@example.net", now)).unwrap();
    let second = rig.one();
    rig.give(&response(&second, "202 Accepted", "", "", ""));
    rig.events();
    rig.give(&notify(&mut caller, "refer;id=1", "terminated", "SIP/2.0 487 Gone"));
    assert_eq!(rig.one().what(), "481");
    assert!(rig.events().is_empty());
    rig.give(&notify(&mut caller, "refer;id=2", "terminated", "SIP/2.0 200 OK"));
    assert_eq!(rig.one().what(), "200");
    assert_eq!(progress(&mut rig), told(200, true));
}

#[test]
fn notifies_that_dont_fit_are_refused_and_not_passed_on() {
    for (headers, expected) in [
        ("Event: refer;id=99\r\nSubscription-State: active\r\n", "481"),
        ("Event: dialog\r\nSubscription-State: active\r\n", "489"),
        ("Subscription-State: active\r\n", "400"),
        ("Event: refer\r\n", "400"),
    ] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        referred(&mut rig, &mut caller);
        rig.give(&caller.next("NOTIFY", headers, ""));
        assert_eq!(rig.one().what(), expected, "{headers}");
        assert!(rig.events().is_empty());
    }
}

#[test]
fn a_notify_with_an_unreadable_fragment_is_passed_on_without_a_status() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    referred(&mut rig, &mut caller);
    rig.give(&notify(&mut caller, "refer", "active", "\u{0}garbage"));
    assert_eq!(progress(&mut rig), ReferProgress::Notified { status: None, terminated: false });
}

#[test]
fn a_refer_needs_an_established_call_and_a_uri() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    assert_eq!(rig.act(|e, now| e.refer(dialog, TARGET, now)), Err(ReferError::NotEstablished));
    rig.give(&caller.ack());
    rig.events();
    for target in ["", "no uri", "sip:a@b>\r\nX: y", "sip:"] {
        assert_eq!(rig.act(|e, now| e.refer(dialog, target, now)), Err(ReferError::BadTarget), "{target:?}");
    }
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.act(|e, now| e.refer(dialog, TARGET, now)), Err(ReferError::NotEstablished));
}

#[test]
fn the_far_end_may_hang_up_while_a_refer_is_under_way() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let (dialog, _) = referred(&mut rig, &mut caller);
    rig.give(&caller.next("BYE", "", ""));
    assert!(matches!(rig.event(), Event::Bye { .. }));
    rig.endpoint.forget(dialog);
    rig.sent();
    rig.assert_empty_in_the_end();
    assert!(rig.events().is_empty());
}
