//! `CSeq` (RFC 3261 §20.16).

use std::fmt;

use super::{HeaderError, HeaderName, Headers, lex};
use crate::message::Method;

/// A sequence number and the method it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2**31 (RFC 3261 §8.1.1.5); larger ones up to 32 bits are accepted from peers.
    pub number: u32,
    /// The method of the request.
    pub method: Method,
}

impl CSeq {
    /// Reads the value of a CSeq header field.
    pub fn parse(value: &[u8]) -> Option<CSeq> {
        let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = value.split_at_checked(digits)?;
        let method = lex::trim(rest);
        // `CSeq: 1INVITE` has no white space and is no CSeq.
        if method.len() == rest.len() {
            return None;
        }
        Some(CSeq { number: lex::decimal(number)?, method: Method::from_bytes(method)? })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

impl Headers {
    /// The sequence number and method.
    ///
    /// # Errors
    /// Missing, malformed, or a number beyond 32 bits.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        self.optional(HeaderName::CSeq, CSeq::parse)?.ok_or(HeaderError::Missing(HeaderName::CSeq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_method_are_separated_by_any_white_space() {
        assert_eq!(CSeq::parse(b"0009 \t INVITE"), Some(CSeq { number: 9, method: Method::Invite }));
        assert_eq!(CSeq::parse(b"7 INVITE").unwrap().to_string(), "7 INVITE");
        for bad in
            [&b""[..], b"1", b"INVITE", b"1INVITE", b"-1 INVITE", b"4294967296 INVITE", b"1 INV ITE", b"1 "]
        {
            assert_eq!(CSeq::parse(bad), None);
        }
    }
}
