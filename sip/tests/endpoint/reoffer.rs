//! Offers of ours in a running call: re-INVITE and UPDATE (RFC 3261 §14.1, RFC 3311), and requests
//! that change nothing in it.

use std::collections::BTreeSet;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::{Config, Endpoint, Event, Input, OfferMethod};
use sip::message::{Method, StatusCode};
use sip::ua::offer::OfferError;

use crate::callee::{CONTACT, up};
use crate::rig::{ANSWER, Caller, OFFER, Rig, Sent, ms, response, secs, status};

fn offer(rig: &mut Rig, dialog: DialogId, method: OfferMethod) -> Sent {
    let sdp = Some(Bytes::from_static(OFFER.as_bytes()));
    rig.act(|e, now| e.send_offer(dialog, method, sdp, now)).unwrap();
    rig.one()
}

fn result(rig: &mut Rig) -> Result<Option<Bytes>, StatusCode> {
    match rig.event() {
        Event::OfferAnswered { answer, .. } => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_re_invite_of_ours_is_answered_and_acknowledged_as_often_as_its_2xx_comes() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let invite = offer(&mut rig, dialog, OfferMethod::Invite);
    assert_eq!((invite.what(), invite.header("CSeq"), invite.body()), ("INVITE", "1 INVITE", OFFER));
    assert_eq!(invite.header("Contact"), "<sip:192.0.2.1:5060>");
    rig.give(&response(&invite, "100 Trying", "", "", ""));
    assert!(rig.events().is_empty());
    let ok = response(&invite, "200 OK", "", "Contact: <sip:moved@192.0.2.10:5099>\r\n", ANSWER);
    rig.give(&ok);
    assert_eq!(result(&mut rig), Ok(Some(Bytes::from_static(ANSWER.as_bytes()))));
    let ack = rig.one();
    assert_eq!(
        (ack.what(), ack.header("CSeq"), ack.request_uri()),
        ("ACK", "1 ACK", "sip:moved@192.0.2.10:5099")
    );
    rig.give(&ok);
    assert_eq!(rig.one().text, ack.text);
    assert!(rig.events().is_empty());
    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    assert_eq!((bye.header("CSeq"), bye.request_uri()), ("2 BYE", "sip:moved@192.0.2.10:5099"));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn an_update_of_ours_is_answered_without_an_ack() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let update = offer(&mut rig, dialog, OfferMethod::Update);
    rig.give(&response(&update, "200 OK", "", CONTACT, ANSWER));
    assert!(result(&mut rig).is_ok());
    assert!(rig.sent().is_empty());
    rig.act(|e, now| e.send_offer(dialog, OfferMethod::Update, None, now)).unwrap();
    let refresh = rig.one();
    assert_eq!((refresh.body(), refresh.header("Contact")), ("", "<sip:192.0.2.1:5060>"));
    rig.give(&response(&refresh, "200 OK", "", CONTACT, ""));
    assert_eq!(result(&mut rig), Ok(None));
}

#[test]
fn one_offer_at_a_time() {
    let again = |rig: &mut Rig, dialog| {
        [OfferMethod::Invite, OfferMethod::Update].map(|method| {
            rig.act(|e, now| e.send_offer(dialog, method, Some(Bytes::from_static(b"v=0\r\n")), now))
        })
    };
    let pending = [Err(OfferError::Pending); 2];
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    assert_eq!(again(&mut rig, dialog), pending, "the ACK of ours is to come");
    rig.give(&caller.ack());
    rig.give(&caller.next("INVITE", "", OFFER));
    rig.sent();
    assert_eq!(again(&mut rig, dialog), pending, "theirs waits for our answer");
    rig.act(|e, now| e.answer_offer(dialog, Ok(Some(Bytes::from_static(ANSWER.as_bytes()))), now)).unwrap();
    rig.give(&caller.ack());
    rig.sent();
    rig.events();
    offer(&mut rig, dialog, OfferMethod::Invite);
    assert_eq!(again(&mut rig, dialog), pending, "ours is out");
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(again(&mut rig, dialog), [Err(OfferError::NotEstablished); 2]);
}

#[test]
fn a_refusal_leaves_the_call_as_it_was() {
    for line in ["488 Not Here", "415 Media", "500 Oh", "403 No", "603 Decline"] {
        for method in [OfferMethod::Invite, OfferMethod::Update] {
            let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
            let dialog = rig.established(&mut caller);
            let request = offer(&mut rig, dialog, method);
            rig.give(&response(&request, line, "", "", ""));
            assert_eq!(result(&mut rig), Err(status(line[..3].parse().unwrap())));
            let acks = rig.sent_in_short();
            assert_eq!(acks.len(), usize::from(method == OfferMethod::Invite));
            offer(&mut rig, dialog, method);
        }
    }
}

#[test]
fn a_far_end_that_knows_no_such_call_or_says_nothing_has_ended_it() {
    for (line, method) in [
        ("481 Gone", OfferMethod::Update),
        ("408 Time", OfferMethod::Invite),
        ("", OfferMethod::Invite),
        ("", OfferMethod::Update),
    ] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        let request = offer(&mut rig, dialog, method);
        if line.is_empty() {
            rig.pass(secs(32));
        } else {
            rig.give(&response(&request, line, "", "", ""));
        }
        let expected = line.get(..3).map_or(408, |code| code.parse().unwrap());
        let events = rig.events();
        let [Event::OfferAnswered { answer: Err(answer), .. }, Event::Ended { status, .. }] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((answer.as_u16(), status.as_u16()), (expected, expected));
        assert_eq!(rig.last().what(), "BYE");
        rig.endpoint.forget(dialog);
        rig.assert_empty_in_the_end();
        assert!(rig.events().is_empty());
    }
}

/// The wait after a 491.
fn wait_after_glare(rig: &mut Rig, request: &Sent) -> u64 {
    rig.give(&response(request, "491 Pending", "", "", ""));
    assert!(rig.events().is_empty());
    rig.sent();
    for waited in 0..=4_000 {
        let sent = rig.sent();
        if let Some(again) = sent.first() {
            assert_eq!(again.what(), request.what());
            assert_eq!(again.body(), OFFER);
            assert_ne!(again.header("CSeq"), request.header("CSeq"));
            return waited;
        }
        rig.pass(ms(1));
    }
    panic!("it is never offered again");
}

#[test]
fn offers_that_collide_are_made_again_after_a_wait_by_who_called() {
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..60 {
        let method = if seed % 2 == 0 { OfferMethod::Invite } else { OfferMethod::Update };
        let mut rig = Rig::new();
        rig.endpoint = Endpoint::new(Config::default(), [seed; 32]);
        let (dialog, _) = up(&mut rig);
        let request = offer(&mut rig, dialog, method);
        ours.insert(wait_after_glare(&mut rig, &request));

        let mut rig = Rig::new();
        rig.endpoint = Endpoint::new(Config::default(), [seed; 32]);
        let mut caller = Caller::new(1);
        let dialog = rig.established(&mut caller);
        let request = offer(&mut rig, dialog, method);
        theirs.insert(wait_after_glare(&mut rig, &request));
    }
    // §14.1: who made the Call-ID waits for 2.1 to 4 s, the other for up to 2 s, in steps of 10 ms.
    assert!(ours.iter().all(|ms| (2_100..=4_001).contains(ms)), "{ours:?}");
    assert!(theirs.iter().all(|ms| (0..=2_001).contains(ms)), "{theirs:?}");
    assert!(ours.len() > 40 && theirs.len() > 40, "{ours:?} {theirs:?}");
}

#[test]
fn an_offer_of_theirs_while_ours_is_out_gets_491_and_goes_first_while_ours_waits() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let request = offer(&mut rig, dialog, OfferMethod::Invite);
    for method in ["INVITE", "UPDATE"] {
        rig.give(&caller.next(method, "", OFFER));
        assert_eq!(rig.one().what(), "491", "{method}");
    }
    // Without an offer an UPDATE collides with nothing.
    rig.give(&caller.next("UPDATE", "", ""));
    assert!(rig.events().is_empty());
    assert_eq!(rig.one().what(), "200");
    rig.give(&response(&request, "491 Pending", "", "", ""));
    rig.sent();
    rig.give(&caller.next("INVITE", "", OFFER));
    assert!(matches!(rig.event(), Event::Offer { .. }));
    assert_eq!(rig.one().what(), "100");
    rig.pass(secs(10));
    // The 491 is repeated, for want of its ACK.
    assert!(rig.sent_in_short().iter().all(|what| what == "491"), "ours waits for theirs");
    rig.act(|e, now| e.answer_offer(dialog, Ok(Some(Bytes::from_static(ANSWER.as_bytes()))), now)).unwrap();
    rig.give(&caller.ack());
    rig.sent();
    rig.pass(secs(4));
    assert!(rig.sent_in_short().contains(&"INVITE".to_owned()));
}

#[test]
fn a_far_end_that_collides_for_ever_isnt_asked_for_ever() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let mut request = offer(&mut rig, dialog, OfferMethod::Update);
    for _ in 0..20 {
        rig.give(&response(&request, "491 Pending", "", "", ""));
        if !rig.events().is_empty() {
            return;
        }
        rig.pass(secs(3));
        request = rig.sent().remove(0);
    }
    panic!("it goes on");
}

#[test]
fn hanging_up_while_an_offer_is_out_or_waits() {
    for glare in [false, true] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        let request = offer(&mut rig, dialog, OfferMethod::Invite);
        if glare {
            rig.give(&response(&request, "491 Pending", "", "", ""));
            rig.sent();
        }
        rig.act(|e, now| e.bye(dialog, "", now));
        let bye = rig.one();
        if !glare {
            // A 2xx that crosses the BYE still gets its ACK.
            rig.give(&response(&request, "200 OK", "", CONTACT, ANSWER));
            assert_eq!(rig.one().what(), "ACK");
        }
        rig.give(&response(&bye, "200 OK", "", "", ""));
        assert!(matches!(rig.event(), Event::Closed { .. }));
        rig.pass(secs(5));
        assert!(rig.sent().is_empty());
        rig.endpoint.forget(dialog);
        rig.assert_empty_in_the_end();
    }
}

#[test]
fn a_re_invite_without_an_offer_gets_theirs_and_its_ack_our_answer() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.send_offer(dialog, OfferMethod::Invite, None, now)).unwrap();
    let invite = rig.one();
    assert_eq!(invite.body(), "");
    let ok = response(&invite, "200 OK", "", CONTACT, OFFER);
    rig.give(&ok);
    assert_eq!(result(&mut rig), Ok(Some(Bytes::from_static(OFFER.as_bytes()))));
    rig.give(&ok);
    rig.assert_silent();
    rig.give(&caller.next("UPDATE", "", OFFER));
    assert_eq!(rig.one().what(), "491", "we owe an answer");
    rig.act(|e, now| e.answer_delayed(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
    assert_eq!(rig.one().body(), ANSWER);
}

#[test]
fn a_re_invite_that_somebody_thinks_about_for_too_long_is_cancelled_and_the_call_stays() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let invite = offer(&mut rig, dialog, OfferMethod::Invite);
    rig.give(&response(&invite, "100 Trying", "", "", ""));
    rig.pass(secs(32));
    let cancel = rig.one();
    assert_eq!((cancel.what(), cancel.header("Via")), ("CANCEL", invite.header("Via")));
    rig.give(&response(&cancel, "200 OK", "", "", ""));
    rig.give(&response(&invite, "487 Terminated", "", "", ""));
    assert_eq!(result(&mut rig), Err(status(487)));
    rig.sent();
    let invite = offer(&mut rig, dialog, OfferMethod::Invite);
    rig.give(&response(&invite, "100 Trying", "", "", ""));
    rig.pass(secs(64));
    assert_eq!(result(&mut rig), Err(status(487)), "nothing more is heard of it");
}

#[test]
fn a_re_invite_that_is_answered_100_after_the_call_is_over_leaves_nothing() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let invite = offer(&mut rig, dialog, OfferMethod::Invite);
    rig.hang_up(&mut caller, dialog);
    assert_eq!(rig.endpoint.dialog_count(), 0);
    rig.give(&response(&invite, "100 Trying", "", "", ""));
    rig.assert_empty_in_the_end();
    assert!(rig.events().is_empty());

    // The same for one that was tried over TCP because of its size, and left.
    let mut rig = Rig::with(Config { max_udp_request: 100, ..Config::default() });
    let mut caller = Caller::new(1);
    let dialog = rig.established(&mut caller);
    let invite = offer(&mut rig, dialog, OfferMethod::Invite);
    rig.pass(secs(4));
    let again = rig.last();
    assert_ne!(again.transmit.transport, invite.transmit.transport);
    rig.give_from(crate::rig::tcp(3), &response(&invite, "100 Trying", "", "", ""));
    assert_eq!(rig.last().what(), "CANCEL");
    rig.give(&response(&again, "200 OK", "", CONTACT, ANSWER));
    assert!(result(&mut rig).is_ok());
    rig.hang_up(&mut caller, dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn info_and_options_tell_no_more_than_their_status() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let body = Bytes::from_static(b"Signal=5\r\nDuration=160\r\n");
    rig.act(|e, now| e.info(dialog, "application/dtmf-relay", body, now));
    let info = rig.one();
    assert_eq!((info.what(), info.body()), ("INFO", "Signal=5\r\nDuration=160\r\n"));
    assert_eq!(info.header("Content-Type"), "application/dtmf-relay");
    rig.give(&response(&info, "200 OK", "", "", ""));
    rig.act(|e, now| e.options(dialog, now));
    let options = rig.one();
    assert_eq!(options.header("Accept"), "application/sdp");
    rig.give(&response(&options, "481 Gone", "", "", ""));
    rig.act(|e, now| e.options(dialog, now));
    rig.pass(secs(32));
    rig.sent();
    rig.act(|e, now| e.info(dialog, "text/plain", Bytes::new(), now));
    let ticket = rig.one().transmit.ticket.unwrap();
    rig.give_input(Input::Undeliverable(ticket));
    let told: Vec<(Method, u16)> = rig
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Replied { method, status, .. } => (method, status.as_u16()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [(Method::Info, 200), (Method::Options, 481), (Method::Options, 408), (Method::Info, 503)];
    assert_eq!(told, expected);
    rig.hang_up(&mut caller, dialog);
    rig.act(|e, now| e.options(dialog, now));
    rig.assert_empty_in_the_end();
}
