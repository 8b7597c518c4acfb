//! `Route` (RFC 3261 §20.34), `Service-Route` (RFC 3608 §5) and `Path` (RFC 3327 §4): route lists of one grammar.

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// The proxies the request still has to visit, the next one first.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.every(HeaderName::Route, NameAddr::read)
    }

    /// The route the registrar wants our requests to take.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn service_route(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.every(HeaderName::ServiceRoute, NameAddr::read)
    }

    /// The proxies between a registered user agent and its registrar.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn path(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.every(HeaderName::Path, NameAddr::read)
    }
}
