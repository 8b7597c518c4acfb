//! How often one provider is connected to again: a server that comes back isn't met by all of
//! its calls at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Three a second.
const GAP: Duration = Duration::from_millis(334);

/// Gives out moments to reconnect at.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// How long to wait before connecting again; `None` when the turn would come after `within`,
    /// and none was taken.
    pub(super) fn claim(&self, now: Instant, within: Duration) -> Option<Duration> {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        let wait = turn.saturating_duration_since(now);
        if wait > within {
            return None;
        }
        *next = Some(turn + GAP);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_reconnects_a_second_are_given_out_and_no_more_than_can_wait() {
        let (pace, start) = (Pace::default(), Instant::now());
        let within = Duration::from_secs(3);
        let waits: Vec<Duration> = std::iter::from_fn(|| pace.claim(start, within)).take(100).collect();
        assert_eq!(waits.len(), 9);
        assert!(waits.iter().filter(|wait| **wait < Duration::from_secs(1)).count() <= 3);
        assert_eq!(pace.claim(start + Duration::from_secs(60), within), Some(Duration::ZERO));
    }
}
