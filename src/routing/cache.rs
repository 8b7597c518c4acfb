//! A bounded map that many calls read at once.
//!
//! Sharded, so that readers rarely meet; each shard is behind a lock that is held for a lookup
//! or an insertion and never across an await. A full shard drops an entry that wasn't used
//! since the hand last passed it (the clock algorithm: within a factor of least recently used,
//! at the price of one bit per read).

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// How many shards, a power of two.
const SHARDS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    shards: Vec<RwLock<Shard<K, V>>>,
    hasher: RandomState,
    shard_capacity: usize,
}

#[derive(Debug)]
struct Shard<K, V> {
    places: HashMap<K, usize>,
    slots: Vec<Slot<K, V>>,
    hand: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    used: AtomicBool,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// A cache for about `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        let shard = || RwLock::new(Shard { places: HashMap::new(), slots: Vec::new(), hand: 0 });
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: RandomState::new(),
            shard_capacity: capacity.div_ceil(SHARDS).max(1),
        }
    }

    fn shard(&self, key: &K) -> Option<&RwLock<Shard<K, V>>> {
        let at = self.hasher.hash_one(key) % (SHARDS as u64);
        self.shards.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        // A poisoned lock is taken all the same: every change of a shard leaves it whole.
        let shard = self.shard(key)?.read().unwrap_or_else(PoisonError::into_inner);
        let slot = shard.slots.get(*shard.places.get(key)?)?;
        slot.used.store(true, Ordering::Relaxed);
        Some(slot.value.clone())
    }

    /// Stores an entry if `still_fresh`, which is asked with the shard locked: an invalidation
    /// that was begun before is either seen by it, or removes the entry afterwards.
    pub(crate) fn insert_if(&self, key: K, value: V, still_fresh: impl FnOnce() -> bool) {
        let Some(shard) = self.shard(&key) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if still_fresh() {
            shard.insert(key, value, self.shard_capacity);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        if let Some(shard) = self.shard(key) {
            shard.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            *shard = Shard { places: HashMap::new(), slots: Vec::new(), hand: 0 };
        }
    }

    pub(crate) fn len(&self) -> usize {
        let count =
            |shard: &RwLock<Shard<K, V>>| shard.read().unwrap_or_else(PoisonError::into_inner).slots.len();
        self.shards.iter().map(count).sum()
    }
}

impl<K: Hash + Eq + Clone, V> Shard<K, V> {
    fn insert(&mut self, key: K, value: V, capacity: usize) {
        if let Some(slot) = self.places.get(&key).and_then(|at| self.slots.get_mut(*at)) {
            slot.value = value;
            return;
        }
        while self.slots.len() >= capacity {
            self.evict();
        }
        self.places.insert(key.clone(), self.slots.len());
        self.slots.push(Slot { key, value, used: AtomicBool::new(false) });
    }

    fn evict(&mut self) {
        // Twice around at most: the first round clears every mark.
        for _ in 0..=self.slots.len() * 2 {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            match self.slots.get(self.hand) {
                None => return,
                Some(slot) if slot.used.swap(false, Ordering::Relaxed) => self.hand += 1,
                Some(slot) => {
                    let key = slot.key.clone();
                    self.remove(&key);
                    return;
                }
            }
        }
    }

    fn remove(&mut self, key: &K) {
        let Some(at) = self.places.remove(key) else { return };
        if at < self.slots.len() {
            self.slots.swap_remove(at);
        }
        // The last slot has moved into the hole.
        if let Some(moved) = self.slots.get(at) {
            self.places.insert(moved.key.clone(), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_until_removed() {
        let cache = Cache::new(10_000);
        for n in 0..1_000 {
            cache.insert_if(n, n * 2, || true);
        }
        for n in (0..1_000).step_by(3) {
            cache.remove(&n);
        }
        for n in 0..1_000 {
            assert_eq!(cache.get(&n), (n % 3 != 0).then_some(n * 2));
        }
        cache.clear();
        assert_eq!((cache.get(&1), cache.len()), (None, 0));
    }

    #[test]
    fn a_full_cache_drops_what_is_not_used() {
        let cache = Cache::new(64 * 100);
        for n in 0..640 {
            cache.insert_if(n, n, || true);
        }
        for n in 0..100_000 {
            cache.insert_if(1_000_000 + n, n, || true);
            cache.get(&(n % 640));
        }
        assert!(cache.len() <= 64 * 100);
        let kept = (0..640).filter(|n| cache.get(n).is_some()).count();
        assert!(kept > 600, "only {kept} of 640 used entries were kept");
    }

    #[test]
    fn what_went_stale_while_it_was_loaded_is_not_stored() {
        let cache = Cache::new(10);
        cache.insert_if(1, 1, || false);
        assert_eq!(cache.get(&1), None);
    }
}
