//! The robustness run: mutated messages by the million against the real binary while somebody
//! asks OPTIONS, and connections that say next to nothing.
//!
//! ```text
//! cargo bench --bench robustness -- [MESSAGES] [SEEDS] [udp] [tcp] [slow]
//!                                   default: 1,000,000 over 20 seeds, all three
//! ```
//!
//! `OFFHOOK_BINARY` names another binary than that of this build. Run it on a quiet machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark ends at the first surprise"
)]
#![allow(dead_code, reason = "shared with tests/load")]

#[path = "../tests/load/flood.rs"]
mod flood;
#[path = "../tests/load/mutation.rs"]
mod mutation;
#[path = "../tests/load/probe.rs"]
mod probe;
#[path = "../tests/load/service.rs"]
mod service;
#[path = "../tests/load/slow.rs"]
mod slow;

use std::time::Duration;

use flood::Flood;
use service::Service;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let numbers: Vec<u64> = arguments.iter().filter_map(|arg| arg.parse().ok()).collect();
    let messages = numbers.first().copied().unwrap_or(1_000_000);
    let seeds = numbers.get(1).copied().unwrap_or(20);
    let kinds = ["udp", "tcp", "slow"];
    let named = |kind: &str| arguments.iter().any(|arg| arg == kind);
    let wanted = |kind: &str| named(kind) || !kinds.iter().any(|kind| named(kind));
    if wanted("udp") {
        println!("{}", Flood::over_udp(messages, seeds).run());
    }
    if wanted("tcp") {
        println!("{}", Flood::over_tcp(messages, seeds).run());
    }
    if wanted("slow") {
        let service = Service::start();
        println!("{}", slow::run(&service, 500, Duration::from_secs(20)));
        service.assert_sound();
    }
}
