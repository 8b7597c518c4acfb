//! `RSeq` (RFC 3262 §7.1).

use super::{HeaderError, HeaderName, Headers, lex};

impl Headers {
    /// The number of a reliable provisional response.
    ///
    /// # Errors
    /// Not a number from 1 to 2**32-1.
    pub fn rseq(&self) -> Result<Option<u32>, HeaderError> {
        self.optional(HeaderName::RSeq, |value| lex::decimal(value).filter(|&n: &u32| n != 0))
    }
}
