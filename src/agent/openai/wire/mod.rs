//! The Realtime protocol on the wire: events to text and text to events, without IO or state.
//!
//! Two dialects are written: the current one, and the beta that compatible servers still speak.
//! Both are read always, whichever was chosen. What isn't known is [`ServerEvent::Other`].

mod client;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use client::{Append, ClientEvent, Item, Reply};
pub use server::{
    CallFunction, Failure, ResponseStatus, ServerError, ServerEvent, Transcribed, Usage, WireError,
};
pub use settings::{SessionSettings, TurnDetection, VadChange};

/// Which names are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The current protocol ("GA").
    #[default]
    Current,
    /// The beta, which compatible servers may still want.
    Beta,
}

/// The longest message that is read, in bytes: the longest answer as audio fits many times.
pub const MAX_MESSAGE: usize = 4 << 20;
/// The longest id, and the longest name of a function.
pub const MAX_NAME: usize = 256;
/// The most arguments of a function, in bytes.
pub const MAX_ARGUMENTS: usize = 16 << 10;
/// The longest transcript of one item that is kept, in bytes.
pub const MAX_TRANSCRIPT: usize = 8 << 10;
