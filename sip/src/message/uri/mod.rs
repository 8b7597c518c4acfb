//! URIs: `sip:`, `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966), and any other scheme as opaque text.

mod build;
mod equality;
mod host;
mod parse;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::UriError;
use super::lex;
use super::params::Params;

pub(crate) use host::HostKind;
pub use host::{DomainName, Host};
pub(crate) use parse::{check, split_host_port};

/// A URI, kept exactly as written. Cloning is a few reference counts.
///
/// `==` compares as RFC 3261 §19.1.4 says (RFC 3966 §5 for `tel:`), where a parameter that only one side has may not
/// matter: it is not transitive, so there is no `Eq` and no `Hash`.
#[derive(Clone)]
pub struct Uri {
    raw: Bytes,
    scheme: Scheme,
    host: Option<Host>,
    port: Option<u16>,
    user: Option<Span>,
    password: Option<Span>,
    params: Span,
    headers: Option<Span>,
}

/// Places in [`Uri::raw`], which is never longer than a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// The scheme of a [`Uri`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Anything else; see [`Uri::scheme_str`].
    Other,
}

impl Uri {
    /// Reads a URI that stands alone: no angle brackets, no white space around it.
    ///
    /// # Errors
    /// Where it breaks RFC 3261 §25.1, or RFC 3966 §3 for `tel:`. A `tel:` local number without `phone-context` is
    /// accepted, because trunks send short codes that way.
    pub fn parse(bytes: &[u8]) -> Result<Uri, UriError> {
        Uri::from_shared(Bytes::copy_from_slice(bytes))
    }

    /// Like [`Uri::parse`], without copying.
    ///
    /// # Errors
    /// As [`Uri::parse`].
    pub fn from_shared(raw: Bytes) -> Result<Uri, UriError> {
        parse::parse(raw)
    }

    /// Text that is no URI, for requests that are answered with 400 all the same.
    pub(crate) fn opaque(raw: Bytes) -> Uri {
        Uri {
            raw,
            scheme: Scheme::Other,
            host: None,
            port: None,
            user: None,
            password: None,
            params: Span::default(),
            headers: None,
        }
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The scheme as written, without the colon; empty for text that is no URI.
    pub fn scheme_str(&self) -> &str {
        let end = memchr::memchr(b':', &self.raw).unwrap_or(0);
        self.raw.get(..end).and_then(|scheme| std::str::from_utf8(scheme).ok()).unwrap_or_default()
    }

    /// `sip:` or `sips:`
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user part as written, without password; of a `tel:` URI the number with its separators.
    pub fn user(&self) -> Option<&[u8]> {
        self.span(self.user)
    }

    /// The user part with `%HH` undone; may hold any byte, NUL included.
    pub fn user_decoded(&self) -> Option<Vec<u8>> {
        self.user().map(lex::unescape_percent)
    }

    /// The password as written.
    pub fn password(&self) -> Option<&[u8]> {
        self.span(self.password)
    }

    /// The host; `tel:` and unknown schemes have none.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// The port, if one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// A URI parameter: `None` not there, `Some(None)` there without a value.
    pub fn param(&self, name: &str) -> Option<Option<&[u8]>> {
        self.param_pairs().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The URI parameters.
    pub fn params(&self) -> Params {
        let range = self.params.range();
        Params::from_raw(if range.is_empty() { Bytes::new() } else { self.raw.slice(range) })
    }

    /// The value of a header in the URI (`?name=value`), with `%HH` undone.
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.header_pairs()
            .find(|(n, _)| lex::unescape_percent(n).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| lex::unescape_percent(value))
    }

    /// What follows the question mark, as written.
    pub fn headers_raw(&self) -> Option<&[u8]> {
        self.span(self.headers)
    }

    /// The URI exactly as written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The same URI in memory of its own, so that it doesn't keep a whole message alive.
    #[must_use]
    pub fn detach(&self) -> Uri {
        let raw = Bytes::copy_from_slice(&self.raw);
        let host = self.host.as_ref().map(Host::detach);
        Uri { raw, host, ..self.clone() }
    }

    fn span(&self, span: Option<Span>) -> Option<&[u8]> {
        self.raw.get(span?.range())
    }

    fn param_pairs(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        parse::params(self.raw.get(self.params.range()).unwrap_or_default())
    }

    fn header_pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        parse::headers(self.headers_raw().unwrap_or_default())
    }
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl AsRef<[u8]> for Uri {
    fn as_ref(&self) -> &[u8] {
        &self.raw
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.raw) {
            Ok(text) => f.write_str(text),
            Err(_) => write!(f, "{}", self.raw.escape_ascii()),
        }
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.raw.escape_ascii())
    }
}
