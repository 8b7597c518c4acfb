//! The service beside other people's programs: Kamailio as a carrier, baresip and Linphone as softphones.
//!
//! Each test starts its own programs on ports of its own, waits for what they print, and ends
//! them. A program that isn't installed is a failure that says what to install.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod audio;
mod baresip;
mod carrier;
mod greeting;
mod homer;
mod kamailio;
mod keypad;
mod linphone;
mod media;
mod namespaces;
mod nat;
mod pacing;
mod program;
mod registration;
mod service;
mod tls;
