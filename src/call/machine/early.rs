//! Before the answer: admission, then the agent.

use super::State;
use super::call::{AgentLink, Context};
use super::effect::Effect;
use super::established::AwaitingAck;
use super::input::Input;
use super::releasing::{Bye, refuse, release};
use super::timer::{self, TimerKind};
use crate::call::record::{EndReason, EndSide};

/// RFC 3261 §21.4.25: the INVITE was ended by CANCEL or BYE.
const REQUEST_TERMINATED: u16 = 487;
/// RFC 3261 §21.4.18: reached, but nobody can take the call now.
const TEMPORARILY_UNAVAILABLE: u16 = 480;
/// RFC 3261 §21.5.4.
const SERVICE_UNAVAILABLE: u16 = 503;
const RETRY_AFTER_STOP: std::time::Duration = std::time::Duration::from_secs(30);

/// The INVITE came; the tenant's admission decides.
#[derive(Debug)]
pub(super) struct Offered;

/// Admitted: the caller hears ringing while the agent gets ready.
#[derive(Debug)]
pub(super) enum Early {
    /// For the agent, as long as it is given.
    Waiting,
    /// For the 200 to be on the wire.
    Answering,
    /// For the 200 to be on the wire, to hang up then.
    AnsweringTooLate,
}

impl Offered {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        match input {
            Input::Admitted => {
                let event = cx.call.record.started(cx.wall);
                cx.effects.push(Effect::Record(event));
                cx.effects.extend([Effect::Ring, Effect::ConnectAgent]);
                cx.start(TimerKind::AgentReady, timer::AGENT_READY);
                State::Early(Early::Waiting)
            }
            Input::Refused { status, retry_after, reason } => {
                refuse(cx, status, retry_after, EndSide::Us, reason)
            }
            Input::Goodbye | Input::KillNow | Input::Timer(TimerKind::Drain) => refuse_stopping(cx),
            other => given_up(&other, cx).unwrap_or(State::Offered(self)),
        }
    }
}

impl Early {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        match (self, input) {
            (Self::Waiting, Input::AgentReady | Input::Timer(TimerKind::AgentReady)) => {
                cx.cancel(TimerKind::AgentReady);
                cx.effects.push(Effect::Answer);
                State::Early(Self::Answering)
            }
            (Self::Waiting, Input::AgentFailed) => {
                refuse(cx, TEMPORARILY_UNAVAILABLE, None, EndSide::Us, EndReason::RejectedNoAgent)
            }
            (Self::Waiting, Input::Goodbye | Input::KillNow | Input::Timer(TimerKind::Drain)) => {
                refuse_stopping(cx)
            }
            (_, Input::Goodbye | Input::KillNow | Input::Timer(TimerKind::Drain)) => {
                State::Early(Self::AnsweringTooLate)
            }
            (Self::Answering, Input::AnswerSent) => answered(cx),
            (Self::AnsweringTooLate, Input::AnswerSent) => {
                note_answer(cx);
                release(cx, EndSide::Us, EndReason::Drained, Bye::AfterAck)
            }
            (_, Input::MediaFailed { status }) => {
                refuse(cx, status, None, EndSide::Us, EndReason::RejectedMedia)
            }
            (state, other) => given_up(&other, cx).unwrap_or(State::Early(state)),
        }
    }
}

/// The far end gave up, or the service is stopping.
fn given_up(input: &Input, cx: &mut Context<'_>) -> Option<State> {
    match input {
        Input::Cancelled => Some(refuse(cx, REQUEST_TERMINATED, None, EndSide::Caller, EndReason::Cancelled)),
        // RFC 3261 §15.1.2: BYE ends an early dialog too, and pending requests get 487.
        Input::PeerBye => {
            Some(refuse(cx, REQUEST_TERMINATED, None, EndSide::Caller, EndReason::CallerHangup))
        }
        Input::Drain { within } => {
            cx.start(TimerKind::Drain, *within);
            None
        }
        _ => None,
    }
}

fn refuse_stopping(cx: &mut Context<'_>) -> State {
    refuse(cx, SERVICE_UNAVAILABLE, Some(RETRY_AFTER_STOP), EndSide::Us, EndReason::RejectedDraining)
}

fn answered(cx: &mut Context<'_>) -> State {
    note_answer(cx);
    if cx.call.agent == AgentLink::Gone {
        return release(cx, EndSide::Us, EndReason::Fault, Bye::AfterAck);
    }
    begin_conversation(cx);
    State::AwaitingAck(AwaitingAck::default())
}

/// Starts what runs from the answer on, and lets the agent greet if it is ready.
pub(super) fn begin_conversation(cx: &mut Context<'_>) {
    let longest = cx.call.max_duration;
    cx.start(TimerKind::MaxDuration, longest);
    for (kind, left) in [(TimerKind::WrapUp, timer::WRAP_UP_LEFT), (TimerKind::Notice, timer::NOTICE_LEFT)] {
        if let Some(after) = longest.checked_sub(left).filter(|after| !after.is_zero()) {
            cx.start(kind, after);
        }
    }
    if cx.call.agent == AgentLink::Connecting {
        cx.start(TimerKind::AgentLate, timer::AGENT_LATE);
    }
    // Audio flows from the 200 on, unless our 200 made the offer.
    if !cx.call.delayed_offer {
        cx.greet();
    }
}

pub(super) fn note_answer(cx: &mut Context<'_>) {
    cx.call.record.answer(cx.wall);
    cx.call.record.sip_status = Some(200);
    cx.save();
}
