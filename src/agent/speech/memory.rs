//! Rendered sentences kept in memory, bounded by their bytes; the one unused for longest goes
//! first.

use std::collections::HashMap;
use std::sync::Arc;

use super::voice::Voice;

/// Fixed cost counted for each sentence beside its samples, in bytes.
const OVERHEAD: usize = 128;

/// The cache.
#[derive(Debug)]
pub(super) struct Memory {
    kept: HashMap<Voice, HashMap<Box<str>, Kept>>,
    bytes: usize,
    most_bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    samples: Arc<[i16]>,
    used_at: u64,
}

impl Memory {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { kept: HashMap::new(), bytes: 0, most_bytes, uses: 0 }
    }

    /// Allocates nothing.
    pub(super) fn get(&mut self, voice: Voice, text: &str) -> Option<Arc<[i16]>> {
        self.uses += 1;
        let kept = self.kept.get_mut(&voice)?.get_mut(text)?;
        kept.used_at = self.uses;
        Some(kept.samples.clone())
    }

    /// Keeps a sentence, unless it alone is larger than the bound.
    pub(super) fn insert(&mut self, voice: Voice, text: &str, samples: Arc<[i16]>) {
        let size = size(text, &samples);
        if size > self.most_bytes {
            return;
        }
        self.remove(voice, text);
        while self.bytes + size > self.most_bytes && self.drop_oldest() {}
        self.uses += 1;
        self.bytes += size;
        let kept = Kept { samples, used_at: self.uses };
        self.kept.entry(voice).or_default().insert(text.into(), kept);
    }

    /// Looks at every entry. Entries are few thousands at most and are added at the pace of a
    /// synthesiser, so an index by age would cost more than it saves.
    fn drop_oldest(&mut self) -> bool {
        let oldest = self
            .kept
            .iter()
            .flat_map(|(voice, texts)| texts.iter().map(move |(text, kept)| (kept.used_at, *voice, text)))
            .min_by_key(|(used_at, ..)| *used_at)
            .map(|(_, voice, text)| (voice, text.clone()));
        oldest.is_some_and(|(voice, text)| self.remove(voice, &text))
    }

    fn remove(&mut self, voice: Voice, text: &str) -> bool {
        let removed = self.kept.get_mut(&voice).and_then(|texts| texts.remove(text));
        if let Some(kept) = &removed {
            self.bytes -= size(text, &kept.samples);
        }
        removed.is_some()
    }
}

fn size(text: &str, samples: &[i16]) -> usize {
    text.len() + size_of_val(samples) + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(samples: usize) -> Arc<[i16]> {
        vec![1; samples].into()
    }

    #[test]
    fn the_sentence_unused_for_longest_makes_room() {
        let voice = Voice::for_locale("fr");
        let one = size("a", &audio(1_000));
        let mut memory = Memory::new(2 * one);
        memory.insert(voice, "a", audio(1_000));
        memory.insert(voice, "b", audio(1_000));
        assert!(memory.get(voice, "a").is_some());
        memory.insert(voice, "c", audio(1_000));
        assert!(memory.get(voice, "a").is_some());
        assert!(memory.get(voice, "b").is_none());
        assert!(memory.get(voice, "c").is_some());
        assert_eq!(memory.bytes, 2 * one);
    }

    #[test]
    fn a_sentence_kept_twice_counts_once() {
        let voice = Voice::for_locale("fr");
        let mut memory = Memory::new(1 << 20);
        memory.insert(voice, "a", audio(10));
        memory.insert(voice, "a", audio(20));
        assert_eq!(memory.bytes, size("a", &audio(20)));
    }

    #[test]
    fn a_sentence_larger_than_the_bound_displaces_nothing() {
        let voice = Voice::for_locale("fr");
        let mut memory = Memory::new(4_000);
        memory.insert(voice, "a", audio(100));
        memory.insert(voice, "b", audio(10_000));
        assert!(memory.get(voice, "a").is_some());
        assert!(memory.get(voice, "b").is_none());
    }

    #[test]
    fn the_same_words_in_another_voice_are_another_sentence() {
        let mut memory = Memory::new(4_000);
        memory.insert(Voice::for_locale("fr"), "a", audio(100));
        assert!(memory.get(Voice::for_locale("en"), "a").is_none());
    }
}
