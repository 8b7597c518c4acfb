//! `Accept` (RFC 3261 §20.1).

use bytes::Bytes;

use super::event::params_after;
use super::{HeaderError, HeaderName, Headers, MediaType, lex};
use crate::message::name::NameId;
use crate::message::params::Params;

/// One media range.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The media type, `*` for any.
    pub media_type: MediaType,
    /// `q` and others.
    pub params: Params,
}

impl Accept {
    fn read(value: Bytes) -> Option<Accept> {
        let (media_type, params) = lex::split_outside(&value, b';');
        let params = params_after(&value, params);
        let media_type = MediaType::read(&value, media_type)?;
        params.is_well_formed().then_some(Accept { media_type, params })
    }

    /// Whether the type falls into the range; `q=0` is a refusal.
    pub fn matches(&self, kind: &str, subtype: &str) -> bool {
        let refused = self.params.value("q").is_some_and(|q| q.iter().all(|b| matches!(b, b'0' | b'.')));
        let any = |part: &[u8], wanted: &str| part == b"*" || part.eq_ignore_ascii_case(wanted.as_bytes());
        !refused && any(self.media_type.kind(), kind) && any(self.media_type.subtype(), subtype)
    }
}

impl Headers {
    /// What may be sent back. `None` when it isn't said, which stands for `application/sdp` in an INVITE; an empty
    /// list means that nothing may be.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn accept(&self) -> Result<Option<Vec<Accept>>, HeaderError> {
        match self.first_value(NameId::Accept) {
            Some(_) => self.every(HeaderName::Accept, Accept::read).map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_match_and_zero_quality_refuses() {
        let accepts = |text: &'static str| {
            Accept::read(Bytes::from_static(text.as_bytes())).unwrap().matches("application", "sdp")
        };
        assert!(accepts("application/sdp;level=1") && accepts("application/*") && accepts("*/*;q=0.1"));
        assert!(!accepts("text/plain") && !accepts("application/sdp;q=0.0"));
    }
}
