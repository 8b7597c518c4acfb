use std::time::Duration;

use super::rig::{Rig, notify, response, transfer};
use crate::call::machine::{Input, Phase, TimerKind};
use crate::call::record::{EndReason, TransferOutcome};

#[test]
fn the_longest_call_has_its_warnings_and_its_goodbye() {
    let mut rig = Rig::established();
    assert!(rig.seconds(13 * 60 - 1).is_empty());
    assert_eq!(rig.seconds(1), ["wrap up in 120"]);
    assert!(rig.seconds(89).is_empty());
    assert_eq!(rig.seconds(1), ["say TimeAlmostUp"]);
    rig.heard();
    assert!(rig.seconds(29).is_empty());
    assert_eq!(rig.seconds(1), ["say Goodbye"]);
    assert_eq!(rig.heard(), ["bye Normal", "close agent", "close record: DurationReached by Us"]);
}

#[test]
fn the_end_of_the_longest_call_waits_for_a_transfer() {
    let mut rig = Rig::established();
    rig.seconds(14 * 60 + 55);
    rig.give(transfer("t1", "sales"));
    rig.heard();
    rig.give(response(1, 202));
    assert!(rig.seconds(10).is_empty());
    rig.give(notify(1, 486));
    rig.heard();
    assert_eq!(rig.seconds(5), ["say Goodbye"]);
}

#[test]
fn a_drained_call_goes_on_until_the_deadline() {
    let mut rig = Rig::established();
    assert!(rig.give(Input::Drain { within: Duration::from_secs(60) }).is_empty());
    assert!(rig.seconds(59).is_empty());
    assert_eq!(rig.seconds(1), ["say DrainingGoodbye"]);
    assert_eq!(rig.heard(), ["bye TemporaryFailure", "close agent", "close record: Drained by Us"]);
}

#[test]
fn a_call_that_ends_by_itself_while_draining_says_nothing_of_it() {
    let mut rig = Rig::established();
    rig.give(Input::Drain { within: Duration::from_secs(60) });
    rig.give(Input::PeerBye);
    assert_eq!(rig.record().end_reason, Some(EndReason::CallerHangup));
    assert!(!rig.runs(TimerKind::Drain));
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut rig = Rig::established();
    rig.give(Input::Goodbye);
    assert_eq!(rig.give(Input::KillNow)[0], "bye TemporaryFailure");
    let mut rig = Rig::established();
    assert_eq!(rig.give(Input::KillNow)[0], "bye TemporaryFailure");
}

#[test]
fn a_goodbye_that_cannot_be_spoken_does_not_hold_the_call() {
    let mut rig = Rig::established();
    rig.give(Input::Goodbye);
    rig.give(Input::SayFailed { utterance: rig.last_said() });
    assert_eq!(rig.seconds(1)[0], "bye TemporaryFailure");
}

#[test]
fn a_stop_cuts_the_handoff_phrase_and_ends_a_followed_transfer_at_once() {
    let mut rig = Rig::handoff();
    rig.give(Input::Speaking { utterance: rig.last_said() });
    assert_eq!(rig.give(Input::Goodbye), ["Clear", "say DrainingGoodbye"]);
    assert_eq!(rig.record().transfers[0].outcome, Some(TransferOutcome::Abandoned));

    let mut rig = Rig::referred();
    let ended = ["RingbackStop", "bye TemporaryFailure", "close agent", "close record: Drained by Us"];
    assert_eq!(rig.give(Input::Goodbye), ended);

    let mut rig = Rig::referred();
    rig.give(notify(1, 200));
    rig.give(Input::Goodbye);
    assert_eq!(rig.record().end_reason, Some(EndReason::Transferred));
}

#[test]
fn silence_on_the_wire_ends_the_call_unless_it_is_on_hold() {
    let mut rig = Rig::established();
    rig.give(Input::Held);
    assert!(rig.give(Input::MediaTimeout).is_empty());
    rig.give(Input::Resumed);
    let ended = ["bye TimerExpired", "close agent", "close record: MediaTimeout by Network"];
    assert_eq!(rig.give(Input::MediaTimeout), ended);
}

#[test]
fn a_session_that_expires_ends_in_bye() {
    let mut rig = Rig::established();
    assert_eq!(rig.give(Input::SessionExpired)[0], "bye TimerExpired");
    assert_eq!(rig.record().end_reason, Some(EndReason::SessionExpired));
    let mut rig = Rig::referred();
    rig.give(Input::SessionExpired);
    assert_eq!(rig.record().transfers[0].outcome, Some(TransferOutcome::Abandoned));
}

#[test]
fn an_agent_lost_in_conversation_ends_the_call() {
    let mut rig = Rig::established();
    let ended = ["bye TemporaryFailure", "close record: Fault by Us"];
    assert_eq!(rig.give(Input::AgentFailed), ended);
    assert_eq!(rig.phase(), Phase::Releasing);
}
