//! Calls that come: 100, 180, 200, ACK, refusals and their repetitions.

use bytes::Bytes;
use sip::endpoint::{Config, Event};
use sip::message::{HeaderName, StatusCode};

use crate::rig::{ANSWER, Caller, OFFER, Rig, ms, secs, status};

#[test]
fn a_call_is_answered_talked_and_hung_up() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.give(&caller.invite(""));
    let trying = rig.one();
    assert_eq!(trying.what(), "100");
    assert!(!trying.header("To").contains("tag="));
    let Event::Invite { dialog, offer, request, .. } = rig.event() else { panic!() };
    assert_eq!(offer.as_deref(), Some(OFFER.as_bytes()));
    assert_eq!(request.uri().user(), Some(&b"+33199000001"[..]));

    rig.act(|e, now| e.ring(dialog, StatusCode::RINGING, None, now)).unwrap();
    let ringing = rig.one();
    assert_eq!(ringing.what(), "180");
    assert_eq!(ringing.header("Contact"), "<sip:192.0.2.1:5060>");

    rig.act(|e, now| e.accept(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
    let ok = rig.one();
    assert_eq!((ok.what(), ok.body()), ("200", ANSWER));
    assert_eq!(ok.to_tag(), ringing.to_tag());
    assert_eq!(ok.header("From"), caller.from);
    assert_eq!(ok.header("Call-ID"), caller.call_id);
    assert_eq!(ok.header("CSeq"), "1 INVITE");
    assert!(ok.header("Allow").contains("INVITE"));

    caller.to_tag = ok.to_tag().to_owned();
    rig.give(&caller.ack());
    assert!(matches!(rig.event(), Event::Confirmed { dialog: d, answer: None } if d == dialog));
    rig.pass(secs(60));
    rig.assert_silent();

    rig.give(&caller.next("BYE", "Reason: Q.850;cause=16\r\n", ""));
    assert_eq!(rig.one().what(), "200");
    let Event::Bye { dialog: d, reason } = rig.event() else { panic!() };
    assert_eq!((d, reason.as_deref()), (dialog, Some(&b"Q.850;cause=16"[..])));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_hundred_calls_at_once_dont_meet() {
    let mut rig = Rig::new();
    let mut calls: Vec<_> = (1..=100).map(Caller::new).map(|mut c| (rig.offered(&mut c), c)).collect();
    for (dialog, caller) in &mut calls {
        rig.act(|e, now| e.accept(*dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
        let ok = rig.one();
        assert_eq!(ok.header("Call-ID"), caller.call_id);
        caller.to_tag = ok.to_tag().to_owned();
    }
    for (dialog, caller) in calls.iter_mut().rev() {
        rig.give(&caller.ack());
        assert!(matches!(rig.event(), Event::Confirmed { dialog: d, .. } if d == *dialog));
    }
    for (dialog, caller) in &mut calls {
        rig.give(&caller.next("BYE", "", ""));
        assert_eq!(rig.one().what(), "200");
        assert!(matches!(rig.event(), Event::Bye { dialog: d, .. } if d == *dialog));
        rig.endpoint.forget(*dialog);
    }
    assert_eq!(rig.endpoint.dialog_count(), 0);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_repeated_invite_gets_the_last_response_and_none_after_the_2xx() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    let invite = caller.invite("");
    rig.give(&invite);
    assert_eq!(rig.sent_in_short(), ["100"]);
    rig.act(|e, now| e.ring(dialog, StatusCode::RINGING, None, now)).unwrap();
    let ringing = rig.one().text;
    rig.give(&invite);
    assert_eq!(rig.one().text, ringing);
    rig.act(|e, now| e.accept(dialog, Bytes::new(), now)).unwrap();
    rig.sent();
    rig.give(&invite);
    rig.assert_silent();
    assert_eq!(rig.endpoint.counters().invites, 1);
    assert_eq!(rig.endpoint.counters().retransmissions, 3);
}

#[test]
fn the_2xx_is_repeated_from_t1_up_to_t2_until_the_ack() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.answered(&mut caller);
    rig.pass(secs(16));
    let at: Vec<u128> = rig.sent().iter().map(|sent| sent.at.as_millis()).collect();
    assert_eq!(at, [500, 1_500, 3_500, 7_500, 11_500, 15_500]);
    rig.give(&caller.ack());
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
    // A copy of the ACK changes nothing.
    let copy = caller.ack();
    rig.give(&copy);
    rig.pass(secs(60));
    rig.assert_silent();
}

#[test]
fn an_ack_that_never_comes_is_told_after_64_t1_and_the_call_can_be_ended() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    rig.pass(ms(31_999));
    assert!(rig.events().is_empty());
    rig.pass(ms(1));
    assert!(matches!(rig.event(), Event::Unconfirmed { dialog: d } if d == dialog));
    rig.sent();
    rig.pass(secs(10));
    rig.assert_silent();
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.one().what(), "BYE");
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_provisional_response_is_renewed_every_minute_while_it_rings() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.ring(dialog, StatusCode::RINGING, None, now)).unwrap();
    rig.sent();
    rig.pass(secs(121));
    assert_eq!(rig.sent_in_short(), ["180", "180"]);
    assert_eq!(rig.endpoint.counters().retransmissions, 0);
}

#[test]
fn a_refusal_is_repeated_until_its_ack_and_the_ack_is_absorbed() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    let headers = [(HeaderName::RetryAfter, "7".to_owned())];
    rig.act(|e, now| e.reject(dialog, status(486), &headers, now)).unwrap();
    rig.endpoint.forget(dialog);
    let busy = rig.one();
    assert_eq!((busy.what(), busy.header("Retry-After")), ("486", "7"));
    rig.pass(ms(1_500));
    assert_eq!(rig.sent_in_short(), ["486", "486"]);
    rig.give(&caller.invite(""));
    assert_eq!(rig.sent_in_short(), ["486"]);
    let ack = caller.ack_refusal(busy.to_tag());
    rig.give(&ack);
    rig.give(&ack);
    rig.give(&caller.invite(""));
    rig.pass(secs(4));
    rig.assert_silent();
    rig.assert_empty_in_the_end();
}

#[test]
fn a_refusal_without_an_ack_is_given_up_at_timer_h() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.reject(dialog, status(404), &[], now)).unwrap();
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
    let at: Vec<u128> = rig.sent().iter().map(|sent| sent.at.as_millis()).collect();
    assert_eq!(at, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
}

#[test]
fn an_invite_expires_when_its_sender_said() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.give(&caller.invite("Expires: 20\r\n"));
    rig.sent();
    let Event::Invite { dialog, .. } = rig.event() else { panic!() };
    rig.pass(secs(19));
    rig.assert_silent();
    rig.pass(secs(1));
    assert_eq!(rig.one().what(), "487");
    assert!(matches!(rig.event(), Event::Cancelled { dialog: d } if d == dialog));
    assert!(rig.act(|e, now| e.accept(dialog, Bytes::new(), now)).is_err());
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn an_answered_invite_no_longer_expires() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    caller.extra = "Expires: 20\r\n".to_owned();
    rig.established(&mut caller);
    rig.pass(secs(40));
    rig.assert_silent();
}

#[test]
fn a_delayed_offer_is_answered_in_the_ack() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.give(&caller.write("INVITE", 1, "", ""));
    rig.sent();
    let Event::Invite { dialog, offer: None, .. } = rig.event() else { panic!() };
    rig.act(|e, now| e.accept(dialog, Bytes::from_static(OFFER.as_bytes()), now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    rig.give(&caller.write("ACK", 1, "", ANSWER));
    let Event::Confirmed { answer, .. } = rig.event() else { panic!() };
    assert_eq!(answer.as_deref(), Some(ANSWER.as_bytes()));
}

#[test]
fn an_offer_inside_a_multipart_body_is_found() {
    let (mut rig, caller) = (Rig::new(), Caller::new(1));
    let body = format!(
        "--x\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x--\r\n"
    );
    rig.give(&caller.write("INVITE", 1, "Content-Type: multipart/mixed;boundary=x\r\n", &body));
    let Event::Invite { offer, .. } = rig.event() else { panic!() };
    assert_eq!(offer.as_deref(), Some(OFFER.as_bytes()));
}

#[test]
fn a_call_with_a_part_that_must_be_understood_and_isnt_is_refused() {
    let (mut rig, caller) = (Rig::new(), Caller::new(1));
    let body = format!(
        "--x\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--x\r\nContent-Type: application/frob\r\n\
         Content-Disposition: session;handling=required\r\n\r\nhi\r\n--x--\r\n"
    );
    rig.give(&caller.write("INVITE", 1, "Content-Type: multipart/mixed;boundary=x\r\n", &body));
    let reply = rig.one();
    assert_eq!((reply.what(), reply.header("Accept")), ("415", "application/sdp"));
}

#[test]
fn early_media_goes_unreliably_to_those_who_know_no_better() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.ring(dialog, StatusCode::SESSION_PROGRESS, Some(ANSWER.into()), now)).unwrap();
    let progress = rig.one();
    assert_eq!((progress.what(), progress.body(), progress.headers("RSeq").len()), ("183", ANSWER, 0));
    rig.act(|e, now| e.accept(dialog, ANSWER.into(), now)).unwrap();
    let ok = rig.one();
    assert_eq!((ok.what(), ok.body()), ("200", ANSWER));
}

#[test]
fn nothing_is_left_of_a_thousand_calls() {
    let mut rig = Rig::with(Config { max_dialogs: 1_000, ..Config::default() });
    for number in 1..=1_000 {
        let mut caller = Caller::new(number);
        let dialog = match number % 4 {
            0 => {
                let dialog = rig.offered(&mut caller);
                rig.act(|e, now| e.reject(dialog, status(486), &[], now)).unwrap();
                dialog
            }
            1 => {
                let dialog = rig.offered(&mut caller);
                rig.give(&caller.cancel());
                dialog
            }
            2 => {
                let dialog = rig.established(&mut caller);
                rig.give(&caller.next("BYE", "", ""));
                dialog
            }
            _ => {
                let dialog = rig.established(&mut caller);
                rig.act(|e, now| e.bye(dialog, "", now));
                dialog
            }
        };
        rig.endpoint.forget(dialog);
        rig.pass(ms(10));
        rig.sent();
        rig.events();
    }
    rig.assert_empty_in_the_end();
}
