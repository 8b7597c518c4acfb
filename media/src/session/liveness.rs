//! Noticing that the peer's media has stopped.

use std::time::{Duration, Instant};

/// Longest wait for the first packet.
pub const FIRST_MEDIA: Duration = Duration::from_secs(30);
/// Longest silence after that.
pub const SILENCE: Duration = Duration::from_secs(60);

/// The RTP timeout. Parked while no media is expected.
#[derive(Debug)]
pub struct Liveness {
    since: Instant,
    heard: bool,
    told: bool,
    parked: bool,
}

impl Liveness {
    pub fn new(now: Instant, parked: bool) -> Self {
        Self { since: now, heard: false, told: false, parked }
    }

    /// A packet of the peer came; `true` if that ends a timeout.
    pub fn heard(&mut self, now: Instant) -> bool {
        self.since = now;
        self.heard = true;
        std::mem::take(&mut self.told)
    }

    /// Parks, or starts waiting afresh.
    pub fn park(&mut self, parked: bool, now: Instant) {
        if self.parked && !parked {
            self.since = now;
        }
        self.parked = parked;
    }

    /// `Some((first_media, silence))` once per timeout.
    pub fn check(&mut self, now: Instant) -> Option<(bool, Duration)> {
        let limit = if self.heard { SILENCE } else { FIRST_MEDIA };
        let silence = now.saturating_duration_since(self.since);
        if self.parked || self.told || silence < limit {
            return None;
        }
        self.told = true;
        Some((!self.heard, silence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_first_packet_has_thirty_seconds_and_silence_sixty() {
        let start = origin();
        let mut liveness = Liveness::new(start, false);
        assert_eq!(liveness.check(start + SECOND * 29), None);
        assert_eq!(liveness.check(start + SECOND * 30), Some((true, SECOND * 30)));
        assert_eq!(liveness.check(start + SECOND * 31), None, "told once");
        assert!(liveness.heard(start + SECOND * 40));
        assert_eq!(liveness.check(start + SECOND * 99), None);
        assert_eq!(liveness.check(start + SECOND * 100), Some((false, SECOND * 60)));
    }

    #[test]
    fn hold_parks_it_and_resuming_starts_it_afresh() {
        let start = origin();
        let mut liveness = Liveness::new(start, false);
        liveness.heard(start);
        liveness.park(true, start + SECOND * 50);
        assert_eq!(liveness.check(start + SECOND * 500), None);
        liveness.park(false, start + SECOND * 500);
        assert_eq!(liveness.check(start + SECOND * 559), None);
        assert!(liveness.check(start + SECOND * 560).is_some());
    }
}
