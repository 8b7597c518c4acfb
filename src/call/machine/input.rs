//! What happens to a call.

use std::time::Duration;

use media::dtmf::Digit;
use media::playout::UtteranceId;

use super::TimerKind;
use crate::call::record::EndReason;
use crate::call::transfer::{AttemptId, ReferPolicy, Report};
use crate::tool::{TelephonyCommand, ToolCallId};

/// What happens to a call, in any order: one that makes no sense in the present state changes
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The tenant's admission gave a permit.
    Admitted,
    /// The call isn't taken.
    Refused {
        /// The status to answer with, 400 to 699.
        status: u16,
        /// When to try again (RFC 3261 §20.33).
        retry_after: Option<Duration>,
        /// Why, for the record.
        reason: EndReason,
    },
    /// The agent's session is open.
    AgentReady,
    /// The agent can't serve the call, or its session ended without the call's doing.
    AgentFailed,
    /// A provisional response to our INVITE came.
    Progress {
        /// Its status.
        status: u16,
    },
    /// Our INVITE was answered, and the ACK is out.
    PeerAnswered {
        /// Whether there is media in common; else the call is to be ended.
        media: bool,
        /// Whether whoever answered can be transferred.
        refer: ReferPolicy,
    },
    /// Our INVITE was refused.
    PeerRefused {
        /// The final status.
        status: u16,
        /// Whether somebody sent it, rather than nobody anything.
        heard: bool,
    },
    /// Our INVITE was redirected to where the tenant's policy allows a call.
    Redirected,
    /// The 200 is on the wire.
    AnswerSent,
    /// No media can be agreed or set up: instead of [`Input::AnswerSent`], or with the ACK of a
    /// delayed offer.
    MediaFailed {
        /// The status to refuse with when the call isn't answered yet, 400 to 699.
        status: u16,
    },
    /// The ACK for the 200 came.
    Acked,
    /// It didn't within 64*T1 (RFC 3261 §13.3.1.4).
    AckTimedOut,
    /// CANCEL came before a final response was sent (RFC 3261 §9.2).
    Cancelled,
    /// The caller pressed a key.
    Digit(Digit),
    /// The agent begins an utterance; its own are even, those of [`super::Effect::Agent`]'s
    /// `Say` odd.
    Speaking {
        /// The utterance.
        utterance: UtteranceId,
    },
    /// All audio of the utterance was handed to playout, which reports when it has been sent.
    Spoken {
        /// The utterance.
        utterance: UtteranceId,
    },
    /// The utterance, or a part of it, couldn't be turned into audio.
    SayFailed {
        /// The utterance.
        utterance: UtteranceId,
    },
    /// The last sample of the utterance was sent to the caller.
    Drained {
        /// The utterance.
        utterance: UtteranceId,
        /// Its length in milliseconds.
        sent_ms: u64,
    },
    /// The utterance was cut.
    Cleared {
        /// The utterance.
        utterance: UtteranceId,
        /// Milliseconds of it that the caller heard.
        sent_ms: u64,
        /// Milliseconds of it that were dropped.
        unsent_ms: u64,
    },
    /// A tool of the agent asks for something on the line.
    Tool {
        /// The agent's id for it.
        call: ToolCallId,
        /// What it asks for.
        command: TelephonyCommand,
    },
    /// A tool of the agent asks for a note to be kept.
    Note {
        /// The agent's id for it.
        call: ToolCallId,
        /// The note.
        text: String,
    },
    /// The response to a REFER.
    ReferResponse {
        /// Which REFER.
        attempt: AttemptId,
        /// Its status.
        status: u16,
    },
    /// A NOTIFY in the subscription of a REFER (RFC 3515 §2.4.4).
    ReferNotify {
        /// Which REFER.
        attempt: AttemptId,
        /// What it says.
        report: Report,
    },
    /// The REFER wasn't answered (Timer F), or couldn't be sent.
    ReferFailed {
        /// Which REFER.
        attempt: AttemptId,
    },
    /// BYE came, and was answered.
    PeerBye,
    /// The BYE that we sent has a final response, or won't have one.
    ByeDone,
    /// No RTP has come for as long as is allowed.
    MediaTimeout,
    /// The peer put the call on hold.
    Held,
    /// And took it back.
    Resumed,
    /// The recording is closed.
    RecordingStopped(RecordingEnd),
    /// A timer of [`super::Effect::StartTimer`] ran out.
    Timer(TimerKind),
    /// The service is stopping: the call may go on for this long.
    Drain {
        /// From now.
        within: Duration,
    },
    /// The service is stopping: say goodbye now.
    Goodbye,
    /// The service is stopping this moment.
    KillNow,
    /// The session timer ran out (RFC 4028 §10).
    SessionExpired,
    /// The closed record is durable.
    JournalWritten,
    /// The closed record couldn't be written.
    JournalFailed,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingEnd {
    /// The file is closed.
    Kept {
        /// The file, relative to the data directory.
        file: String,
        /// How long the caller's part is, without the silence that ended it.
        duration: Duration,
    },
    /// It couldn't be written.
    Failed,
}
