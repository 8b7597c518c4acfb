//! The way out to a trunk: its addresses, ours towards them, and requests on that way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use sip::endpoint::OutsideRequest;
use sip::endpoint::flow::{Target, Transport};
use sip::message::{HeaderName, Method, Uri};

use crate::config;
use crate::net::dns::Resolver;
use crate::net::signalling::SignallingHandle;
use crate::trunk::{Hop, Trunk};

/// Addresses of one trunk that are made use of.
const MOST_HOPS: usize = 16;

/// Where we are to be reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reachable {
    /// The address that SIP listens on; may be a wildcard.
    pub listen: SocketAddr,
    /// The address that peers are told instead.
    pub advertised: Option<IpAddr>,
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
    /// Looks up where the trunk is, and tells the trunk.
    pub async fn look_up(&self) -> Result<Vec<Hop>, String> {
        let config = &self.trunk.config;
        let Some(next) = config.mode.next_hop() else { return Ok(Vec::new()) };
        let transport = match config.transport {
            config::Transport::Udp => Transport::Udp,
            config::Transport::Tcp => Transport::Tcp,
        };
        let addresses = match next.address() {
            Some(ip) => vec![SocketAddr::new(ip, next.port.unwrap_or(5060))],
            None => self
                .resolver
                .resolve(&next.host.to_string(), next.port, transport)
                .await
                .map_err(|error| error.to_string())?,
        };
        let hops: Vec<Hop> =
            addresses.into_iter().take(MOST_HOPS).map(|address| Hop { transport, address }).collect();
        self.trunk.set_hops(&hops);
        Ok(hops)
    }

    /// Our own address as the peer sees it, when the listener is a wildcard: the one that the
    /// route to the peer leaves from.
    pub fn local_towards(&self, peer: SocketAddr) -> SocketAddr {
        let listen = self.reachable.listen;
        if !listen.ip().is_unspecified() {
            return listen;
        }
        match crate::net::source_address_toward(peer) {
            Ok(ip) => SocketAddr::new(ip, listen.port()),
            Err(_) => listen,
        }
    }

    /// What the peer is told instead of an address of ours.
    pub fn advertised(&self, local: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.reachable.advertised.unwrap_or(local.ip()), local.port())
    }
}

/// A request outside dialogs that goes by these hops. `None` without one.
pub(super) fn outside(
    method: Method,
    uri: Uri,
    hops: &[Hop],
    local: SocketAddr,
    headers: Vec<(HeaderName, Bytes)>,
) -> Option<OutsideRequest> {
    let Hop { transport, address } = *hops.first()?;
    let target = Target::Address(address);
    Some(OutsideRequest { method, uri, transport, target, connection: None, local, headers })
}
