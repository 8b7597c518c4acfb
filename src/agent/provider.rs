//! The interface every agent stands behind, in this process or across a network.
//!
//! A session is two bounded channels and a task that the provider owns. The task ends when the
//! input channel closes or [`AgentInput::Close`] arrives; it never outlives the call. Audio goes
//! from the session to the media path directly, not through the call.
//!
//! What happens when a channel is full:
//! - **input** ([`INPUT_CAPACITY`]): inputs are edges (a key, a result), never frames, so a full
//!   channel means that the session is stuck. The sender uses `try_send` and treats a refusal as
//!   a fault of the provider; it never waits.
//! - **events** ([`EVENT_CAPACITY`]): the session keeps what doesn't fit and stops reading input
//!   until there is room, so nothing is lost or out of order.
//! - **playout**: the session waits for room while it goes on reading input, so that a key can
//!   still interrupt; what waits is dropped by the interruption. `Pause` fades out and stands
//!   still, `Resume` says the faded part again and goes on, `Clear` fades out and drops all that
//!   was queued before it; none of them waits behind audio that the media path has no room for.
//! - **caller audio**: frames that don't fit are dropped by the media path;
//!   real time can't wait.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use media::dtmf::Digit;
use media::playout::{Chunk, PlayoutCommand, UtteranceId};
use tokio::sync::mpsc;

use super::speech::SpeechError;
use crate::ids::CallId;
use crate::tenant::document::Tenant;
use crate::tool::{ToolCallId, ToolOutcome};

/// How many inputs a session holds unread.
pub const INPUT_CAPACITY: usize = 16;

/// How many events a session holds untaken.
pub const EVENT_CAPACITY: usize = 16;

/// An agent that can take calls. One value serves all the calls of the process; clients, models
/// and voices are made once, with it.
pub trait Provider: Send + Sync {
    /// The name in tenant documents, records and metrics.
    fn name(&self) -> &'static str;

    /// What its sessions can do.
    fn capabilities(&self) -> Capabilities;

    /// Opens a session while the caller's line is still ringing. The agent stays silent until
    /// [`AgentInput::Connected`].
    ///
    /// The future may be dropped at any moment, when the caller gives up; whatever it had
    /// opened is closed then.
    fn connect(&self, spec: SessionSpec) -> BoxFuture<'static, Result<AgentSession, ProviderError>>;
}

/// What a provider's sessions can do, so that the call does the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Caller audio it takes, best first. Empty: it doesn't listen, and
    /// [`SessionSpec::audio`] stays `None`.
    pub hears: &'static [AudioFormat],
    /// Audio it produces, best first.
    pub speaks: &'static [AudioFormat],
    /// It reports where the caller's speech starts and stops.
    pub server_vad: bool,
    /// Its memory of what it said can be cut to what was really heard.
    pub truncation: bool,
}

/// Mono audio as it is exchanged with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioFormat {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// 16-bit linear samples.
    Pcm16 {
        /// Samples per second.
        rate_hz: u32,
    },
}

/// Wall-clock time as the session sees it, so that opening hours can be tested.
pub type WallClock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What a session is opened with.
pub struct SessionSpec {
    /// The call, for logs.
    pub call: CallId,
    /// The tenant's document as it was when the call came, with the voice of the number that was
    /// dialed; it doesn't change during the call.
    pub tenant: Arc<Tenant>,
    /// BCP 47 tag of the language to speak, the number's own where it has one.
    pub locale: String,
    /// When the call was offered.
    pub started_at: DateTime<Utc>,
    /// Wall-clock time, asked again whenever the agent needs it.
    pub clock: WallClock,
    /// Where the session's audio goes.
    pub playout: mpsc::Sender<PlayoutCommand>,
    /// The caller's audio, one frame per chunk, for agents that listen.
    pub audio: Option<mpsc::Receiver<Chunk>>,
}

/// An open session. Dropping `input` ends it.
#[derive(Debug)]
pub struct AgentSession {
    /// Into the session.
    pub input: mpsc::Sender<AgentInput>,
    /// Out of it. The last event is [`AgentEvent::Ended`].
    pub events: mpsc::Receiver<AgentEvent>,
}

/// What the call tells the agent.
#[derive(Debug, Clone)]
pub enum AgentInput {
    /// The call is answered and audio flows: greet now. Sent once.
    Connected,
    /// The caller pressed a key.
    Digit(Digit),
    /// Speak this text, interrupting what the agent itself is saying. The call machine's
    /// utterance ids are odd, the agent's own are even.
    Say {
        /// The call machine's id for it.
        utterance: UtteranceId,
        /// What to say, in the session's locale.
        text: String,
    },
    /// What came of a [`AgentEvent::ToolCall`]. When a transfer failed, the call machine tells the
    /// caller itself and sends [`AgentInput::Resume`] after that.
    ToolResult {
        /// Its id.
        call: ToolCallId,
        /// Its outcome.
        outcome: ToolOutcome,
    },
    /// The last sample of an utterance, the agent's own or the call machine's, went to the
    /// caller, or the utterance was cut.
    Played {
        /// Which utterance.
        utterance: UtteranceId,
        /// Milliseconds of it that were sent. What faded away when it was cut isn't among them.
        sent_ms: u64,
    },
    /// The caller has begun to speak. Comes on every call, whatever the provider itself hears, and is
    /// told when enough was heard to be sure of it: some 100 ms after it began.
    SpeechStarted {
        /// When it began, in milliseconds on the media clock of the call, which begins with its audio.
        at_ms: u64,
    },
    /// The caller has stopped speaking; told 300 ms later, unless they went on.
    SpeechStopped {
        /// When it ended, in milliseconds on the media clock of the call.
        at_ms: u64,
        /// How long it was, in milliseconds.
        lasted_ms: u32,
    },
    /// The caller is the agent's again: offer the choices again.
    Resume,
    /// The call is over; nothing is to be said.
    Close,
}

/// What the agent tells the call.
#[derive(Debug)]
pub enum AgentEvent {
    /// An utterance begins, with the words for the transcript. One per utterance, before its
    /// audio.
    Speaking {
        /// Even for the agent's own, odd for the call machine's.
        utterance: UtteranceId,
        /// What is being said.
        text: String,
    },
    /// All audio of the utterance has been handed to playout. Doesn't come for an utterance that
    /// is interrupted before that. Playout reports every utterance once, `Drained` or `Cleared`,
    /// even one without audio: its end is always handed over.
    Spoken {
        /// Which utterance.
        utterance: UtteranceId,
    },
    /// The utterance, or a sentence of it, couldn't be turned into audio. The rest of it is
    /// spoken and its end is reported as ever.
    SayFailed {
        /// Which utterance.
        utterance: UtteranceId,
        /// Why.
        error: SpeechError,
    },
    /// The agent asks for a tool to be run; [`AgentInput::ToolResult`] answers.
    ToolCall {
        /// Chosen by the agent, unique in the session.
        id: ToolCallId,
        /// The tool's name in the registry.
        name: String,
        /// Its arguments, not yet validated.
        arguments: serde_json::Value,
    },
    /// The session failed. It may recover by itself; otherwise [`AgentEvent::Ended`] follows.
    Fault(ProviderError),
    /// The session is over. Nothing comes after it.
    Ended,
}

/// Why a provider can't serve the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The operator or tenant hasn't given the key it needs.
    #[error("{provider} needs an API key: set one for the tenant or for all tenants")]
    KeyMissing {
        /// The provider.
        provider: &'static str,
    },
    /// It can't be reached at all.
    #[error("{provider} can't be reached ({cause}): check the network and its base URL")]
    Unreachable {
        /// The provider.
        provider: &'static str,
        /// What the operating system said.
        cause: std::io::ErrorKind,
    },
    /// It answered with an HTTP status other than success.
    #[error("{provider} refused the session with HTTP status {status}: check its key, model and quota")]
    Refused {
        /// The provider.
        provider: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// It has too much to do.
    #[error("{provider} asks us to slow down; its limit for this key is reached")]
    Throttled {
        /// The provider.
        provider: &'static str,
        /// How long it asks us to wait, when it says so.
        retry_after: Option<Duration>,
    },
    /// It didn't answer in time.
    #[error("{provider} didn't answer within {after:?}")]
    TimedOut {
        /// The provider.
        provider: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// It ended the session in the middle of the call.
    #[error("{provider} dropped the session (close code {code:?})")]
    Dropped {
        /// The provider.
        provider: &'static str,
        /// The WebSocket close code, when there was one (RFC 6455 §7.4).
        code: Option<u16>,
    },
    /// It sent something that its protocol doesn't allow.
    #[error("{provider} sent what its protocol doesn't allow: {what}")]
    Garbled {
        /// The provider.
        provider: &'static str,
        /// What was expected.
        what: &'static str,
    },
    /// None of its audio formats is one that we can convert.
    #[error("{provider} has no audio format in common with the telephone line")]
    NoCommonFormat {
        /// The provider.
        provider: &'static str,
    },
    /// It can't be heard: its text can't be spoken.
    #[error(transparent)]
    Speech(#[from] SpeechError),
}
