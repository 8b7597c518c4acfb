//! How often a key, or an address without one, may ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket for each name: so many a minute, and as many at once.
#[derive(Debug)]
pub(super) struct Rates {
    per_minute: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// The most names remembered. When there are more, those that have been quiet for a minute, whose
/// buckets are full again, are forgotten; if all are busy, new ones are refused.
const MOST: usize = 20_000;

impl Rates {
    /// So many a minute; 0 for no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, buckets: Mutex::default() }
    }

    /// Takes one.
    ///
    /// # Errors
    /// In how many seconds there is one, when there is none now.
    pub(super) fn take(&self, name: &str, now: Instant) -> Result<(), u64> {
        self.touch(name, now, 1.0)
    }

    /// Whether there is one, which stays.
    ///
    /// # Errors
    /// As [`Rates::take`].
    pub(super) fn check(&self, name: &str, now: Instant) -> Result<(), u64> {
        self.touch(name, now, 0.0)
    }

    fn touch(&self, name: &str, now: Instant, taken: f64) -> Result<(), u64> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let most = f64::from(self.per_minute);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(name) {
            let quiet = Duration::from_secs(60);
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < quiet);
            if buckets.len() >= MOST {
                return Err(60);
            }
        }
        if taken == 0.0 && !buckets.contains_key(name) {
            return Ok(());
        }
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket { left: most, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * most / 60.0;
        bucket.left = (bucket.left + gained).min(most);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= taken;
            return Ok(());
        }
        let wait = ((1.0 - bucket.left) * 60.0 / most).ceil();
        Err(if wait < 1.0 { 1 } else { Duration::try_from_secs_f64(wait).map_or(60, |wait| wait.as_secs()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_minute_for_each_name_and_then_a_time_to_wait() {
        let (rates, now) = (Rates::new(6), Instant::now());
        for _ in 0..6 {
            assert_eq!(rates.take("one", now), Ok(()));
        }
        assert_eq!((rates.take("one", now), rates.take("other", now)), (Err(10), Ok(())));
        assert_eq!(rates.check("one", now + Duration::from_secs(9)), Err(1));
        assert_eq!(rates.take("one", now + Duration::from_secs(10)), Ok(()));
        assert_eq!(rates.take("one", now + Duration::from_secs(10)), Err(10));
        assert_eq!(Rates::new(0).take("one", now), Ok(()));
    }

    #[test]
    fn names_are_not_remembered_without_bound() {
        let (rates, now) = (Rates::new(6), Instant::now());
        for name in 0..MOST {
            assert_eq!(rates.take(&name.to_string(), now), Ok(()));
        }
        assert_eq!(rates.take("one more", now), Err(60));
        assert_eq!(rates.take("one more", now + Duration::from_secs(60)), Ok(()));
    }
}
