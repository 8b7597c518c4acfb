//! `P-Asserted-Identity` (RFC 3325 §9.1).

use super::{HeaderError, HeaderName, Headers, NameAddr};

impl Headers {
    /// Who the network says is calling: at most one `sip:` and one `tel:`. Only as good as the trunk it comes from.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn p_asserted_identity(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.every(HeaderName::PAssertedIdentity, NameAddr::read)
    }
}
