use super::rig::{Rig, kept, key, tool, transfer};
use crate::call::machine::{Input, Phase, RecordingEnd, TimerKind};
use crate::call::record::EndReason;
use crate::tool::TelephonyCommand;

fn asked() -> Rig {
    let mut rig = Rig::established();
    assert_eq!(rig.give(tool("m1", TelephonyCommand::TakeMessage)), ["say LeaveMessage"]);
    rig
}

#[test]
fn the_tone_comes_when_the_prompt_was_heard_and_the_recording_starts_with_it() {
    let mut rig = asked();
    assert!(rig.seconds(3).is_empty());
    assert_eq!(rig.heard(), ["Beep", "record"]);
}

#[test]
fn a_message_ends_with_thanks_goodbye_and_bye() {
    let mut rig = Rig::recording();
    rig.seconds(20);
    let lines = rig.give(kept(14));
    assert_eq!(lines, ["m1: done", "say MessageThanks", "say Goodbye"]);
    assert_eq!(rig.phase(), Phase::Releasing);
    assert_eq!(rig.heard(), ["bye Normal", "close agent", "close record: MessageLeft by Us"]);
    let message = &rig.record().messages[0];
    assert_eq!((message.file.as_str(), message.duration_ms), ("messages/1.wav", 14_000));
}

#[test]
fn the_hash_key_ends_the_message_and_skips_the_prompt() {
    let mut rig = asked();
    assert!(rig.give(key('1')).is_empty());
    assert_eq!(rig.give(key('#')), ["Clear", "Beep", "record"]);
    assert!(rig.give(key('1')).is_empty());
    assert_eq!(rig.give(key('#')), ["stop recording"]);
    assert_eq!(rig.give(kept(3))[0], "m1: done");
}

#[test]
fn a_caller_who_says_nothing_is_bid_goodbye_and_nothing_is_kept() {
    let mut rig = Rig::recording();
    assert_eq!(rig.give(kept(0)), ["discard recording", "m1: refused", "say Goodbye"]);
    rig.heard();
    assert!(rig.record().messages.is_empty());
    assert_eq!(rig.record().end_reason, Some(EndReason::AgentEnded));
}

#[test]
fn a_recording_that_fails_or_never_reports_is_told_to_the_caller() {
    let failed = ["m1: refused", "say MessageFailed", "say Goodbye"];
    let mut rig = Rig::recording();
    assert_eq!(rig.give(Input::RecordingStopped(RecordingEnd::Failed)), failed);
    let mut rig = Rig::recording();
    assert!(rig.seconds(182).is_empty());
    let lines = rig.seconds(1);
    assert_eq!((lines[0].as_str(), &lines[1..]), ("stop recording", &failed.map(str::to_owned)[..]));
}

#[test]
fn a_caller_who_hangs_up_has_left_the_message() {
    let mut rig = Rig::recording();
    assert_eq!(rig.give(Input::PeerBye), ["stop recording", "close agent"]);
    assert_eq!(rig.give(kept(9)), ["close record: CallerHangup by Caller"]);
    assert_eq!(rig.record().messages.len(), 1);
    assert_eq!(rig.give(Input::JournalWritten), ["forget"]);
}

#[test]
fn a_recording_that_does_not_close_holds_the_record_for_three_seconds_only() {
    let mut rig = Rig::recording();
    rig.give(Input::PeerBye);
    assert!(rig.seconds(2).is_empty());
    assert_eq!(rig.seconds(1), ["stop recording", "close record: CallerHangup by Caller"]);
    assert!(rig.give(kept(9)).is_empty());
    assert_eq!(rig.give(Input::JournalWritten), ["forget"]);
}

#[test]
fn while_a_message_is_taken_other_requests_are_refused() {
    let mut rig = Rig::recording();
    assert_eq!(rig.give(transfer("t1", "sales")), ["t1: refused"]);
    assert!(rig.give(tool("m1", TelephonyCommand::TakeMessage)).is_empty());
    assert_eq!(rig.give(tool("e1", TelephonyCommand::EndCall)), ["e1: refused"]);
}

#[test]
fn a_message_is_recorded_to_its_end_without_the_agent() {
    let mut rig = Rig::recording();
    assert!(rig.give(Input::AgentFailed).is_empty());
    rig.give(kept(5));
    assert_eq!(rig.seconds(0), ["bye Normal", "close record: MessageLeft by Us"]);
    assert_eq!(rig.record().messages.len(), 1);
}

#[test]
fn the_longest_call_ends_after_the_message() {
    let mut rig = Rig::established();
    rig.seconds(14 * 60);
    rig.give(tool("m1", TelephonyCommand::TakeMessage));
    rig.heard();
    assert!(rig.seconds(120).is_empty());
    assert!(rig.runs(TimerKind::MaxDuration));
    rig.give(kept(100));
    rig.heard();
    assert_eq!(rig.record().end_reason, Some(EndReason::MessageLeft));
}

#[test]
fn a_stop_during_a_message_keeps_what_was_said() {
    let mut rig = Rig::recording();
    assert_eq!(rig.give(Input::Goodbye), ["stop recording", "say DrainingGoodbye"]);
    assert!(rig.give(kept(7)).is_empty());
    assert_eq!(rig.heard(), ["bye TemporaryFailure", "close agent", "close record: Drained by Us"]);
    assert_eq!(rig.record().messages.len(), 1);
}
