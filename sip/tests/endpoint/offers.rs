//! Offers in a running dialog: re-INVITE and UPDATE (RFC 3261 §14, RFC 3311).

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::{Event, OfferMethod};

use crate::rig::{ANSWER, Caller, OFFER, Rig, Sent, ms, secs, status, udp_from};

fn answer(rig: &mut Rig, dialog: DialogId) -> Sent {
    let answer = Ok(Some(Bytes::from_static(ANSWER.as_bytes())));
    rig.act(|e, now| e.answer_offer(dialog, answer, now)).unwrap();
    rig.one()
}

fn assert_try_again(reply: &Sent) {
    assert_eq!(reply.what(), "500");
    assert!(reply.header("Retry-After").parse::<u32>().unwrap() <= 10);
}

#[test]
fn a_re_invite_is_passed_on_answered_and_acknowledged() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.give(&caller.next("INVITE", "", OFFER));
    assert_eq!(rig.one().what(), "100");
    let Event::Offer { method: OfferMethod::Invite, offer, dialog: d } = rig.event() else { panic!() };
    assert_eq!((offer.as_deref(), d), (Some(OFFER.as_bytes()), dialog));
    let ok = answer(&mut rig, dialog);
    assert_eq!((ok.what(), ok.body(), ok.to_tag()), ("200", ANSWER, caller.to_tag.as_str()));
    assert_eq!(ok.header("Contact"), "<sip:192.0.2.1:5060>");
    rig.give(&caller.ack());
    assert!(matches!(rig.event(), Event::Confirmed { answer: None, .. }));
    rig.pass(secs(40));
    rig.assert_silent();
    rig.hang_up(&mut caller, dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn the_2xx_of_a_re_invite_is_repeated_until_its_ack_and_its_loss_is_told() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let stale_ack = caller.ack();
    rig.give(&caller.next("INVITE", "", OFFER));
    rig.sent();
    rig.events();
    answer(&mut rig, dialog);
    rig.pass(ms(3_500));
    assert_eq!(rig.sent_in_short(), ["200", "200", "200"]);
    // The ACK of the first INVITE is not this one's.
    rig.give(&stale_ack);
    rig.assert_silent();
    rig.pass(ms(28_500));
    assert!(matches!(rig.event(), Event::Unconfirmed { .. }));
}

#[test]
fn a_re_invite_without_an_offer_gets_ours_and_its_ack_the_answer() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.give(&caller.next("INVITE", "", ""));
    rig.sent();
    assert!(matches!(rig.event(), Event::Offer { offer: None, .. }));
    answer(&mut rig, dialog);
    // An offer of theirs would cross ours (RFC 3311 §5.2).
    let mut update = Caller { branch: 90, ..caller.clone() };
    rig.give(&update.next("UPDATE", "", OFFER));
    assert_eq!(rig.one().what(), "491");
    rig.give(&caller.write("ACK", caller.cseq, "", ANSWER).replace(&caller.branch_value(), "z9hG4bKa"));
    let Event::Confirmed { answer, .. } = rig.event() else { panic!() };
    assert_eq!(answer.as_deref(), Some(ANSWER.as_bytes()));
}

#[test]
fn a_refused_re_invite_leaves_the_call_up() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.give(&caller.next("INVITE", "", OFFER));
    rig.sent();
    rig.events();
    rig.act(|e, now| e.answer_offer(dialog, Err(status(488)), now)).unwrap();
    let refusal = rig.one();
    assert_eq!((refusal.what(), refusal.to_tag()), ("488", caller.to_tag.as_str()));
    rig.give(&caller.write("ACK", caller.cseq, "", ""));
    rig.pass(secs(40));
    rig.assert_silent();
    rig.give(&caller.next("OPTIONS", "", ""));
    assert_eq!(rig.one().what(), "200");
}

#[test]
fn one_offer_at_a_time() {
    for (first, second) in
        [("INVITE", "INVITE"), ("INVITE", "UPDATE"), ("UPDATE", "UPDATE"), ("UPDATE", "INVITE")]
    {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        rig.give(&caller.next(first, "", OFFER));
        rig.sent();
        rig.events();
        let again = caller.next(second, "", OFFER);
        rig.give(&again);
        let reply = rig.one();
        assert_try_again(&reply);
        rig.give(&again);
        assert_eq!(rig.one().text, reply.text, "{first} {second}");
        assert!(rig.events().is_empty());
        assert_eq!(answer(&mut rig, dialog).header("CSeq"), format!("2 {first}"));
    }
}

// RFC 5407 §3.1.4: who sends another INVITE has the 2xx.
#[test]
fn a_re_invite_that_overtakes_the_ack_is_taken_and_stands_for_it() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    let late_ack = caller.ack();
    rig.give(&caller.next("INVITE", "", OFFER));
    assert_eq!(rig.one().what(), "100");
    let events = rig.events();
    assert!(
        matches!(events.as_slice(), [Event::Confirmed { answer: None, .. }, Event::Offer { .. }]),
        "{events:?}"
    );
    rig.give(&late_ack);
    rig.pass(secs(10));
    rig.assert_silent();
    answer(&mut rig, dialog);
    rig.give(&caller.ack());
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
}

// RFC 5407 §3.1.5: the answer to our offer is still on its way.
#[test]
fn a_re_invite_before_the_ack_that_brings_the_answer_is_told_that_ours_is_pending() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.give(&caller.write("INVITE", 1, "", ""));
    let Event::Invite { dialog, offer: None, .. } = rig.event() else { panic!() };
    rig.act(|e, now| e.accept(dialog, Bytes::from_static(OFFER.as_bytes()), now)).unwrap();
    caller.to_tag = rig.last().to_tag().to_owned();
    for body in [OFFER, ""] {
        rig.give(&caller.next("INVITE", "", body));
        assert_eq!(rig.one().what(), "491", "{body}");
    }
    rig.give(&caller.next("UPDATE", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(rig.events().is_empty());
}

#[test]
fn a_bye_of_ours_that_waits_for_the_ack_goes_before_the_next_offer() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    assert!(rig.sent().is_empty());
    rig.give(&caller.next("INVITE", "", OFFER));
    assert_eq!(rig.sent_in_short(), ["BYE", "481"]);
}

#[test]
fn the_same_description_again_right_after_the_ack_is_taken() {
    for method in ["INVITE", "UPDATE"] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        for _ in 0..3 {
            rig.give(&caller.next(method, "", OFFER));
            rig.sent();
            assert!(matches!(rig.event(), Event::Offer { offer: Some(_), .. }), "{method}");
            assert_eq!(answer(&mut rig, dialog).what(), "200");
            if method == "INVITE" {
                rig.give(&caller.ack());
                assert!(matches!(rig.event(), Event::Confirmed { .. }));
            }
        }
    }
}

#[test]
fn an_update_is_passed_on_and_needs_no_ack() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let update = caller.next("UPDATE", "", OFFER);
    rig.give(&update);
    assert!(rig.sent().is_empty());
    let Event::Offer { method: OfferMethod::Update, offer: Some(_), .. } = rig.event() else { panic!() };
    let ok = answer(&mut rig, dialog);
    assert_eq!((ok.what(), ok.header("Contact"), ok.body()), ("200", "<sip:192.0.2.1:5060>", ANSWER));
    rig.pass(secs(31));
    rig.assert_silent();
    rig.give(&update);
    assert_eq!(rig.one().text, ok.text);
}

#[test]
fn an_update_without_an_offer_is_answered_and_followed_whatever_else_waits() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.give(&caller.next("INVITE", "", OFFER));
    rig.sent();
    rig.events();
    caller.contact = "<sip:moved@192.0.2.77:5077>".to_owned();
    rig.give(&caller.next("UPDATE", "", ""));
    let ok = rig.one();
    assert_eq!((ok.what(), ok.body(), ok.header("Contact")), ("200", "", "<sip:192.0.2.1:5060>"));
    assert!(rig.events().is_empty());
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.last().request_uri(), "sip:moved@192.0.2.77:5077");
}

#[test]
fn an_update_before_the_answer_may_refresh_and_not_offer() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.ring(dialog, status(180), None, now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    rig.give(&caller.next("UPDATE", "", OFFER));
    assert_try_again(&rig.one());
    caller.contact = "<sip:moved@192.0.2.10:5070>".to_owned();
    rig.give(&caller.next("UPDATE", "", ""));
    let ok = rig.one();
    assert_eq!((ok.what(), ok.header("Contact")), ("200", "<sip:192.0.2.1:5060>"));
    assert!(rig.events().is_empty());
    rig.act(|e, now| e.accept(dialog, Bytes::new(), now)).unwrap();
    rig.sent();
    rig.give(&caller.write("ACK", 1, "", "").replace(&caller.branch_value(), "z9hG4bKack"));
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.one().request_uri(), "sip:moved@192.0.2.10:5070");
}

#[test]
fn an_offer_of_an_unknown_type_is_refused_and_the_next_one_taken() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    rig.give(&caller.next("INVITE", "Content-Type: text/plain\r\n", "hi"));
    let reply = rig.one();
    assert_eq!((reply.what(), reply.header("Accept")), ("415", "application/sdp"));
    rig.give(&caller.next("INVITE", "", OFFER));
    assert!(matches!(rig.event(), Event::Offer { .. }));
}

#[test]
fn a_new_contact_and_a_new_port_are_followed() {
    for method in ["INVITE", "UPDATE"] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        caller.contact = "\"x, y\" <sip:other@192.0.2.77:5077;ob>;q=0.5".to_owned();
        let offer = caller.next(method, "", OFFER);
        rig.give_from(udp_from("192.0.2.10:7000"), &offer);
        rig.events();
        rig.sent();
        answer(&mut rig, dialog);
        rig.give(&caller.ack());
        rig.act(|e, now| e.bye(dialog, "", now));
        let bye = rig.last();
        assert_eq!((bye.what(), bye.request_uri()), ("BYE", "sip:other@192.0.2.77:5077;ob"), "{method}");
        assert_eq!(bye.goes_to(), "Address(192.0.2.77:5077)");
    }
}

// RFC 6141 §4.4: what was refused changed nothing.
#[test]
fn a_new_contact_counts_only_once_its_offer_is_accepted() {
    for method in ["INVITE", "UPDATE"] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        caller.contact = "<sip:moved@192.0.2.77:5077>".to_owned();
        let offer = caller.next(method, "", OFFER);
        rig.give_from(udp_from("192.0.2.10:7000"), &offer);
        rig.act(|e, now| e.answer_offer(dialog, Err(status(488)), now)).unwrap();
        rig.sent();
        rig.act(|e, now| e.bye(dialog, "", now));
        let bye = rig.last();
        assert_eq!(bye.request_uri(), "sip:caller@192.0.2.10:5060", "{method}");
        assert_eq!(bye.goes_to(), "Address(192.0.2.10:5060)");
    }
}

#[test]
fn an_offer_after_our_bye_is_for_no_call() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.sent();
    rig.give(&caller.next("INVITE", "", OFFER));
    assert_eq!(rig.one().what(), "481");
}
