//! The SIP protocol core: messages, transactions, dialogs and user agents as machines without
//! sockets, clocks or tasks.
//!
//! The way in is [`endpoint::Endpoint`]; [`message`] stands by itself.

#![forbid(unsafe_code)]

pub mod dialog;
pub mod endpoint;
pub mod framing;
pub mod locate;
pub mod message;
pub mod random;
pub mod transaction;
pub mod ua;
