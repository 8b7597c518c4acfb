//! `Max-Forwards` (RFC 3261 §20.22).

use super::{HeaderError, HeaderName, Headers, lex};

impl Headers {
    /// How many hops are left. RFC 2543 peers don't send it.
    ///
    /// # Errors
    /// Not a number from 0 to 255.
    pub fn max_forwards(&self) -> Result<Option<u32>, HeaderError> {
        self.optional(HeaderName::MaxForwards, |value| lex::decimal::<u8>(value).map(u32::from))
    }
}
