//! Calls of ours while they ring: early dialogs, reliable provisional responses (RFC 3262), forks
//! (RFC 3261 §13.2.2), and refusals that ask for something else.

use std::time::Duration;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::policy::{PeerPolicy, PolicyId, SessionTimer};
use sip::endpoint::{Event, OfferMethod, OutgoingCall};
use sip::ua::invite::DelayedError;
use sip::ua::offer::OfferError;

use crate::callee::{CONTACT, answered, call, call_with, outgoing, rejected};
use crate::rig::{ANSWER, Caller, OFFER, Rig, Sent, response, secs};

fn reliable(rseq: u32) -> String {
    format!("Require: 100rel\r\nRSeq: {rseq}\r\n{CONTACT}")
}

fn progress(rig: &mut Rig) -> (Option<DialogId>, Option<Bytes>) {
    match rig.event() {
        Event::Progress { dialog, early_media, .. } => (dialog, early_media),
        other => panic!("{other:?}"),
    }
}

/// A peer with which everything is agreed.
fn agreed(rig: &mut Rig, session_timer: SessionTimer) -> OutgoingCall {
    let policy = PolicyId(7);
    let agreed = PeerPolicy { reliable_provisional: true, session_timer, ..PeerPolicy::default() };
    rig.endpoint.set_policy(policy, agreed);
    OutgoingCall { policy, ..outgoing() }
}

fn callee(invite: &Sent, tag: &str) -> Caller {
    Caller {
        call_id: invite.header("Call-ID").to_owned(),
        from: format!("<sip:callee@192.0.2.10>;tag={tag}"),
        to_tag: invite.header("From").split_once(";tag=").unwrap().1.to_owned(),
        cseq: 0,
        ..Caller::new(1)
    }
}

#[test]
fn each_phone_that_rings_has_a_dialog_of_its_own_with_its_early_media() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    rig.give(&response(&invite, "100 Trying", "", "", ""));
    assert_eq!(progress(&mut rig), (None, None));
    rig.give(&response(&invite, "180 Ringing", "a", CONTACT, ""));
    let (a, none) = progress(&mut rig);
    rig.give(&response(&invite, "183 Session Progress", "b", CONTACT, ANSWER));
    let (b, early_media) = progress(&mut rig);
    assert!(a.is_some() && b.is_some() && a != b && none.is_none());
    assert_eq!(early_media.as_deref(), Some(ANSWER.as_bytes()));
    rig.give(&response(&invite, "180 Ringing", "a", CONTACT, ""));
    assert_eq!(progress(&mut rig).0, a);
    assert_eq!(rig.endpoint.dialog_count(), 2);
    assert!(rig.sent().is_empty());
    // The one that answers keeps its dialog, the other's is over.
    rig.give(&response(&invite, "200 OK", "b", CONTACT, ANSWER));
    assert_eq!(Some(answered(&mut rig)), b);
    assert_eq!(rig.endpoint.dialog_count(), 1);
}

#[test]
fn more_phones_than_anybody_has_ring_without_a_dialog() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    for n in 0..20 {
        rig.give(&response(&invite, "180 Ringing", &format!("t{n}"), CONTACT, ""));
    }
    assert_eq!(rig.events().len(), 20);
    assert_eq!(rig.endpoint.dialog_count(), 8);
    rig.give(&response(&invite, "486 Busy", "t1", "", ""));
    assert_eq!((rejected(&mut rig), rig.endpoint.dialog_count()), (486, 0));
}

#[test]
fn the_description_of_an_answer_may_have_come_before_it() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    rig.give(&response(&invite, "183 Session Progress", "t", CONTACT, ANSWER));
    rig.events();
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ""));
    let Event::Answered { answer, .. } = rig.event() else { panic!() };
    assert_eq!(answer, ANSWER);
}

#[test]
fn every_other_phone_that_answers_is_acknowledged_and_hung_up_on() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    let ok = |tag: &str| {
        let contact = format!("Contact: <sip:{tag}@192.0.2.10:5070>\r\n");
        response(&invite, "200 OK", tag, &contact, ANSWER)
    };
    rig.give(&ok("a"));
    let dialog = answered(&mut rig);
    assert_eq!(rig.one().to_tag(), "a");
    rig.give(&ok("b"));
    let sent = rig.sent();
    assert_eq!([sent[0].what(), sent[1].what()], ["ACK", "BYE"]);
    for one in &sent {
        assert_eq!((one.to_tag(), one.request_uri()), ("b", "sip:b@192.0.2.10:5070"));
    }
    // Each again, because its ACK was lost.
    for tag in ["a", "b"] {
        rig.give(&ok(tag));
        let again = rig.one();
        assert_eq!((again.what(), again.to_tag()), ("ACK", tag));
    }
    rig.give(&response(&sent[1], "200 OK", "", "", ""));
    assert!(rig.events().is_empty());
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_flood_of_phones_that_answer_takes_no_memory() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    for n in 0..200 {
        rig.give(&response(&invite, "200 OK", &format!("t{n}"), CONTACT, ANSWER));
    }
    assert_eq!((rig.events().len(), rig.endpoint.dialog_count()), (1, 1));
    assert!(rig.endpoint.transaction_count() <= 17);
}

#[test]
fn reliable_responses_are_acknowledged_one_after_the_other() {
    let mut rig = Rig::new();
    let call = agreed(&mut rig, SessionTimer::Off);
    let (_, invite) = call_with(&mut rig, call);
    assert_eq!(invite.header("Supported"), "100rel");
    // RFC 3262 §4: the first may have any number, each further one the next; others are neither
    // acknowledged nor looked at.
    for (rseq, taken) in
        [(77, true), (77, false), (79, false), (76, false), (78, true), (79, true), (78, false)]
    {
        rig.give(&response(&invite, "180 Ringing", "t", &reliable(rseq), ""));
        assert_eq!(rig.events().len(), usize::from(taken), "{rseq}");
        let pracks = rig.sent();
        assert_eq!(pracks.len(), usize::from(taken), "{rseq}");
        for prack in pracks {
            assert_eq!((prack.what(), prack.header("RAck")), ("PRACK", format!("{rseq} 1 INVITE").as_str()));
            assert_eq!((prack.request_uri(), prack.to_tag()), ("sip:callee@192.0.2.10:5070", "t"));
            rig.give(&response(&prack, "200 OK", "", "", ""));
        }
    }
    // Another phone counts for itself.
    rig.give(&response(&invite, "180 Ringing", "other", &reliable(5), ""));
    let prack = rig.one();
    assert_eq!(
        (prack.header("RAck"), prack.to_tag(), prack.header("CSeq")),
        ("5 1 INVITE", "other", "2 PRACK")
    );
    rig.events();
    // The dialog counts on from its PRACKs.
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ANSWER));
    let dialog = answered(&mut rig);
    assert_eq!(rig.one().header("CSeq"), "1 ACK");
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.one().header("CSeq"), "5 BYE");
}

#[test]
fn a_prack_is_repeated_until_answered_and_its_fate_decides_nothing() {
    let mut rig = Rig::new();
    let call = agreed(&mut rig, SessionTimer::Off);
    let (_, invite) = call_with(&mut rig, call);
    rig.give(&response(&invite, "180 Ringing", "t", &reliable(1), ""));
    rig.events();
    rig.pass(secs(32));
    assert!(rig.sent_in_short().iter().all(|what| what == "PRACK"));
    assert!(rig.events().is_empty());
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ANSWER));
    answered(&mut rig);
}

#[test]
fn an_offer_in_a_reliable_response_is_answered_in_its_prack() {
    let mut rig = Rig::new();
    let call = OutgoingCall { sdp: None, ..agreed(&mut rig, SessionTimer::Off) };
    let (_, invite) = call_with(&mut rig, call);
    assert_eq!((invite.body(), invite.headers("Content-Type").len()), ("", 0));
    rig.give(&response(&invite, "183 Session Progress", "t", &reliable(1), OFFER));
    let (dialog, offer) = progress(&mut rig);
    assert_eq!(offer.as_deref(), Some(OFFER.as_bytes()));
    let dialog = dialog.unwrap();
    assert!(rig.sent().is_empty(), "it waits for the answer");
    let sdp = || Bytes::from_static(ANSWER.as_bytes());
    rig.act(|e, now| e.answer_delayed(dialog, sdp(), now)).unwrap();
    let prack = rig.one();
    assert_eq!((prack.what(), prack.body(), prack.header("RAck")), ("PRACK", ANSWER, "1 1 INVITE"));
    assert_eq!(rig.act(|e, now| e.answer_delayed(dialog, sdp(), now)), Err(DelayedError::NotWaiting));
    // The 2xx has nothing left to negotiate.
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ""));
    let Event::Answered { answer, .. } = rig.event() else { panic!() };
    assert_eq!(answer, OFFER);
    assert_eq!(rig.one().what(), "ACK");
}

#[test]
fn the_offer_of_a_2xx_is_answered_in_its_ack() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, OutgoingCall { sdp: None, ..outgoing() });
    let ok = response(&invite, "200 OK", "t", CONTACT, OFFER);
    rig.give(&ok);
    let Event::Answered { dialog, answer, .. } = rig.event() else { panic!() };
    assert_eq!(answer, OFFER);
    rig.give(&ok);
    rig.assert_silent();
    rig.act(|e, now| e.answer_delayed(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
    let ack = rig.one();
    assert_eq!((ack.what(), ack.body(), ack.header("Content-Type")), ("ACK", ANSWER, "application/sdp"));
    rig.give(&ok);
    assert_eq!(rig.one().text, ack.text);
}

#[test]
fn hanging_up_instead_of_answering_acknowledges_first() {
    let mut rig = Rig::new();
    let (_, invite) = call_with(&mut rig, OutgoingCall { sdp: None, ..outgoing() });
    rig.give(&response(&invite, "200 OK", "t", CONTACT, OFFER));
    let dialog = answered(&mut rig);
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.sent_in_short(), ["ACK", "BYE"]);
}

#[test]
fn an_early_dialog_is_updated_once_it_has_its_first_answer_for_good() {
    let sdp = || Some(Bytes::from_static(OFFER.as_bytes()));
    let mut rig = Rig::new();
    let call = agreed(&mut rig, SessionTimer::Off);
    let (_, invite) = call_with(&mut rig, call);
    rig.give(&response(&invite, "183 Session Progress", "t", CONTACT, ANSWER));
    let dialog = progress(&mut rig).0.unwrap();
    let update = |rig: &mut Rig| rig.act(|e, now| e.send_offer(dialog, OfferMethod::Update, sdp(), now));
    assert_eq!(update(&mut rig), Err(OfferError::NotEstablished), "that answer was no more than a preview");
    let mut callee = callee(&invite, "t");
    rig.give(&callee.next("UPDATE", "", OFFER));
    assert_eq!(rig.one().what(), "500");
    rig.give(&response(&invite, "183 Session Progress", "t", &reliable(1), ANSWER));
    rig.events();
    assert_eq!(rig.one().what(), "PRACK");
    update(&mut rig).unwrap();
    let sent = rig.one();
    assert_eq!((sent.what(), sent.header("CSeq"), sent.body()), ("UPDATE", "3 UPDATE", OFFER));
    rig.give(&response(&sent, "200 OK", "", CONTACT, ANSWER));
    assert!(matches!(rig.event(), Event::OfferAnswered { answer: Ok(Some(_)), .. }));
    // A re-INVITE isn't possible before the answer.
    let early = rig.act(|e, now| e.send_offer(dialog, OfferMethod::Invite, sdp(), now));
    assert_eq!(early, Err(OfferError::NotEstablished));
    // Theirs is taken now.
    rig.give(&callee.next("UPDATE", "", OFFER));
    let Event::Offer { dialog: d, .. } = rig.event() else { panic!() };
    assert_eq!(d, dialog);
    rig.act(|e, now| e.answer_offer(dialog, Ok(Some(Bytes::from_static(ANSWER.as_bytes()))), now)).unwrap();
    assert_eq!(rig.one().what(), "200");
}

#[test]
fn an_update_that_waits_gets_its_final_response_when_the_call_fails() {
    let mut rig = Rig::new();
    let call = agreed(&mut rig, SessionTimer::Off);
    let (_, invite) = call_with(&mut rig, call);
    rig.give(&response(&invite, "183 Session Progress", "t", &reliable(1), ANSWER));
    let prack = rig.one();
    rig.give(&response(&prack, "200 OK", "", "", ""));
    let mut callee = callee(&invite, "t");
    rig.give(&callee.next("UPDATE", "", OFFER));
    rig.events();
    rig.give(&response(&invite, "486 Busy", "t", "", ""));
    let mut sent = rig.sent_in_short();
    sent.sort();
    assert_eq!(sent, ["487", "ACK"]);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_redirection_is_told_with_its_contacts_and_not_followed() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    let contacts = "Contact: <sip:else@203.0.113.1>;q=0.5, <sip:third@203.0.113.2>\r\n";
    rig.give(&response(&invite, "302 Moved", "t", contacts, ""));
    let Event::Rejected { status, response, .. } = rig.event() else { panic!() };
    let response = response.unwrap();
    assert_eq!(
        (status.as_u16(), response.headers().list(sip::message::HeaderName::Contact).count()),
        (302, 2)
    );
    assert_eq!(rig.sent_in_short(), ["ACK"]);
    rig.assert_empty_in_the_end();
}

#[test]
fn a_session_interval_that_is_too_small_is_raised() {
    let secs = Duration::from_secs;
    let mut rig = Rig::new();
    let timer = SessionTimer::Request { expires: secs(1_800), min_se: secs(90) };
    let call = agreed(&mut rig, timer);
    let (_, invite) = call_with(&mut rig, call);
    assert_eq!(invite.header("Supported"), "100rel, timer");
    assert_eq!((invite.header("Session-Expires"), invite.headers("Min-SE").len()), ("1800", 0));
    rig.give(&response(&invite, "422 Too Small", "t", "Min-SE: 3600\r\n", ""));
    let again = rig.last();
    assert_eq!((again.header("Session-Expires"), again.header("Min-SE")), ("3600", "3600"));
    assert_eq!((again.header("CSeq"), again.header("Call-ID")), ("2 INVITE", invite.header("Call-ID")));
    // Neither the same nor a shorter one is asked for again.
    rig.give(&response(&again, "422 Too Small", "t", "Min-SE: 3600\r\n", ""));
    assert_eq!(rejected(&mut rig), 422);
}

#[test]
fn a_far_end_that_is_never_content_isnt_asked_for_ever() {
    let mut rig = Rig::new();
    let timer = SessionTimer::Request { expires: secs(1_800), min_se: secs(90) };
    let call = agreed(&mut rig, timer);
    let (_, mut invite) = call_with(&mut rig, call);
    for n in 1..10 {
        rig.give(&response(&invite, "422 Too Small", "t", &format!("Min-SE: {}\r\n", 2_000 * n), ""));
        let mut sent = rig.sent();
        if sent.len() == 1 {
            assert_eq!((rejected(&mut rig), n), (422, 4));
            return;
        }
        invite = sent.pop().unwrap();
    }
    panic!("it goes on");
}

#[test]
fn an_extension_that_is_refused_is_left_out_and_one_that_is_demanded_is_put_in() {
    let mut rig = Rig::new();
    let timer = SessionTimer::Request { expires: secs(1_800), min_se: secs(90) };
    let agreed = agreed(&mut rig, timer);
    let (_, invite) = call_with(&mut rig, agreed);
    rig.give(&response(&invite, "420 Bad Extension", "t", "Unsupported: timer\r\n", ""));
    let again = rig.last();
    assert_eq!((again.header("Supported"), again.headers("Session-Expires").len()), ("100rel", 0));
    rig.give(&response(&again, "420 Bad Extension", "t", "Unsupported: timer\r\n", ""));
    assert_eq!(rejected(&mut rig), 420);

    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    assert!(invite.headers("Supported").is_empty());
    rig.give(&response(&invite, "421 Extension Required", "t", "Require: 100rel\r\n", ""));
    let again = rig.last();
    assert_eq!(again.header("Supported"), "100rel");
    rig.give(&response(&again, "421 Extension Required", "t", "Require: precondition\r\n", ""));
    assert_eq!(rejected(&mut rig), 421);
}

#[test]
fn responses_with_another_identity_are_nobodys() {
    let mut rig = Rig::new();
    let (_, invite) = call(&mut rig);
    let ok = response(&invite, "200 OK", "t", CONTACT, ANSWER);
    rig.give(&ok.replace(invite.header("Call-ID"), "another"));
    rig.give(&ok.replace("CSeq: 1 INVITE", "CSeq: 2 INVITE"));
    let tag = invite.header("From").split_once(";tag=").unwrap().1;
    rig.give(&ok.replace(&format!("tag={tag}"), "tag=guess"));
    rig.assert_silent();
    assert_eq!(rig.endpoint.counters().stray_responses, 3);
    rig.give(&ok);
    answered(&mut rig);
}
