//! `Retry-After` (RFC 3261 §20.33).

use bytes::Bytes;

use super::{HeaderError, HeaderName, Headers, delta_seconds, lex};
use crate::message::params::Params;

/// When to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds to wait.
    pub seconds: u32,
    /// `duration` and others.
    pub params: Params,
}

impl RetryAfter {
    fn read(value: Bytes) -> Option<RetryAfter> {
        let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
        let (seconds, mut rest) = value.split_at_checked(digits)?;
        rest = lex::trim(rest);
        // A comment, which may hold comments (RFC 3261 §25.1).
        if rest.first() == Some(&b'(') {
            rest = lex::trim(after_comment(rest)?);
        }
        let params = match rest {
            [] => Params::default(),
            [b';', params @ ..] => Params::from_raw(value.slice(lex::range_in(&value, params))),
            _ => return None,
        };
        let seconds = delta_seconds(seconds)?;
        params.is_well_formed().then_some(RetryAfter { seconds, params })
    }

    /// How long the peer will be reachable then, in seconds.
    pub fn duration(&self) -> Option<u32> {
        self.params.value("duration").and_then(delta_seconds)
    }
}

fn after_comment(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0u32;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'(' => depth = depth.checked_add(1)?,
            b')' => depth = depth.checked_sub(1)?,
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return text.get(at..);
        }
    }
}

impl Headers {
    /// When to come back.
    ///
    /// # Errors
    /// Malformed.
    pub fn retry_after(&self) -> Result<Option<RetryAfter>, HeaderError> {
        self.optional_shared(HeaderName::RetryAfter, RetryAfter::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_duration_are_understood() {
        let read = |text: &'static str| RetryAfter::read(Bytes::from_static(text.as_bytes()));
        assert_eq!(read("18000;duration=3600").unwrap().duration(), Some(3600));
        assert_eq!(read("120 (I'm in a (long\\)) meeting);duration=60").unwrap().seconds, 120);
        assert_eq!(read("949302838503028349304023988").unwrap().seconds, u32::MAX);
        assert!(read("soon").is_none() && read("1 (open").is_none() && read("1 x").is_none());
    }
}
