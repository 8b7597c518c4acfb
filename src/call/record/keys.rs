//! The keys a caller pressed.

use serde::{Deserialize, Serialize};

use crate::ids::Digits;

/// The most keys kept of one call; later ones are only counted.
const MAX_KEYS: usize = 512;

/// The keys pressed, each with its time. Prints their count only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    digits: Digits,
    /// Milliseconds since the call started, one for each digit.
    at_ms: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    not_kept: u32,
}

impl Keys {
    /// Adds a key pressed `at_ms` milliseconds after the call started.
    pub fn press(&mut self, digit: char, at_ms: u64) {
        if self.digits.len() < MAX_KEYS {
            self.digits.push(digit);
            self.at_ms.push(at_ms);
        } else {
            self.not_kept = self.not_kept.saturating_add(1);
        }
    }

    /// The digits, in order.
    #[must_use]
    pub fn digits(&self) -> &Digits {
        &self.digits
    }

    /// Each digit with its time in milliseconds since the call started.
    pub fn iter(&self) -> impl Iterator<Item = (char, u64)> + '_ {
        self.digits.as_str().chars().zip(self.at_ms.iter().copied())
    }

    /// How many were pressed after the bound was reached.
    #[must_use]
    pub fn not_kept(&self) -> u32 {
        self.not_kept
    }

    /// Whether none was pressed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.digits.is_empty()
    }
}

// serde's `skip_serializing_if` passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_never_stops_pressing_is_bounded() {
        let mut keys = Keys::default();
        for at in 0..600 {
            keys.press('1', at);
        }
        assert_eq!((keys.iter().count(), keys.not_kept()), (MAX_KEYS, 88));
    }
}
