use std::time::Duration;

use super::rig::{Rig, answered, key, transfer};
use crate::call::machine::{Input, Phase, TimerKind};
use crate::call::record::{CallStatus, EndReason, EndSide};
use crate::call::transfer::ReferPolicy;

fn refused(status: u16) -> Input {
    Input::PeerRefused { status, heard: true }
}

#[test]
fn an_answered_call_of_ours_is_the_same_conversation() {
    let mut rig = Rig::outbound();
    assert_eq!(rig.give(Input::Admitted), ["open record", "dial"]);
    assert_eq!(rig.phase(), Phase::Dialing);
    assert!(rig.give(Input::Progress { status: 100 }).is_empty());
    assert_eq!(rig.give(Input::Progress { status: 180 }), ["connect agent"]);
    assert_eq!(rig.phase(), Phase::Ringing);
    assert!(rig.give(Input::AgentReady).is_empty(), "nobody hears a greeting yet");
    assert_eq!(rig.give(answered()), ["greet"]);
    assert_eq!(rig.phase(), Phase::Established);
    assert_eq!((rig.record().sip_status, rig.record().answered_at), (Some(200), Some(rig.wall())));
    assert!(rig.runs(TimerKind::MaxDuration) && !rig.runs(TimerKind::NoAnswer));
    assert_eq!(rig.give(key('1')), ["key 1"]);
    rig.give(Input::PeerBye);
    assert_eq!(rig.record().end_reason, Some(EndReason::CallerHangup));
    assert_eq!(rig.record().status, CallStatus::Completed);
}

#[test]
fn an_answer_without_a_word_before_connects_the_agent_then() {
    let mut rig = Rig::dialing();
    assert_eq!(rig.give(answered()), ["connect agent"]);
    assert_eq!(rig.give(Input::AgentReady), ["greet"]);
}

#[test]
fn an_agent_that_never_gets_ready_ends_an_answered_call() {
    let mut rig = Rig::dialing();
    rig.give(answered());
    let ended = ["bye TemporaryFailure", "close agent", "close record: Fault by Us"];
    assert_eq!(rig.seconds(4), ended);
}

#[test]
fn an_agent_that_fails_while_it_rings_is_not_put_through() {
    let mut rig = Rig::ringing();
    assert_eq!(rig.give(Input::AgentFailed), ["give up", "close record: Fault by Us"]);
}

#[test]
fn early_media_is_no_answer() {
    let mut rig = Rig::dialing();
    rig.give(Input::Progress { status: 183 });
    rig.give(Input::AgentReady);
    assert!(rig.give(Input::MediaTimeout).is_empty() && rig.give(key('1')).is_empty());
    assert_eq!((rig.phase(), rig.record().answered_at), (Phase::Ringing, None));
}

#[test]
fn how_a_call_is_refused_is_told_apart() {
    use EndReason::{Busy, Declined, NoAnswer, Unreachable};
    for (status, reason, stored) in [
        (486, Busy, CallStatus::Missed),
        (603, Declined, CallStatus::Rejected),
        (480, NoAnswer, CallStatus::Missed),
        (404, Unreachable, CallStatus::Failed),
    ] {
        for mut rig in [Rig::dialing(), Rig::ringing()] {
            rig.give(refused(status));
            assert_eq!(rig.record().end_reason, Some(reason));
            assert_eq!((rig.record().status, rig.record().sip_status), (stored, Some(status)));
            assert_eq!(rig.give(Input::JournalWritten), ["forget"]);
        }
    }
}

#[test]
fn a_call_that_nobody_takes_is_given_up_after_its_time() {
    let mut rig = Rig::ringing();
    rig.give(Input::AgentReady);
    assert!(rig.seconds(44).is_empty());
    assert_eq!(rig.seconds(1), ["give up", "close agent", "close record: NoAnswer by Us"]);
    assert_eq!(rig.record().status, CallStatus::Missed);
    rig.give(Input::JournalWritten);
    assert_eq!(rig.phase(), Phase::Releasing, "the INVITE isn't over");
    assert_eq!(rig.give(refused(487)), ["forget"]);
}

#[test]
fn a_trunk_that_says_nothing_at_all_is_unreachable() {
    let mut rig = Rig::dialing();
    assert_eq!(rig.seconds(45), ["give up", "close agent", "close record: Unreachable by Network"]);
    let mut rig = Rig::dialing();
    rig.give(Input::Progress { status: 100 });
    rig.seconds(45);
    assert_eq!(rig.record().end_reason, Some(EndReason::NoAnswer));
}

#[test]
fn an_answer_that_crosses_the_cancel_is_hung_up() {
    let mut rig = Rig::ringing();
    rig.seconds(45);
    assert_eq!(rig.give(answered()), ["bye Normal"]);
    rig.give(Input::JournalWritten);
    assert_eq!(rig.give(Input::ByeDone), ["forget"]);
    assert_eq!((rig.record().end_reason, rig.record().answered_at), (Some(EndReason::NoAnswer), None));
}

#[test]
fn a_cancel_that_nobody_answers_is_given_up() {
    let mut rig = Rig::ringing();
    rig.seconds(45);
    rig.give(Input::JournalWritten);
    assert_eq!(rig.seconds(33), ["forget"]);
}

#[test]
fn a_redirection_dials_again_and_the_time_goes_on() {
    let mut rig = Rig::dialing();
    rig.seconds(30);
    assert_eq!(rig.give(Input::Redirected), ["dial"]);
    assert_eq!(rig.seconds(15)[0], "give up");
    assert!(rig.give(Input::Redirected).is_empty(), "not after it was given up");
}

#[test]
fn an_answer_without_common_media_is_hung_up() {
    let mut rig = Rig::ringing();
    let lines = rig.give(Input::PeerAnswered { media: false, refer: ReferPolicy::Allowed });
    assert_eq!(lines[0], "bye Normal");
    assert_eq!(rig.record().end_reason, Some(EndReason::RejectedMedia));
}

#[test]
fn who_cannot_be_transferred_is_not() {
    let mut rig = Rig::ringing();
    rig.give(Input::AgentReady);
    rig.give(Input::PeerAnswered { media: true, refer: ReferPolicy::PeerCannot });
    let lines = rig.give(transfer("t1", "sales"));
    assert!(!lines.iter().any(|line| line.starts_with("refer")), "{lines:?}");
    assert_ne!(rig.phase(), Phase::Transferring);
}

#[test]
fn a_service_that_stops_gives_its_own_calls_up_when_its_time_is_over() {
    let mut rig = Rig::ringing();
    rig.give(Input::Drain { within: Duration::from_secs(5) });
    assert_eq!(rig.phase(), Phase::Ringing);
    assert_eq!(rig.seconds(5)[0], "give up");
    assert_eq!(rig.record().end_reason, Some(EndReason::Drained));
    assert_eq!((rig.record().status, rig.record().end_side), (CallStatus::Cancelled, Some(EndSide::Us)));
    for mut rig in [Rig::outbound(), Rig::dialing(), Rig::ringing()] {
        rig.give(Input::KillNow);
        assert_eq!(rig.record().end_reason, Some(EndReason::Drained));
    }
}

#[test]
fn a_record_that_there_is_no_room_for_takes_the_call_back() {
    let mut rig = Rig::dialing();
    assert_eq!(rig.give(Input::MediaFailed { status: 503 })[0], "give up");
    assert_eq!(rig.record().end_reason, Some(EndReason::Fault));
}
