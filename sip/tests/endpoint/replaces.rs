//! An INVITE that wants to take the place of a call (RFC 3891 §3).

use sip::dialog::DialogId;
use sip::endpoint::policy::{PeerPolicy, PolicyId, Standing};
use sip::endpoint::{Event, Suspicion};

use crate::rig::{ANSWER, Caller, Rig, secs};

fn rig() -> Rig {
    Rig::agreed(PeerPolicy { accept_replaces: true, ..PeerPolicy::default() })
}

/// The header that names the call of `caller`, tags as we see them.
fn replaces(caller: &Caller, flags: &str) -> String {
    let from_tag = caller.from.split_once(";tag=").unwrap().1;
    format!("Replaces: {};to-tag={};from-tag={from_tag}{flags}\r\n", caller.call_id, caller.to_tag)
}

fn refused(rig: &mut Rig, headers: &str) -> String {
    rig.give(&Caller::new(2).invite(headers));
    assert!(rig.events().is_empty());
    let reply = rig.one();
    rig.give(&Caller { to_tag: reply.to_tag().to_owned(), ..Caller::new(2) }.write("ACK", 1, "", ""));
    rig.assert_silent();
    reply.what().to_owned()
}

#[test]
fn it_is_declined_by_default_whether_there_is_such_a_call_or_not() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    for headers in [replaces(&caller, ""), "Replaces: x;to-tag=y;from-tag=z\r\n".to_owned()] {
        assert_eq!(refused(&mut rig, &headers), "603", "{headers}");
        assert_eq!(rig.suspicions(), [Suspicion::Replaces]);
    }
    assert_eq!(refused(&mut rig, &format!("Require: replaces\r\n{}", replaces(&caller, ""))), "420");
    rig.hang_up(&mut caller, dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn where_it_is_allowed_the_owner_is_told_which_call_is_meant_and_moves_it() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let old = rig.established(&mut caller);
    let mut second = Caller::new(2);
    rig.give(&second.invite(&format!("Require: replaces\r\n{}", replaces(&caller, ""))));
    rig.sent();
    let Event::Invite { dialog, replaces: Some(replaced), .. } = rig.event() else { panic!() };
    assert_eq!(replaced, old);
    rig.act(|e, now| e.accept(dialog, ANSWER.into(), now)).unwrap();
    second.to_tag = rig.one().to_tag().to_owned();
    rig.give(&second.ack());
    rig.events();
    rig.act(|e, now| e.bye(old, "", now));
    assert_eq!(rig.one().header("Call-ID"), caller.call_id);
}

#[test]
fn a_call_that_isnt_there_481_is_up_486_and_over_603() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    rig.established(&mut caller);
    assert_eq!(refused(&mut rig, "Replaces: x;to-tag=y;from-tag=z\r\n"), "481");
    assert_eq!(
        refused(&mut rig, &replaces(&Caller { from: "<sip:x@y>;tag=guess".into(), ..caller.clone() }, "")),
        "481"
    );
    assert_eq!(refused(&mut rig, &replaces(&caller, ";early-only")), "486");
    rig.give(&caller.next("BYE", "", ""));
    rig.sent();
    rig.events();
    assert_eq!(refused(&mut rig, &replaces(&caller, "")), "603");
}

// Only the one who called may have an early dialog replaced, and that wasn't us.
#[test]
fn a_call_that_still_rings_here_isnt_replaced() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let dialog: DialogId = rig.offered(&mut caller);
    rig.act(|e, now| e.ring(dialog, sip::message::StatusCode::RINGING, None, now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    assert_eq!(refused(&mut rig, &replaces(&caller, "")), "481");
    rig.give(&caller.cancel());
    rig.sent();
    rig.events();
    rig.endpoint.forget(dialog);
    rig.pass(secs(1));
}

#[test]
fn a_peer_replaces_calls_of_its_own_only() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    rig.established(&mut caller);
    rig.endpoint.set_policy(PolicyId(3), PeerPolicy { accept_replaces: true, ..PeerPolicy::default() });
    let mut other = Caller::new(2);
    let invite = other.invite(&replaces(&caller, ""));
    rig.give_as(Standing::Listed(PolicyId(3)), other.flow, &invite);
    assert_eq!(rig.one().what(), "481");
}

#[test]
fn two_of_them_or_one_without_its_tags_are_malformed() {
    let mut rig = rig();
    for headers in
        ["Replaces: a;to-tag=b\r\n", "Replaces: a;to-tag=b;from-tag=c\r\nReplaces: d;to-tag=e;from-tag=f\r\n"]
    {
        assert_eq!(refused(&mut rig, headers), "400", "{headers}");
    }
}
