//! What is to be done, and when.

use std::time::Duration;

use sip::message::Uri;

use super::law::Law;

/// Milliseconds of audio in a packet of ours.
pub const PTIME_MS: u8 = 20;
/// Turns of the sending clock in a packet time: one each millisecond.
pub const PHASES: u64 = PTIME_MS as u64;
/// Calls that share one RTP socket. Two packets of each fit into the smallest buffer that a
/// kernel gives by default.
const CALLS_A_SOCKET: u32 = 128;
/// Calls that make it worth while to wake up for them.
const CALLS_A_BATCH: u32 = 8;
/// Calls that one thread carries with ease.
const CALLS_A_THREAD: u32 = 1_500;

/// How the calls' RTP leaves this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// Calls share sockets; whose packet it is shows in where it comes from.
    Shared,
    /// Each call has a pair of its own, as a telephone has.
    PerCall,
}

/// How much of a call is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Signalling and RTP both ways.
    Media(Sockets),
    /// Signalling only: the offer names a port on which nobody listens.
    Signalling,
}

/// A load to be put on a server.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whom to call; taken in turns.
    pub targets: Vec<Uri>,
    /// How many calls in all.
    pub calls: u32,
    /// New calls a second.
    pub rate: f64,
    /// How long an answered call lasts.
    pub length: Duration,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// How much of a call is played.
    pub depth: Depth,
    /// What the offer says that we speak.
    pub law: Law,
    /// Threads for RTP; without it as many as the calls need.
    pub threads: Option<usize>,
    /// Lost packets of those expected, up to which the run is a success.
    pub most_loss: f64,
}

impl Plan {
    /// When a call is placed, counted from the start.
    #[must_use]
    pub fn begins(&self, call: u32) -> Duration {
        Duration::try_from_secs_f64(f64::from(call) / self.rate).unwrap_or(Duration::MAX)
    }

    /// Whom a call goes to.
    #[must_use]
    pub fn target(&self, call: u32) -> Option<&Uri> {
        self.targets.iter().cycle().nth(call as usize % self.targets.len().max(1))
    }

    /// The most calls that are up at a time, as far as can be told beforehand.
    #[must_use]
    pub fn concurrent(&self) -> u32 {
        let held = self.rate * self.length.as_secs_f64() + 1.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped by the count")]
        let held = held.min(f64::from(self.calls)) as u32;
        held.max(1)
    }

    /// Threads for RTP on a machine with so many cores.
    #[must_use]
    pub fn media_threads(&self, cores: usize) -> usize {
        let needed = self.concurrent().div_ceil(CALLS_A_THREAD) as usize;
        self.threads.unwrap_or_else(|| needed.min(cores)).max(1)
    }

    /// Shared sockets for each of so many threads: as many as there are phases or a multiple of it,
    /// so that calls are spread over the packet time; fewer only for calls too few to be sent and
    /// taken in batches then.
    #[must_use]
    pub fn sockets(&self, threads: usize) -> usize {
        let calls = self.concurrent().div_ceil(u32::try_from(threads.max(1)).unwrap_or(u32::MAX));
        let phases = u32::try_from(PHASES).unwrap_or(u32::MAX);
        let sockets = calls.div_ceil(CALLS_A_BATCH);
        let wanted =
            if sockets < phases { sockets } else { phases * calls.div_ceil(phases * CALLS_A_SOCKET) };
        wanted.max(1) as usize
    }
}

#[cfg(test)]
pub(super) fn plan(calls: u32, rate: f64, seconds: u64) -> Plan {
    Plan {
        targets: vec![Uri::parse(b"sip:+33199000001@127.0.0.1").unwrap()],
        calls,
        rate,
        length: Duration::from_secs(seconds),
        patience: Duration::from_secs(10),
        depth: Depth::Media(Sockets::Shared),
        law: Law::Mu,
        threads: None,
        most_loss: 0.01,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_begin_evenly() {
        let plan = plan(1_000, 100.0, 60);
        assert_eq!(plan.begins(0), Duration::ZERO);
        assert_eq!(plan.begins(250), Duration::from_millis(2_500));
        assert_eq!(super::plan(10, 0.5, 1).begins(3), Duration::from_secs(6));
    }

    #[test]
    fn targets_take_turns() {
        let mut plan = plan(4, 1.0, 1);
        plan.targets.push(Uri::parse(b"sip:2@127.0.0.1").unwrap());
        let order: Vec<_> = (0..4).filter_map(|call| plan.target(call)?.user()).collect();
        assert_eq!(order, [&b"+33199000001"[..], b"2", b"+33199000001", b"2"]);
    }

    #[test]
    fn what_is_needed_follows_the_calls_that_are_up() {
        assert_eq!(plan(1_000, 100.0, 60).concurrent(), 1_000);
        assert_eq!(plan(100_000, 1_000.0, 1).concurrent(), 1_001);
        let short = plan(100_000, 1_000.0, 0);
        assert_eq!((short.concurrent(), short.media_threads(2), short.sockets(1)), (1, 1, 1));
        let many = plan(10_000, 1_000.0, 60);
        assert_eq!((many.media_threads(2), many.media_threads(16)), (2, 7));
        assert_eq!((many.sockets(2), many.sockets(4)), (40, 20));
        assert_eq!(plan(100, 100.0, 60).sockets(1), 13);
    }
}
