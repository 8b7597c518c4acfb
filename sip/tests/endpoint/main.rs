//! The endpoint from outside: raw SIP in, bytes and events out, on a clock of our own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a virtual clock begins at some moment, once")]

mod answering;
mod callee;
mod calling;
mod cancelling;
mod challenge;
mod challenges;
mod dialogs;
mod early;
mod glare;
mod hanging_up;
mod hops;
mod hostile;
mod injection;
mod offers;
mod prack;
mod refer;
mod refusals;
mod reoffer;
mod replaces;
mod rig;
mod routes;
mod routing;
mod session_timer;
mod standing;
mod transports;
