//! The caller leaves a message: prompt, tone, recording, thanks.

use media::dtmf::Digit;

use super::State;
use super::call::{Context, Recorder, Sentence};
use super::effect::{Effect, Sound};
use super::established::{Established, in_progress, remind};
use super::input::{Input, RecordingEnd};
use super::releasing::{Ack, last_words};
use super::timer::{self, TimerKind};
use crate::agent::phrases::Phrase;
use crate::call::record::EndReason;
use crate::tool::{Done, Refusal, ToolCallId, ToolOutcome};

/// `#` in RFC 4733 §3.2.
const FINISH_EVENT: u8 = 11;

/// A message being taken.
#[derive(Debug)]
pub(super) struct Taking {
    /// Who asked for it, where the outcome is still owed.
    tool: Option<ToolCallId>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Prompt(Sentence),
    Recording,
}

/// Asks for a message with `prompt`; `tool` gets the outcome.
pub(super) fn begin(tool: Option<ToolCallId>, prompt: &[Phrase<'_>], cx: &mut Context<'_>) -> State {
    let stage = Stage::Prompt(cx.say(prompt));
    State::Established(Established::Message(Taking { tool, stage }))
}

impl Taking {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        match (&self.stage, &input) {
            (Stage::Prompt(sentence), _) if cx.is_over(*sentence, &input) => return self.record(cx),
            (Stage::Prompt(_), Input::Digit(digit)) if is_finish(*digit) => {
                cx.cut();
                return self.record(cx);
            }
            (Stage::Recording, Input::Digit(digit)) if is_finish(*digit) => cx.stop_recording(),
            (Stage::Recording, Input::RecordingStopped(end)) => return self.finish(Some(end.clone()), cx),
            (Stage::Recording, Input::Timer(TimerKind::Recording)) => return self.finish(None, cx),
            (_, Input::Tool { call, .. }) if self.tool.as_ref() != Some(call) => in_progress(call, cx),
            (_, Input::Timer(TimerKind::MaxDuration)) => cx.start(TimerKind::MaxDuration, timer::SPARED),
            (_, other) => remind(other, cx),
        }
        State::Established(Established::Message(self))
    }

    /// The recording begins with the tone, not after it: nobody's first word is lost.
    fn record(self, cx: &mut Context<'_>) -> State {
        cx.play(Sound::Beep);
        if let Some(finish) = Digit::from_event(FINISH_EVENT) {
            let (max, silence) = (timer::MESSAGE, timer::MESSAGE_SILENCE);
            cx.effects.push(Effect::StartRecording { max, finish, silence });
        }
        cx.call.recorder = Recorder::Running(cx.wall);
        cx.start(TimerKind::Recording, timer::MESSAGE + timer::RECORDING_GRACE);
        State::Established(Established::Message(Self { stage: Stage::Recording, ..self }))
    }

    fn finish(self, end: Option<RecordingEnd>, cx: &mut Context<'_>) -> State {
        let failed = !matches!(end, Some(RecordingEnd::Kept { .. }));
        let taken = cx.recording_over(end);
        if let Some(call) = &self.tool {
            let outcome = taken.map_or(ToolOutcome::Refused(Refusal::NoMessage), |duration| {
                let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                ToolOutcome::Done(Done::MessageTaken { duration_ms })
            });
            cx.answer_tool(call, outcome);
        }
        let (reason, words): (EndReason, &[Phrase<'_>]) = match (taken, failed) {
            (Some(_), _) => (EndReason::MessageLeft, &[Phrase::MessageThanks, Phrase::Goodbye]),
            (None, true) => (EndReason::AgentEnded, &[Phrase::MessageFailed, Phrase::Goodbye]),
            (None, false) => (EndReason::AgentEnded, &[Phrase::Goodbye]),
        };
        if taken.is_some() {
            cx.save();
        }
        last_words(cx, reason, words, Ack::Received)
    }
}

fn is_finish(digit: Digit) -> bool {
    digit.event() == FINISH_EVENT
}
