//! `Timestamp` (RFC 3261 §20.38).

use super::Headers;
use crate::message::name::NameId;

impl Headers {
    /// The value as written: it is only ever sent back, in a 100 (RFC 3261 §8.2.6.1).
    pub fn timestamp(&self) -> Option<&[u8]> {
        self.first_value(NameId::Timestamp)
    }
}
