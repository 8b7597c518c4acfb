//! Every input in every state: nothing panics, nothing gets stuck.

use std::time::Duration;

use media::playout::UtteranceId;

use super::rig::{Rig, answered, kept, key, notify, report, response, spec, tool, transfer};
use crate::call::machine::{Input, Phase, RecordingEnd, TimerKind};
use crate::call::record::EndReason;
use crate::call::transfer::{AttemptId, ReferPolicy};
use crate::tool::{TelephonyCommand, ToolCallId};

/// Every state, and every stage within it.
pub(super) fn every_state() -> Vec<(&'static str, Rig)> {
    let mut states = vec![
        ("offered", Rig::new(spec())),
        ("planned", Rig::outbound()),
        ("dialing", Rig::dialing()),
        ("ringing out", Rig::ringing()),
        ("early", Rig::early()),
        ("awaiting ack", Rig::awaiting_ack()),
        ("conversation", Rig::established()),
        ("handoff", Rig::handoff()),
        ("referred", Rig::referred()),
        ("recording", Rig::recording()),
    ];
    let mut and = |name, mut rig: Rig, inputs: &[Input]| {
        for input in inputs {
            rig.give(input.clone());
        }
        states.push((name, rig));
    };
    and("called", Rig::ringing(), &[Input::AgentReady, answered()]);
    and("called and nothing heard before", Rig::dialing(), &[answered()]);
    and("given up", Rig::ringing(), &[Input::KillNow]);
    and("answered in spite of CANCEL", Rig::ringing(), &[Input::Goodbye, answered()]);
    and("answering", Rig::early(), &[Input::AgentReady]);
    and("answering too late", Rig::early(), &[Input::AgentReady, Input::KillNow]);
    let mut late = Rig::early();
    late.seconds(2);
    and("agent late", late, &[Input::AnswerSent]);
    and("asked before ack", Rig::awaiting_ack(), &[transfer("t1", "sales")]);
    and("accepted", Rig::referred(), &[response(1, 202)]);
    and("ringing", Rig::referred(), &[response(1, 202), notify(1, 180)]);
    and("succeeded", Rig::referred(), &[notify(1, 200)]);
    and("apology", Rig::referred(), &[response(1, 603)]);
    and("prompt", Rig::established(), &[tool("m1", TelephonyCommand::TakeMessage)]);
    and("stopping the recording", Rig::recording(), &[key('#')]);
    and("last words", Rig::established(), &[Input::Goodbye]);
    and("last words before ack", Rig::awaiting_ack(), &[Input::Goodbye]);
    and("bye before ack", Rig::awaiting_ack(), &[Input::SessionExpired]);
    and("bye sent", Rig::established(), &[Input::SessionExpired]);
    and("bye sent while recording", Rig::recording(), &[Input::SessionExpired]);
    and("peer left", Rig::established(), &[Input::PeerBye]);
    and("refused", Rig::early(), &[Input::Cancelled]);
    and("ended", Rig::established(), &[Input::PeerBye, Input::JournalWritten]);
    states
}

/// Every input, in its telling forms.
pub(super) fn every_input() -> Vec<Input> {
    let refused = Input::Refused { status: 486, retry_after: None, reason: EndReason::RejectedTenantBusy };
    let mut inputs = vec![
        Input::Admitted,
        refused,
        Input::AgentReady,
        Input::AgentFailed,
        Input::Progress { status: 100 },
        Input::Progress { status: 183 },
        answered(),
        Input::PeerAnswered { media: false, refer: ReferPolicy::PeerCannot },
        Input::PeerRefused { status: 486, heard: true },
        Input::PeerRefused { status: 503, heard: false },
        Input::Redirected,
        Input::AnswerSent,
        Input::MediaFailed { status: 488 },
        Input::Acked,
        Input::AckTimedOut,
        Input::Cancelled,
        key('1'),
        key('#'),
        key('*'),
        transfer("t1", "sales"),
        transfer("t9", "planning"),
        transfer("t9", "night"),
        transfer("t9", "nowhere"),
        tool("t9", TelephonyCommand::TakeMessage),
        tool("t9", TelephonyCommand::EndCall),
        Input::Note { call: ToolCallId::new("n"), text: "x".to_owned() },
        response(1, 100),
        response(1, 202),
        response(1, 603),
        response(0, 202),
        response(u32::MAX, 202),
        notify(1, 180),
        notify(1, 200),
        notify(1, 486),
        notify(2, 200),
        report(1, None, false),
        report(1, None, true),
        Input::ReferFailed { attempt: AttemptId(1) },
        Input::PeerBye,
        Input::ByeDone,
        Input::MediaTimeout,
        Input::Held,
        Input::Resumed,
        kept(0),
        kept(10),
        Input::RecordingStopped(RecordingEnd::Failed),
        Input::Drain { within: Duration::from_secs(60) },
        Input::Drain { within: Duration::ZERO },
        Input::Goodbye,
        Input::KillNow,
        Input::SessionExpired,
        Input::JournalWritten,
        Input::JournalFailed,
    ];
    for id in [1, 2, 3] {
        let utterance = UtteranceId(id);
        inputs.extend([
            Input::Speaking { utterance },
            Input::Spoken { utterance },
            Input::SayFailed { utterance },
            Input::Drained { utterance, sent_ms: 1 },
            Input::Cleared { utterance, sent_ms: 1, unsent_ms: 1 },
        ]);
    }
    inputs.extend(TIMERS.map(Input::Timer));
    inputs
}

const TIMERS: [TimerKind; 14] = [
    TimerKind::NoAnswer,
    TimerKind::AgentReady,
    TimerKind::AgentLate,
    TimerKind::Speech,
    TimerKind::FirstNotify,
    TimerKind::Ringing,
    TimerKind::PeerBye,
    TimerKind::Recording,
    TimerKind::WrapUp,
    TimerKind::Notice,
    TimerKind::MaxDuration,
    TimerKind::Drain,
    TimerKind::Bye,
    TimerKind::JournalRetry,
];

#[test]
fn every_input_in_every_state_leaves_a_call_that_can_end() {
    for input in every_input() {
        for (name, mut rig) in every_state() {
            rig.give(input.clone());
            if rig.seen().recording {
                rig.give(Input::PeerBye);
                rig.give(Input::RecordingStopped(RecordingEnd::Failed));
            }
            if rig.phase() != Phase::Ended {
                rig.finish();
            }
            assert_eq!(rig.phase(), Phase::Ended, "{input:?} when {name}");
            assert!(rig.seen().byes <= 1);
        }
    }
}

#[test]
fn every_state_with_a_caller_ends_without_the_caller_doing_anything() {
    for (name, mut rig) in every_state() {
        // Both wait for their admission alone.
        if matches!(name, "offered" | "planned") {
            continue;
        }
        // Half an hour in which only timers run out, then the journal answers.
        for _ in 0..180 {
            rig.seconds(10);
            if rig.seen().recording {
                rig.give(Input::RecordingStopped(RecordingEnd::Failed));
            }
            if rig.phase() == Phase::Early {
                rig.give(Input::AnswerSent);
                rig.give(Input::Acked);
            }
        }
        rig.give(Input::JournalWritten);
        rig.seconds(60);
        assert_eq!(rig.phase(), Phase::Ended, "{name}");
    }
}

#[test]
fn timers_that_do_not_run_are_ignored_in_every_state() {
    for kind in TIMERS {
        for (name, mut rig) in every_state() {
            if !rig.runs(kind) {
                let phase = rig.phase();
                assert!(rig.give(Input::Timer(kind)).is_empty(), "{kind:?} when {name}");
                assert_eq!(rig.phase(), phase, "{kind:?} when {name}");
            }
        }
    }
}

#[test]
fn a_timer_that_runs_out_does_something_in_every_state_where_it_runs() {
    let count = every_state().len();
    for at in 0..count {
        // The notice isn't spoken into a transfer or a message, and the end of waiting for a
        // BYE's answer shows when the record is durable.
        let quiet = [TimerKind::Notice, TimerKind::Bye];
        for kind in TIMERS.into_iter().filter(|kind| !quiet.contains(kind)) {
            let (name, mut rig) = every_state().swap_remove(at);
            if !rig.runs(kind) {
                continue;
            }
            assert!(rig.machine.waits_for(kind), "{kind:?} when {name}");
            let phase = rig.phase();
            let lines = rig.run_out(kind);
            let acted = !lines.is_empty() || rig.phase() != phase || rig.runs(kind);
            assert!(acted, "{kind:?} when {name}");
        }
    }
}

#[test]
fn every_timer_runs_in_some_state() {
    let retrying = |rig: &mut Rig| rig.give(Input::JournalFailed);
    let draining = |rig: &mut Rig| rig.give(Input::Drain { within: Duration::from_secs(1) });
    let mut states = every_state();
    for (name, rig) in &mut states {
        match *name {
            "peer left" => drop(retrying(rig)),
            "conversation" => drop(draining(rig)),
            _ => {}
        }
    }
    for kind in TIMERS {
        assert!(states.iter().any(|(_, rig)| rig.runs(kind)), "{kind:?} is never started");
    }
}
