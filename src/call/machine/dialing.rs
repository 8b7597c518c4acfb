//! A call of ours, before it is answered (RFC 3261 §13.2).

use std::time::Duration;

use super::State;
use super::call::Context;
use super::early::{begin_conversation, note_answer};
use super::effect::Effect;
use super::established::Established;
use super::input::Input;
use super::releasing::{Bye, release};
use super::timer::TimerKind;
use crate::call::record::{EndReason, EndSide};
use crate::call::transfer::ReferPolicy;

/// RFC 3261 §21.4.25: how an INVITE ends that was cancelled.
const REQUEST_TERMINATED: u16 = 487;

/// The call is wanted; its admission decides.
#[derive(Debug)]
pub(super) struct Planned {
    /// How long the other side has to answer.
    pub(super) ring: Duration,
}

/// The INVITE is out; whoever is called doesn't know of it yet, as far as we know.
#[derive(Debug)]
pub(super) struct Dialing {
    /// Whether anybody on the way has taken it: a `100` came.
    taken: bool,
}

/// Their telephone rings, or something is played to us before the answer.
#[derive(Debug)]
pub(super) struct Ringing;

impl Planned {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        match input {
            Input::Admitted => {
                let event = cx.call.record.started(cx.wall);
                cx.effects.push(Effect::Record(event));
                cx.effects.push(Effect::Dial);
                cx.start(TimerKind::NoAnswer, self.ring);
                State::Dialing(Dialing { taken: false })
            }
            Input::Goodbye | Input::KillNow | Input::Timer(TimerKind::Drain) => {
                release(cx, EndSide::Us, EndReason::Drained, Bye::Unneeded)
            }
            Input::Drain { within } => {
                cx.start(TimerKind::Drain, within);
                State::Planned(self)
            }
            _ => State::Planned(self),
        }
    }
}

impl Dialing {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        match input {
            Input::Progress { status: 180..=189 } => {
                cx.effects.push(Effect::ConnectAgent);
                State::Ringing(Ringing)
            }
            Input::PeerAnswered { media, refer } => {
                cx.effects.push(Effect::ConnectAgent);
                answered(media, refer, cx)
            }
            Input::Progress { .. } => State::Dialing(Self { taken: true }),
            Input::Timer(TimerKind::NoAnswer) if !self.taken => {
                release(cx, EndSide::Network, EndReason::Unreachable, Bye::Cancel)
            }
            other => unanswered(&other, cx).unwrap_or(State::Dialing(self)),
        }
    }
}

impl Ringing {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        match input {
            Input::PeerAnswered { media, refer } => answered(media, refer, cx),
            Input::AgentFailed => give_up(EndReason::Fault, cx),
            other => unanswered(&other, cx).unwrap_or(State::Ringing(self)),
        }
    }
}

/// What ends the attempt, or moves it elsewhere.
fn unanswered(input: &Input, cx: &mut Context<'_>) -> Option<State> {
    match input {
        Input::PeerRefused { status, heard } => {
            cx.call.record.sip_status = Some(*status);
            let reason = outcome(*status, *heard);
            let side = if reason == EndReason::Unreachable { EndSide::Network } else { EndSide::Caller };
            Some(release(cx, side, reason, Bye::Unneeded))
        }
        // The time to answer goes on: it is the caller's patience, not the destination's.
        Input::Redirected => {
            cx.effects.push(Effect::Dial);
            None
        }
        Input::Timer(TimerKind::NoAnswer) => Some(give_up(EndReason::NoAnswer, cx)),
        // The record can't be begun.
        Input::MediaFailed { .. } => Some(give_up(EndReason::Fault, cx)),
        Input::Goodbye | Input::KillNow | Input::Timer(TimerKind::Drain) => {
            Some(give_up(EndReason::Drained, cx))
        }
        Input::Drain { within } => {
            cx.start(TimerKind::Drain, *within);
            None
        }
        _ => None,
    }
}

fn give_up(reason: EndReason, cx: &mut Context<'_>) -> State {
    cx.call.record.sip_status = Some(REQUEST_TERMINATED);
    release(cx, EndSide::Us, reason, Bye::Cancel)
}

/// The ACK is out already: the other side hears the agent at once.
fn answered(media: bool, refer: ReferPolicy, cx: &mut Context<'_>) -> State {
    cx.cancel(TimerKind::NoAnswer);
    note_answer(cx);
    if !media {
        return release(cx, EndSide::Us, EndReason::RejectedMedia, Bye::Now);
    }
    if cx.call.refer == ReferPolicy::Allowed {
        cx.call.refer = refer;
    }
    begin_conversation(cx);
    State::Established(Established::Conversation)
}

/// Why a call wasn't answered, by its final status; `heard`: whether somebody sent that, rather
/// than nobody anything.
fn outcome(status: u16, heard: bool) -> EndReason {
    match status {
        _ if !heard => EndReason::Unreachable,
        // RFC 3261 §21.4.24, §21.6.1.
        486 | 600 => EndReason::Busy,
        // §21.4.4, §21.6.2; RFC 5079, RFC 8197 and RFC 8688: they don't want this call.
        403 | 603 | 433 | 607 | 608 => EndReason::Declined,
        // §21.4.9, §21.4.18, §21.4.25: reached, and nobody took it.
        408 | 480 | 487 => EndReason::NoAnswer,
        // §21.4.26, §21.6.4: reached, and nothing in common.
        488 | 606 => EndReason::RejectedMedia,
        // 404, 410, 484, 3xx that isn't followed, 5xx, and whatever else.
        _ => EndReason::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_status_is_told_apart_by_its_cause() {
        use EndReason::{Busy, Declined, NoAnswer, RejectedMedia, Unreachable};
        for (status, reason) in [
            (486, Busy),
            (600, Busy),
            (403, Declined),
            (603, Declined),
            (607, Declined),
            (408, NoAnswer),
            (480, NoAnswer),
            (487, NoAnswer),
            (488, RejectedMedia),
            (606, RejectedMedia),
            (302, Unreachable),
            (400, Unreachable),
            (401, Unreachable),
            (404, Unreachable),
            (410, Unreachable),
            (484, Unreachable),
            (500, Unreachable),
            (503, Unreachable),
            (604, Unreachable),
        ] {
            assert_eq!(outcome(status, true), reason, "{status}");
        }
        assert_eq!(outcome(408, false), Unreachable, "nobody answered at all");
    }
}
