//! What an agent can do besides talking. One registry serves every kind of agent: a tool has a
//! name, a description, a JSON Schema for its arguments and a deadline; its arguments are
//! validated before it runs. A tool never touches SIP: those that concern the telephone line
//! answer with a [`TelephonyCommand`] that the call machine carries out, and the machine gives
//! the [`ToolOutcome`] when the matter is settled.

mod arguments;
mod command;
mod end_call;
mod log_note;
mod outcome;
mod registry;
mod take_message;
#[cfg(test)]
mod testing;
mod transfer_call;

pub use arguments::ArgumentError;
pub use command::{TelephonyCommand, ToolCallId, ToolRequest};
pub use end_call::EndCall;
pub use log_note::LogNote;
pub use outcome::{Done, Refusal, ToolOutcome, TransferFailure};
pub use registry::{Registry, Tool, ToolAnswer, ToolContext, ToolSpec};
pub use take_message::TakeMessage;
pub use transfer_call::TransferCall;
