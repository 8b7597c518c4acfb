//! Tokens for tags, branches and Call-IDs, from a seed that the owner gives: unguessable with a
//! random seed (RFC 3261 §19.3), repeatable in a simulation with a fixed one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

use sha2::{Digest, Sha256};

/// A generator of 64-bit tokens: SHA-256 over the seed and a counter.
#[derive(Debug)]
pub struct Tokens {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

/// Bytes of a block that one token takes.
const TOKEN: usize = 8;

impl Tokens {
    /// A generator for this seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0, block: [0; 32], used: 32 }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        if self.used + TOKEN > self.block.len() {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.counter.to_be_bytes());
            self.block = hash.finalize().into();
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let mut bytes = [0; TOKEN];
        for (to, from) in bytes.iter_mut().zip(self.block.iter().skip(self.used)) {
            *to = *from;
        }
        self.used += TOKEN;
        u64::from_be_bytes(bytes)
    }

    /// The next token as 16 hexadecimal digits.
    pub fn next_token(&mut self) -> String {
        format!("{:016x}", self.next_u64())
    }
}

/// A 128-bit digest of several byte strings, keyed by a secret, so that nobody outside can make
/// two of them collide. It stands for the strings in the tables of transactions and dialogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(u128);

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0);
    }
}

/// A table by [`Key`] or by what holds nothing but one.
pub(crate) type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// A key is a digest with a secret already, so that its bits can be used as they are.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write(bytes);
        self.0 = hasher.finish();
    }

    fn write_u128(&mut self, digest: u128) {
        let [high, low] = halves(digest);
        self.0 = high ^ low;
    }
}

fn halves(digest: u128) -> [u64; 2] {
    let mask = u128::from(u64::MAX);
    [digest >> 64, digest & mask].map(|half| u64::try_from(half).unwrap_or_default())
}

impl Key {
    /// The 128 bits.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

/// Makes [`Key`]s.
#[derive(Debug, Clone, Copy)]
pub struct Keyer {
    secrets: [u64; 2],
}

impl Keyer {
    /// Takes its secrets from the tokens.
    #[must_use]
    pub fn new(tokens: &mut Tokens) -> Self {
        Self { secrets: [tokens.next_u64(), tokens.next_u64()] }
    }

    /// The digest of the parts; where one ends and the next begins counts.
    #[must_use]
    pub fn key(&self, parts: &[&[u8]]) -> Key {
        let [first, second] = self.secrets;
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(first);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        // The state behind the first half has four times its bits; the second half is another
        // view of it.
        let high = hasher.finish();
        hasher.write_u64(second);
        Key((u128::from(high) << 64) | u128::from(hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tokens_and_no_token_twice() {
        let mut first = Tokens::new([7; 32]);
        let mut second = Tokens::new([7; 32]);
        let tokens: Vec<u64> = (0..1_000).map(|_| first.next_u64()).collect();
        assert!(tokens.iter().all(|token| *token == second.next_u64()));
        let mut unique = tokens.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), tokens.len());
    }

    #[test]
    fn keys_tell_where_parts_end() {
        let keyer = Keyer::new(&mut Tokens::new([1; 32]));
        assert_ne!(keyer.key(&[b"ab", b"c"]), keyer.key(&[b"a", b"bc"]));
        assert_eq!(keyer.key(&[b"ab", b"c"]), keyer.key(&[b"ab", b"c"]));
    }
}
