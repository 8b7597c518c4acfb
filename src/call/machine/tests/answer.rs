use std::time::Duration;

use super::rig::{Rig, key, spec, tool, transfer};
use crate::call::machine::{Input, Phase, TimerKind};
use crate::call::record::{CallStatus, EndReason};
use crate::tool::TelephonyCommand;

#[test]
fn an_admitted_call_is_answered_when_the_agent_is_ready() {
    let mut rig = Rig::new(spec());
    assert_eq!(rig.give(Input::Admitted), ["open record", "ring", "connect agent"]);
    assert_eq!(rig.give(Input::AgentReady), ["answer"]);
    assert_eq!(rig.give(Input::AnswerSent), ["greet"]);
    assert_eq!(rig.phase(), Phase::AwaitingAck);
    assert_eq!(rig.give(Input::Acked), Vec::<String>::new());
    assert_eq!(rig.phase(), Phase::Established);
    assert_eq!(rig.record().sip_status, Some(200));
    assert_eq!(rig.record().answered_at, Some(rig.wall()));
}

#[test]
fn the_greeting_of_a_delayed_offer_waits_for_the_ack() {
    let mut rig = Rig::new(crate::call::machine::CallSpec { delayed_offer: true, ..spec() });
    rig.give(Input::Admitted);
    rig.give(Input::AgentReady);
    assert!(rig.give(Input::AnswerSent).is_empty());
    assert_eq!(rig.give(Input::Acked), ["greet"]);
}

#[test]
fn an_agent_that_gets_ready_before_the_ack_of_a_delayed_offer_waits_for_it() {
    let mut rig = Rig::new(crate::call::machine::CallSpec { delayed_offer: true, ..spec() });
    rig.give(Input::Admitted);
    rig.seconds(2);
    rig.give(Input::AnswerSent);
    assert!(rig.give(Input::AgentReady).is_empty());
    assert_eq!(rig.give(Input::Acked), ["greet"]);
}

#[test]
fn an_agent_that_takes_long_is_not_waited_for() {
    let mut rig = Rig::early();
    assert!(rig.pass(Duration::from_millis(1499)).is_empty());
    assert_eq!(rig.pass(Duration::from_millis(1)), ["answer"]);
    assert!(rig.give(Input::AnswerSent).is_empty());
    rig.give(Input::Acked);
    assert_eq!(rig.give(Input::AgentReady), ["greet"]);
    assert!(rig.seconds(60).is_empty());
}

#[test]
fn an_agent_that_never_comes_ends_the_call() {
    let mut rig = Rig::early();
    rig.seconds(2);
    rig.give(Input::AnswerSent);
    rig.give(Input::Acked);
    let ended = ["bye TemporaryFailure", "close agent", "close record: Fault by Us"];
    assert_eq!(rig.seconds(5), ended);
}

#[test]
fn a_call_that_is_not_taken_gets_the_status_and_a_record() {
    let mut rig = Rig::new(spec());
    let retry_after = Some(Duration::from_secs(5));
    let refused = Input::Refused { status: 503, retry_after, reason: EndReason::RejectedOverload };
    let lines = rig.give(refused);
    assert_eq!(lines, ["reject 503, retry after 5", "close agent", "close record: RejectedOverload by Us"]);
    assert_eq!(rig.record().status, CallStatus::Rejected);
    assert_eq!(rig.record().sip_status, Some(503));
    assert_eq!(rig.give(Input::JournalWritten), ["forget"]);
}

#[test]
fn before_the_answer_every_end_refuses_the_invite() {
    for (input, status, reason) in [
        (Input::Cancelled, "reject 487", EndReason::Cancelled),
        (Input::PeerBye, "reject 487", EndReason::CallerHangup),
        (Input::AgentFailed, "reject 480", EndReason::RejectedNoAgent),
        (Input::MediaFailed { status: 488 }, "reject 488", EndReason::RejectedMedia),
        (Input::Goodbye, "reject 503, retry after 30", EndReason::RejectedDraining),
        (Input::KillNow, "reject 503, retry after 30", EndReason::RejectedDraining),
    ] {
        let mut rig = Rig::early();
        assert_eq!(rig.give(input.clone())[0], status, "{input:?}");
        assert_eq!(rig.record().end_reason, Some(reason), "{input:?}");
        assert_eq!(rig.seen().byes, 0);
        rig.finish();
    }
}

#[test]
fn an_offer_that_cannot_be_met_is_refused_when_the_answer_is_tried() {
    let mut rig = Rig::early();
    rig.give(Input::AgentReady);
    let lines = rig.give(Input::MediaFailed { status: 488 });
    assert_eq!(lines, ["reject 488", "close agent", "close record: RejectedMedia by Us"]);
}

#[test]
fn a_missing_ack_ends_the_call_with_bye() {
    let mut rig = Rig::awaiting_ack();
    let lines = rig.give(Input::AckTimedOut);
    assert_eq!(lines, ["bye TimerExpired", "close agent", "close record: NoAck by Network"]);
    assert_eq!(rig.record().status, CallStatus::Failed);
}

#[test]
fn bye_waits_for_the_ack_or_its_timeout() {
    for then in [Input::Acked, Input::AckTimedOut] {
        let mut rig = Rig::awaiting_ack();
        rig.give(Input::SessionExpired);
        assert_eq!(rig.seen().byes, 0);
        assert_eq!(rig.give(then), ["bye TimerExpired"]);
        rig.finish();
    }
}

#[test]
fn a_process_that_ends_now_does_not_wait_for_the_ack() {
    let mut rig = Rig::awaiting_ack();
    assert_eq!(rig.give(Input::KillNow)[0], "bye TemporaryFailure");
    let mut rig = Rig::awaiting_ack();
    rig.give(Input::SessionExpired);
    assert_eq!(rig.give(Input::KillNow), ["bye TimerExpired"]);
}

#[test]
fn a_peer_that_hangs_up_without_an_ack_gets_no_bye() {
    let mut rig = Rig::awaiting_ack();
    assert_eq!(rig.give(Input::PeerBye), ["close agent", "close record: CallerHangup by Caller"]);
    rig.give(Input::AckTimedOut);
    assert_eq!(rig.seen().byes, 0);
    assert_eq!(rig.give(Input::JournalWritten), ["forget"]);
}

#[test]
fn an_ack_whose_answer_cannot_be_used_ends_the_call() {
    let mut rig = Rig::new(crate::call::machine::CallSpec { delayed_offer: true, ..spec() });
    for input in [Input::Admitted, Input::AgentReady, Input::AnswerSent] {
        rig.give(input);
    }
    let lines = rig.give(Input::MediaFailed { status: 488 });
    assert_eq!(lines, ["bye TemporaryFailure", "close agent", "close record: Fault by Us"]);
}

#[test]
fn what_the_agent_asks_for_before_the_ack_is_done_after_it() {
    let mut rig = Rig::awaiting_ack();
    assert!(rig.give(transfer("t1", "sales")).is_empty());
    assert!(rig.give(transfer("t1", "sales")).is_empty());
    assert_eq!(rig.give(tool("t2", TelephonyCommand::EndCall)), ["t2: refused"]);
    assert_eq!(rig.give(Input::Acked), ["say Handoff"]);
    assert_eq!(rig.phase(), Phase::Transferring);
}

#[test]
fn keys_reach_the_agent_from_the_answer_on_and_are_recorded_with_their_time() {
    let mut rig = Rig::early();
    assert!(rig.give(key('9')).is_empty());
    rig.give(Input::AgentReady);
    rig.give(Input::AnswerSent);
    rig.pass(Duration::from_millis(1200));
    assert_eq!(rig.give(key('1')), ["key 1"]);
    rig.give(Input::Acked);
    rig.pass(Duration::from_millis(300));
    assert_eq!(rig.give(key('#')), ["key #"]);
    let keys: Vec<(char, u64)> = rig.record().keys.iter().collect();
    assert_eq!(keys, [('1', 1200), ('#', 1500)]);
}

#[test]
fn a_stop_while_the_answer_is_going_out_hangs_up_after_the_ack() {
    let mut rig = Rig::early();
    rig.give(Input::AgentReady);
    assert!(rig.give(Input::Goodbye).is_empty());
    assert_eq!(rig.give(Input::AnswerSent), ["close agent", "close record: Drained by Us"]);
    assert_eq!(rig.give(Input::Acked), ["bye TemporaryFailure"]);
    rig.finish();
}

#[test]
fn an_agent_lost_while_the_answer_is_going_out_ends_the_call() {
    let mut rig = Rig::early();
    rig.give(Input::AgentReady);
    assert!(rig.give(Input::AgentFailed).is_empty());
    assert_eq!(rig.give(Input::AnswerSent), ["close record: Fault by Us"]);
    assert_eq!(rig.give(Input::Acked), ["bye TemporaryFailure"]);
}

#[test]
fn a_short_call_limit_has_no_notice_before_its_time() {
    let max_duration = Duration::from_secs(20);
    let rig = Rig::established_with(crate::call::machine::CallSpec { max_duration, ..spec() });
    assert!(rig.runs(TimerKind::MaxDuration));
    assert!(!rig.runs(TimerKind::Notice) && !rig.runs(TimerKind::WrapUp));
}
