//! The endpoint from outside: raw SIP in, bytes and events out, on a clock of our own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a virtual clock begins at some moment, once")]

mod answering;
mod calling;
mod cancelling;
mod dialogs;
mod hanging_up;
mod hostile;
mod injection;
mod offers;
mod refer;
mod refusals;
mod rig;
mod routes;
mod transports;
