//! Making URIs.

use bytes::Bytes;

use super::{Scheme, Span, Uri};
use crate::message::lex;

impl Uri {
    /// `sip:user@host:port`. What may not stand in a user part is escaped; a host that is neither a name nor an
    /// address becomes `invalid.invalid` (RFC 2606 §2), so that nothing from outside can add to the URI.
    /// IPv6 addresses may come with or without brackets.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Uri {
        let mut raw = b"sip:".to_vec();
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            escape_into(&mut raw, user.as_bytes(), lex::is_user_byte);
            raw.push(b'@');
        }
        let bracketed = format!("[{host}]");
        let host =
            match super::Host::parse(host.as_bytes()).or_else(|| super::Host::parse(bracketed.as_bytes())) {
                Some(host) => host.to_string(),
                None => "invalid.invalid".to_owned(),
            };
        raw.extend_from_slice(host.as_bytes());
        if let Some(port) = port {
            raw.extend_from_slice(format!(":{port}").as_bytes());
        }
        Uri::built(raw)
    }

    /// `tel:` and the number (RFC 3966 §3); `None` if it isn't one. Nothing is left out or escaped: a changed number is
    /// another number.
    pub fn tel(number: &str) -> Option<Uri> {
        let plain = !number.contains(';');
        plain.then(|| Uri::parse(format!("tel:{number}").as_bytes()).ok()).flatten()
    }

    /// The same URI with one more parameter, `name=value` or, given `None`, just `name`. What may not stand there is
    /// escaped. An unknown scheme stays as it is, and so does a URI that has as many parameters as it may.
    #[must_use]
    pub fn with_param<'a>(&self, name: &str, value: impl Into<Option<&'a str>>) -> Uri {
        if self.scheme == Scheme::Other || name.is_empty() {
            return self.clone();
        }
        let end = self.headers.map_or(self.raw.len(), |headers| headers.range().start.saturating_sub(1));
        let (before, after) = self.raw.split_at_checked(end).unwrap_or((&self.raw, &[]));
        let mut raw = before.to_vec();
        raw.push(b';');
        escape_into(&mut raw, name.as_bytes(), lex::is_param_byte);
        if let Some(value) = value.into() {
            raw.push(b'=');
            escape_into(&mut raw, value.as_bytes(), lex::is_param_byte);
        }
        raw.extend_from_slice(after);
        Uri::from_shared(raw.into()).unwrap_or_else(|_| self.clone())
    }

    /// The same URI with one more header (`?name=value`), such as the Replaces of an attended transfer (RFC 3891 §3).
    /// Everything but letters, digits, `-`, `_` and `.` is escaped. Only `sip:` and `sips:` have headers.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Uri {
        if !self.is_sip() || name.is_empty() {
            return self.clone();
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let mut raw = self.raw.to_vec();
        raw.push(if self.headers.is_some() { b'&' } else { b'?' });
        escape_into(&mut raw, name.as_bytes(), plain);
        raw.push(b'=');
        escape_into(&mut raw, value.as_bytes(), plain);
        Uri::from_shared(raw.into()).unwrap_or_else(|_| self.clone())
    }

    /// The URI as it may stand in a request line: without headers and `method` parameter (RFC 3261 §19.1.5, §12.1.2).
    #[must_use]
    pub fn to_request_uri(&self) -> Uri {
        if self.headers.is_none() && self.param("method").is_none() {
            return self.clone();
        }
        let params_start = self.params.range().start;
        let end = if self.params == Span::default() {
            self.headers.map_or(self.raw.len(), |headers| headers.range().start)
        } else {
            params_start
        };
        let mut raw = self.raw.get(..end.saturating_sub(1)).unwrap_or_default().to_vec();
        for (name, value) in self.param_pairs().filter(|(name, _)| !name.eq_ignore_ascii_case(b"method")) {
            raw.push(b';');
            raw.extend_from_slice(name);
            if let Some(value) = value {
                raw.push(b'=');
                raw.extend_from_slice(value);
            }
        }
        Uri::built(raw)
    }

    fn built(raw: Vec<u8>) -> Uri {
        let raw = Bytes::from(raw);
        Uri::from_shared(raw.clone()).unwrap_or_else(|_| Uri::opaque(raw))
    }
}

fn escape_into(out: &mut Vec<u8>, bytes: &[u8], plain: impl Fn(u8) -> bool) {
    for &byte in bytes {
        if plain(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_can_leave_its_place() {
        let u = Uri::sip(Some("a@b\r\nc d:é"), "evil host>", Some(5060));
        assert_eq!(u.to_string(), "sip:a%40b%0D%0Ac%20d%3A%C3%A9@invalid.invalid:5060");
        assert_eq!(u.scheme(), Scheme::Sip);
        let u = u.with_param("x>", "1;2?\n");
        assert_eq!(u.param("x%3E"), Some(Some(&b"1%3B2%3F%0A"[..])));
        let u = u.with_header("Replaces", "a;b&c=d?\r\n");
        assert_eq!(u.header("replaces").as_deref(), Some(&b"a;b&c=d?\r\n"[..]));
        assert!(!u.as_bytes().iter().any(u8::is_ascii_control));
    }

    #[test]
    fn hosts_of_every_kind_can_be_given() {
        assert_eq!(Uri::sip(None, "example.com", None).to_string(), "sip:example.com");
        assert_eq!(Uri::sip(Some("a"), "::1", Some(1)).to_string(), "sip:a@[::1]:1");
        assert_eq!(Uri::sip(Some("a"), "[::1]", None).to_string(), "sip:a@[::1]");
        assert_eq!(Uri::tel("+33-199").map(|uri| uri.to_string()).as_deref(), Some("tel:+33-199"));
        for bad in ["", "+", "+33 199", "1;ext=2", "1\r\n", "sip"] {
            assert_eq!(Uri::tel(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_uri_that_is_full_stays_as_it_is() {
        let mut uri = Uri::sip(Some("a"), "b", None);
        for n in 0..100 {
            uri = uri.with_param(&format!("p{n}"), None);
            assert!(uri.is_sip());
        }
        assert_eq!((uri.param("p63"), uri.param("p64")), (Some(None), None));
    }

    #[test]
    fn a_parameter_goes_before_the_headers() {
        let u = Uri::parse(b"sip:a@b?x=y").unwrap().with_param("transport", "tcp").with_param("lr", None);
        assert_eq!(u.to_string(), "sip:a@b;transport=tcp;lr?x=y");
        assert_eq!(
            Uri::parse(b"tel:15").unwrap().with_param("phone-context", "+33").to_string(),
            "tel:15;phone-context=+33"
        );
    }

    #[test]
    fn a_request_uri_has_neither_headers_nor_method() {
        for (from, to) in [
            ("sip:a@b;method=INVITE;lr?Replaces=x", "sip:a@b;lr"),
            ("sip:a@b?Replaces=x", "sip:a@b"),
            ("sip:a@b;lr", "sip:a@b;lr"),
            ("sip:a@b;method=BYE", "sip:a@b"),
        ] {
            assert_eq!(Uri::parse(from.as_bytes()).unwrap().to_request_uri().to_string(), to);
        }
    }
}
