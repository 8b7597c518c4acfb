//! `Diversion` (RFC 5806).

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// Who the call was diverted from, the latest first; `reason` and `counter` are parameters.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn diversion(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.every(HeaderName::Diversion, NameAddr::read)
    }
}
