//! Times counted in buckets whose width grows with the value, so that recording one costs a few
//! instructions and no memory, and none is off by more than one part in a thousand.

use std::time::Duration;

use serde::Serialize;

/// Buckets of each power of two.
const STEPS: u64 = 1_024;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Times from this power of two of microseconds on (19 hours) count as the longest.
const TOP: u32 = 36;
const BUCKETS: usize = ((TOP - STEP_BITS + 1) as usize) * STEPS as usize;

/// A distribution of times, in microseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Box<[u32]>,
    count: u64,
    largest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), count: 0, largest: 0 }
    }
}

/// What a report says of a [`Histogram`], in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many were counted.
    pub count: u64,
    /// Half of them were as short as this.
    pub p50: f64,
    /// Nine in ten were.
    pub p90: f64,
    /// 99 in a hundred were.
    pub p99: f64,
    /// 999 in a thousand were.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Histogram {
    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(place(micros)) {
            *bucket = bucket.saturating_add(1);
        }
        self.count += 1;
        self.largest = self.largest.max(micros);
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket = bucket.saturating_add(*more);
        }
        self.count += other.count;
        self.largest = self.largest.max(other.largest);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time that `share` of them (0 to 1) don't exceed, in microseconds; 0 of none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let wanted = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            seen += u64::from(*bucket);
            if seen >= wanted {
                return upper(at).min(self.largest);
            }
        }
        self.largest
    }

    /// What a report says; `None` when nothing was counted.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        (self.count > 0).then(|| Spread {
            count: self.count,
            p50: ms(self.quantile(0.5)),
            p90: ms(self.quantile(0.9)),
            p99: ms(self.quantile(0.99)),
            p999: ms(self.quantile(0.999)),
            max: ms(self.largest),
        })
    }
}

/// The bucket of a time: its highest bits, and how many bits follow them.
fn place(micros: u64) -> usize {
    let value = micros.min((1 << TOP) - 1);
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let within = value >> shift;
    // Below twice the number of steps each microsecond has a bucket of its own.
    usize::try_from(u64::from(shift) * STEPS + within).unwrap_or(usize::MAX)
}

/// The longest time of a bucket.
fn upper(at: usize) -> u64 {
    let at = at as u64;
    if at < 2 * STEPS {
        return at;
    }
    let shift = at / STEPS - 1;
    ((at - shift * STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket_and_no_bucket_is_wider_than_promised() {
        let mut last = 0;
        for power in 0..TOP {
            for value in [1_u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let at = place(value);
                assert!(at < BUCKETS && at >= last, "{value}");
                last = at;
                assert!(upper(at) >= value, "{value} in a bucket up to {}", upper(at));
                assert!(upper(at) - value <= value / STEPS, "{value} reads as {}", upper(at));
            }
        }
        assert!(place(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut times = Histogram::default();
        assert_eq!((times.quantile(0.5), times.spread()), (0, None));
        for micros in 1..=200 {
            times.record(Duration::from_micros(micros));
        }
        assert_eq!((times.quantile(0.5), times.quantile(0.99), times.quantile(1.0)), (100, 198, 200));
        assert_eq!(times.spread().map(|spread| (spread.count, spread.max)), Some((200, 0.2)));
    }

    #[test]
    fn what_two_counted_is_one_distribution() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        for _ in 0..98 {
            low.record(Duration::from_millis(20));
        }
        high.record(Duration::from_millis(500));
        high.record(Duration::from_millis(800));
        low.merge(&high);
        assert_eq!(low.count(), 100);
        assert!((20_000..20_200).contains(&low.quantile(0.98)));
        assert!((500_000..504_000).contains(&low.quantile(0.99)));
        assert_eq!(low.quantile(1.0), 800_000);
    }
}
