//! A tenant's access keys: what they allow, how they are made, and what is kept of them.

use std::fmt;
use std::fmt::Write as _;

use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a tenant's key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To read and to change everything of the tenant.
    Admin,
    /// To read it.
    ReadOnly,
}

impl Role {
    /// The word that stands for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ReadOnly => "read_only",
        }
    }

    /// The role that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Admin, Self::ReadOnly].into_iter().find(|role| role.as_str() == word)
    }
}

/// How tenant keys begin, so that one is known where it turns up.
pub const KEY_PREFIX: &str = "ohk_";
/// Random bytes of a key: long enough that a plain hash of it can't be searched for.
const KEY_BYTES: usize = 32;

/// A tenant's key, to be shown once. Printed masked.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

/// What a key hashes to (SHA-256). No salt: the key is random and long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeySecret {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0_u8; KEY_BYTES];
        rand::rng().fill(&mut bytes);
        Self(format!("{KEY_PREFIX}{}", hex(&bytes)))
    }

    /// The key itself, for its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

impl KeyHash {
    /// What a text hashes to.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A short random name for a key, for lists and logs: not a secret.
#[must_use]
pub fn key_id() -> String {
    let mut bytes = [0_u8; 6];
    rand::rng().fill(&mut bytes);
    format!("key_{}", hex(&bytes))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_different_and_never_printed() {
        let (one, other) = (KeySecret::generate(), KeySecret::generate());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), KEY_PREFIX.len() + 64);
        assert!(!format!("{one:?}{:?}", one.hash()).contains(&one.reveal()[4..20]));
    }

    #[test]
    fn what_is_kept_is_the_sha_256_of_the_key() {
        let hash = KeyHash::of("abc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(hash.as_bytes()), expected);
    }
}
