//! `name-addr / addr-spec` with parameters: what From, To, Contact, Route and their kin are made of
//! (RFC 3261 §20.10, §25.1).

use std::fmt;

use bytes::Bytes;

use crate::message::params::{self, Params};
use crate::message::{Uri, lex, uri};

/// A display name, a URI and parameters.
#[derive(Clone)]
pub struct NameAddr {
    /// The display name without quotes and escapes: bytes in whatever encoding the caller has. `None` when absent or
    /// empty.
    pub display: Option<Bytes>,
    /// The URI.
    pub uri: Uri,
    /// The header parameters, not those of the URI.
    pub params: Params,
    raw: Bytes,
}

impl NameAddr {
    /// Reads one element of a list, or a whole value where the header field isn't a list.
    pub fn parse(bytes: &[u8]) -> Option<NameAddr> {
        NameAddr::read(Bytes::copy_from_slice(bytes))
    }

    pub(crate) fn read(raw: Bytes) -> Option<NameAddr> {
        let parts = Parts::of(&raw)?;
        let slice = |part: &[u8]| raw.slice(lex::range_in(&raw, part));
        let display = match lex::quoted_string(parts.display) {
            Some((inside, _)) if inside.contains(&b'\\') => Some(Bytes::from(lex::unescape_quoted(inside))),
            Some((inside, _)) => Some(slice(inside)),
            None => Some(slice(parts.display)),
        };
        let params =
            Params::from_raw(if parts.params.is_empty() { Bytes::new() } else { slice(parts.params) });
        let uri = Uri::from_shared(slice(parts.uri)).ok()?;
        Some(NameAddr { display: display.filter(|display| !display.is_empty()), uri, params, raw })
    }

    /// Whether [`NameAddr::read`] would succeed.
    pub(crate) fn check(text: &[u8]) -> bool {
        Parts::of(text).is_some_and(|parts| uri::check(parts.uri))
    }

    /// Whether an address has a tag; `None` if it is malformed.
    pub(crate) fn is_tagged(text: &[u8]) -> Option<bool> {
        Parts::of(text).map(|parts| params::get(parts.params, "tag").is_some())
    }

    /// A new one, written `"display" <uri>`. Line ends and other control characters in the display name become spaces.
    pub fn new(display: Option<&str>, uri: &Uri) -> NameAddr {
        let mut raw = Vec::new();
        if let Some(display) = display.filter(|display| !display.is_empty()) {
            raw.push(b'"');
            for byte in display.bytes() {
                match byte {
                    b'"' | b'\\' => raw.extend_from_slice(&[b'\\', byte]),
                    0..=0x1f | 0x7f => raw.push(b' '),
                    byte => raw.push(byte),
                }
            }
            raw.extend_from_slice(b"\" ");
        }
        raw.push(b'<');
        raw.extend_from_slice(uri.as_bytes());
        raw.push(b'>');
        let raw = Bytes::from(raw);
        NameAddr::read(raw.clone()).unwrap_or_else(|| NameAddr {
            display: None,
            uri: uri.clone(),
            params: Params::default(),
            raw,
        })
    }

    /// The same with one more header parameter. A value that is neither token nor host is written quoted.
    #[must_use]
    pub fn with_param<'a>(&self, name: &str, value: impl Into<Option<&'a str>>) -> NameAddr {
        let mut raw = Vec::with_capacity(self.raw.len() + name.len() + 20);
        if self.raw.ends_with(b">") || !self.params.is_empty() {
            raw.extend_from_slice(&self.raw);
        } else {
            // Without brackets the parameter would belong to the URI for some readers (RFC 3261 §20.10).
            raw.push(b'<');
            raw.extend_from_slice(self.uri.as_bytes());
            raw.push(b'>');
        }
        raw.push(b';');
        raw.extend(name.bytes().filter(|&b| lex::is_token_byte(b)));
        if let Some(value) = value.into() {
            raw.push(b'=');
            if !value.is_empty()
                && value.bytes().all(|b| lex::is_token_byte(b) || matches!(b, b':' | b'[' | b']'))
            {
                raw.extend_from_slice(value.as_bytes());
            } else {
                raw.push(b'"');
                for byte in value.bytes() {
                    match byte {
                        b'"' | b'\\' => raw.extend_from_slice(&[b'\\', byte]),
                        0..=0x1f | 0x7f => raw.push(b' '),
                        byte => raw.push(byte),
                    }
                }
                raw.push(b'"');
            }
        }
        NameAddr::read(Bytes::from(raw)).unwrap_or_else(|| self.clone())
    }

    /// The `tag` parameter (RFC 3261 §19.3).
    pub fn tag(&self) -> Option<&[u8]> {
        self.params.value("tag")
    }

    /// A header parameter: `None` not there, `Some(None)` there without a value.
    pub fn param(&self, name: &str) -> Option<Option<&[u8]>> {
        self.params.get(name)
    }

    /// The bytes it was read from.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The same in memory of its own, so that it doesn't keep a whole message alive.
    #[must_use]
    pub fn detach(&self) -> NameAddr {
        NameAddr {
            display: self.display.as_ref().map(|display| Bytes::copy_from_slice(display)),
            uri: self.uri.detach(),
            params: self.params.detach(),
            raw: Bytes::copy_from_slice(&self.raw),
        }
    }
}

/// The parts as they stand in the text; the URI is not looked into.
struct Parts<'a> {
    /// With its quotes, if it has any; empty when there is none.
    display: &'a [u8],
    uri: &'a [u8],
    /// After the first semicolon.
    params: &'a [u8],
}

impl Parts<'_> {
    fn of(text: &[u8]) -> Option<Parts<'_>> {
        let text = lex::trim(text);
        let (display, uri, after) = match angle(text) {
            Some(open) => {
                let display = lex::trim(text.get(..open)?);
                let inside = text.get(open + 1..)?;
                let (uri, after) = inside.split_at_checked(memchr::memchr(b'>', inside)?)?;
                (display, uri, lex::trim(after.get(1..)?))
            }
            None => {
                let (uri, after) = bare_uri(text)?;
                (Default::default(), uri, after)
            }
        };
        let params = match after {
            [] => after,
            [b';'] => return None,
            [b';', params @ ..] => params,
            _ => return None,
        };
        (is_display_name(display) && params::well_formed(params)).then_some(Parts { display, uri, params })
    }
}

/// Where the `<` is that opens the URI, past a quoted display name.
fn angle(text: &[u8]) -> Option<usize> {
    match lex::quoted_string(text) {
        Some((_, rest)) => {
            let start = text.len() - rest.len();
            // Between the quotes and the bracket there is white space at most.
            let open = memchr::memchr(b'<', rest)?;
            lex::trim(rest.get(..open)?).is_empty().then_some(start + open)
        }
        None => memchr::memchr(b'<', text),
    }
}

/// Quoted, or tokens and white space only: RFC 4475 §3.1.2.15 has a comma that must not pass. Equipment sends raw UTF-8
/// and Latin-1 here, so bytes above ASCII are let through.
fn is_display_name(name: &[u8]) -> bool {
    name.starts_with(b"\"") && lex::quoted_string(name).is_some()
        || name.iter().all(|&b| lex::is_token_byte(b) || lex::is_lws(b) || b >= 0x80)
}

/// A URI without brackets ends at the first `;`, and may hold neither `,` nor `?` (RFC 3261 §20.10).
fn bare_uri(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(b';', b'?', text).unwrap_or(text.len());
    let (uri, after) = text.split_at_checked(end)?;
    let uri = lex::trim(uri);
    (!uri.contains(&b',') && !after.starts_with(b"?")).then_some((uri, after))
}

impl AsRef<[u8]> for NameAddr {
    fn as_ref(&self) -> &[u8] {
        &self.raw
    }
}

impl fmt::Debug for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.raw.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> NameAddr {
        NameAddr::parse(text).unwrap_or_else(|| panic!("{}", text.escape_ascii()))
    }

    #[test]
    fn display_names_come_without_quotes_and_in_any_encoding() {
        let a = read(b"\"J\\\"r \\\\ \xfcrgen, M.\" <sip:j@example.com>;tag=1");
        assert_eq!(a.display.as_deref(), Some(&b"J\"r \\ \xfcrgen, M."[..]));
        assert_eq!(a.tag(), Some(&b"1"[..]));
        assert_eq!(read(b"Fran\xe7ois D. <sip:a@b>").display.as_deref(), Some(&b"Fran\xe7ois D."[..]));
        assert_eq!(read(b"caller<sip:a@b>").display.as_deref(), Some(&b"caller"[..]));
        assert_eq!(read(b"\"<sip:fake@x>\" <sip:a@b>").uri.to_string(), "sip:a@b");
        assert_eq!(read(b"\"\" <sip:a@b>").display, None);
    }

    #[test]
    fn without_brackets_parameters_belong_to_the_header() {
        let a = read(b"sip:a@b;tag=x;q=1");
        assert_eq!((a.uri.to_string().as_str(), a.tag()), ("sip:a@b", Some(&b"x"[..])));
        let a = read(b"<sip:a@b;lr>;q=0.5");
        assert_eq!((a.uri.param("lr"), a.param("q")), (Some(None), Some(Some(&b"0.5"[..]))));
        assert_eq!(read(b"tel:+33199000001;tag=9").tag(), Some(&b"9"[..]));
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for bad in [
            &b""[..],
            b"\"open <sip:a@b>",
            b"Bell, Alexander <sip:a@b>",
            b"\"a\" b <sip:a@b>",
            b"<sip:a@b",
            b"<sip:a @b>",
            b"< sip:a@b>",
            b"<sip:a@b> x",
            b"<sip:a@b>;",
            b"<sip:a@b>;;x",
            b"<>",
            b"sip:a@b?Route=x",
            b"sip:a,b@c",
        ] {
            assert!(NameAddr::parse(bad).is_none(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn built_addresses_read_back_and_stay_one_line() {
        let uri = Uri::sip(Some("a"), "b", None);
        let a = NameAddr::new(Some("Eve\"\r\nX: y"), &uri).with_param("tag", "t1").with_param("x", "a;b\r\n");
        assert_eq!(a.raw(), b"\"Eve\\\"  X: y\" <sip:a@b>;tag=t1;x=\"a;b  \"");
        assert_eq!(a.display.as_deref(), Some(&b"Eve\"  X: y"[..]));
        assert_eq!(read(b"sip:a@b").with_param("tag", "1").raw(), b"<sip:a@b>;tag=1");
    }
}
