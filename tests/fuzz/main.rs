//! Replays the committed inputs of the fuzzer (`tests/fuzz/corpus`) through the functions that it
//! runs, without coverage counters: what was once found stays found. `tests/fuzz/run` fuzzes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target fails by panicking"
)]
#![allow(dead_code, reason = "shared with the fuzzer")]

#[path = "src/digest.rs"]
mod digest;
#[path = "src/endpoint.rs"]
mod endpoint;
#[path = "src/framing.rs"]
mod framing;
#[path = "src/input.rs"]
mod input;
#[path = "src/message.rs"]
mod message;
#[path = "src/registration.rs"]
mod registration;
#[path = "src/rtp.rs"]
mod rtp;
#[path = "src/sdp.rs"]
mod sdp;
#[path = "src/service.rs"]
mod service;
#[path = "src/sip_party.rs"]
mod sip_party;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Runs the target on every input that is kept for it, and on a few that need no file.
fn replay(name: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}: run tests/fuzz/run", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "{} inputs for {name}: run tests/fuzz/run", files.len());
    for file in &files {
        let input = std::fs::read(file).unwrap();
        if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            panic!("{name} fails on {}", file.display());
        }
    }
    let plain: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte; usize::from(byte)]).collect();
    plain.iter().for_each(|input| run(input));
    println!("{name}: {} inputs", files.len());
}

macro_rules! replayed {
    ($($name:ident: $run:path;)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), $run);
        }
    )*};
}

mod corpus_of {
    use super::*;

    replayed! {
        message: super::message::message;
        uri: super::message::uri;
        digest: super::digest::digest;
        framing: super::framing::framing;
        sdp: super::sdp::sdp;
        rtp: super::rtp::rtp;
        rtcp: super::rtp::rtcp;
        telephone_event: super::rtp::telephone_event;
        endpoint: super::endpoint::endpoint;
        registration: super::registration::registration;
        number: super::service::number;
        tenant: super::service::tenant;
        config: super::service::config;
    }
}
