//! CANCEL from the caller, in every state of its INVITE.

use bytes::Bytes;
use sip::endpoint::Event;
use sip::message::StatusCode;

use crate::rig::{ANSWER, Caller, Rig, secs, status};

#[test]
fn a_cancel_before_the_answer_ends_the_call_with_487() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.ring(dialog, StatusCode::RINGING, None, now)).unwrap();
    let tag = rig.one().to_tag().to_owned();
    rig.give(&caller.cancel());
    let sent = rig.sent();
    let [ok, terminated] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((ok.what(), ok.header("CSeq"), ok.to_tag()), ("200", "1 CANCEL", tag.as_str()));
    assert_eq!(
        (terminated.what(), terminated.header("CSeq"), terminated.to_tag()),
        ("487", "1 INVITE", tag.as_str())
    );
    assert!(matches!(rig.event(), Event::Cancelled { dialog: d } if d == dialog));
    // The owner's answer comes too late.
    assert!(rig.act(|e, now| e.accept(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).is_err());
    rig.give(&caller.ack_refusal(&tag));
    rig.endpoint.forget(dialog);
    rig.assert_silent();
    rig.assert_empty_in_the_end();
}

#[test]
fn a_repeated_cancel_gets_the_same_200() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.offered(&mut caller);
    rig.give(&caller.cancel());
    let first = rig.sent().remove(0).text;
    rig.events();
    rig.give(&caller.cancel());
    assert_eq!(rig.one().text, first);
    assert!(rig.events().is_empty());
}

#[test]
fn a_cancel_after_the_2xx_changes_nothing() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    rig.give(&caller.cancel());
    assert_eq!(rig.one().header("CSeq"), "1 CANCEL");
    rig.give(&caller.ack());
    assert!(matches!(rig.event(), Event::Confirmed { dialog: d, .. } if d == dialog));
}

#[test]
fn a_cancel_after_a_refusal_changes_nothing() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.offered(&mut caller);
    rig.act(|e, now| e.reject(dialog, status(486), &[], now)).unwrap();
    rig.endpoint.forget(dialog);
    rig.sent();
    rig.give(&caller.cancel());
    let ok = rig.one();
    assert_eq!((ok.what(), ok.header("CSeq")), ("200", "1 CANCEL"));
    assert!(rig.events().is_empty());
    rig.assert_empty_in_the_end();
}

#[test]
fn a_cancel_for_nothing_gets_481_and_leaves_nothing() {
    let (mut rig, caller) = (Rig::new(), Caller::new(1));
    rig.give(&caller.cancel());
    assert_eq!(rig.one().what(), "481");
    assert_eq!(rig.endpoint.transaction_count(), 0);
    assert_eq!(rig.endpoint.counters().stray_requests, 1);
}

#[test]
fn a_cancel_with_another_branch_leaves_the_call_alone() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.offered(&mut caller);
    let other = Caller { branch: 77, ..caller.clone() };
    rig.give(&other.cancel());
    assert_eq!(rig.one().what(), "481");
    assert!(rig.events().is_empty());
}

// §9.1: all of them are those of the INVITE.
#[test]
fn a_cancel_with_another_call_id_tag_or_cseq_leaves_the_call_alone() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.offered(&mut caller);
    for other in [
        Caller { call_id: "guess".to_owned(), ..caller.clone() },
        Caller { from: "<sip:a@b>;tag=guess".to_owned(), ..caller.clone() },
        Caller { cseq: 2, ..caller.clone() },
    ] {
        rig.give(&other.cancel());
        assert_eq!(rig.one().what(), "481", "{other:?}");
        assert!(rig.events().is_empty());
    }
    rig.give(&caller.cancel());
    assert!(matches!(rig.event(), Event::Cancelled { .. }));
}

#[test]
fn a_cancelled_re_invite_leaves_the_session_as_it_was() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.give(&caller.next("INVITE", "", ANSWER));
    assert_eq!(rig.one().what(), "100");
    assert!(matches!(rig.event(), Event::Offer { .. }));
    let cancel = caller.write("CANCEL", caller.cseq, "", "");
    rig.give(&cancel);
    assert_eq!(rig.sent_in_short(), ["200", "487"]);
    assert!(rig.events().is_empty());
    assert!(rig.act(|e, now| e.answer_offer(dialog, Ok(None), now)).is_err());
    rig.give(&caller.write("ACK", caller.cseq, "", ""));
    rig.pass(secs(1));
    rig.assert_silent();
    // The next one is taken.
    rig.give(&caller.next("INVITE", "", ANSWER));
    assert!(matches!(rig.event(), Event::Offer { .. }));
}
