//! `Referred-By` (RFC 3892 §3).

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// Who asked for the call.
    ///
    /// # Errors
    /// Malformed.
    pub fn referred_by(&self) -> Result<Option<NameAddr>, HeaderError> {
        self.optional_shared(HeaderName::ReferredBy, NameAddr::read)
    }
}
