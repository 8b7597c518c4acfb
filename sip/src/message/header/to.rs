//! `To` (RFC 3261 §20.39).

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// Who the request was first meant for. Without a tag it is outside any dialog.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        self.required_shared(HeaderName::To, NameAddr::read)
    }
}
