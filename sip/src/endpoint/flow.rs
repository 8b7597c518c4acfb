//! Where messages come from and go to, as far as the core knows it.

use std::net::SocketAddr;

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A byte stream.
    Tcp,
    /// A byte stream under TLS.
    Tls,
}

impl Transport {
    /// Whether the transport delivers or fails by itself (RFC 3261 §17).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// The name in `Via` (§20.42).
    #[must_use]
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The value of the `transport` parameter of a URI; UDP is what its absence means (§19.1.1).
    /// `tls` is deprecated there, and is what every peer writes and reads all the same.
    #[must_use]
    pub fn uri_param(self) -> Option<&'static str> {
        match self {
            Self::Udp => None,
            Self::Tcp => Some("tcp"),
            Self::Tls => Some("tls"),
        }
    }

    /// The port where none is written (§18.1.1, §19.1.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5_060,
            Self::Tls => 5_061,
        }
    }
}

/// A stream connection, by the number that the owner of the sockets gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Whom the far end of a TLS connection has to prove to be, by the number that the owner of the
/// sockets gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u32);

/// One way to reach a server: what a look-up gives (RFC 3263).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The transport.
    pub transport: Transport,
    /// The address and port.
    pub address: SocketAddr,
    /// Whom it has to prove to be, under TLS.
    pub peer: Option<PeerId>,
}

impl Hop {
    /// A hop that need not prove anything but its address.
    #[must_use]
    pub fn new(transport: Transport, address: SocketAddr) -> Self {
        Self { transport, address, peer: None }
    }

    /// What messages that take this hop are addressed to.
    #[must_use]
    pub fn target(&self) -> Target {
        match self.peer {
            Some(peer) => Target::Peer { address: self.address, peer },
            None => Target::Address(self.address),
        }
    }
}

/// The way a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// The far end's address and port.
    pub peer: SocketAddr,
    /// Our own address and port; never an unspecified address.
    pub local: SocketAddr,
    /// The connection, on a stream transport.
    pub connection: Option<ConnectionId>,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Address(SocketAddr),
    /// An address, and whom the server there has to prove to be.
    Peer {
        /// The address.
        address: SocketAddr,
        /// Whom.
        peer: PeerId,
    },
    /// A name that the owner of the sockets looks up (RFC 3263); `port` is that of the URI.
    Name {
        /// The domain name.
        host: String,
        /// The port, if the URI has one.
        port: Option<u16>,
    },
}
