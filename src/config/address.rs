//! Addresses, networks and port ranges as they stand in the file.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A host by name or address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A host and perhaps a port. Without a port a name is looked up by SRV
/// (RFC 3263 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port, when given.
    pub port: Option<u16>,
}

impl HostPort {
    /// The address, when the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Address(address) => Some(address),
            Host::Name(_) => None,
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// The text isn't an address, network or range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a host with an optional port.
    #[error(
        "write a host with an optional port, such as sip.example.com, 192.0.2.1:5060 or [2001:db8::1]:5060"
    )]
    HostPort,
    /// Not an address or network.
    #[error("write an address or a network, such as 192.0.2.7 or 192.0.2.0/24")]
    Cidr,
    /// The address isn't the network's first.
    #[error("the network is {0}")]
    InsideNetwork(Cidr),
    /// Not a range of ports.
    #[error("write two ports from 1024 to 65535 with a hyphen, such as 16384-32767")]
    PortRange,
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { host: Host::Address(address), port: None });
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inside, after)) => {
                let address: Ipv6Addr = inside.parse().map_err(|_| AddressError::HostPort)?;
                (
                    Host::Address(address.into()),
                    after.strip_prefix(':').or((!after.is_empty()).then_some("x")),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (named(host)?, Some(port)),
                None => (named(text)?, None),
            },
        };
        let port =
            port.map(|p| p.parse().ok().filter(|p| *p > 0).ok_or(AddressError::HostPort)).transpose()?;
        Ok(Self { host, port })
    }
}

/// A host that isn't in brackets: an IPv4 address, or a name of RFC 1123 form. A name can't end
/// in a label of digits alone, since it would be a mistyped address.
fn named(host: &str) -> Result<Host, AddressError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Host::Address(address));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        let letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        letters && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let numeric_end = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if name.len() <= 253 && name.split('.').all(label) && !numeric_end {
        Ok(Host::Name(name))
    } else {
        Err(AddressError::HostPort)
    }
}

/// A network: an address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The network of one address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: width(address) }
    }

    /// The network of `prefix` bits that holds the address; `None` when there are fewer bits.
    #[must_use]
    pub fn of(address: IpAddr, prefix: u8) -> Option<Self> {
        let (bits, width) = (bits(address), width(address));
        let outside = u32::from(width.checked_sub(prefix)?);
        let first = bits.checked_shr(outside).and_then(|b| b.checked_shl(outside)).unwrap_or(0);
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(first).ok()?.into()),
            IpAddr::V6(_) => IpAddr::V6(first.into()),
        };
        Some(Self { address, prefix })
    }

    /// Its first address.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        self.address
    }

    /// Whether the address lies in it. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::of(address.to_canonical(), self.prefix).is_some_and(|network| network == *self)
    }

    /// How many bits count: the more, the narrower.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().map(Self::host).map_err(|_| AddressError::Cidr);
        };
        let address: IpAddr = address.parse().map_err(|_| AddressError::Cidr)?;
        let digits = prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| digits).ok_or(AddressError::Cidr)?;
        let network = Self::of(address, prefix).ok_or(AddressError::Cidr)?;
        if network.address == address { Ok(network) } else { Err(AddressError::InsideNetwork(network)) }
    }
}

/// A range of UDP ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The range from `first` to `last`: unprivileged ports, room for one RTP and RTCP pair at
    /// least. `None` otherwise.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first >= 1024 && last.checked_sub(first.checked_next_multiple_of(2)?)? >= 1)
            .then_some(Self { first, last })
    }

    /// The range that is used when none is given: 16384-32767. Linux takes the ports of outgoing
    /// connections from above it (32768 on).
    #[must_use]
    pub const fn standard() -> Self {
        Self { first: 16_384, last: 32_767 }
    }

    /// The first port.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }

    /// The last port.
    #[must_use]
    pub fn last(&self) -> u16 {
        self.last
    }

    /// Whether the port is one of them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (first, last) = text.split_once('-').ok_or(AddressError::PortRange)?;
        let port = |text: &str| text.trim().parse().map_err(|_| AddressError::PortRange);
        Self::new(port(first)?, port(last)?).ok_or(AddressError::PortRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_port() {
        for (text, shown) in [
            ("sip.example.com", "sip.example.com"),
            ("SIP.Example.com.:5061", "sip.example.com:5061"),
            ("192.0.2.1:5060", "192.0.2.1:5060"),
            ("[2001:db8::1]:5060", "[2001:db8::1]:5060"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "sip:example.com",
            "host:",
            "host:0",
            "host:65536",
            "a b",
            "-a.com",
            "192.0.2.300",
            "[::1]x",
            "[::1",
            "host:50 60",
            "a..b",
            ":5060",
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(AddressError::HostPort), "{text}");
        }
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let network: Cidr = "192.0.2.0/25".parse().unwrap();
        assert!(network.contains("192.0.2.127".parse().unwrap()));
        assert!(network.contains("::ffff:192.0.2.5".parse().unwrap()));
        assert!(!network.contains("192.0.2.128".parse().unwrap()));
        assert!(!network.contains("2001:db8::1".parse().unwrap()));
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
        let all: Cidr = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        let one: Cidr = "2001:db8::1".parse().unwrap();
        assert_eq!(one.to_string(), "2001:db8::1/128");
    }

    #[test]
    fn wrong_networks_are_told_apart() {
        let inside: AddressError = "192.0.2.7/24".parse::<Cidr>().unwrap_err();
        assert_eq!(inside, AddressError::InsideNetwork("192.0.2.0/24".parse().unwrap()));
        for text in ["192.0.2.0/33", "192.0.2.0/", "192.0.2/24", "::/129", "192.0.2.0/+8", "carrier.example"]
        {
            assert_eq!(text.parse::<Cidr>(), Err(AddressError::Cidr), "{text}");
        }
    }

    #[test]
    fn port_ranges_have_room_for_a_pair() {
        let range: PortRange = "16384-32767".parse().unwrap();
        assert_eq!((range.first(), range.last(), range.contains(16_384)), (16_384, 32_767, true));
        for text in ["10", "20000-10000", "80-90", "20001-20002", "20000-20000", "65535-65535", "a-b"] {
            assert_eq!(text.parse::<PortRange>(), Err(AddressError::PortRange), "{text}");
        }
    }
}
