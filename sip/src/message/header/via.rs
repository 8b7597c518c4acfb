//! `Via` (RFC 3261 §20.42; `rport` of RFC 3581).

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;

use super::{HeaderError, HeaderName, Headers, lex};
use crate::message::name::NameId;
use crate::message::params::{self, Params};
use crate::message::uri::{Host, HostKind, split_host_port};

/// One hop of the way a request came.
#[derive(Clone)]
pub struct Via {
    transport: Transport,
    /// The host part of `sent-by`.
    pub host: Host,
    /// The port part of `sent-by`, if it is written.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `maddr`, `ttl` and others.
    pub params: Params,
    raw: Bytes,
}

/// The transport of a [`Via`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `UDP`
    Udp,
    /// `TCP`
    Tcp,
    /// `TLS`
    Tls,
    /// `SCTP`
    Sctp,
    /// `WS` (RFC 7118)
    Ws,
    /// `WSS` (RFC 7118)
    Wss,
    /// Any other token, as written.
    Other(Bytes),
}

impl Transport {
    fn read(raw: &Bytes, token: &[u8]) -> Option<Transport> {
        Some(match token {
            t if t.eq_ignore_ascii_case(b"UDP") => Transport::Udp,
            t if t.eq_ignore_ascii_case(b"TCP") => Transport::Tcp,
            t if t.eq_ignore_ascii_case(b"TLS") => Transport::Tls,
            t if t.eq_ignore_ascii_case(b"SCTP") => Transport::Sctp,
            t if t.eq_ignore_ascii_case(b"WS") => Transport::Ws,
            t if t.eq_ignore_ascii_case(b"WSS") => Transport::Wss,
            t if lex::is_token(t) => Transport::Other(raw.slice(lex::range_in(raw, t))),
            _ => return None,
        })
    }

    /// The token as it goes into a Via.
    pub fn as_str(&self) -> &str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Sctp => "SCTP",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
            Transport::Other(other) => std::str::from_utf8(other).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Via {
    /// Reads one element of a Via header field.
    pub fn parse(bytes: &[u8]) -> Option<Via> {
        Via::read(Bytes::copy_from_slice(bytes))
    }

    /// A new one: `SIP/2.0/<transport> <host>[:port];branch=<branch>`, with `;rport` if asked for (RFC 3581 §3).
    /// `branch` must be a token; characters that aren't are left out.
    pub fn new(transport: &Transport, host: &Host, port: Option<u16>, branch: &str, rport: bool) -> Via {
        let mut raw = format!("SIP/2.0/{transport} {host}");
        if let Some(port) = port {
            raw.push_str(&format!(":{port}"));
        }
        raw.push_str(";branch=");
        let params_start = raw.len() - "branch=".len();
        raw.extend(branch.chars().filter(|&c| u8::try_from(c).is_ok_and(lex::is_token_byte)));
        if rport {
            raw.push_str(";rport");
        }
        let raw = Bytes::from(raw);
        let params = Params::from_raw(raw.slice(params_start.min(raw.len())..));
        Via { transport: transport.clone(), host: host.clone(), port, params, raw }
    }

    pub(crate) fn read(raw: Bytes) -> Option<Via> {
        let parts = Parts::of(&raw)?;
        let slice = |part: &[u8]| raw.slice(lex::range_in(&raw, part));
        let params =
            Params::from_raw(if parts.params.is_empty() { Bytes::new() } else { slice(parts.params) });
        let transport = Transport::read(&raw, parts.transport)?;
        Some(Via { transport, host: Host::from_shared(slice(parts.host))?, port: parts.port, params, raw })
    }

    /// Whether [`Via::read`] would succeed.
    pub(crate) fn check(text: &[u8]) -> bool {
        Parts::of(text).is_some_and(|parts| HostKind::of(parts.host).is_some())
    }

    /// The transport it names.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The branch; unique for the transaction if it begins with `z9hG4bK` (RFC 3261 §8.1.1.7).
    pub fn branch(&self) -> Option<&[u8]> {
        self.params.value("branch")
    }

    /// Whether the branch is one of RFC 3261: the magic cookie and something after it (RFC 4475 §3.2.1). Otherwise
    /// transactions are told apart as RFC 2543 did (RFC 3261 §17.2.3).
    pub fn has_magic_cookie(&self) -> bool {
        const COOKIE: &[u8] = b"z9hG4bK";
        self.branch().is_some_and(|branch| {
            branch.len() > COOKIE.len()
                && branch.get(..COOKIE.len()).is_some_and(|c| c.eq_ignore_ascii_case(COOKIE))
        })
    }

    /// Where the request really came from, as the next hop saw it. IPv6 with or without brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value("received")?;
        let value = value.strip_prefix(b"[").and_then(|v| v.strip_suffix(b"]")).unwrap_or(value);
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// `Some(None)`: asked for (RFC 3581 §3). `Some(Some(port))`: filled in by the next hop.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get("rport").map(|value| value.and_then(lex::decimal))
    }

    /// `maddr`: the multicast or other address that responses go to.
    pub fn maddr(&self) -> Option<Host> {
        self.params.value("maddr").and_then(Host::parse)
    }

    /// The bytes it was read from.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

/// The parts as they stand in the text.
pub(crate) struct Parts<'a> {
    transport: &'a [u8],
    pub(crate) host: &'a [u8],
    port: Option<u16>,
    /// After the first semicolon.
    pub(crate) params: &'a [u8],
}

impl Parts<'_> {
    pub(crate) fn of(text: &[u8]) -> Option<Parts<'_>> {
        let (before_params, params) = lex::split_outside(text, b';');
        let (protocol, rest) = lex::split_outside(before_params, b'/');
        let (version, rest) = lex::split_outside(rest?, b'/');
        // The grammar allows other protocols; responses to them could not be routed.
        if !protocol.eq_ignore_ascii_case(b"SIP") || version != b"2.0" {
            return None;
        }
        let rest = lex::trim(rest?);
        let transport_len = rest.iter().position(|&b| lex::is_lws(b))?;
        let (transport, sent_by) = rest.split_at_checked(transport_len)?;
        let (host, port) = sent_by_parts(lex::trim(sent_by))?;
        let params = match params.map(lex::trim) {
            Some([]) => return None,
            Some(params) => params,
            None => Default::default(),
        };
        (lex::is_token(transport) && params::well_formed(params)).then_some(Parts {
            transport,
            host,
            port,
            params,
        })
    }
}

/// `host [ COLON port ]`, where COLON may have white space around it.
fn sent_by_parts(sent_by: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (host, port) = split_host_port(sent_by)
        .or_else(|| {
            let close = memchr::memchr(b']', sent_by)? + 1;
            let (host, rest) = sent_by.split_at_checked(close)?;
            Some((host, Some(lex::trim(rest).strip_prefix(b":")?)))
        })
        .map(|(host, port)| (lex::trim(host), port.map(lex::trim)))?;
    match port {
        Some(port) => Some((host, Some(lex::decimal(port)?))),
        None => Some((host, None)),
    }
}

impl AsRef<[u8]> for Via {
    fn as_ref(&self) -> &[u8] {
        &self.raw
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.raw.escape_ascii())
    }
}

impl Headers {
    /// The way the request came, the latest hop first.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn vias(&self) -> Result<Vec<Via>, HeaderError> {
        self.every(HeaderName::Via, Via::read)
    }

    /// The latest hop.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        let first = self.elements(NameId::Via).next();
        match first {
            Some(element) => Via::read(element).ok_or(HeaderError::Malformed(HeaderName::Via)),
            None if self.contains(HeaderName::Via) => Err(HeaderError::Malformed(HeaderName::Via)),
            None => Err(HeaderError::Missing(HeaderName::Via)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> Via {
        Via::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn every_part_is_read_with_white_space_anywhere_it_may_be() {
        let v = via(
            "SIP  / 2.0\t/ UDP   [2001:db8::9:1] : 5061 ; branch = z9hG4bKx ;received=192.0.2.1;rport=99",
        );
        assert_eq!((v.transport(), v.port), (&Transport::Udp, Some(5061)));
        assert_eq!(v.host.to_string(), "[2001:db8::9:1]");
        assert_eq!(v.branch(), Some(&b"z9hG4bKx"[..]));
        assert_eq!(v.received(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(v.rport(), Some(Some(99)));
        assert_eq!(via("SIP/2.0/UDP a;rport").rport(), Some(None));
        assert_eq!(via("SIP/2.0/UDP a").rport(), None);
        assert_eq!(via("SIP/2.0/UDP a;received=[::1]").received(), Some("::1".parse().unwrap()));
        assert_eq!(via("SIP/2.0/UNKNOWN a").transport().as_str(), "UNKNOWN");
    }

    #[test]
    fn the_cookie_alone_is_no_branch_of_rfc_3261() {
        assert!(via("SIP/2.0/UDP a;branch=z9hG4bK7").has_magic_cookie());
        assert!(!via("SIP/2.0/UDP a;branch=z9hG4bK").has_magic_cookie());
        assert!(!via("SIP/2.0/UDP a;branch=1").has_magic_cookie());
    }

    #[test]
    fn malformed_vias_are_refused() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 a",
            "HTTP/2.0/UDP a",
            "SIP/3.0/UDP a",
            "SIP/2.0/UDP a:",
            "SIP/2.0/UDP a:99999",
            "SIP/2.0/UDP a;",
            "SIP/2.0/UDP a;;branch=x",
            "SIP/2.0/UDP a b",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/U/DP a",
        ] {
            assert!(Via::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_built_via_reads_back() {
        let v = Via::new(
            &Transport::Tcp,
            &Host::parse(b"::1").unwrap_or(Host::V6("::1".parse().unwrap())),
            Some(5060),
            "z9hG4bK\r\nx",
            true,
        );
        assert_eq!(v.raw(), b"SIP/2.0/TCP [::1]:5060;branch=z9hG4bKx;rport");
        let again = Via::parse(v.raw()).unwrap();
        assert_eq!((again.branch(), again.rport()), (v.branch(), v.rport()));
    }
}
