//! The end of a call: last words, BYE, and the record.

use std::time::Duration;

use super::State;
use super::call::{Context, Recorder, Sentence};
use super::effect::{ByeReason, Effect};
use super::input::Input;
use super::timer::{self, TimerKind};
use crate::agent::phrases::Phrase;
use crate::call::record::{EndReason, EndSide};
use crate::tool::{Refusal, ToolOutcome};

/// The call is ending, for a reason that is settled.
#[derive(Debug)]
pub(super) enum Releasing {
    /// The caller hears the last words.
    LastWords(LastWords),
    /// The call is over; signalling and record are finished.
    Closing(Closing),
}

/// Last words being played.
#[derive(Debug)]
pub(super) struct LastWords {
    reason: EndReason,
    sentence: Sentence,
    ack: Ack,
}

/// What is left to finish.
#[derive(Debug)]
pub(super) struct Closing {
    bye: ByeState,
    filing: Filing,
    reason: ByeReason,
}

/// Whether the ACK for the 200 is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    Awaited,
    Received,
}

/// What has to be done about BYE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bye {
    /// The peer sent one, or the call was never answered.
    Unneeded,
    Now,
    /// RFC 3261 §15: not before the ACK or its timeout.
    AfterAck,
    /// CANCEL instead: our INVITE has no answer yet (§9.1).
    Cancel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByeState {
    AwaitingAck,
    /// CANCEL was asked for; the INVITE's final response ends it, or an answer that crosses it.
    Cancelling,
    Sent,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filing {
    /// The recording isn't closed; it belongs into the record.
    AwaitingRecording,
    Writing,
    Durable,
}

/// Refuses the INVITE and closes the record.
pub(super) fn refuse(
    cx: &mut Context<'_>,
    status: u16,
    retry_after: Option<Duration>,
    side: EndSide,
    reason: EndReason,
) -> State {
    cx.effects.push(Effect::Reject { status, retry_after });
    cx.call.record.sip_status = Some(status);
    release(cx, side, reason, Bye::Unneeded)
}

/// Ends the call.
pub(super) fn release(cx: &mut Context<'_>, side: EndSide, reason: EndReason, bye: Bye) -> State {
    cx.cancel_all();
    let told = ByeReason::of(reason);
    let bye = match bye {
        Bye::Unneeded => ByeState::Done,
        Bye::Now => send_bye(told, cx),
        Bye::AfterAck => {
            cx.start(TimerKind::Bye, timer::BYE);
            ByeState::AwaitingAck
        }
        Bye::Cancel => {
            cx.effects.push(Effect::GiveUp);
            cx.start(TimerKind::Bye, timer::BYE);
            ByeState::Cancelling
        }
    };
    cx.stop_recording();
    cx.close_agent();
    cx.call.record.end(side, reason, cx.wall);
    let filing = match cx.call.recorder {
        Recorder::Running(_) => Filing::AwaitingRecording,
        Recorder::Idle => write(cx),
    };
    State::Releasing(Releasing::Closing(Closing { bye, filing, reason: told }))
}

/// Says the phrases in place of whatever the agent is saying, then ends the call.
pub(super) fn last_words(cx: &mut Context<'_>, reason: EndReason, words: &[Phrase<'_>], ack: Ack) -> State {
    cx.cancel_all();
    cx.stop_recording();
    cx.cut_own();
    let sentence = cx.say(words);
    State::Releasing(Releasing::LastWords(LastWords { reason, sentence, ack }))
}

/// Ends the call once what the agent has said is heard.
pub(super) fn after_playing(cx: &mut Context<'_>, reason: EndReason, ack: Ack) -> State {
    let Some(sentence) = cx.call.speaking() else {
        return release(cx, EndSide::Us, reason, ack.then_bye());
    };
    cx.cancel_all();
    let sentence = cx.wait_for(sentence);
    State::Releasing(Releasing::LastWords(LastWords { reason, sentence, ack }))
}

impl Ack {
    pub(super) fn then_bye(self) -> Bye {
        match self {
            Self::Awaited => Bye::AfterAck,
            Self::Received => Bye::Now,
        }
    }
}

impl Releasing {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        if let Input::Tool { call, .. } = &input {
            cx.answer_tool(call, ToolOutcome::Refused(Refusal::CallEnding));
        }
        match self {
            Self::LastWords(state) => state.on(&input, cx),
            Self::Closing(state) => state.on(input, cx),
        }
    }
}

impl LastWords {
    fn on(mut self, input: &Input, cx: &mut Context<'_>) -> State {
        if cx.is_over(self.sentence, input) {
            return release(cx, EndSide::Us, self.reason, self.ack.then_bye());
        }
        match input {
            Input::Acked => self.ack = Ack::Received,
            Input::AckTimedOut if self.ack == Ack::Awaited => {
                return release(cx, EndSide::Network, EndReason::NoAck, Bye::Now);
            }
            Input::PeerBye => return release(cx, EndSide::Caller, EndReason::CallerHangup, Bye::Unneeded),
            Input::KillNow => return release(cx, EndSide::Us, self.reason, Bye::Now),
            Input::SessionExpired => {
                return release(cx, EndSide::Network, EndReason::SessionExpired, self.ack.then_bye());
            }
            Input::MediaTimeout if !cx.call.is_held() => {
                return release(cx, EndSide::Network, EndReason::MediaTimeout, self.ack.then_bye());
            }
            Input::RecordingStopped(end) => {
                cx.recording_over(Some(end.clone()));
            }
            Input::Timer(TimerKind::Recording) => {
                cx.recording_over(None);
            }
            _ => {}
        }
        State::Releasing(Releasing::LastWords(self))
    }
}

impl Closing {
    fn on(mut self, input: Input, cx: &mut Context<'_>) -> State {
        self.bye = self.bye.on(&input, self.reason, cx);
        self.filing = self.filing.on(input, cx);
        if self.bye == ByeState::Done && self.filing == Filing::Durable {
            cx.cancel_all();
            cx.effects.push(Effect::Forget);
            return State::Ended;
        }
        State::Releasing(Releasing::Closing(self))
    }
}

impl ByeState {
    fn on(self, input: &Input, reason: ByeReason, cx: &mut Context<'_>) -> Self {
        let expected = matches!(
            (self, input),
            (
                Self::AwaitingAck,
                Input::Acked | Input::AckTimedOut | Input::KillNow | Input::Timer(TimerKind::Bye)
            ) | (Self::Cancelling, Input::PeerAnswered { .. })
        );
        match (self, input) {
            _ if expected => send_bye(reason, cx),
            // BYE that crosses ours ends the dialog as well.
            (Self::AwaitingAck | Self::Sent, Input::PeerBye)
            | (Self::Sent, Input::ByeDone | Input::Timer(TimerKind::Bye))
            // A redirection isn't followed any more.
            | (
                Self::Cancelling,
                Input::PeerRefused { .. } | Input::Redirected | Input::KillNow | Input::Timer(TimerKind::Bye),
            ) => {
                cx.cancel(TimerKind::Bye);
                Self::Done
            }
            (state, _) => state,
        }
    }
}

impl Filing {
    fn on(self, input: Input, cx: &mut Context<'_>) -> Self {
        match (self, input) {
            (Self::AwaitingRecording, Input::RecordingStopped(end)) => {
                cx.recording_over(Some(end));
                write(cx)
            }
            (Self::AwaitingRecording, Input::Timer(TimerKind::Recording)) => {
                cx.recording_over(None);
                write(cx)
            }
            (Self::Writing, Input::JournalWritten) => Self::Durable,
            (Self::Writing, Input::JournalFailed) => {
                cx.start(TimerKind::JournalRetry, timer::JOURNAL_RETRY);
                Self::Writing
            }
            (Self::Writing, Input::Timer(TimerKind::JournalRetry)) => write(cx),
            (state, _) => state,
        }
    }
}

fn send_bye(reason: ByeReason, cx: &mut Context<'_>) -> ByeState {
    cx.effects.push(Effect::SendBye { reason });
    cx.start(TimerKind::Bye, timer::BYE);
    ByeState::Sent
}

fn write(cx: &mut Context<'_>) -> Filing {
    let event = cx.call.record.ended(cx.wall);
    cx.effects.push(Effect::Record(event));
    Filing::Writing
}
