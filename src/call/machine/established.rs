//! The caller is there: talking with the agent, being told that a transfer failed, or leaving a
//! message.

use super::State;
use super::call::{AgentLink, Context, Sentence};
use super::effect::Effect;
use super::input::Input;
use super::message::Taking;
use super::releasing::{Ack, Bye, after_playing, last_words, release};
use super::timer::{self, TimerKind};
use super::{message, transferring};
use crate::agent::AgentInput;
use crate::agent::phrases::Phrase;
use crate::call::record::{EndReason, EndSide};
use crate::tool::{Done, Refusal, TelephonyCommand, ToolCallId, ToolOutcome};

/// The 200 is out. The caller hears the agent already.
#[derive(Debug, Default)]
pub(super) struct AwaitingAck {
    /// What the agent asked for meanwhile.
    asked: Option<(ToolCallId, TelephonyCommand)>,
}

/// The dialog is confirmed.
#[derive(Debug)]
pub(super) enum Established {
    /// The caller talks with the agent.
    Conversation,
    /// The caller is told that a transfer failed.
    Apology(Sentence),
    /// The caller leaves a message.
    Message(Taking),
}

impl AwaitingAck {
    pub(super) fn on(mut self, input: Input, cx: &mut Context<'_>) -> State {
        if let Some(state) = ended_by(&input, cx, Ack::Awaited) {
            return state;
        }
        match input {
            Input::Acked => {
                cx.greet();
                let state = Established::Conversation;
                return match self.asked {
                    Some((call, command)) => state.on(Input::Tool { call, command }, cx),
                    None => State::Established(state),
                };
            }
            Input::AckTimedOut => return release(cx, EndSide::Network, EndReason::NoAck, Bye::Now),
            // The ACK is there, its answer can't be used.
            Input::MediaFailed { .. } => return release(cx, EndSide::Us, EndReason::Fault, Bye::Now),
            Input::AgentReady if !cx.call.delayed_offer => cx.greet(),
            Input::AgentFailed | Input::Timer(TimerKind::AgentLate) => {
                return release(cx, EndSide::Us, EndReason::Fault, Bye::AfterAck);
            }
            Input::Timer(TimerKind::MaxDuration) => {
                return last_words(cx, EndReason::DurationReached, &[Phrase::Goodbye], Ack::Awaited);
            }
            Input::Digit(digit) => cx.tell(AgentInput::Digit(digit)),
            Input::Tool { call, command } => match &self.asked {
                None => self.asked = Some((call, command)),
                Some((known, _)) if *known == call => {}
                Some(_) => in_progress(&call, cx),
            },
            other => remind(&other, cx),
        }
        State::AwaitingAck(self)
    }
}

impl Established {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        if let Some(state) = ended_by(&input, cx, Ack::Received) {
            return state;
        }
        match input {
            Input::AgentReady => cx.greet(),
            Input::Timer(TimerKind::AgentLate) => {
                return release(cx, EndSide::Us, EndReason::Fault, Bye::Now);
            }
            input => {
                return match self {
                    Self::Conversation => converse(input, cx),
                    Self::Apology(sentence) => apologise(sentence, input, cx),
                    Self::Message(taking) => taking.on(input, cx),
                };
            }
        }
        State::Established(self)
    }
}

fn converse(input: Input, cx: &mut Context<'_>) -> State {
    match input {
        Input::Digit(digit) => cx.tell(AgentInput::Digit(digit)),
        Input::Tool { call, command } if cx.call.is_first(&call) => return carry_out(&call, command, cx),
        Input::AgentFailed => return release(cx, EndSide::Us, EndReason::Fault, Bye::Now),
        Input::Timer(TimerKind::Notice) => {
            let notice = cx.phrase(Phrase::TimeAlmostUp);
            cx.announce(notice);
        }
        Input::Timer(TimerKind::MaxDuration) => {
            return last_words(cx, EndReason::DurationReached, &[Phrase::Goodbye], Ack::Received);
        }
        other => remind(&other, cx),
    }
    State::Established(Established::Conversation)
}

fn apologise(sentence: Sentence, input: Input, cx: &mut Context<'_>) -> State {
    if cx.is_over(sentence, &input) {
        return back_to_agent(cx);
    }
    match input {
        Input::Digit(digit) => {
            cx.cut();
            let state = back_to_agent(cx);
            cx.tell(AgentInput::Digit(digit));
            state
        }
        Input::Tool { call, command } if cx.call.is_first(&call) => {
            cx.cancel(TimerKind::Speech);
            carry_out(&call, command, cx)
        }
        Input::Timer(TimerKind::MaxDuration) => converse(input, cx),
        other => {
            remind(&other, cx);
            State::Established(Established::Apology(sentence))
        }
    }
}

/// Gives the caller back to the agent, which offers the choices again.
pub(super) fn back_to_agent(cx: &mut Context<'_>) -> State {
    if cx.call.agent != AgentLink::Connected {
        return release(cx, EndSide::Us, EndReason::Fault, Bye::Now);
    }
    cx.tell(AgentInput::Resume);
    State::Established(Established::Conversation)
}

fn carry_out(call: &ToolCallId, command: TelephonyCommand, cx: &mut Context<'_>) -> State {
    match command {
        TelephonyCommand::Transfer { destination, .. } => transferring::begin(call, &destination, cx),
        TelephonyCommand::TakeMessage => message::begin(Some(call.clone()), &[Phrase::LeaveMessage], cx),
        TelephonyCommand::EndCall => {
            cx.answer_tool(call, ToolOutcome::Done(Done::Ending));
            after_playing(cx, EndReason::AgentEnded, Ack::Received)
        }
    }
}

/// What ends the call from any of these states.
fn ended_by(input: &Input, cx: &mut Context<'_>, ack: Ack) -> Option<State> {
    Some(match input {
        Input::PeerBye => release(cx, EndSide::Caller, EndReason::CallerHangup, Bye::Unneeded),
        Input::KillNow => release(cx, EndSide::Us, EndReason::Drained, Bye::Now),
        Input::Goodbye | Input::Timer(TimerKind::Drain) => {
            last_words(cx, EndReason::Drained, &[Phrase::DrainingGoodbye], ack)
        }
        Input::SessionExpired => release(cx, EndSide::Network, EndReason::SessionExpired, ack.then_bye()),
        Input::MediaTimeout if !cx.call.is_held() => {
            release(cx, EndSide::Network, EndReason::MediaTimeout, ack.then_bye())
        }
        _ => return None,
    })
}

/// What any state with a caller does at the side.
pub(super) fn remind(input: &Input, cx: &mut Context<'_>) {
    match input {
        Input::Drain { within } => cx.start(TimerKind::Drain, *within),
        Input::Timer(TimerKind::WrapUp) => cx.effects.push(Effect::WrapUp { left: timer::WRAP_UP_LEFT }),
        _ => {}
    }
}

pub(super) fn in_progress(call: &ToolCallId, cx: &mut Context<'_>) {
    cx.answer_tool(call, ToolOutcome::Refused(Refusal::InProgress));
}
