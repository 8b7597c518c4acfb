//! `Refer-To` (RFC 3515 §2.1).

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// Whom to call instead.
    ///
    /// # Errors
    /// Malformed.
    pub fn refer_to(&self) -> Result<Option<NameAddr>, HeaderError> {
        self.optional_shared(HeaderName::ReferTo, NameAddr::read)
    }
}
