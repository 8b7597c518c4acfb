//! `Allow` (RFC 3261 §20.5).

use super::{HeaderError, HeaderName, Headers};
use crate::message::Method;
use crate::message::name::NameId;

impl Headers {
    /// The methods the peer takes; empty when it doesn't say.
    ///
    /// # Errors
    /// Something that is no token.
    pub fn allow(&self) -> Result<Vec<Method>, HeaderError> {
        self.elements(NameId::Allow)
            .filter(|element| !element.is_empty())
            .map(|element| Method::from_bytes(&element).ok_or(HeaderError::Malformed(HeaderName::Allow)))
            .collect()
    }
}
