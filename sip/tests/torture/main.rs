//! The torture messages of RFC 4475 and RFC 5118 against the whole endpoint: what becomes of each raw in a datagram,
//! raw on a stream, and adapted to a call that is up, with the reason. Reading them is `rfc4475.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests
#![allow(clippy::disallowed_methods, reason = "a virtual clock begins at some moment, once")]

mod adapt;
mod disposition;
mod rfc4475;
mod rfc5118;
#[path = "../endpoint/rig.rs"]
#[allow(dead_code)]
mod rig;
