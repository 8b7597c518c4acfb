//! The real binary from the outside: started as a person starts it, called over SIP and RTP with
//! SIPp and with a telephone of our own, and asked afterwards what it remembers.
//!
//! Needs `sipp` (Debian package sip-tester); `tests/run` installs it. Every service gets free
//! ports and a data directory of its own, so that the tests run side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "deadlines of real processes are on the real clock")]

mod bad_input;
mod calls;
mod crash;
mod defence;
mod drain;
mod keypad;
mod load;
mod media_policy;
mod message;
mod outbound;
mod overload;
mod quality;
mod reload;
mod rig;
mod scenarios;
mod startup;
mod tracing;
mod trunk;
