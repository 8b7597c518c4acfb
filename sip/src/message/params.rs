//! `;name=value` parameters of header fields and URIs (RFC 3261 §7.3.1, `generic-param` in §25.1).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::lex;

/// Parameters as they stand in the message. Names compare without case; of a repeated name the first one counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// What follows the first semicolon; empty when there are none.
    raw: Bytes,
}

impl Params {
    pub(crate) fn from_raw(raw: Bytes) -> Params {
        Params { raw }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Everything after the first semicolon, exactly.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Name and value of each; quoted values keep their quotes (see [`Params::get_unquoted`]).
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        iter(&self.raw)
    }

    /// `None`: not there. `Some(None)`: there without a value.
    pub fn get(&self, name: &str) -> Option<Option<&[u8]>> {
        get(&self.raw, name)
    }

    /// The value of a parameter that has one, raw.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.get(name).flatten()
    }

    /// The value without quotes and escapes.
    pub fn get_unquoted(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let value = self.value(name)?;
        Some(match lex::quoted_string(value) {
            Some((inside, _)) if inside.contains(&b'\\') => Cow::Owned(lex::unescape_quoted(inside)),
            Some((inside, _)) => Cow::Borrowed(inside),
            None => Cow::Borrowed(value),
        })
    }

    pub(crate) fn is_well_formed(&self) -> bool {
        well_formed(&self.raw)
    }

    pub(crate) fn detach(&self) -> Params {
        Params { raw: Bytes::copy_from_slice(&self.raw) }
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.raw.escape_ascii())
    }
}

/// Whether every parameter fits `generic-param`: a token, and if there is a value a token, host or quoted string.
pub(crate) fn well_formed(raw: &[u8]) -> bool {
    raw.is_empty() || Iter { rest: Some(raw) }.all(|(name, value)| is_generic(name, value))
}

/// Name and value of each.
pub(crate) fn iter(raw: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    Iter { rest: (!raw.is_empty()).then_some(raw) }
}

/// A parameter among raw ones, as [`Params::get`] would give it.
pub(crate) fn get<'a>(raw: &'a [u8], wanted: &str) -> Option<Option<&'a [u8]>> {
    iter(raw).find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes())).map(|(_, value)| value)
}

fn is_generic(name: &[u8], value: Option<&[u8]>) -> bool {
    lex::is_token(name)
        && match value {
            None => true,
            Some([]) => false,
            Some(value) if value.starts_with(b"\"") => {
                lex::quoted_string(value).is_some_and(|(_, rest)| rest.is_empty())
            }
            // `gen-value` is a token or a host; a host may be an IPv6 reference, and other headers' grammars
            // (Via ttl, Session-Id, media types) stay within visible characters too.
            Some(value) => {
                value.iter().all(|&b| b > b' ' && !matches!(b, b'"' | b'<' | b'>' | b',' | b'\\' | 0x7f))
            }
        }
}

struct Iter<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (param, rest) = lex::split_outside(self.rest?, b';');
        self.rest = rest;
        let (name, value) = lex::split_outside(param, b'=');
        Some((name, value.map(lex::trim)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &'static str) -> Params {
        Params::from_raw(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn names_ignore_case_and_a_value_is_optional() {
        let p = params("Tag = abc ;lr; q=\"a;\\\"b\"");
        assert_eq!(p.get("TAG"), Some(Some(&b"abc"[..])));
        assert_eq!(p.get("lr"), Some(None));
        assert_eq!(p.get("nope"), None);
        assert_eq!(p.get_unquoted("q").as_deref(), Some(&b"a;\"b"[..]));
        assert!(p.is_well_formed());
    }

    #[test]
    fn empty_and_unquoted_parameters_are_malformed() {
        for bad in [";", "a;;b", "a=", "a=\"open", "a=\"x\"y", "a b=1", "a=<x>", "=1"] {
            assert!(!params(bad).is_well_formed(), "{bad}");
        }
        assert!(params("").is_well_formed());
    }
}
