//! `From` (RFC 3261 §20.20).

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// Who the request is from. The tag may be missing: RFC 2543 peers don't send one.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        self.required_shared(HeaderName::From, NameAddr::read)
    }
}
