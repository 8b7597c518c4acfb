//! `Min-Expires` (RFC 3261 §20.23).

use super::{HeaderError, HeaderName, Headers, delta_seconds};

impl Headers {
    /// The shortest expiry the registrar accepts, in seconds (with 423).
    ///
    /// # Errors
    /// Not a number.
    pub fn min_expires(&self) -> Result<Option<u32>, HeaderError> {
        self.optional(HeaderName::MinExpires, delta_seconds)
    }
}
