//! `Expires` (RFC 3261 §20.19).

use super::{HeaderError, HeaderName, Headers, delta_seconds};

impl Headers {
    /// How long something holds, in seconds; saturates at 2**32-1.
    ///
    /// # Errors
    /// Not a number.
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        self.optional(HeaderName::Expires, delta_seconds)
    }
}
