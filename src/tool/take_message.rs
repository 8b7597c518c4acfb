//! `take_message`: the caller speaks after a tone, and what they say is kept.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{TelephonyCommand, Tool, ToolAnswer, ToolContext};

/// Asks the caller for a message and records it. The call ends after the message.
#[derive(Debug, Clone, Copy)]
pub struct TakeMessage;

/// Takes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeMessageArguments {}

impl Tool for TakeMessage {
    type Arguments = TakeMessageArguments;
    const NAME: &'static str = "take_message";
    const DESCRIPTION: &'static str = "Records a message of the caller. The prompt, the tone and the thanks are spoken for you; \
         the call ends after the message. Offer it when nobody can be reached.";
    const DEADLINE: Duration = Duration::from_secs(1);

    async fn call(&self, _context: &ToolContext, _arguments: TakeMessageArguments) -> ToolAnswer {
        ToolAnswer::Command(TelephonyCommand::TakeMessage)
    }
}
