//! Provisional responses that must arrive (RFC 3262), as the one who sends them.

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::policy::PeerPolicy;
use sip::endpoint::{Event, OfferMethod};
use sip::message::StatusCode;

use crate::rig::{ANSWER, Caller, OFFER, Rig, Sent, ms, secs, status};

const REQUIRED: &str = "Require: 100rel\r\n";

/// A call whose INVITE had these headers and this body, as far as the owner's being asked.
fn asked(rig: &mut Rig, caller: &mut Caller, headers: &str, body: &str) -> DialogId {
    rig.give(&caller.write("INVITE", caller.cseq, headers, body));
    assert_eq!(rig.one().what(), "100");
    match rig.event() {
        Event::Invite { dialog, .. } => dialog,
        other => panic!("{other:?}"),
    }
}

fn ring(rig: &mut Rig, dialog: DialogId, code: u16, sdp: &'static str) {
    let sdp = (!sdp.is_empty()).then(|| Bytes::from_static(sdp.as_bytes()));
    rig.act(|e, now| e.ring(dialog, status(code), sdp, now)).unwrap();
}

fn accept(rig: &mut Rig, dialog: DialogId) {
    rig.act(|e, now| e.accept(dialog, ANSWER.into(), now)).unwrap();
}

/// The PRACK of a response.
fn prack(caller: &mut Caller, provisional: &Sent, body: &str) -> String {
    caller.to_tag = provisional.to_tag().to_owned();
    let rack = format!("RAck: {} {}\r\n", provisional.header("RSeq"), provisional.header("CSeq"));
    caller.next("PRACK", &rack, body)
}

fn early(headers: &str, body: &str) -> (Rig, Caller, DialogId) {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = asked(&mut rig, &mut caller, headers, body);
    (rig, caller, dialog)
}

#[test]
fn who_demands_it_or_may_have_it_gets_provisional_responses_reliably() {
    for (headers, wanted, reliable) in [
        ("", true, false),
        ("Supported: timer, 100rel\r\n", false, false),
        ("Supported: timer, 100rel\r\n", true, true),
        (REQUIRED, false, true),
    ] {
        let mut rig = Rig::agreed(PeerPolicy { reliable_provisional: wanted, ..PeerPolicy::default() });
        let dialog = asked(&mut rig, &mut Caller::new(1), headers, OFFER);
        ring(&mut rig, dialog, 180, "");
        let ringing = rig.one();
        assert_eq!(ringing.headers("RSeq").len() == 1, reliable, "{headers} {wanted}");
        assert_eq!(ringing.headers("Require"), if reliable { vec!["100rel"] } else { Vec::new() });
    }
}

#[test]
fn a_call_rings_reliably_is_answered_and_hung_up() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let ringing = rig.one();
    assert_eq!(ringing.header("Contact"), "<sip:192.0.2.1:5060>");
    let first: u32 = ringing.header("RSeq").parse().unwrap();
    assert!((1..=0x7fff_ffff).contains(&first));
    rig.give(&prack(&mut caller, &ringing, ""));
    let ok = rig.one();
    assert_eq!((ok.what(), ok.header("CSeq")), ("200", "2 PRACK"));
    rig.pass(secs(20));
    rig.assert_silent();
    accept(&mut rig, dialog);
    let ok = rig.one();
    assert_eq!((ok.what(), ok.body(), ok.header("CSeq")), ("200", ANSWER, "1 INVITE"));
    rig.give(&caller.write("ACK", 1, "", "").replace(&caller.branch_value(), "z9hG4bKack"));
    assert!(matches!(rig.event(), Event::Confirmed { answer: None, .. }));
    rig.hang_up(&mut caller, dialog);
    rig.assert_empty_in_the_end();
}

// §3: T1, doubling, without T2 as a cap; 64 × T1, then a 5xx.
#[test]
fn it_is_repeated_until_the_prack_and_without_one_the_call_is_refused() {
    for tcp in [false, true] {
        let mut rig = Rig::new();
        let mut caller = if tcp { Caller::over_tcp(1, 4) } else { Caller::new(1) };
        let flow = caller.flow;
        let invite = caller.invite(REQUIRED);
        rig.give_from(flow, &invite);
        let Event::Invite { dialog, .. } = rig.event() else { panic!() };
        rig.sent();
        ring(&mut rig, dialog, 180, "");
        let ringing = rig.one();
        rig.pass(ms(31_999));
        let again = rig.sent();
        let at: Vec<u128> = again.iter().map(|sent| sent.at.as_millis()).collect();
        assert_eq!(at, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert!(again.iter().all(|sent| sent.text == ringing.text));
        assert!(rig.events().is_empty());
        rig.pass(ms(1));
        assert_eq!(rig.one().what(), "504");
        assert!(matches!(rig.event(), Event::Cancelled { dialog: d } if d == dialog));
        rig.endpoint.forget(dialog);
        rig.give_from(flow, &prack(&mut caller, &ringing, ""));
        assert_eq!(rig.last().what(), "481");
        rig.assert_empty_in_the_end();
    }
}

#[test]
fn a_prack_for_anything_else_gets_481_and_acknowledges_nothing() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let ringing = rig.one();
    caller.to_tag = ringing.to_tag().to_owned();
    let rseq: u32 = ringing.header("RSeq").parse().unwrap();
    for rack in [format!("{} 1 INVITE", rseq + 1), format!("{rseq} 2 INVITE"), format!("{rseq} 1 UPDATE")] {
        rig.give(&caller.next("PRACK", &format!("RAck: {rack}\r\n"), ""));
        assert_eq!(rig.one().what(), "481", "{rack}");
    }
    rig.pass(ms(500));
    assert_eq!(rig.one().what(), "180");
    let good = prack(&mut caller, &ringing, "");
    rig.give(&good);
    let ok = rig.one();
    assert_eq!(ok.what(), "200");
    // A copy gets the same; another one with the same number is for nothing.
    rig.give(&good);
    assert_eq!(rig.one().text, ok.text);
    rig.give(&prack(&mut caller, &ringing, ""));
    assert_eq!(rig.one().what(), "481");
}

// §3: not before the first one is acknowledged.
#[test]
fn the_second_one_waits_for_the_prack_of_the_first() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let first = rig.one();
    ring(&mut rig, dialog, 183, ANSWER);
    ring(&mut rig, dialog, 182, "");
    rig.assert_silent();
    rig.give(&prack(&mut caller, &first, ""));
    let sent = rig.sent();
    let [ok, second] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((ok.what(), second.what(), second.body()), ("200", "182", ANSWER));
    let number = |sent: &Sent| sent.header("RSeq").parse::<u32>().unwrap();
    assert_eq!(number(second), number(&first) + 1);
}

// §3: the 200 waits while a description of ours is unacknowledged, and no longer.
#[test]
fn the_200_waits_for_the_prack_of_a_description() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 183, ANSWER);
    let progress = rig.one();
    assert_eq!(progress.body(), ANSWER);
    accept(&mut rig, dialog);
    rig.assert_silent();
    assert!(rig.act(|e, now| e.ring(dialog, StatusCode::RINGING, None, now)).is_err());
    assert!(rig.act(|e, now| e.accept(dialog, Bytes::new(), now)).is_err());
    rig.pass(ms(500));
    assert_eq!(rig.one().what(), "183");
    rig.give(&prack(&mut caller, &progress, ""));
    let sent = rig.sent();
    let [prack_ok, ok] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((prack_ok.header("CSeq"), ok.header("CSeq")), ("2 PRACK", "1 INVITE"));
    // The answer has been given (RFC 3261 §13.2.1), and isn't given twice.
    assert_eq!((ok.what(), ok.body()), ("200", ""));
    rig.give(&caller.write("ACK", 1, "", "").replace(&caller.branch_value(), "z9hG4bKack"));
    assert!(matches!(rig.event(), Event::Confirmed { answer: None, .. }));
}

#[test]
fn the_200_doesnt_wait_for_the_prack_of_a_mere_180() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let ringing = rig.one();
    accept(&mut rig, dialog);
    assert_eq!(rig.one().body(), ANSWER);
    rig.give(&prack(&mut caller, &ringing, ""));
    assert_eq!(rig.one().what(), "200");
    rig.pass(ms(500));
    // The 200 is repeated, the 180 isn't.
    assert_eq!(rig.sent_in_short(), ["200"]);
}

#[test]
fn who_gives_up_while_the_200_waits_has_hung_up_on_an_accepted_call() {
    type Act = fn(&mut Rig, &mut Caller);
    let acts: [(Act, &[&str]); 3] = [
        (|rig, caller| rig.give(&Caller { cseq: 1, ..caller.clone() }.cancel()), &["200", "487"]),
        (|rig, caller| rig.give(&caller.next("BYE", "", "")), &["200", "487"]),
        (|rig, _| rig.pass(ms(32_000)), &["183", "183", "183", "183", "183", "183", "504"]),
    ];
    for (act, expected) in acts {
        let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
        ring(&mut rig, dialog, 183, ANSWER);
        let progress = rig.one();
        accept(&mut rig, dialog);
        caller.to_tag = progress.to_tag().to_owned();
        act(&mut rig, &mut caller);
        assert_eq!(rig.sent_in_short(), expected);
        assert!(matches!(rig.event(), Event::Bye { dialog: d, .. } if d == dialog));
        rig.endpoint.forget(dialog);
        rig.assert_empty_in_the_end();
    }
}

#[test]
fn an_acceptance_whose_200_waits_can_be_taken_back() {
    let (mut rig, _, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 183, ANSWER);
    rig.sent();
    accept(&mut rig, dialog);
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.sent_in_short(), ["480"]);
    assert!(matches!(rig.event(), Event::Closed { dialog: d } if d == dialog));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_refusal_waits_for_nothing() {
    let (mut rig, _, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 183, ANSWER);
    rig.sent();
    rig.act(|e, now| e.reject(dialog, StatusCode::BUSY_HERE, &[], now)).unwrap();
    rig.endpoint.forget(dialog);
    assert_eq!(rig.one().what(), "486");
    rig.pass(ms(499));
    rig.assert_silent();
    rig.assert_empty_in_the_end();
}

// §5: our offer goes with the first reliable response, and the answer comes in its PRACK.
#[test]
fn an_offer_left_to_us_is_answered_in_the_prack() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, "");
    // Nothing that could go out would be right.
    ring(&mut rig, dialog, 180, "");
    rig.assert_silent();
    ring(&mut rig, dialog, 183, OFFER);
    let progress = rig.one();
    assert_eq!((progress.body(), progress.header("Require")), (OFFER, "100rel"));
    caller.to_tag = progress.to_tag().to_owned();
    // Theirs would cross ours.
    rig.give(&caller.next("UPDATE", "", OFFER));
    assert_eq!(rig.one().what(), "491");
    rig.give(&prack(&mut caller, &progress, ANSWER));
    assert_eq!(rig.one().what(), "200");
    let Event::EarlyAnswer { answer, .. } = rig.event() else { panic!() };
    assert_eq!(answer.as_deref(), Some(ANSWER.as_bytes()));
    accept(&mut rig, dialog);
    assert_eq!(rig.one().body(), "");
    // A re-INVITE need not wait for the ACK: there is no answer in it.
    rig.give(&caller.next("INVITE", "", OFFER));
    assert!(rig.events().iter().any(|event| matches!(event, Event::Offer { .. })));
}

#[test]
fn an_offer_left_to_us_may_ring_unreliably_where_that_isnt_excluded() {
    let mut rig = Rig::agreed(PeerPolicy { reliable_provisional: true, ..PeerPolicy::default() });
    let dialog = asked(&mut rig, &mut Caller::new(1), "Supported: 100rel\r\n", "");
    ring(&mut rig, dialog, 180, "");
    assert!(rig.one().headers("RSeq").is_empty());
    accept(&mut rig, dialog);
    assert_eq!(rig.one().body(), ANSWER);
}

// §5: after offer and answer the PRACK may bring another offer.
#[test]
fn an_offer_in_a_prack_is_answered_there() {
    for answer in [Ok(Some(Bytes::from_static(ANSWER.as_bytes()))), Err(status(488))] {
        let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
        ring(&mut rig, dialog, 183, ANSWER);
        let progress = rig.one();
        rig.give(&prack(&mut caller, &progress, OFFER));
        assert!(rig.sent().is_empty());
        let Event::Offer { method: OfferMethod::Prack, offer: Some(_), .. } = rig.event() else { panic!() };
        // The 200 to the INVITE waits for this, too.
        accept(&mut rig, dialog);
        rig.assert_silent();
        let expected = answer.as_ref().map_or("488", |_| "200").to_owned();
        rig.act(|e, now| e.answer_offer(dialog, answer.clone(), now)).unwrap();
        let sent = rig.sent();
        let [reply, ok] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!((reply.header("CSeq"), reply.what()), ("2 PRACK", expected.as_str()));
        assert_eq!(reply.body(), if expected == "200" { ANSWER } else { "" });
        assert_eq!((ok.header("CSeq"), ok.what(), ok.body()), ("1 INVITE", "200", ""));
    }
}

#[test]
fn an_offer_in_the_prack_of_a_mere_180_comes_too_early() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let ringing = rig.one();
    rig.give(&prack(&mut caller, &ringing, OFFER));
    assert_eq!(rig.one().what(), "500");
    rig.give(&prack(&mut caller, &ringing, ""));
    assert_eq!(rig.one().what(), "200");
    assert!(rig.events().is_empty());
}

// RFC 3311 §5.1, RFC 6337 §2.2
#[test]
fn an_update_may_offer_anew_before_the_call_is_answered_once_the_first_offer_is() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 183, ANSWER);
    let progress = rig.one();
    rig.give(&prack(&mut caller, &progress, ""));
    rig.sent();
    rig.give(&caller.next("UPDATE", "", OFFER));
    let Event::Offer { method: OfferMethod::Update, offer: Some(_), .. } = rig.event() else { panic!() };
    rig.act(|e, now| e.answer_offer(dialog, Ok(Some(ANSWER.into())), now)).unwrap();
    let ok = rig.one();
    assert_eq!((ok.what(), ok.header("CSeq"), ok.body()), ("200", "3 UPDATE", ANSWER));
    accept(&mut rig, dialog);
    assert_eq!(rig.one().header("CSeq"), "1 INVITE");
}

// RFC 3261 §13.3.1.1: with a number of its own.
#[test]
fn a_reliable_response_is_renewed_every_minute_while_it_rings() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let mut last = rig.one();
    for _ in 0..3 {
        rig.give(&prack(&mut caller, &last, ""));
        rig.sent();
        rig.pass(secs(60));
        let next = rig.one();
        assert_eq!(next.what(), "180");
        assert_ne!(next.header("RSeq"), last.header("RSeq"));
        last = next;
    }
    rig.pass(secs(32));
    assert_eq!(rig.last().what(), "504");
}

#[test]
fn a_repeated_invite_gets_the_reliable_response_again() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let ringing = rig.one();
    rig.give(&caller.invite(REQUIRED));
    assert_eq!(rig.one().text, ringing.text);
}

#[test]
fn a_prack_with_a_body_that_isnt_understood_gets_415() {
    let (mut rig, mut caller, dialog) = early(REQUIRED, OFFER);
    ring(&mut rig, dialog, 180, "");
    let ringing = rig.one();
    let text = prack(&mut caller, &ringing, "hi").replace("application/sdp", "text/plain");
    rig.give(&text);
    assert_eq!(rig.one().what(), "415");
    rig.give(&prack(&mut caller, &ringing, ""));
    assert_eq!(rig.one().what(), "200");
}
