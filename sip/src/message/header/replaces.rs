//! `Replaces` (RFC 3891 §6.1).

use bytes::Bytes;

use super::event::params_after;
use super::{HeaderError, HeaderName, Headers, lex};

/// The dialog that a call takes the place of, tags as the receiver of the header field sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: Bytes,
    /// The receiver's own tag.
    pub to_tag: Bytes,
    /// The tag of its peer.
    pub from_tag: Bytes,
    /// Only if it isn't answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a value, also one taken from a URI header with its escapes undone.
    pub fn parse(value: &[u8]) -> Option<Replaces> {
        Replaces::read(Bytes::copy_from_slice(value))
    }

    fn read(value: Bytes) -> Option<Replaces> {
        let (call_id, params) = lex::split_outside(&value, b';');
        let params = params_after(&value, params);
        let tag = |name| params.value(name).filter(|tag| lex::is_token(tag)).map(Bytes::copy_from_slice);
        let well_formed = !call_id.is_empty() && call_id.iter().all(|&b| b > b' ') && params.is_well_formed();
        if !well_formed {
            return None;
        }
        Some(Replaces {
            call_id: Bytes::copy_from_slice(call_id),
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.get("early-only").is_some(),
        })
    }
}

impl Headers {
    /// The dialog to replace.
    ///
    /// # Errors
    /// Malformed, a tag missing.
    pub fn replaces(&self) -> Result<Option<Replaces>, HeaderError> {
        self.optional_shared(HeaderName::Replaces, Replaces::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tags_are_needed() {
        let replaces = Replaces::parse(b"12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only").unwrap();
        assert_eq!(
            (&replaces.to_tag[..], &replaces.from_tag[..], replaces.early_only),
            (&b"12345"[..], &b"54321"[..], true)
        );
        assert_eq!(Replaces::parse(b"12adf2f34456gs5;to-tag=12345"), None);
        assert_eq!(Replaces::parse(b";to-tag=1;from-tag=2"), None);
    }
}
