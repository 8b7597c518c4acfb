//! What the tests stand on: the service as a process, a telephone, and SIPp.

pub mod http;
pub mod media;
pub mod message;
pub mod phone;
pub mod ports;
pub mod realtime;
pub mod record;
pub mod seed;
pub mod service;
pub mod shipped;
pub mod sipp;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use message::Message;
pub use phone::Phone;
pub use record::Record;
pub use service::{Home, Service, Signal};

/// How long anything may take that ought to happen at once. Generous: machines that test are busy.
pub const SOON: Duration = Duration::from_secs(10);

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Asks until there is an answer. Only for what another process doesn't announce.
pub fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
