//! The way out to a trunk: its addresses, ours towards them, and requests on that way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use sip::endpoint::OutsideRequest;
use sip::endpoint::flow::{Hop, Transport};
use sip::message::{HeaderName, Method, Uri};

use super::transports::{peer_id, towards};
use crate::config;
use crate::net::dns::Resolver;
use crate::net::signalling::SignallingHandle;
use crate::trunk::Trunk;

/// The port of SIP over TLS, for when we don't listen for it ourselves (RFC 3261 §19.1.2).
const SIPS_PORT: u16 = 5061;

/// Where we are to be reached.
#[derive(Debug, Clone)]
pub(super) struct Reachable {
    /// The addresses that SIP listens on; may be wildcards.
    pub listen: Vec<SocketAddr>,
    /// Those for TLS.
    pub secure: Vec<SocketAddr>,
    /// The address that peers are told instead.
    pub advertised: Option<IpAddr>,
}

impl Reachable {
    /// Our own address as the peer sees it, when the listener is a wildcard: the one that the
    /// route to the peer leaves from.
    pub fn local_towards(&self, hop: &Hop) -> Option<SocketAddr> {
        let mut listen = towards(&self.listen, hop.address)?;
        if hop.transport == Transport::Tls {
            let secure = towards(&self.secure, hop.address);
            listen = secure.unwrap_or(SocketAddr::new(listen.ip(), SIPS_PORT));
        }
        if !listen.ip().is_unspecified() {
            return Some(listen);
        }
        match crate::net::source_address_toward(hop.address) {
            Ok(ip) => Some(SocketAddr::new(ip, listen.port())),
            Err(_) => Some(listen),
        }
    }

    /// What peers are told instead of an address of ours.
    pub fn advertised(&self, local: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.advertised.unwrap_or(local.ip()), local.port())
    }
}

/// A trunk, and what it takes to send it a request.
#[derive(Clone)]
pub(super) struct Outward {
    pub trunk: Arc<Trunk>,
    pub signalling: SignallingHandle,
    pub reachable: Reachable,
    pub resolver: Arc<Resolver>,
}

impl Outward {
    /// See [`look_up`].
    pub async fn look_up(&self, seed: [u8; 32]) -> Result<Vec<Hop>, String> {
        look_up(&self.trunk, &self.resolver, seed).await
    }
}

/// Looks up where the trunk is, best first, and tells the trunk; the seed decides among servers of
/// one priority.
pub(super) async fn look_up(trunk: &Trunk, resolver: &Resolver, seed: [u8; 32]) -> Result<Vec<Hop>, String> {
    let config = &trunk.config;
    let Some(next) = config.mode.next_hop() else { return Ok(Vec::new()) };
    let transport = match config.transport {
        config::Transport::Udp => Some(Transport::Udp),
        config::Transport::Tcp => Some(Transport::Tcp),
        config::Transport::Tls => Some(Transport::Tls),
        config::Transport::Auto => None,
    };
    let found = resolver.locate_seeded(&next.host.to_string(), next.port, transport, false, seed).await;
    let peer = peer_id(trunk);
    let hops: Vec<Hop> =
        found.map_err(|error| error.to_string())?.into_iter().map(|hop| Hop { peer, ..hop }).collect();
    trunk.set_hops(&hops);
    Ok(hops)
}

/// A request outside dialogs that goes by these hops. Challenges to it are not answered.
pub(super) fn outside(
    method: Method,
    uri: Uri,
    hops: Vec<Hop>,
    local: SocketAddr,
    headers: Vec<(HeaderName, Bytes)>,
) -> OutsideRequest {
    OutsideRequest { method, uri, hops, connection: None, local, headers, credentials: None }
}
