//! `end_call`: say goodbye, then hang up.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{TelephonyCommand, Tool, ToolAnswer, ToolContext};

/// Ends the call once everything that is queued has been heard.
#[derive(Debug, Clone, Copy)]
pub struct EndCall;

/// Takes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndCallArguments {}

impl Tool for EndCall {
    type Arguments = EndCallArguments;
    const NAME: &'static str = "end_call";
    const DESCRIPTION: &'static str = "Ends the call. Say goodbye first: what you have said is played to its end before \
         the line is closed.";
    const DEADLINE: Duration = Duration::from_secs(1);

    async fn call(&self, _context: &ToolContext, _arguments: EndCallArguments) -> ToolAnswer {
        ToolAnswer::Command(TelephonyCommand::EndCall)
    }
}
