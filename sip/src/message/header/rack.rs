//! `RAck` (RFC 3262 §7.2).

use std::fmt;

use super::{CSeq, HeaderError, HeaderName, Headers, lex};

/// Which reliable provisional response a PRACK acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// The RSeq of the response.
    pub rseq: u32,
    /// The CSeq of the response.
    pub cseq: CSeq,
}

impl RAck {
    /// Reads the value of an RAck header field.
    pub fn parse(value: &[u8]) -> Option<RAck> {
        let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
        let (rseq, rest) = value.split_at_checked(digits)?;
        let cseq = lex::trim(rest);
        if cseq.len() == rest.len() {
            return None;
        }
        Some(RAck { rseq: lex::decimal(rseq)?, cseq: CSeq::parse(cseq)? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

impl Headers {
    /// What a PRACK acknowledges.
    ///
    /// # Errors
    /// Malformed.
    pub fn rack(&self) -> Result<Option<RAck>, HeaderError> {
        self.optional(HeaderName::RAck, RAck::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_is_two_numbers_and_a_method() {
        assert_eq!(RAck::parse(b"776656 1 INVITE").unwrap().to_string(), "776656 1 INVITE");
        assert_eq!(RAck::parse(b"1 INVITE"), None);
        assert_eq!(RAck::parse(b"11 INVITE"), None);
    }
}
