//! The identity of a dialog: Call-ID and the two tags (RFC 3261 §12).

use std::fmt;

use crate::random::{Key, Keyer};

/// Stands for Call-ID, local tag and remote tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogId(Key);

impl DialogId {
    /// The dialog of these three. A peer of RFC 2543 may have no tag: then it is empty (§12.1.1).
    #[must_use]
    pub fn new(keyer: &Keyer, call_id: &[u8], local_tag: &[u8], remote_tag: &[u8]) -> Self {
        Self(keyer.key(&[b"dialog", call_id, local_tag, remote_tag]))
    }
}

impl fmt::Debug for DialogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DialogId({:032x})", self.0.as_u128())
    }
}
