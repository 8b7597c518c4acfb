//! Requests that are made twice, told apart by the key their maker gave them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Originated;
use crate::ids::TenantId;

/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);
/// How many are; beyond, the oldest are forgotten.
const MAX_KEYS: usize = 100_000;

type Key = (TenantId, String);

/// The keys of the last day.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    outcomes: HashMap<Key, Option<Originated>>,
    order: VecDeque<(Instant, Key)>,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing: whoever asked makes the call, and says what came of it.
    New,
    /// Its call is being made.
    Underway,
    /// This call was made.
    Made(Originated),
}

impl Repeats {
    /// Claims a key.
    pub(super) fn claim(&self, key: &Key, now: Instant) -> Seen {
        let mut known = self.lock();
        known.forget(now);
        match known.outcomes.get(key) {
            Some(Some(made)) => Seen::Made(made.clone()),
            Some(None) => Seen::Underway,
            None => {
                known.outcomes.insert(key.clone(), None);
                known.order.push_back((now, key.clone()));
                Seen::New
            }
        }
    }

    /// Says what came of a claimed key; `None` frees it for another attempt.
    pub(super) fn settle(&self, key: &Key, made: Option<Originated>) {
        let mut known = self.lock();
        match made {
            Some(made) => {
                known.outcomes.entry(key.clone()).and_modify(|outcome| *outcome = Some(made));
            }
            None => {
                known.outcomes.remove(key);
                known.order.retain(|(_, other)| other != key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget(&mut self, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) >= REMEMBERED;
        while self.order.front().is_some_and(|(at, _)| old(*at)) || self.order.len() >= MAX_KEYS {
            let Some((_, key)) = self.order.pop_front() else { return };
            self.outcomes.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CallId;

    fn made() -> Originated {
        Originated { call_id: CallId::generate(), sip_call_id: "x".to_owned() }
    }

    #[test]
    fn a_key_makes_one_call_a_day() {
        let repeats = Repeats::default();
        let key = (TenantId::new("tenant-a").unwrap(), "order-7".to_owned());
        let (now, made) = (Instant::now(), made());
        assert_eq!(repeats.claim(&key, now), Seen::New);
        assert_eq!(repeats.claim(&key, now), Seen::Underway);
        repeats.settle(&key, Some(made.clone()));
        assert_eq!(repeats.claim(&key, now), Seen::Made(made));
        let other = (TenantId::new("tenant-b").unwrap(), key.1.clone());
        assert_eq!(repeats.claim(&other, now), Seen::New, "another tenant's key is another key");
        assert_eq!(repeats.claim(&key, now + REMEMBERED), Seen::New);
    }

    #[test]
    fn a_call_that_could_not_be_made_can_be_asked_for_again() {
        let repeats = Repeats::default();
        let key = (TenantId::new("tenant-a").unwrap(), "order-7".to_owned());
        let now = Instant::now();
        repeats.claim(&key, now);
        repeats.settle(&key, None);
        assert_eq!(repeats.claim(&key, now), Seen::New);
        assert_eq!(repeats.lock().order.len(), 1);
    }
}
