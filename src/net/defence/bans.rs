//! Sources that aren't listened to for a while. Each further ban of a source lasts twice as long
//! as the one before; a ban ends by itself.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::sources::SourceKey;

/// Bans kept at most. Beyond, the one that would be forgotten first goes.
const MOST: usize = 65_536;
/// How long a ban is remembered after its end, at least: as long as it lasted, or an hour.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Why a source is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its `User-Agent` is that of a scanner.
    Scanner,
    /// It belongs to no trunk and kept trying.
    Probing,
    /// It guessed at passwords.
    Passwords,
    /// What it sends is no SIP.
    Malformed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scanner, Self::Probing, Self::Passwords, Self::Malformed];

    /// The word for logs, metrics and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scanner => "scanner",
            Self::Probing => "probing",
            Self::Passwords => "passwords",
            Self::Malformed => "malformed",
        }
    }
}

/// One ban. Times are those of the guard's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    /// Why.
    pub reason: Reason,
    /// When it ends.
    pub until: Duration,
    /// How many bans of this source there were, this one included, that are not forgotten.
    pub times: u32,
    /// Messages dropped because of it.
    pub dropped: u64,
    forgotten: Duration,
}

/// How long bans are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    /// The first; zero: nobody is banned.
    pub first: Duration,
    /// The longest.
    pub most: Duration,
}

/// All bans.
#[derive(Debug, Default)]
pub(super) struct Bans {
    bans: HashMap<SourceKey, Ban>,
    /// The same, by when they are forgotten.
    order: BTreeSet<(Duration, SourceKey)>,
}

impl Bans {
    /// Whether the source is banned now; counts the message that was dropped for it.
    pub fn holds(&mut self, key: SourceKey, now: Duration) -> bool {
        if self.bans.is_empty() {
            return false;
        }
        match self.bans.get_mut(&key) {
            Some(ban) if ban.until > now => {
                ban.dropped += 1;
                true
            }
            _ => false,
        }
    }

    /// Bans a source. `None` when bans are switched off, or it is banned already.
    pub fn add(&mut self, key: SourceKey, reason: Reason, lengths: Lengths, now: Duration) -> Option<Ban> {
        if lengths.first.is_zero() || self.bans.get(&key).is_some_and(|ban| ban.until > now) {
            return None;
        }
        self.forget(now);
        let before = self.remove(key).filter(|ban| ban.forgotten > now);
        let times = before.map_or(0, |ban| ban.times).saturating_add(1);
        let doubled = 1_u32.checked_shl(times - 1).and_then(|factor| lengths.first.checked_mul(factor));
        let length = doubled.unwrap_or(lengths.most).min(lengths.most).max(lengths.first);
        let until = now + length;
        let dropped = before.map_or(0, |ban| ban.dropped);
        let ban = Ban { reason, until, times, dropped, forgotten: until + length.max(REMEMBERED) };
        self.order.insert((ban.forgotten, key));
        self.bans.insert(key, ban);
        if self.bans.len() > MOST
            && let Some((_, first)) = self.order.first().copied()
        {
            self.remove(first);
        }
        Some(ban)
    }

    /// Lifts the ban of a source and forgets it; whether there was one.
    pub fn lift(&mut self, key: SourceKey, now: Duration) -> bool {
        self.remove(key).is_some_and(|ban| ban.until > now)
    }

    /// Those in force, the one that ends first at the beginning.
    pub fn in_force(&self, now: Duration) -> Vec<(SourceKey, Ban)> {
        let mut bans: Vec<_> =
            self.bans.iter().filter(|(_, ban)| ban.until > now).map(|(key, ban)| (*key, *ban)).collect();
        bans.sort_by_key(|(key, ban)| (ban.until, *key));
        bans
    }

    /// How many are in force.
    pub fn count(&self, now: Duration) -> usize {
        self.bans.values().filter(|ban| ban.until > now).count()
    }

    fn remove(&mut self, key: SourceKey) -> Option<Ban> {
        let ban = self.bans.remove(&key)?;
        self.order.remove(&(ban.forgotten, key));
        Some(ban)
    }

    fn forget(&mut self, now: Duration) {
        while let Some((at, key)) = self.order.first().copied()
            && at <= now
        {
            self.order.pop_first();
            self.bans.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LENGTHS: Lengths = Lengths { first: Duration::from_secs(60), most: Duration::from_secs(300) };

    fn source(n: u32) -> SourceKey {
        SourceKey::of(IpAddr::V4(n.into()))
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn each_ban_doubles_up_to_the_longest_and_ends_by_itself() {
        let mut bans = Bans::default();
        let mut now = seconds(1_000);
        for (times, length) in [(1, 60), (2, 120), (3, 240), (4, 300), (5, 300)] {
            let ban = bans.add(source(1), Reason::Probing, LENGTHS, now).unwrap();
            assert_eq!((ban.times, ban.until - now), (times, seconds(length)));
            assert!(bans.holds(source(1), now) && !bans.holds(source(2), now));
            assert!(bans.add(source(1), Reason::Scanner, LENGTHS, now).is_none(), "banned already");
            now = ban.until;
            assert!(!bans.holds(source(1), now));
            assert!(bans.in_force(now).is_empty());
        }
        now += seconds(3_600);
        assert_eq!(bans.add(source(1), Reason::Probing, LENGTHS, now).unwrap().times, 1, "forgotten");
    }

    #[test]
    fn a_lifted_ban_is_forgotten() {
        let mut bans = Bans::default();
        bans.add(source(1), Reason::Scanner, LENGTHS, seconds(0));
        assert!(bans.lift(source(1), seconds(1)) && !bans.lift(source(1), seconds(1)));
        assert!(!bans.holds(source(1), seconds(1)));
        assert_eq!(bans.add(source(1), Reason::Scanner, LENGTHS, seconds(2)).unwrap().times, 1);
    }

    #[test]
    fn without_a_length_nobody_is_banned() {
        let none = Lengths { first: Duration::ZERO, most: seconds(300) };
        assert!(Bans::default().add(source(1), Reason::Scanner, none, seconds(0)).is_none());
    }

    #[test]
    fn the_list_is_bounded_and_drops_the_one_that_ends_first() {
        let mut bans = Bans::default();
        for n in 0..70_000 {
            bans.add(source(n), Reason::Scanner, LENGTHS, Duration::from_millis(n.into()));
        }
        let now = seconds(1);
        assert_eq!((bans.bans.len(), bans.order.len()), (MOST, MOST));
        assert!(!bans.holds(source(0), now) && bans.holds(source(69_999), now));
        bans.forget(seconds(100_000));
        assert!(bans.bans.is_empty() && bans.order.is_empty());
    }
}
