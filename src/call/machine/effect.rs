//! What a call asks for.

use std::time::Duration;

use media::dtmf::Digit;

use super::TimerKind;
use crate::agent::AgentInput;
use crate::call::record::{CallEvent, EndReason};
use crate::call::transfer::AttemptId;
use crate::tenant::refer::TargetUri;

/// What a call asks its actor to do, to be done in this order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Send 180.
    Ring,
    /// Send an INVITE of ours, to where the last [`super::Input::Redirected`] leads if there was one;
    /// [`super::Input::Progress`], [`super::Input::PeerAnswered`] and the like answer.
    Dial,
    /// Take that INVITE back; [`super::Input::PeerRefused`] answers, or an answer that crosses it.
    GiveUp,
    /// Open the agent's session; [`super::Input::AgentReady`] or
    /// [`super::Input::AgentFailed`] answers.
    ConnectAgent,
    /// Send the 200; [`super::Input::AnswerSent`] or [`super::Input::MediaFailed`] answers.
    Answer,
    /// Refuse the INVITE, unless it has a final response already.
    Reject {
        /// The status, 400 to 699.
        status: u16,
        /// For the header of that name (RFC 3261 §20.33).
        retry_after: Option<Duration>,
    },
    /// Send BYE; [`super::Input::ByeDone`] answers.
    SendBye {
        /// For the `Reason` header (RFC 3326).
        reason: ByeReason,
    },
    /// Send REFER in the dialog; [`super::Input::ReferResponse`] or
    /// [`super::Input::ReferFailed`] answers, [`super::Input::ReferNotify`] follows.
    SendRefer {
        /// What to put in `Refer-To`, in the form that the trunk takes.
        target: TargetUri,
        /// To be given back with what comes of it.
        attempt: AttemptId,
    },
    /// For the agent. A session that doesn't take it is [`super::Input::AgentFailed`].
    Agent(AgentInput),
    /// So much is left of the longest call: an agent that leads a conversation wraps up.
    WrapUp {
        /// Until goodbye is said.
        left: Duration,
    },
    /// For the caller's ear.
    Playout(Sound),
    /// Record the caller from now on, until one of the limits or [`Effect::StopRecording`];
    /// [`super::Input::RecordingStopped`] answers.
    StartRecording {
        /// The longest recording.
        max: Duration,
        /// The key that ends it. The machine stops the recording when it is pressed; the writer
        /// needs it only to leave the key's tone out.
        finish: Digit,
        /// The silence that ends it.
        silence: Duration,
    },
    /// Close the recording, if it is open; [`super::Input::RecordingStopped`] answers.
    StopRecording,
    /// Delete the file of the recording that was closed last: it holds nothing.
    DiscardRecording,
    /// Give [`super::Input::Timer`] after this long. A timer of the same kind is replaced.
    StartTimer {
        /// Which.
        kind: TimerKind,
        /// From now.
        after: Duration,
    },
    /// The timer isn't needed any more.
    CancelTimer(TimerKind),
    /// Write this to the journal. For the one that closes the record
    /// [`super::Input::JournalWritten`] or [`super::Input::JournalFailed`] answers.
    Record(CallEvent),
    /// Keep this note with the call.
    Note {
        /// What it says.
        text: String,
    },
    /// The record is durable: the dialog and the machine may be dropped.
    Forget,
}

/// What the caller hears besides speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sound {
    /// Drop what is queued.
    Clear,
    /// The tone before a message.
    Beep,
    /// Ringing, in the cadence of the tenant's country, until [`Sound::RingbackStop`].
    RingbackStart,
    /// Silence again.
    RingbackStop,
}

/// Why we hang up, for the `Reason` header (RFC 3326): a Q.850 cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByeReason {
    /// The call went its course.
    Normal,
    /// Something that had to come didn't.
    TimerExpired,
    /// The service or its agent can't go on.
    TemporaryFailure,
}

impl ByeReason {
    /// The reason that the far end is told for the reason in the record.
    #[must_use]
    pub fn of(reason: EndReason) -> Self {
        match reason {
            EndReason::NoAck | EndReason::MediaTimeout | EndReason::SessionExpired => Self::TimerExpired,
            EndReason::Fault | EndReason::Drained => Self::TemporaryFailure,
            _ => Self::Normal,
        }
    }

    /// The value of the `Reason` header (RFC 3326 §2, causes of ITU-T Q.850).
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Self::Normal => "Q.850;cause=16;text=\"Normal call clearing\"",
            Self::TimerExpired => "Q.850;cause=102;text=\"Recovery on timer expiry\"",
            Self::TemporaryFailure => "Q.850;cause=41;text=\"Temporary failure\"",
        }
    }
}
