//! Reading a URI.

use bytes::Bytes;

use super::host::HostKind;
use super::{DomainName, Host, Scheme, Span, Uri};
use crate::message::UriError;
use crate::message::lex;

/// More parameters or headers than this in one URI are refused, so that comparing two stays cheap.
const MAX_PARTS: usize = 64;

/// The places of a URI's parts, found without copying or counting references.
#[derive(Default)]
struct Parts {
    user: Option<Span>,
    password: Option<Span>,
    host: Option<(Span, HostKind)>,
    port: Option<u16>,
    params: Span,
    headers: Option<Span>,
}

pub(super) fn parse(raw: Bytes) -> Result<Uri, UriError> {
    let (scheme, parts) = scan(&raw)?;
    let host = parts.host.map(|(span, kind)| match kind {
        HostKind::Domain => Host::Domain(DomainName::from_checked(raw.slice(span.range()))),
        HostKind::V4(address) => Host::V4(address),
        HostKind::V6(address) => Host::V6(address),
    });
    let Parts { user, password, port, params, headers, .. } = parts;
    Ok(Uri { raw, scheme, host, port, user, password, params, headers })
}

/// Whether it is a URI.
pub(crate) fn check(raw: &[u8]) -> bool {
    scan(raw).is_ok()
}

fn scan(raw: &[u8]) -> Result<(Scheme, Parts), UriError> {
    if u16::try_from(raw.len()).is_err() {
        return Err(UriError::TooLong);
    }
    if !lex::is_uri_bytes(raw) {
        return Err(UriError::Character);
    }
    let colon = raw.iter().position(|&b| b == b':').ok_or(UriError::Scheme)?;
    let (scheme, rest) = raw.split_at_checked(colon).ok_or(UriError::Scheme)?;
    let rest = rest.get(1..).unwrap_or_default();
    let kind = scheme_of(scheme)?;
    let mut parts = Parts::default();
    match kind {
        Scheme::Sip | Scheme::Sips => sip(&mut parts, raw, rest)?,
        Scheme::Tel => tel(&mut parts, raw, rest)?,
        Scheme::Other if rest.is_empty() => return Err(UriError::Scheme),
        Scheme::Other => {}
    }
    Ok((kind, parts))
}

/// RFC 3986 §3.1
fn scheme_of(scheme: &[u8]) -> Result<Scheme, UriError> {
    if scheme.eq_ignore_ascii_case(b"sip") {
        return Ok(Scheme::Sip);
    }
    if scheme.eq_ignore_ascii_case(b"sips") {
        return Ok(Scheme::Sips);
    }
    if scheme.eq_ignore_ascii_case(b"tel") {
        return Ok(Scheme::Tel);
    }
    let well_formed = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if well_formed { Ok(Scheme::Other) } else { Err(UriError::Scheme) }
}

/// RFC 3261 §25.1 `SIP-URI`
fn sip(uri: &mut Parts, raw: &[u8], rest: &[u8]) -> Result<(), UriError> {
    // An unescaped `@` can stand nowhere but after the user part, which may hold `;` and `?` (RFC 4475 §3.1.1.9).
    let after_user = match memchr::memchr(b'@', rest) {
        Some(at) => {
            userinfo(uri, raw, rest.get(..at).unwrap_or_default())?;
            rest.get(at + 1..).unwrap_or_default()
        }
        None => rest,
    };
    let (before_headers, headers) = cut(after_user, b'?');
    let (hostport, params) = cut(before_headers, b';');
    host_port(uri, raw, hostport)?;
    if let Some(params) = params {
        if !params_are_well_formed(params) {
            return Err(UriError::Parameter);
        }
        uri.params = span(raw, params);
    }
    if let Some(headers) = headers {
        if !headers_are_well_formed(headers) {
            return Err(UriError::Header);
        }
        uri.headers = Some(span(raw, headers));
    }
    Ok(())
}

fn userinfo(uri: &mut Parts, raw: &[u8], userinfo: &[u8]) -> Result<(), UriError> {
    let (user, password) = cut(userinfo, b':');
    // `#` has to be escaped by the grammar; service codes such as `*21#` come without it.
    let plain = |b| lex::is_user_byte(b) || b == b'#';
    if user.is_empty()
        || !lex::all_or_escaped(user, plain)
        || !lex::all_or_escaped(password.unwrap_or_default(), plain)
    {
        return Err(UriError::User);
    }
    uri.user = Some(span(raw, user));
    uri.password = password.map(|password| span(raw, password));
    Ok(())
}

fn host_port(uri: &mut Parts, raw: &[u8], hostport: &[u8]) -> Result<(), UriError> {
    let (host, port) = split_host_port(hostport).ok_or(UriError::Host)?;
    uri.host = Some((span(raw, host), HostKind::of(host).ok_or(UriError::Host)?));
    uri.port = match port {
        Some(port) => Some(lex::decimal(port).ok_or(UriError::Port)?),
        None => None,
    };
    Ok(())
}

/// `host [":" port]`; the colons inside an IPv6 reference don't count.
pub(crate) fn split_host_port(hostport: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host_end = match hostport.first()? {
        b'[' => memchr::memchr(b']', hostport)? + 1,
        _ => memchr::memchr(b':', hostport).unwrap_or(hostport.len()),
    };
    let (host, port) = hostport.split_at_checked(host_end)?;
    match port {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(port))),
        _ => None,
    }
}

/// RFC 3966 §3
fn tel(uri: &mut Parts, raw: &[u8], rest: &[u8]) -> Result<(), UriError> {
    let (number, params) = cut(rest, b';');
    let digits = number.strip_prefix(b"+").unwrap_or(number);
    let is_separator = |b: u8| matches!(b, b'-' | b'.' | b'(' | b')');
    let is_digit = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#');
    if !digits.iter().any(|&b| is_digit(b)) || !digits.iter().all(|&b| is_digit(b) || is_separator(b)) {
        return Err(UriError::User);
    }
    uri.user = Some(span(raw, number));
    if let Some(params) = params {
        if !params_are_well_formed(params) {
            return Err(UriError::Parameter);
        }
        uri.params = span(raw, params);
    }
    Ok(())
}

fn params_are_well_formed(text: &[u8]) -> bool {
    params(text).enumerate().all(|(i, (name, value))| {
        // A base64 value may end in `=`, which the grammar wants escaped.
        i < MAX_PARTS
            && !name.is_empty()
            && lex::all_or_escaped(name, lex::is_param_byte)
            && lex::all_or_escaped(value.unwrap_or_default(), |b| lex::is_param_byte(b) || b == b'=')
    }) && !text.is_empty()
}

fn headers_are_well_formed(text: &[u8]) -> bool {
    !text.is_empty()
        && text.split(|&b| b == b'&').enumerate().all(|(i, header)| {
            let (name, value) = cut(header, b'=');
            i < MAX_PARTS
                && !name.is_empty()
                && value
                    .is_some_and(|value| lex::all_or_escaped(value, |b| lex::is_param_byte(b) || b == b'?'))
                && lex::all_or_escaped(name, lex::is_param_byte)
        })
}

/// Names and values of `a=b;c`, as written.
pub(super) fn params(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let (param, after) = cut(rest?, b';');
        rest = after;
        Some(cut(param, b'='))
    })
}

/// Names and values of `a=b&c=d`, as written.
pub(super) fn headers(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let (header, after) = cut(rest?, b'&');
        rest = after;
        let (name, value) = cut(header, b'=');
        Some((name, value.unwrap_or_default()))
    })
}

fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(at, bytes) {
        Some(i) => (bytes.get(..i).unwrap_or_default(), bytes.get(i + 1..)),
        None => (bytes, None),
    }
}

fn span(raw: &[u8], part: &[u8]) -> Span {
    let range = lex::range_in(raw, part);
    // The length check in `scan` makes both fit.
    Span { start: u32::try_from(range.start).unwrap_or(0), end: u32::try_from(range.end).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn every_part_of_a_sip_uri_is_found() {
        let u = uri("sips:alice;day=tue:pw@atlanta.com:5070;transport=tcp;lr?subject=a%20b&priority=urgent");
        assert_eq!(u.scheme(), Scheme::Sips);
        assert_eq!(u.user(), Some(&b"alice;day=tue"[..]));
        assert_eq!(u.password(), Some(&b"pw"[..]));
        assert_eq!(u.host().unwrap().to_string(), "atlanta.com");
        assert_eq!(u.port(), Some(5070));
        assert_eq!(u.param("Transport"), Some(Some(&b"tcp"[..])));
        assert_eq!(u.param("lr"), Some(None));
        assert_eq!(u.param("maddr"), None);
        assert_eq!(u.header("Subject").as_deref(), Some(&b"a b"[..]));
        assert_eq!(u.header("priority").as_deref(), Some(&b"urgent"[..]));
    }

    #[test]
    fn the_user_part_keeps_its_escapes_and_decodes_to_bytes() {
        let u = uri("sip:null-%00-null@example.com");
        assert_eq!(u.user(), Some(&b"null-%00-null"[..]));
        assert_eq!(u.user_decoded().as_deref(), Some(&b"null-\0-null"[..]));
        assert_eq!(uri("sip:*21#@pbx").user(), Some(&b"*21#"[..]));
        assert_eq!(uri("sip:pbx").user(), None);
    }

    #[test]
    fn ipv6_hosts_have_their_own_colons() {
        let u = uri("sip:bob@[2001:db8::10]:5070;lr");
        assert_eq!(u.host().unwrap().to_string(), "[2001:db8::10]");
        assert_eq!(u.port(), Some(5070));
        assert_eq!(uri("sip:[::1]").port(), None);
    }

    #[test]
    fn tel_numbers_are_the_user_part() {
        let u = uri("tel:+33-1.99(00)0001;phone-context=example.com;ext=12");
        assert_eq!(u.scheme(), Scheme::Tel);
        assert_eq!(u.user(), Some(&b"+33-1.99(00)0001"[..]));
        assert_eq!(u.param("ext"), Some(Some(&b"12"[..])));
        assert_eq!(u.host(), None);
        assert_eq!(uri("tel:15").user(), Some(&b"15"[..]));
    }

    #[test]
    fn unknown_schemes_are_kept_whole() {
        let u = uri("soap.beep://192.0.2.103:3002");
        assert_eq!((u.scheme(), u.scheme_str()), (Scheme::Other, "soap.beep"));
        assert_eq!(u.to_string(), "soap.beep://192.0.2.103:3002");
    }

    #[test]
    fn malformed_uris_are_refused_with_the_part_that_is_wrong() {
        for (text, error) in [
            ("", UriError::Scheme),
            ("sip", UriError::Scheme),
            (":x", UriError::Scheme),
            ("1a:x", UriError::Scheme),
            ("sip:", UriError::Host),
            ("sip:@host", UriError::User),
            ("sip:a%zz@host", UriError::User),
            ("sip:a[b@host", UriError::User),
            ("sip:a@b@c", UriError::Host),
            ("sip:a@host:", UriError::Port),
            ("sip:a@host:65536", UriError::Port),
            ("sip:a@host:-1", UriError::Port),
            // RFC 5118 §4.2: an address without brackets is a host `2001` with a bad port.
            ("sip:2001:db8::10", UriError::Port),
            ("sip:a@[::1", UriError::Host),
            ("sip:a@[::1]x", UriError::Host),
            ("sip:a@host;", UriError::Parameter),
            ("sip:a@host;;lr", UriError::Parameter),
            ("sip:a@host;=x", UriError::Parameter),
            ("sip:a@host?", UriError::Header),
            ("sip:a@host?x", UriError::Header),
            ("sip:a@host?=x", UriError::Header),
            ("sip:a @host", UriError::Character),
            ("<sip:a@host>", UriError::Character),
            ("sip:\u{e9}@host", UriError::Character),
            ("sip:a\r\nb@host", UriError::Character),
            ("tel:", UriError::User),
            ("tel:+", UriError::User),
            ("tel:call-me", UriError::User),
        ] {
            assert_eq!(Uri::parse(text.as_bytes()).err(), Some(error), "{text}");
        }
        assert_eq!(Uri::parse(&[b'a'; 70_000]).err(), Some(UriError::TooLong));
    }
}
