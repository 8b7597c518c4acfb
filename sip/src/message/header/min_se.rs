//! `Min-SE` (RFC 4028 §5).

use super::{HeaderError, HeaderName, Headers, delta_seconds, lex};

impl Headers {
    /// The shortest session interval, in seconds.
    ///
    /// # Errors
    /// Not a number.
    pub fn min_se(&self) -> Result<Option<u32>, HeaderError> {
        self.optional(HeaderName::MinSe, |value| delta_seconds(lex::split_outside(value, b';').0))
    }
}
