//! `Call-ID` (RFC 3261 §20.8).

use super::{HeaderError, HeaderName, Headers};
use crate::message::name::NameId;

impl Headers {
    /// The Call-ID: compared byte by byte. RFC 3261 wants `word [ "@" word ]`; any text without white space is
    /// accepted, because peers compare it and nothing else.
    ///
    /// # Errors
    /// Missing, empty, or with white space inside.
    pub fn call_id(&self) -> Result<&[u8], HeaderError> {
        let value = self.first_value(NameId::CallId).ok_or(HeaderError::Missing(HeaderName::CallId))?;
        let well_formed = !value.is_empty() && value.iter().all(|&b| b > b' ' && b != 0x7f);
        if well_formed { Ok(value) } else { Err(HeaderError::Malformed(HeaderName::CallId)) }
    }
}
