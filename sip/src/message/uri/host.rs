//! Hosts (RFC 3261 §25.1 `host`; IPv6 as amended by RFC 5954).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use crate::message::lex;

/// A host name or address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, compared without case.
    Domain(DomainName),
    /// `192.0.2.1`
    V4(Ipv4Addr),
    /// `[2001:db8::1]`
    V6(Ipv6Addr),
}

/// What kind of host some bytes are; a name is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostKind {
    Domain,
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl HostKind {
    /// `None` if it is no host.
    pub(crate) fn of(bytes: &[u8]) -> Option<HostKind> {
        if let [b'[', address @ .., b']'] = bytes {
            let text = std::str::from_utf8(address).ok()?;
            // RFC 5118 §4.10: the grammar of RFC 3261 could be read to want a third colon before an IPv4 part.
            let address = text.parse().or_else(|_| text.replacen(":::", "::", 1).parse());
            return address.ok().map(HostKind::V6);
        }
        let (mut previous, mut names) = (b'.', true);
        for &byte in bytes {
            // Empty labels are no names; a single dot at the end is one.
            names &= lex::is_host_byte(byte) && !(byte == b'.' && previous == b'.');
            previous = byte;
        }
        if bytes.is_empty() || !names {
            return None;
        }
        let address = || std::str::from_utf8(bytes).ok()?.parse().ok();
        Some(if previous.is_ascii_digit() {
            address().map_or(HostKind::Domain, HostKind::V4)
        } else {
            HostKind::Domain
        })
    }
}

/// A host name: letters, digits, `-`, `.`, and the underscore that equipment uses although the grammar has none.
#[derive(Clone)]
pub struct DomainName(Bytes);

impl Host {
    /// Reads a host as it stands in a URI or Via; IPv6 addresses must be in brackets.
    pub fn parse(bytes: &[u8]) -> Option<Host> {
        Host::from_shared(Bytes::copy_from_slice(bytes))
    }

    pub(crate) fn from_shared(bytes: Bytes) -> Option<Host> {
        Some(match HostKind::of(&bytes)? {
            HostKind::Domain => Host::Domain(DomainName(bytes)),
            HostKind::V4(address) => Host::V4(address),
            HostKind::V6(address) => Host::V6(address),
        })
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Domain(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    pub(crate) fn detach(&self) -> Host {
        match self {
            Host::Domain(name) => Host::Domain(DomainName(Bytes::copy_from_slice(&name.0))),
            address => address.clone(),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(name) => f.write_str(name.as_str()),
            Host::V4(address) => write!(f, "{address}"),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl DomainName {
    /// `bytes` must be [`HostKind::Domain`].
    pub(super) fn from_checked(bytes: Bytes) -> DomainName {
        DomainName(bytes)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for DomainName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for DomainName {}

impl Hash for DomainName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in &self.0 {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        assert_eq!(Host::parse(b"192.0.2.1"), Some(Host::V4(Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!(Host::parse(b"[::1]"), Some(Host::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(Host::parse(b"[2001:db8::192.0.2.1]").unwrap().to_string(), "[2001:db8::c000:201]");
        assert_eq!(Host::parse(b"[2001:db8:::192.0.2.1]"), Host::parse(b"[2001:db8::192.0.2.1]"));
        assert_eq!(Host::parse(b"EXAMPLE.com"), Host::parse(b"example.COM"));
        assert!(matches!(Host::parse(b"300.1.1.1"), Some(Host::Domain(_))));
        assert!(matches!(Host::parse(b"my_pbx"), Some(Host::Domain(_))));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            &b""[..],
            b"::1",
            b"[::1",
            b"[]",
            b"[1.2.3.4]",
            b"a b",
            b"a..b",
            b".",
            b"a/b",
            b"\xe9",
            b"[::1%eth0]",
        ] {
            assert_eq!(Host::parse(bad), None, "{}", bad.escape_ascii());
        }
    }
}
