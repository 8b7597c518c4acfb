//! `Content-Length` (RFC 3261 §20.14).

use super::{HeaderError, HeaderName, Headers, lex};

impl Headers {
    /// The length of the body in bytes.
    ///
    /// # Errors
    /// Not a number, or one that no message can have.
    pub fn content_length(&self) -> Result<Option<usize>, HeaderError> {
        self.optional(HeaderName::ContentLength, |value| {
            lex::decimal::<u32>(value).and_then(|n| usize::try_from(n).ok())
        })
    }
}
