//! BYE from either side, at every moment.

use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{Event, Input};

use crate::rig::{ANSWER, Caller, Rig, ms, response, secs};

#[test]
fn our_bye_is_repeated_until_answered() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "SIP;cause=200;text=\"Goodbye\"", now));
    let bye = rig.one();
    assert_eq!((bye.what(), bye.request_uri()), ("BYE", "sip:caller@192.0.2.10:5060"));
    assert_eq!(bye.header("Reason"), "SIP;cause=200;text=\"Goodbye\"");
    assert_eq!(bye.header("To"), caller.from);
    assert!(bye.header("From").ends_with(&format!(";tag={}", caller.to_tag)));
    assert_eq!((bye.header("CSeq"), bye.header("Max-Forwards")), ("1 BYE", "70"));
    rig.pass(ms(1_500));
    assert_eq!(rig.sent_in_short(), ["BYE", "BYE"]);
    let ok = response(&bye, "200 OK", "", "", "");
    rig.give(&ok);
    assert!(matches!(rig.event(), Event::Closed { dialog: d } if d == dialog));
    rig.give(&ok);
    rig.endpoint.forget(dialog);
    rig.assert_silent();
    rig.assert_empty_in_the_end();
}

#[test]
fn a_bye_that_nobody_answers_closes_the_call_all_the_same() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.endpoint.forget(dialog);
    rig.pass(ms(31_999));
    assert_eq!((rig.events().len(), rig.endpoint.dialog_count()), (0, 1));
    rig.pass(ms(1));
    assert!(matches!(rig.event(), Event::Closed { .. }));
    assert_eq!(rig.endpoint.dialog_count(), 0);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_bye_that_cant_be_delivered_closes_the_call() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    let ticket = rig.one().transmit.ticket.unwrap();
    rig.give_input(Input::Undeliverable(ticket));
    assert!(matches!(rig.event(), Event::Closed { .. }));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn any_final_response_to_our_bye_ends_the_call() {
    for line in ["481 Gone", "408 Timeout", "500 Oops", "603 No"] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        rig.act(|e, now| e.bye(dialog, "", now));
        let bye = rig.one();
        rig.give(&response(&bye, "100 Trying", "", "", ""));
        assert!(rig.events().is_empty(), "{line}");
        rig.give(&response(&bye, line, "", "", ""));
        assert!(matches!(rig.event(), Event::Closed { .. }), "{line}");
    }
}

#[test]
fn a_bye_before_the_ack_waits_for_it() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    rig.act(|e, now| e.bye(dialog, "Q.850;cause=16", now));
    rig.assert_silent();
    rig.give(&caller.ack());
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
    let bye = rig.one();
    assert_eq!((bye.what(), bye.header("Reason")), ("BYE", "Q.850;cause=16"));
}

#[test]
fn a_bye_that_waits_for_an_ack_goes_out_when_it_never_comes() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.endpoint.forget(dialog);
    rig.pass(secs(32));
    assert_eq!(rig.last().what(), "BYE");
    assert!(matches!(rig.event(), Event::Unconfirmed { .. }));
    rig.assert_empty_in_the_end();
}

#[test]
fn a_bye_from_the_caller_before_its_ack_ends_the_repetition_of_the_2xx() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    let ack = caller.ack();
    rig.give(&caller.next("BYE", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Bye { dialog: d, .. } if d == dialog));
    rig.endpoint.forget(dialog);
    rig.give(&ack);
    rig.pass(Duration::from_secs(33));
    rig.assert_silent();
    rig.assert_empty_in_the_end();
}

#[test]
fn a_bye_that_finds_ours_waiting_closes_the_call_once() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.give(&caller.next("BYE", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Closed { .. }));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
    rig.assert_silent();
}

#[test]
fn byes_that_cross_are_both_answered_and_close_the_call_once() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    let ours = rig.one();
    rig.give(&caller.next("BYE", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Closed { .. }));
    rig.endpoint.forget(dialog);
    rig.give(&response(&ours, "481 Gone", "", "", ""));
    rig.assert_silent();
    rig.assert_empty_in_the_end();
}

#[test]
fn a_repeated_bye_gets_the_same_200_also_after_the_dialog_is_forgotten() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let bye = caller.next("BYE", "", "");
    rig.give(&bye);
    let ok = rig.one().text;
    rig.events();
    rig.endpoint.forget(dialog);
    for _ in 0..3 {
        rig.pass(secs(4));
        rig.give(&bye);
        assert_eq!(rig.one().text, ok);
    }
    assert!(rig.events().is_empty());
    // Another one is for a dialog that is over.
    rig.give(&caller.next("BYE", "", ""));
    assert_eq!(rig.one().what(), "481");
}

#[test]
fn a_bye_in_an_early_dialog_ends_its_invite_too() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.ring(dialog, sip::message::StatusCode::RINGING, None, now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    rig.give(&caller.next("BYE", "", ""));
    let sent = rig.sent();
    let lines: Vec<_> = sent.iter().map(|sent| (sent.what(), sent.header("CSeq"))).collect();
    assert_eq!(lines, [("200", "2 BYE"), ("487", "1 INVITE")]);
    assert!(matches!(rig.event(), Event::Bye { .. }));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_re_invite_that_waits_is_terminated_whoever_hangs_up() {
    for ours in [true, false] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        rig.give(&caller.next("INVITE", "", ANSWER));
        rig.sent();
        rig.events();
        if ours {
            rig.act(|e, now| e.bye(dialog, "", now));
            assert_eq!(rig.sent_in_short(), ["487", "BYE"]);
        } else {
            rig.give(&caller.next("BYE", "", ""));
            assert_eq!(rig.sent_in_short(), ["200", "487"]);
        }
        assert!(rig.act(|e, now| e.answer_offer(dialog, Ok(Some(Bytes::new())), now)).is_err());
        rig.endpoint.forget(dialog);
        rig.assert_empty_in_the_end();
    }
}

#[test]
fn hanging_up_twice_sends_one_bye() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.sent_in_short(), ["BYE"]);
}
