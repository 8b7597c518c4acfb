//! SIP over TLS (RFC 3261 §26, RFC 5922): version 1.2 and up, through rustls with ring, which is
//! named at each use, so that no other crate's choice can change it.
//!
//! Certificates, keys and authorities are files. [`Tls::reload`] reads them again: connections
//! that are open go on, handshakes from then on use what was read. When a file is wrong, what was
//! there before stays.

mod client;
mod identity;
mod material;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use sip::endpoint::flow::{PeerId, Transport};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

pub use self::material::TlsError;
use super::stream::{Carrier, StreamTransport};
use crate::config::tls::{CertificateFiles, Clients};

/// Listeners and connections of TLS.
pub type TlsTransport<T> = StreamTransport<Tls, T>;

const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// What TLS is done with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Our certificates, as a server; without any, nobody can connect to us.
    pub certificates: Vec<CertificateFiles>,
    /// What is expected of clients.
    pub clients: Option<Clients>,
    /// The servers with settings of their own.
    pub peers: BTreeMap<PeerId, PeerSettings>,
}

/// What is known of a server beforehand: that of a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSettings {
    /// The name that its certificate has to bear, a domain or an address: the one that was looked
    /// up, not what its DNS records lead to (RFC 5922 §4).
    pub name: String,
    /// As in [`crate::config::tls::TrunkTls`].
    pub ca: Option<std::path::PathBuf>,
    /// As in [`crate::config::tls::TrunkTls`].
    pub client: Option<CertificateFiles>,
    /// As in [`crate::config::tls::TrunkTls`].
    pub wildcards: bool,
}

/// Whom a server has to prove to be.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Whom {
    /// One of [`TlsSettings::peers`].
    Peer(PeerId),
    /// A domain, before the authorities that the system trusts.
    Domain(Arc<str>),
    /// An address, likewise.
    Address(IpAddr),
}

impl fmt::Debug for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(PeerId(number)) => write!(f, "peer {number}"),
            Self::Domain(domain) => f.write_str(domain),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// The carrier: settings, and what was made of them.
pub struct Tls {
    settings: ArcSwap<TlsSettings>,
    current: ArcSwap<Loaded>,
}

/// What was made of the files.
struct Loaded {
    server: Option<Arc<ServerConfig>>,
    /// For servers without settings of their own.
    standard: Arc<ClientConfig>,
    peers: BTreeMap<PeerId, Peer>,
}

struct Peer {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which file, and what to do.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Loaded::new(&settings)?);
        Ok(Self { settings: ArcSwap::from_pointee(settings), current })
    }

    /// Reads the files again, for the handshakes to come.
    ///
    /// # Errors
    /// What is wrong with which file; nothing has changed then.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(Loaded::new(&self.settings.load())?));
        Ok(())
    }

    /// Takes other settings, for the handshakes to come, and reads their files.
    ///
    /// # Errors
    /// What is wrong with which file; nothing has changed then.
    pub fn replace(&self, settings: TlsSettings) -> Result<(), TlsError> {
        self.current.store(Arc::new(Loaded::new(&settings)?));
        self.settings.store(Arc::new(settings));
        Ok(())
    }
}

impl Loaded {
    fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let server = match settings.certificates.as_slice() {
            [] => None,
            certificates => Some(server::config(certificates, settings.clients.as_ref(), &provider)?),
        };
        let system = material::system_roots();
        let standard = client::config(&client::Trust::System(Arc::clone(&system)), None, false, &provider)?;
        let mut peers = BTreeMap::new();
        for (id, peer) in &settings.peers {
            peers.insert(*id, Peer::new(peer, &system, &provider)?);
        }
        Ok(Self { server, standard, peers })
    }
}

impl Peer {
    fn new(
        settings: &PeerSettings,
        system: &Arc<rustls::RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let trust = match &settings.ca {
            Some(file) => client::Trust::read(file)?,
            None => client::Trust::System(Arc::clone(system)),
        };
        let config = client::config(&trust, settings.client.as_ref(), settings.wildcards, provider)?;
        let name =
            ServerName::try_from(settings.name.clone()).map_err(|_| TlsError::Name(settings.name.clone()))?;
        Ok(Self { name, config })
    }
}

impl Carrier for Tls {
    const TRANSPORT: Transport = Transport::Tls;
    type Peer = Whom;
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self, socket: TcpStream) -> io::Result<Self::Stream> {
        let server = self.current.load().server.clone();
        let server = server.ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(TlsAcceptor::from(server).accept(socket).await?.into())
    }

    async fn connect(&self, socket: TcpStream, whom: &Whom) -> io::Result<Self::Stream> {
        let (name, config) = {
            let current = self.current.load();
            let unknown = |_| io::Error::from(io::ErrorKind::InvalidInput);
            match whom {
                Whom::Peer(id) => {
                    let peer = current.peers.get(id).ok_or(io::ErrorKind::NotFound)?;
                    (peer.name.clone(), Arc::clone(&peer.config))
                }
                Whom::Domain(domain) => {
                    let name = ServerName::try_from(domain.to_string()).map_err(unknown)?;
                    (name, Arc::clone(&current.standard))
                }
                Whom::Address(address) => (ServerName::from(*address), Arc::clone(&current.standard)),
            }
        };
        Ok(TlsConnector::from(config).connect(name, socket).await?.into())
    }

    /// Who connects to us proves at most to have a certificate, not to be where requests for a
    /// domain belong; only what names the connection goes over it.
    fn accepted_as(&self) -> Option<Whom> {
        None
    }

    /// A dialog knows its far end by an address, which no carrier's certificate bears; the
    /// connection that it came over knows the name.
    fn instead(given: &Whom, former: &Whom) -> Whom {
        match given {
            Whom::Address(_) => former.clone(),
            Whom::Peer(_) | Whom::Domain(_) => given.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
