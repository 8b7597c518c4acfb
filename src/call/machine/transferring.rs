//! The caller is handed over: handoff phrase, REFER, and its NOTIFYs to the end.

use super::State;
use super::call::{Context, Sentence};
use super::effect::{Effect, Sound};
use super::established::{Established, back_to_agent, in_progress, remind};
use super::input::Input;
use super::message;
use super::releasing::{Ack, Bye, last_words, release};
use super::timer::{self, TimerKind};
use crate::agent::phrases::Phrase;
use crate::call::record::{EndReason, EndSide, RawText, TransferAttempt, TransferOutcome};
use crate::call::transfer::{self, AttemptId, Choice, ReferPolicy, Verdict};
use crate::ids::DestinationId;
use crate::tenant::refer::TargetUri;
use crate::tool::{Done, Refusal, ToolCallId, ToolOutcome, TransferFailure};

/// `*` in RFC 4733 §3.2.
const CANCEL_EVENT: u8 = 10;

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Transferring {
    tool: ToolCallId,
    attempt: AttemptId,
    destination: DestinationId,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The handoff phrase is spoken.
    Handoff { sentence: Sentence, target: TargetUri },
    /// The REFER is out; the caller hears ringing from here on.
    Referred,
    /// It was accepted (RFC 3515 §2.4.2).
    Accepted,
    /// A NOTIFY came.
    Ringing,
    /// The destination took the call: the peer is expected to hang up.
    Succeeded,
}

/// Hands the caller over to `asked`, or to who stands in for it at this hour.
pub(super) fn begin(tool: &ToolCallId, asked: &DestinationId, cx: &mut Context<'_>) -> State {
    let tenant = cx.call.tenant.clone();
    let refer = &tenant.features.refer;
    let (destination, stands_in) = match transfer::choose(refer, asked, cx.wall, &cx.call.tried) {
        Choice::Call { destination, stands_in } => (destination, stands_in),
        Choice::TriedBefore => return apologise(tool, TransferFailure::TriedBefore, cx),
        Choice::Closed => {
            cx.answer_tool(tool, ToolOutcome::TransferFailed(TransferFailure::Closed));
            return message::begin(None, &[Phrase::Closed, Phrase::LeaveMessage], cx);
        }
        Choice::Unknown => {
            let known = refer.destinations().iter().filter(|one| one.enabled);
            let known = known.map(|one| one.destination_id.clone()).collect();
            let refusal = Refusal::UnknownDestination { asked: asked.as_str().to_owned(), known };
            cx.answer_tool(tool, ToolOutcome::Refused(refusal));
            return State::Established(Established::Conversation);
        }
    };
    let attempt = open_attempt(&destination.destination_id, &destination.target_uri, cx);
    if cx.call.refer != ReferPolicy::Allowed {
        close_attempt(attempt, TransferOutcome::ReferRefused, cx);
        return apologise(tool, TransferFailure::NotPossible, cx);
    }
    let handoff = refer.handoff_phrase.clone().unwrap_or_else(|| cx.phrase(Phrase::Handoff));
    // Where the caller is asked first, the question has named who stands in.
    let sentence = if stands_in && !refer.require_confirmation {
        cx.say_texts(vec![cx.phrase(Phrase::DestinationClosed), handoff])
    } else {
        cx.say_texts(vec![handoff])
    };
    State::Transferring(Transferring {
        tool: tool.clone(),
        attempt,
        destination: destination.destination_id.clone(),
        stage: Stage::Handoff { sentence, target: destination.target_uri.clone() },
    })
}

/// Tells agent and caller that it failed; the choices are offered again after that.
fn apologise(tool: &ToolCallId, failure: TransferFailure, cx: &mut Context<'_>) -> State {
    cx.answer_tool(tool, ToolOutcome::TransferFailed(failure));
    let sentence = cx.say(&[Phrase::TransferFailed]);
    State::Established(Established::Apology(sentence))
}

fn open_attempt(destination: &DestinationId, target: &TargetUri, cx: &mut Context<'_>) -> AttemptId {
    let target = RawText::new(target.as_str().as_bytes());
    let attempt = TransferAttempt::new(destination.clone(), target, cx.wall);
    cx.call.record.transfers.push(attempt);
    AttemptId(u32::try_from(cx.call.record.transfers.len()).unwrap_or(u32::MAX))
}

fn close_attempt(attempt: AttemptId, outcome: TransferOutcome, cx: &mut Context<'_>) {
    let wall = cx.wall;
    if let Some(attempt) = cx.call.attempt(attempt) {
        attempt.end(outcome, wall);
    }
    cx.call.record.escalated_to_human |= outcome == TransferOutcome::Succeeded;
    cx.save();
}

impl Transferring {
    pub(super) fn on(self, input: Input, cx: &mut Context<'_>) -> State {
        match input {
            Input::PeerBye => self.peer_left(cx),
            Input::KillNow => self.break_off(EndSide::Us, EndReason::Drained, cx),
            Input::SessionExpired => self.break_off(EndSide::Network, EndReason::SessionExpired, cx),
            Input::Goodbye | Input::Timer(TimerKind::Drain) => self.stop(cx),
            Input::Timer(TimerKind::MaxDuration) => {
                cx.start(TimerKind::MaxDuration, timer::SPARED);
                State::Transferring(self)
            }
            Input::Tool { call, .. } => {
                if call != self.tool {
                    in_progress(&call, cx);
                }
                State::Transferring(self)
            }
            input => {
                remind(&input, cx);
                match self.stage {
                    Stage::Handoff { .. } => self.on_handoff(&input, cx),
                    Stage::Referred | Stage::Accepted | Stage::Ringing => self.on_refer(&input, cx),
                    Stage::Succeeded => self.on_success(&input, cx),
                }
            }
        }
    }

    fn on_handoff(self, input: &Input, cx: &mut Context<'_>) -> State {
        let Stage::Handoff { sentence, target } = &self.stage else { return State::Transferring(self) };
        match input {
            input if cx.is_over(*sentence, input) => {
                let target = target.clone();
                self.refer(target, cx)
            }
            Input::Digit(digit) if digit.event() == CANCEL_EVENT => {
                cx.cut();
                close_attempt(self.attempt, transfer::outcome(TransferFailure::Cancelled), cx);
                cx.answer_tool(&self.tool, ToolOutcome::TransferFailed(TransferFailure::Cancelled));
                back_to_agent(cx)
            }
            Input::MediaTimeout if !cx.call.is_held() => {
                self.break_off(EndSide::Network, EndReason::MediaTimeout, cx)
            }
            _ => State::Transferring(self),
        }
    }

    fn refer(self, target: TargetUri, cx: &mut Context<'_>) -> State {
        let wall = cx.wall;
        if let Some(attempt) = cx.call.attempt(self.attempt) {
            attempt.started_at = wall;
        }
        cx.effects.push(Effect::SendRefer { target, attempt: self.attempt });
        cx.play(Sound::RingbackStart);
        cx.start(TimerKind::FirstNotify, timer::FIRST_NOTIFY);
        cx.save();
        State::Transferring(Self { stage: Stage::Referred, ..self })
    }

    /// RTP may well stop while the peer hands the caller over: a media timeout says nothing
    /// here, and the timers of the transfer bound it anyway.
    fn on_refer(self, input: &Input, cx: &mut Context<'_>) -> State {
        match *input {
            Input::ReferResponse { attempt, status } if attempt == self.attempt => {
                self.on_response(status, cx)
            }
            Input::ReferNotify { attempt, report } if attempt == self.attempt => match report.verdict() {
                Verdict::Progress => self.on_progress(cx),
                Verdict::Succeeded => self.succeed(cx),
                Verdict::Failed(failure) => self.give_up(failure, cx),
            },
            // A NOTIFY shows that the REFER arrived, whatever became of its response.
            Input::ReferFailed { attempt }
                if attempt == self.attempt && matches!(self.stage, Stage::Referred) =>
            {
                self.give_up(TransferFailure::Unreachable, cx)
            }
            Input::Timer(TimerKind::FirstNotify) => self.give_up(TransferFailure::Silent, cx),
            Input::Timer(TimerKind::Ringing) => self.give_up(TransferFailure::NoAnswer, cx),
            _ => State::Transferring(self),
        }
    }

    fn on_response(self, status: u16, cx: &mut Context<'_>) -> State {
        match (status, &self.stage) {
            (200..=299, Stage::Referred) => {
                cx.start(TimerKind::FirstNotify, timer::FIRST_NOTIFY);
                State::Transferring(Self { stage: Stage::Accepted, ..self })
            }
            (300..=699, _) => self.give_up(TransferFailure::Refused { status }, cx),
            _ => State::Transferring(self),
        }
    }

    /// NOTIFY may overtake the response to the REFER (RFC 3515 §2.4.4): it counts all the same.
    fn on_progress(self, cx: &mut Context<'_>) -> State {
        if !matches!(self.stage, Stage::Ringing) {
            cx.cancel(TimerKind::FirstNotify);
            cx.start(TimerKind::Ringing, timer::RINGING);
        }
        State::Transferring(Self { stage: Stage::Ringing, ..self })
    }

    fn succeed(self, cx: &mut Context<'_>) -> State {
        self.stop_waiting(cx);
        close_attempt(self.attempt, TransferOutcome::Succeeded, cx);
        cx.answer_tool(&self.tool, ToolOutcome::Done(Done::Transferred));
        cx.start(TimerKind::PeerBye, timer::PEER_BYE);
        State::Transferring(Self { stage: Stage::Succeeded, ..self })
    }

    fn on_success(self, input: &Input, cx: &mut Context<'_>) -> State {
        match input {
            Input::Timer(TimerKind::PeerBye) => release(cx, EndSide::Us, EndReason::Transferred, Bye::Now),
            _ => State::Transferring(self),
        }
    }

    fn give_up(self, failure: TransferFailure, cx: &mut Context<'_>) -> State {
        self.stop_waiting(cx);
        close_attempt(self.attempt, transfer::outcome(failure), cx);
        if transfer::leaves_fate_unknown(failure) {
            cx.call.tried.push(self.destination);
        }
        apologise(&self.tool, failure, cx)
    }

    fn peer_left(self, cx: &mut Context<'_>) -> State {
        if matches!(self.stage, Stage::Succeeded) {
            return release(cx, EndSide::Caller, EndReason::Transferred, Bye::Unneeded);
        }
        self.stop_waiting(cx);
        close_attempt(self.attempt, TransferOutcome::CallerLeft, cx);
        release(cx, EndSide::Caller, EndReason::CallerHangup, Bye::Unneeded)
    }

    /// The call ends this moment, whatever becomes of the transfer.
    fn break_off(self, side: EndSide, reason: EndReason, cx: &mut Context<'_>) -> State {
        if matches!(self.stage, Stage::Succeeded) {
            return release(cx, EndSide::Us, EndReason::Transferred, Bye::Now);
        }
        self.stop_waiting(cx);
        close_attempt(self.attempt, TransferOutcome::Abandoned, cx);
        release(cx, side, reason, Bye::Now)
    }

    /// The service stops. Before the REFER there is time for a goodbye; after it the caller is
    /// on the way to somebody and hears ringing.
    fn stop(self, cx: &mut Context<'_>) -> State {
        if !matches!(self.stage, Stage::Handoff { .. }) {
            return self.break_off(EndSide::Us, EndReason::Drained, cx);
        }
        close_attempt(self.attempt, TransferOutcome::Abandoned, cx);
        last_words(cx, EndReason::Drained, &[Phrase::DrainingGoodbye], Ack::Received)
    }

    fn stop_waiting(&self, cx: &mut Context<'_>) {
        cx.cancel(TimerKind::FirstNotify);
        cx.cancel(TimerKind::Ringing);
        if matches!(self.stage, Stage::Referred | Stage::Accepted | Stage::Ringing) {
            cx.play(Sound::RingbackStop);
        }
    }
}
