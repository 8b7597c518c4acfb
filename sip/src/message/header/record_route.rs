//! `Record-Route` (RFC 3261 §20.30).

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// The proxies that want to stay in the path, the nearest to the sender of the response last.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.every(HeaderName::RecordRoute, NameAddr::read)
    }
}
