//! A request from an agent to run a tool, and what the tools of the telephone line ask of the
//! call machine.

use std::fmt;
use std::sync::Arc;

use crate::ids::DestinationId;

/// One run of a tool, in the provider's own words. It is the idempotency key too: the machine
/// carries a repeated id out once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToolCallId(Arc<str>);

impl ToolCallId {
    /// Takes the provider's text as it is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The provider's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ToolCallId {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for ToolCallId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ToolCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ToolCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCallId({})", self.0)
    }
}

/// What an agent asks for: a tool by name, with arguments not yet validated.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRequest {
    /// The provider's id for this run.
    pub id: ToolCallId,
    /// The tool's name.
    pub name: String,
    /// The arguments as they came.
    pub arguments: serde_json::Value,
}

/// What a tool asks of the call machine. Validated: the destination exists in the tenant's
/// document and is enabled, and the caller confirmed where the tenant requires it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TelephonyCommand {
    /// Hand the caller over.
    Transfer {
        /// To whom; hours and the after-hours chain aren't resolved yet.
        destination: DestinationId,
        /// Whether the caller said yes to it.
        confirmed: bool,
    },
    /// Record a message of the caller.
    TakeMessage,
    /// End the call once what is queued has been heard.
    EndCall,
}
