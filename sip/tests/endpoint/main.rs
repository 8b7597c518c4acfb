//! The endpoint from outside: raw SIP in, bytes and events out, on a clock of our own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a virtual clock begins at some moment, once")]

mod answering;
mod calling;
mod cancelling;
mod challenge;
mod dialogs;
mod glare;
mod hanging_up;
mod hostile;
mod injection;
mod offers;
mod prack;
mod refer;
mod refusals;
mod replaces;
mod rig;
mod routes;
mod session_timer;
mod standing;
mod transports;
