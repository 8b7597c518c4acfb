//! Every published class of SIP flaw, tried on this endpoint: what crashed, filled or fooled another stack must here
//! end in an answer or in silence, with the work and the memory that its size deserves. Each test names the flaw and
//! says what went wrong there. Those of RTP and SDP are in `media/tests/cve.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests
#![allow(clippy::disallowed_methods, reason = "a virtual clock begins at some moment, once")]

mod authentication;
mod bounds;
mod fraud;
mod memory;
#[path = "../endpoint/rig.rs"]
#[allow(dead_code)]
mod rig;
mod state;
