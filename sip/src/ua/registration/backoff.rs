//! How often: the wait after failures, the cap on the rate, and the randomness for both.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// REGISTER requests allowed in [`RATE_WINDOW`]; retransmissions of one count once.
pub const MAX_REQUESTS: usize = 6;
/// The window of the rate. It is ten seconds and a margin, so that the network drawing two
/// requests together doesn't bring a seventh into any ten seconds.
pub const RATE_WINDOW: Duration = Duration::from_millis(10_500);

const FIRST_WAIT: Duration = Duration::from_secs(1);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Waits of 1, 2, 4, 8, 8, … seconds, each drawn from its upper half: so that a thousand trunks
/// don't come back in the same instant, and none waits longer than 8 s.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    pub fn next(&mut self, most: Duration, random: &mut Seeded) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let longest = doubled.min(most);
        longest / 2 + random.below(longest / 2)
    }
}

/// Lets [`MAX_REQUESTS`] through in [`RATE_WINDOW`].
#[derive(Debug, Default)]
pub(super) struct RateGate {
    passed: VecDeque<Instant>,
}

impl RateGate {
    /// Passes now, as one of at most `most`, or says when to come again.
    pub fn pass(&mut self, now: Instant, most: usize) -> Result<(), Instant> {
        while self.passed.front().is_some_and(|first| *first + RATE_WINDOW <= now) {
            self.passed.pop_front();
        }
        // Enough of the oldest have to leave the window for one more to have room in it.
        let in_the_way = self.passed.len().checked_sub(most).and_then(|excess| self.passed.get(excess));
        match in_the_way {
            Some(blocking) => Err(*blocking + RATE_WINDOW),
            None => {
                self.passed.push_back(now);
                Ok(())
            }
        }
    }

    /// The one that passed at this moment didn't leave after all.
    pub fn refund(&mut self, at: Instant) {
        if let Some(index) = self.passed.iter().rposition(|passed| *passed == at) {
            self.passed.remove(index);
        }
    }
}

/// Random numbers from a seed: SHA-256 over seed and a counter, since Call-IDs and cnonces of a
/// plain generator would tell the next ones.
pub(super) struct Seeded {
    seed: [u8; 32],
    drawn: u64,
}

impl Seeded {
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    pub fn next_u128(&mut self) -> u128 {
        self.drawn = self.drawn.wrapping_add(1);
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
        hash.iter().take(16).fold(0, |number, byte| (number << 8) | u128::from(*byte))
    }

    pub fn next_u64(&mut self) -> u64 {
        u64::try_from(self.next_u128() >> 64).unwrap_or_default()
    }

    /// A duration below `end`, in whole milliseconds.
    fn below(&mut self, end: Duration) -> Duration {
        let millis = u64::try_from(end.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(self.next_u64() % millis)
    }
}

impl std::fmt::Debug for Seeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seeded(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_eight_seconds_and_never_less_than_half() {
        for seed in 0..50 {
            let mut random = Seeded::new([seed; 32]);
            let mut backoff = Backoff::default();
            for longest in [1, 2, 4, 8, 8, 8].map(Duration::from_secs) {
                let wait = backoff.next(LONGEST_WAIT, &mut random);
                assert!(wait >= longest / 2 && wait <= longest, "seed {seed}: {wait:?} of {longest:?}");
            }
            for _ in 0..100 {
                assert!(backoff.next(LONGEST_WAIT, &mut random) <= LONGEST_WAIT);
            }
            backoff.reset();
            assert!(backoff.next(LONGEST_WAIT, &mut random) <= FIRST_WAIT);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may start its clock anywhere")]
    fn the_gate_holds_back_the_seventh() {
        let start = Instant::now();
        let mut gate = RateGate::default();
        for n in 0..6 {
            assert_eq!(gate.pass(start + Duration::from_secs(n), 6), Ok(()));
        }
        let later = start + Duration::from_secs(6);
        assert_eq!(gate.pass(later, 6), Err(start + RATE_WINDOW));
        assert_eq!(gate.pass(start + RATE_WINDOW, 6), Ok(()));
        assert!(gate.pass(start + RATE_WINDOW, 6).is_err());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may start its clock anywhere")]
    fn the_gate_keeps_one_back_and_gives_back_what_never_left() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut gate = RateGate::default();
        for n in 0..5 {
            assert_eq!(gate.pass(at(n), 5), Ok(()));
        }
        assert_eq!(gate.pass(at(5), 5), Err(start + RATE_WINDOW));
        assert_eq!(gate.pass(at(5), 6), Ok(()));
        // With six in the window two have to leave it before one of five has room.
        assert_eq!(gate.pass(at(6), 5), Err(at(1) + RATE_WINDOW));
        gate.refund(at(5));
        gate.refund(at(4));
        assert_eq!(gate.pass(at(6), 5), Ok(()));
    }

    #[test]
    fn two_seeds_draw_differently_and_one_seed_alike() {
        let draw = |seed| Seeded::new([seed; 32]).next_u128();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut random = Seeded::new([1; 32]);
        assert_ne!(random.next_u64(), random.next_u64());
    }
}
