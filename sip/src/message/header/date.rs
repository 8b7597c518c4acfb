//! `Date` (RFC 3261 §20.17).

use super::{HeaderError, HeaderName, Headers};

impl Headers {
    /// Checks the form of the date, `Sat, 13 Nov 2010 23:29:00 GMT`; no other zone than GMT is allowed.
    ///
    /// # Errors
    /// Malformed.
    pub fn date(&self) -> Result<Option<&[u8]>, HeaderError> {
        match self.first_value(HeaderName::Date.id()) {
            Some(value) if is_rfc1123_date(value) => Ok(Some(value)),
            Some(_) => Err(HeaderError::Malformed(HeaderName::Date)),
            None => Ok(None),
        }
    }
}

/// `wkday "," SP 2DIGIT SP month SP 4DIGIT SP 2DIGIT ":" 2DIGIT ":" 2DIGIT SP "GMT"`
fn is_rfc1123_date(value: &[u8]) -> bool {
    const SHAPE: &[u8; 29] = b"aaa, 00 aaa 0000 00:00:00 GMT";
    value.len() == SHAPE.len()
        && value.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'a' => byte.is_ascii_alphabetic(),
            b'0' => byte.is_ascii_digit(),
            exact => byte == exact,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gmt_is_a_date() {
        assert!(is_rfc1123_date(b"Sat, 13 Nov 2010 23:29:00 GMT"));
        assert!(!is_rfc1123_date(b"Fri, 01 Jan 2010 16:00:00 EST"));
        assert!(!is_rfc1123_date(b"Fri, 1 Jan 2010 16:00:00 GMT"));
    }
}
