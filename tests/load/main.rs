//! The load and robustness runs of `benches/robustness.rs`, short: what they measure holds, and
//! they can be run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

mod flood;
mod mutation;
mod probe;
mod service;
mod slow;

use std::time::Duration;

use flood::Flood;
use service::Service;

#[test]
fn a_short_flood_of_mutated_datagrams_does_no_harm() {
    let figures = Flood::over_udp(20_000, 4).run();
    println!("{figures}");
    figures.assert_harmless();
}

#[test]
fn a_short_flood_of_mutated_streams_does_no_harm() {
    let figures = Flood::over_tcp(8_000, 4).run();
    println!("{figures}");
    figures.assert_harmless();
}

#[test]
fn connections_that_say_little_keep_nobody_waiting() {
    let service = Service::start();
    let figures = slow::run(&service, 200, Duration::from_secs(3));
    println!("{figures}");
    assert!(figures.answered > 0 && figures.worst <= Duration::from_secs(2), "{figures}");
    service.assert_sound();
}
