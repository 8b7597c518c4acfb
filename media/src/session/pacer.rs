//! The clock of a session: frames on an absolute time line.

use std::time::{Duration, Instant};

/// Frames handed out at most in one go after a delay.
const CATCH_UP: u32 = 3;

/// When frames are due.
#[derive(Debug)]
pub struct Pacer {
    next: Instant,
    period: Duration,
}

impl Pacer {
    /// The first frame is due at once.
    pub fn new(now: Instant, period: Duration) -> Self {
        Self { next: now, period }
    }

    /// When the next frame is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Changes the packet time from the next frame on.
    pub fn set_period(&mut self, period: Duration) {
        self.period = period;
    }

    /// `Some(skipped)` if a frame is due now, with the number of frames that time has run past for good.
    pub fn advance(&mut self, now: Instant) -> Option<u32> {
        let behind = now.checked_duration_since(self.next)?;
        let periods = behind.as_nanos() / self.period.as_nanos().max(1);
        let due = u32::try_from(periods).unwrap_or(u32::MAX).saturating_add(1);
        let skipped = due.saturating_sub(CATCH_UP);
        let step = self.period.saturating_mul(skipped.saturating_add(1));
        self.next = self.next.checked_add(step).unwrap_or(now + self.period);
        Some(skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(20);

    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
    fn start() -> (Pacer, Instant) {
        let now = Instant::now();
        (Pacer::new(now, PERIOD), now)
    }

    #[test]
    fn lateness_does_not_add_up() {
        let (mut pacer, start) = start();
        for frame in 0..500u32 {
            let late = Duration::from_micros(u64::from(frame % 7) * 900);
            assert_eq!(pacer.advance(start + PERIOD * frame + late), Some(0));
        }
        assert_eq!(pacer.next(), start + PERIOD * 500);
    }

    #[test]
    fn nothing_is_due_early() {
        let (mut pacer, start) = start();
        assert_eq!(pacer.advance(start), Some(0));
        assert_eq!(pacer.advance(start + Duration::from_micros(19_999)), None);
    }

    #[test]
    fn after_a_stall_three_frames_are_caught_up_and_the_rest_is_skipped() {
        let (mut pacer, start) = start();
        let now = start + PERIOD * 50;
        let frames: Vec<_> = std::iter::from_fn(|| pacer.advance(now)).collect();
        assert_eq!(frames, [48, 0, 0]);
        assert_eq!(pacer.next(), start + PERIOD * 51, "the time line is the same as before");
    }
}
