//! `offhook simulate openai`: a server that speaks the Realtime protocol as the reference has it.
//!
//! It hears with an energy detector what it really gets, answers by a script, sends audio faster
//! than it is spoken, checks what it is sent as the real one does, and fails where the script
//! says so.

mod audio;
mod ear;
mod events;
pub mod script;
mod server;
mod session;
#[cfg(test)]
mod tests;

pub use script::{Script, ScriptError};
pub use server::{Server, ServerOptions};
