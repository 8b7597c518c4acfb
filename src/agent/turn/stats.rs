//! The latencies of the turns of all calls: the last ones of each tenant, and histograms of each
//! provider.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Latency;
use crate::ids::TenantId;

/// Turns that are kept of a tenant.
const LAST: usize = 500;
/// Tenants whose turns are kept; the one that was silent for longest gives way.
const MOST_TENANTS: usize = 1_000;
/// Upper bounds of the histograms, in milliseconds; the last bucket has none.
pub const BUCKETS_MS: [u32; 10] = [50, 100, 200, 300, 500, 750, 1_000, 1_500, 2_500, 5_000];

/// The parts of a turn, in their order, and the whole.
pub const PARTS: [&str; 5] = ["endpoint", "ask", "model", "playout", "total"];

/// The figures.
#[derive(Debug, Default)]
pub struct VoiceStats(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    tenants: BTreeMap<TenantId, VecDeque<Turn>>,
    providers: BTreeMap<&'static str, [Histogram; PARTS.len()]>,
}

/// One turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// When the agent began to answer.
    pub at: DateTime<Utc>,
    /// Who answered.
    pub provider: &'static str,
    /// Where the time went.
    #[serde(flatten)]
    pub latency: Latency,
}

/// How often a part took how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// Turns in each bucket of [`BUCKETS_MS`], not added up; what is longer is in none.
    pub buckets: [u64; BUCKETS_MS.len()],
    /// All turns.
    pub count: u64,
    /// Their milliseconds, added up.
    pub sum_ms: u64,
}

impl VoiceStats {
    /// Counts a turn.
    pub fn record_turn(
        &self,
        tenant: &TenantId,
        provider: &'static str,
        latency: Latency,
        at: DateTime<Utc>,
    ) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parts =
            [latency.endpoint_ms, latency.ask_ms, latency.model_ms, latency.playout_ms, latency.total_ms()];
        let histograms = figures.providers.entry(provider).or_default();
        for (histogram, ms) in histograms.iter_mut().zip(parts) {
            histogram.add(ms);
        }
        if !figures.tenants.contains_key(tenant) && figures.tenants.len() >= MOST_TENANTS {
            let last = |turns: &VecDeque<Turn>| turns.back().map(|turn| turn.at);
            let silent =
                figures.tenants.iter().min_by_key(|(_, turns)| last(turns)).map(|(id, _)| id.clone());
            if let Some(silent) = silent {
                figures.tenants.remove(&silent);
            }
        }
        let turns = figures.tenants.entry(tenant.clone()).or_default();
        if turns.len() >= LAST {
            turns.pop_front();
        }
        turns.push_back(Turn { at, provider, latency });
    }

    /// The last turns of a tenant, oldest first.
    #[must_use]
    pub fn snapshot(&self, tenant: &TenantId) -> Vec<Turn> {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        figures.tenants.get(tenant).map(|turns| turns.iter().copied().collect()).unwrap_or_default()
    }

    /// The histograms of each provider, in the order of [`PARTS`].
    #[must_use]
    pub fn histograms(&self) -> Vec<(&'static str, [Histogram; PARTS.len()])> {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        figures.providers.iter().map(|(provider, histograms)| (*provider, *histograms)).collect()
    }
}

impl Histogram {
    fn add(&mut self, ms: u32) {
        if let Some((count, _)) = self.buckets.iter_mut().zip(BUCKETS_MS).find(|(_, bound)| ms <= *bound) {
            *count += 1;
        }
        self.count += 1;
        self.sum_ms += u64::from(ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_turns_of_a_tenant_and_the_histograms_of_a_provider_are_kept() {
        let stats = VoiceStats::default();
        let (one, other) = (TenantId::new("tenant-one").unwrap(), TenantId::new("tenant-two").unwrap());
        let latency = Latency { endpoint_ms: 500, ask_ms: 1, model_ms: 9_000, playout_ms: 0 };
        for _ in 0..LAST + 10 {
            stats.record_turn(&one, "openai", latency, DateTime::UNIX_EPOCH);
        }
        assert_eq!(stats.snapshot(&one).len(), LAST);
        assert_eq!(stats.snapshot(&other), []);
        let (provider, histograms) = stats.histograms()[0];
        assert_eq!((provider, histograms[0].buckets[4], histograms[0].count), ("openai", 510, 510));
        assert_eq!((histograms[2].buckets, histograms[2].sum_ms), ([0; 10], 510 * 9_000));
        assert_eq!(serde_json::to_value(stats.snapshot(&one)[0]).unwrap()["model_ms"], 9_000);
    }

    #[test]
    fn the_tenant_that_was_silent_for_longest_gives_way() {
        let stats = VoiceStats::default();
        let id = |n: usize| TenantId::new(&format!("tenant-{n}")).unwrap();
        for n in 0..MOST_TENANTS + 5 {
            let at = DateTime::from_timestamp(i64::try_from(n).unwrap(), 0).unwrap();
            stats.record_turn(&id(n), "openai", Latency::default(), at);
        }
        assert_eq!(stats.snapshot(&id(4)), []);
        assert_eq!(stats.snapshot(&id(5)).len(), 1);
    }
}
