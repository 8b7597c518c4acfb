//! `Content-Type` (RFC 3261 §20.15).

use bytes::Bytes;

use super::event::params_after;
use super::{HeaderError, HeaderName, Headers, lex};
use crate::message::params::Params;

/// A media type without parameters.
#[derive(Clone, Debug)]
pub struct MediaType {
    kind: Bytes,
    subtype: Bytes,
}

/// The media type of a body.
#[derive(Clone, Debug)]
pub struct ContentType {
    /// `application/sdp`
    pub media_type: MediaType,
    /// `charset`, `boundary`, `version` and others.
    pub params: Params,
}

impl MediaType {
    /// `type/subtype`, with any white space around the slash (RFC 3261 §25.1 `m-type SLASH m-subtype`).
    pub(super) fn read(value: &Bytes, text: &[u8]) -> Option<MediaType> {
        let (kind, subtype) = lex::split_outside(text, b'/');
        let subtype = lex::trim(subtype?);
        let part = |part| lex::is_token(part).then(|| value.slice(lex::range_in(value, part)));
        Some(MediaType { kind: part(kind)?, subtype: part(subtype)? })
    }

    /// `application`
    pub fn kind(&self) -> &[u8] {
        &self.kind
    }

    /// `sdp`
    pub fn subtype(&self) -> &[u8] {
        &self.subtype
    }

    /// Whether it is `type/subtype`, without regard to case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }
}

impl ContentType {
    fn read(value: Bytes) -> Option<ContentType> {
        let (media_type, params) = lex::split_outside(&value, b';');
        let params = params_after(&value, params);
        let media_type = MediaType::read(&value, media_type)?;
        params.is_well_formed().then_some(ContentType { media_type, params })
    }

    /// Whether it is `type/subtype`, without regard to case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.media_type.is(kind, subtype)
    }
}

impl Headers {
    /// What the body is.
    ///
    /// # Errors
    /// Malformed.
    pub fn content_type(&self) -> Result<Option<ContentType>, HeaderError> {
        self.optional_shared(HeaderName::ContentType, ContentType::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_do_not_matter() {
        let read = |text: &'static str| ContentType::read(Bytes::from_static(text.as_bytes()));
        assert!(read("Application / SDP").unwrap().is("application", "sdp"));
        let multipart = read("multipart/mixed;boundary=\"a;b\"").unwrap();
        assert_eq!(multipart.params.get_unquoted("boundary").as_deref(), Some(&b"a;b"[..]));
        assert!(read("application").is_none() && read("/sdp").is_none() && read("a/b/c").is_none());
    }
}
