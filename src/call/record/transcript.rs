//! What was said, recorded and understood. `Debug` gives sizes, never the words.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::agent::turn::Latency;

/// A recording of the whole call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The file, relative to the data directory.
    pub file: String,
    /// Its length in milliseconds; 0 when the process died before it was known.
    pub duration_ms: u64,
}

/// A message the caller left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageLeft {
    /// The file, relative to the data directory.
    pub file: String,
    /// Its length in milliseconds.
    pub duration_ms: u64,
    /// When it began.
    pub at: DateTime<Utc>,
}

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The person at the other end.
    Caller,
    /// The agent.
    Agent,
}

/// One turn of the conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptTurn {
    /// Who spoke.
    pub speaker: Speaker,
    /// What was said.
    pub text: String,
    /// When it began, in milliseconds since the call started.
    pub start_ms: u64,
    /// When it ended, in milliseconds since the call started.
    pub end_ms: u64,
    /// What the caller heard of it before an interruption; absent when all of it was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
    /// Milliseconds from the caller's last word to the agent's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// Where that time went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// What went wrong with the agent, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFault {
    /// When.
    pub at: DateTime<Utc>,
    /// Which agent.
    pub provider: String,
    /// What happened.
    pub fault: String,
}

impl fmt::Debug for TranscriptTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranscriptTurn")
            .field("speaker", &self.speaker)
            .field("text", &format_args!("{} bytes", self.text.len()))
            .field("start_ms", &self.start_ms)
            .field("end_ms", &self.end_ms)
            .finish_non_exhaustive()
    }
}

/// Something mentioned in the call: a name, a date, an order number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// What kind of thing.
    pub name: String,
    /// The thing.
    pub value: String,
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entity({}, {} bytes)", self.name, self.value.len())
    }
}

/// What is left to do after the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    /// By when, where a day was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<NaiveDate>,
}
