//! The registrar's addresses, tried one after the other (RFC 3263 §4.3).

use std::time::{Duration, Instant};

/// How long one address is waited for where there are others, or where nothing is repeated.
pub const ATTEMPT: Duration = Duration::from_secs(4);
/// Addresses tried in one go.
const MOST: usize = 4;

/// How long a REGISTER is to be waited for, for [`super::Registration`] to hold its promises: one of
/// several addresses, or a stream, for [`ATTEMPT`]. On a stream nobody repeats the request, and one
/// that has died unnoticed would swallow the whole wait. `None` leaves it to the transaction.
#[must_use]
pub fn patience(addresses: usize, reliable: bool) -> Option<Duration> {
    (addresses > 1 || reliable).then_some(ATTEMPT)
}

/// What is known of the addresses, and which one is in use.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    addresses: usize,
    reliable: bool,
    /// Of the last look-up's addresses, the one in use.
    turn: usize,
    /// The next request begins a round, with a look-up.
    anew: bool,
    round: Option<Round>,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    since: Instant,
    failed: usize,
}

impl Registrar {
    pub fn located(&mut self, addresses: usize, reliable: bool) {
        self.addresses = addresses;
        self.reliable = reliable;
    }

    pub fn turn(&self) -> usize {
        self.turn
    }

    pub fn take_anew(&mut self) -> bool {
        std::mem::take(&mut self.anew)
    }

    /// Begins with the first address.
    pub fn begin(&mut self, now: Instant) {
        self.turn = 0;
        self.anew = true;
        self.round = Some(Round { since: now, failed: 0 });
    }

    /// The address in use has failed. Whether there is another one in this round.
    pub fn next(&mut self) -> bool {
        let Some(round) = &mut self.round else { return false };
        round.failed += 1;
        let more = round.failed < self.addresses.min(MOST);
        if more {
            self.turn = (self.turn + 1) % self.addresses.max(1);
        }
        more
    }

    /// The longest wait after a round that ends now. Where the attempts have a limit of their own,
    /// what they took is taken off, so that every address is asked at least every ten seconds.
    pub fn longest_wait(&self, usual: Duration, now: Instant) -> Duration {
        match (patience(self.addresses, self.reliable), self.round) {
            (Some(_), Some(round)) => {
                let took = now.saturating_duration_since(round.since);
                usual.saturating_sub(took).max(Duration::from_secs(1))
            }
            _ => usual,
        }
    }
}
