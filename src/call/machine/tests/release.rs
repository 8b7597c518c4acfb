use media::playout::UtteranceId;

use super::rig::{Rig, key, tool, transfer};
use crate::call::machine::{Input, Phase};
use crate::call::record::EndReason;
use crate::tool::{TelephonyCommand, ToolCallId};

#[test]
fn ending_the_call_waits_for_what_the_agent_said() {
    let mut rig = Rig::established();
    let (early, late) = (UtteranceId(2), UtteranceId(4));
    rig.give(Input::Speaking { utterance: early });
    rig.give(Input::Speaking { utterance: late });
    assert_eq!(rig.give(tool("e1", TelephonyCommand::EndCall)), ["e1: done"]);
    assert!(rig.give(Input::Drained { utterance: early, sent_ms: 900 }).is_empty());
    let ended = ["bye Normal", "close agent", "close record: AgentEnded by Us"];
    assert_eq!(rig.give(Input::Drained { utterance: late, sent_ms: 900 }), ended);
}

#[test]
fn ending_the_call_in_silence_is_immediate() {
    let mut rig = Rig::established();
    rig.give(Input::Speaking { utterance: UtteranceId(2) });
    rig.give(Input::Drained { utterance: UtteranceId(2), sent_ms: 900 });
    assert_eq!(rig.give(tool("e1", TelephonyCommand::EndCall))[1], "bye Normal");
}

#[test]
fn an_utterance_whose_end_is_lost_does_not_hold_the_call() {
    let mut rig = Rig::established();
    rig.give(Input::Speaking { utterance: UtteranceId(2) });
    rig.give(tool("e1", TelephonyCommand::EndCall));
    assert!(rig.seconds(19).is_empty());
    assert_eq!(rig.seconds(1)[0], "bye Normal");
}

#[test]
fn a_caller_who_hangs_up_during_the_last_words_ended_the_call() {
    let mut rig = Rig::established();
    rig.give(Input::Speaking { utterance: UtteranceId(2) });
    rig.give(tool("e1", TelephonyCommand::EndCall));
    rig.give(Input::PeerBye);
    assert_eq!(rig.record().end_reason, Some(EndReason::CallerHangup));
    assert_eq!(rig.seen().byes, 0);
}

#[test]
fn the_call_is_forgotten_when_bye_is_answered_and_the_record_is_durable() {
    for order in [[Input::ByeDone, Input::JournalWritten], [Input::JournalWritten, Input::ByeDone]] {
        let mut rig = Rig::established();
        rig.give(tool("e1", TelephonyCommand::EndCall));
        assert!(rig.give(order[0].clone()).is_empty());
        assert_eq!(rig.give(order[1].clone()), ["forget"]);
        assert_eq!(rig.phase(), Phase::Ended);
        assert!(rig.give(Input::PeerBye).is_empty());
    }
}

#[test]
fn a_bye_that_crosses_ours_counts_as_its_answer() {
    let mut rig = Rig::established();
    rig.give(tool("e1", TelephonyCommand::EndCall));
    rig.give(Input::JournalWritten);
    assert_eq!(rig.give(Input::PeerBye), ["forget"]);
    assert_eq!(rig.record().end_reason, Some(EndReason::AgentEnded));
}

#[test]
fn a_bye_that_is_never_answered_is_given_up_after_timer_f() {
    let mut rig = Rig::established();
    rig.give(tool("e1", TelephonyCommand::EndCall));
    rig.give(Input::JournalWritten);
    assert!(rig.seconds(32).is_empty());
    assert_eq!(rig.seconds(1), ["forget"]);
}

#[test]
fn a_record_that_cannot_be_written_is_tried_again_until_it_is() {
    let mut rig = Rig::established();
    rig.give(Input::PeerBye);
    for _ in 0..20 {
        assert!(rig.give(Input::JournalFailed).is_empty());
        assert_eq!(rig.seconds(1), ["close record: CallerHangup by Caller"]);
    }
    assert_eq!(rig.phase(), Phase::Releasing);
    assert_eq!(rig.give(Input::JournalWritten), ["forget"]);
}

#[test]
fn a_journal_entry_of_a_running_call_does_not_end_it() {
    let mut rig = Rig::established();
    assert!(rig.give(Input::JournalWritten).is_empty());
    rig.give(tool("e1", TelephonyCommand::EndCall));
    assert!(rig.give(Input::ByeDone).is_empty());
    assert_eq!(rig.phase(), Phase::Releasing);
}

#[test]
fn an_agent_that_asks_for_something_at_the_end_is_told_that_it_is_the_end() {
    let mut rig = Rig::established();
    rig.give(Input::Speaking { utterance: UtteranceId(2) });
    rig.give(tool("e1", TelephonyCommand::EndCall));
    assert_eq!(rig.give(transfer("t1", "sales")), ["t1: refused"]);
    assert!(rig.give(key('1')).is_empty());
}

#[test]
fn a_note_is_kept_in_any_state_with_a_caller() {
    for mut rig in [Rig::established(), Rig::handoff(), Rig::referred(), Rig::recording()] {
        let call = ToolCallId::new("n1");
        let lines = rig.give(Input::Note { call, text: "prefers mornings".to_owned() });
        assert_eq!(lines, ["note: prefers mornings", "n1: done"]);
    }
}
