//! A token bucket of eight bytes: there is one for each limit of each source.

/// How much of a limit a source has left. Time is in milliseconds since the guard began, as 32
/// bits: after 49 days of silence a bucket may seem less full than it is, for once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// In thousandths of a token.
    level: u32,
    at: u32,
}

/// So many in so much time; as many at once. Nothing at all stands for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    tokens: u32,
    /// Milliseconds in which an empty bucket fills.
    over: u32,
}

/// Thousandths in one token.
const TOKEN: u32 = 1_000;
/// More tokens than this don't fit into the level.
const MOST: u32 = u32::MAX / TOKEN;

impl Limit {
    /// So many a second, twice as many at once.
    pub const fn per_second(tokens: u32) -> Self {
        let tokens = tokens.saturating_mul(2);
        Self { tokens: if tokens < MOST { tokens } else { MOST }, over: 2_000 }
    }

    /// So many a minute, and at once.
    pub const fn per_minute(tokens: u32) -> Self {
        Self { tokens: if tokens < MOST { tokens } else { MOST }, over: 60_000 }
    }

    fn full(self) -> u32 {
        self.tokens.saturating_mul(TOKEN)
    }
}

impl Bucket {
    /// A full one.
    pub fn new(limit: Limit, now: u32) -> Self {
        Self { level: limit.full(), at: now }
    }

    /// Takes one token if there is one. A limit that was raised or lowered meanwhile counts from
    /// now on.
    pub fn take(&mut self, limit: Limit, now: u32) -> bool {
        if limit.tokens == 0 {
            return true;
        }
        let elapsed = u64::from(now.wrapping_sub(self.at));
        let gained = elapsed.saturating_mul(u64::from(limit.full())) / u64::from(limit.over);
        let level = u64::from(self.level).saturating_add(gained).min(u64::from(limit.full()));
        // The clock of the bucket goes on by what was gained, so that nothing is lost to rounding.
        let counted = (gained * u64::from(limit.over)).div_ceil(u64::from(limit.full().max(1))).min(elapsed);
        self.at = self.at.wrapping_add(u32::try_from(counted).unwrap_or(u32::MAX));
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        let taken = level >= TOKEN;
        self.level = if taken { level - TOKEN } else { level };
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, limit: Limit, now: u32, tries: u32) -> usize {
        (0..tries).filter(|_| bucket.take(limit, now)).count()
    }

    #[test]
    fn a_burst_of_two_seconds_then_the_rate() {
        let limit = Limit::per_second(10);
        let mut bucket = Bucket::new(limit, 0);
        assert_eq!(taken(&mut bucket, limit, 0, 100), 20);
        assert_eq!(taken(&mut bucket, limit, 500, 100), 5);
        assert_eq!(taken(&mut bucket, limit, 60_000, 100), 20, "it holds no more than the burst");
    }

    #[test]
    fn a_minutes_limit_comes_back_one_by_one() {
        let limit = Limit::per_minute(10);
        let mut bucket = Bucket::new(limit, 0);
        assert_eq!(taken(&mut bucket, limit, 0, 30), 10);
        assert_eq!(taken(&mut bucket, limit, 5_999, 30), 0);
        assert_eq!(taken(&mut bucket, limit, 6_000, 30), 1);
    }

    #[test]
    fn nothing_is_lost_to_rounding_at_a_try_each_millisecond() {
        let limit = Limit::per_minute(1);
        let mut bucket = Bucket::new(limit, 0);
        let taken = (0..120_001).filter(|now| bucket.take(limit, *now)).count();
        assert_eq!(taken, 3, "one at once and one for each of two minutes");
    }

    #[test]
    fn no_limit_is_no_limit_and_the_clock_may_wrap() {
        let none = Limit::per_second(0);
        let mut bucket = Bucket::new(none, 0);
        assert_eq!(taken(&mut bucket, none, 0, 1_000), 1_000);
        let limit = Limit::per_second(1);
        let mut bucket = Bucket::new(limit, u32::MAX - 499);
        assert_eq!(taken(&mut bucket, limit, u32::MAX - 499, 5), 2);
        assert_eq!(taken(&mut bucket, limit, 500, 5), 1);
        let huge = Limit::per_second(u32::MAX);
        assert_eq!(taken(&mut Bucket::new(huge, 0), huge, 0, 10), 10);
    }
}
