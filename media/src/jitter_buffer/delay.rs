//! How long packets are under way, and how much delay that asks for.
//!
//! Times are in units of 1/8000 s. A packet's offset is its arrival minus its timestamp; only differences of offsets
//! mean anything. The base is the least offset of the last seconds: what the network needs at best. It follows the
//! drift of the two clocks, since old minima are forgotten.

use super::{JitterRange, UNITS_PER_MS};

/// Minima are taken over this long, twice: 5 s.
const SPAN: u64 = 5_000 * UNITS_PER_MS;
/// Steps of the histogram: 5 ms.
const STEP: u64 = 5 * UNITS_PER_MS;
const STEPS: usize = 64;
/// This part of the packets shall come in time.
const IN_TIME: f32 = 0.98;
/// Packets that the histogram remembers: 10 s of 20 ms packets.
const MEMORY: f32 = 500.0;
/// Packets before the histogram is asked.
const ENOUGH: u32 = 10;
/// Packets between two looks at the histogram.
const LOOK_EVERY: u32 = 8;
/// A frame that is read may begin anywhere in a packet: one more packet must be there.
const ALIGNMENT: u64 = 20 * UNITS_PER_MS;
/// An offset this far from the base belongs to another time base: 2 s.
const FOREIGN: u64 = 2_000 * UNITS_PER_MS;

/// Watches arrivals.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    range: JitterRange,
    /// Least offset of the span under way and of the one before.
    least: Option<(i64, i64)>,
    span_end: u64,
    histogram: [f32; STEPS],
    packets: u32,
    target: u64,
}

impl DelayEstimator {
    pub fn new(range: JitterRange) -> Self {
        Self {
            range,
            least: None,
            span_end: 0,
            histogram: [0.0; STEPS],
            packets: 0,
            target: range.initial_units(),
        }
    }

    /// Another time base: what is known of the network's jitter stays.
    pub fn rebase(&mut self) {
        self.least = None;
    }

    /// The delay to keep.
    pub fn target(&self) -> u64 {
        self.target
    }

    /// How much later than the fastest packet something with this timestamp is, now.
    pub fn lateness(&self, timestamp: u64, now: u64) -> Option<i64> {
        self.base().map(|base| offset(now, timestamp) - base)
    }

    /// Takes an arrival. Returns whether its time base is another than before.
    pub fn arrived(&mut self, timestamp: u64, now: u64) -> bool {
        let offset = offset(now, timestamp);
        let foreign = self.base().is_some_and(|base| (offset - base).unsigned_abs() > FOREIGN);
        if foreign {
            self.least = None;
        }
        let (current, previous) = match self.least {
            None => {
                self.span_end = now + SPAN;
                (offset, offset)
            }
            Some((current, _)) if now >= self.span_end => {
                self.span_end = now + SPAN;
                (offset, current)
            }
            Some((current, previous)) => (current.min(offset), previous),
        };
        self.least = Some((current, previous));
        let late = u64::try_from(offset - current.min(previous)).unwrap_or(0);
        self.count(late);
        foreign
    }

    fn base(&self) -> Option<i64> {
        self.least.map(|(current, previous)| current.min(previous))
    }

    fn count(&mut self, late: u64) {
        self.packets = self.packets.saturating_add(1);
        // Each packet weighs the same at the start, then the old ones fade.
        let share = 1.0 / MEMORY.min(self.packets as f32);
        let step = usize::try_from(late / STEP).unwrap_or(STEPS).min(STEPS - 1);
        for (index, weight) in self.histogram.iter_mut().enumerate() {
            *weight = *weight * (1.0 - share) + if index == step { share } else { 0.0 };
        }
        if self.packets >= ENOUGH && self.packets.is_multiple_of(LOOK_EVERY) {
            self.target =
                (self.quantile() + ALIGNMENT).clamp(self.range.least_units(), self.range.most_units());
        }
    }

    /// The delay within which all but the slowest packets come, rounded up.
    fn quantile(&self) -> u64 {
        let mut sum = 0.0;
        for (index, weight) in (1u64..).zip(&self.histogram) {
            sum += weight;
            if sum >= IN_TIME {
                return index * STEP;
            }
        }
        STEPS as u64 * STEP
    }
}

fn offset(now: u64, timestamp: u64) -> i64 {
    now.cast_signed().wrapping_sub(timestamp.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = UNITS_PER_MS;

    fn run(estimator: &mut DelayEstimator, packets: u64, drift_ppm: i64, mut delay: impl FnMut(u64) -> u64) {
        for n in 0..packets {
            let sent = n * 20 * MS;
            let now = (sent.cast_signed() + sent.cast_signed() * drift_ppm / 1_000_000).unsigned_abs()
                + delay(n) * MS;
            estimator.arrived(sent, now + 1_000_000);
        }
    }

    #[test]
    fn a_steady_network_gets_the_least_delay_and_a_rough_one_what_it_needs() {
        let range = JitterRange::new(20, 200);
        for (jitter, expected) in
            [(0, 20..=25), (10, 30..=35), (40, 60..=65), (100, 120..=125), (500, 200..=200)]
        {
            let mut estimator = DelayEstimator::new(range);
            run(&mut estimator, 2_000, 0, |n| n * 7_919 % (jitter + 1));
            let target = estimator.target() / MS;
            assert!(expected.contains(&target), "{jitter} ms of jitter: {target} ms");
        }
    }

    #[test]
    fn rare_stragglers_do_not_cost_everyone_delay() {
        let mut estimator = DelayEstimator::new(JitterRange::new(20, 200));
        run(&mut estimator, 2_000, 0, |n| if n % 100 == 0 { 150 } else { 0 });
        assert_eq!(estimator.target() / MS, 25);
    }

    #[test]
    fn clock_drift_is_not_jitter() {
        for drift in [-100, 100] {
            let mut estimator = DelayEstimator::new(JitterRange::new(20, 200));
            run(&mut estimator, 50 * 600, drift, |n| n % 3);
            assert!(estimator.target() / MS <= 30, "{drift} ppm: {} ms", estimator.target() / MS);
        }
    }

    #[test]
    fn a_moved_time_base_is_noticed() {
        let mut estimator = DelayEstimator::new(JitterRange::default());
        run(&mut estimator, 100, 0, |_| 0);
        assert!(!estimator.arrived(2_000 * MS, 1_000_000 + 2_100 * MS));
        assert!(estimator.arrived(900_000 * MS, 1_000_000 + 2_120 * MS));
        assert_eq!(estimator.lateness(900_000 * MS, 1_000_000 + 2_130 * MS), Some(80));
    }
}
