//! The way of a request of ours, and how we name ourselves on it.

use std::net::SocketAddr;

use super::Endpoint;
use super::flow::{ConnectionId, Hop, Target, Transport};
use crate::message::{Scheme, Uri};

/// Whether the size of a request still decides about its transport (RFC 3261 §18.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// It does.
    Counts,
    /// The request is too large for UDP and tried over TCP; over UDP after all where TCP can't be
    /// had.
    Switched,
    /// It doesn't: TCP couldn't be had, or the request has to take the way of another.
    Settled,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) struct RequestPath {
    pub transport: Transport,
    pub target: Target,
    pub connection: Option<ConnectionId>,
    /// Our own address.
    pub local: SocketAddr,
    pub size: Size,
}

impl RequestPath {
    /// To this hop.
    pub fn to(hop: Hop, connection: Option<ConnectionId>, local: SocketAddr) -> Self {
        Self { transport: hop.transport, target: hop.target(), connection, local, size: Size::Counts }
    }

    /// The address, unless it is still a name.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.target {
            Target::Address(address) | Target::Peer { address, .. } => Some(address),
            Target::Name { .. } => None,
        }
    }

    /// The same way over TCP.
    pub fn over_tcp(self) -> Self {
        Self { transport: Transport::Tcp, size: Size::Switched, ..self }
    }

    /// The same way over UDP, however large the request.
    pub fn over_udp_after_all(self) -> Self {
        Self { transport: Transport::Udp, size: Size::Settled, connection: None, ..self }
    }

    /// The same way for a request that belongs to another one: ACK of a refusal, CANCEL.
    pub fn settled(self) -> Self {
        Self { size: Size::Settled, ..self }
    }
}

impl Endpoint {
    /// A branch for a new request (§8.1.1.7).
    pub(crate) fn new_branch(&mut self) -> String {
        format!("z9hG4bK{}", self.tokens.next_token())
    }

    /// The value of `Via` for a request of ours; `rport` always (RFC 3581 §3).
    pub(crate) fn via(&self, transport: Transport, local: SocketAddr, branch: &str) -> String {
        let alias = if self.config.connection_alias && transport.is_reliable() { ";alias" } else { "" };
        let sent_by = self.sent_by(transport, local);
        format!("SIP/2.0/{} {sent_by};rport;branch={branch}{alias}", transport.via_name())
    }

    /// What stands for us in `Via` and `Contact`.
    pub(crate) fn sent_by(&self, transport: Transport, local: SocketAddr) -> String {
        let tls = self.config.tls_port.filter(|_| transport == Transport::Tls);
        match (&self.config.advertised, tls) {
            (Some((host, port)), tls) => format!("{host}:{}", tls.or(*port).unwrap_or(local.port())),
            (None, Some(port)) => SocketAddr::new(local.ip(), port).to_string(),
            (None, None) => local.to_string(),
        }
    }

    /// The value of `Contact` of ours (§8.1.1.8).
    pub(crate) fn contact(&self, transport: Transport, local: SocketAddr) -> String {
        self.contact_as(Scheme::Sip, transport, local)
    }

    /// As [`Endpoint::contact`], with `sips:` where the request has it: the far end may only be
    /// reached so, and so may we (§8.1.1.8).
    pub(crate) fn contact_as(&self, scheme: Scheme, transport: Transport, local: SocketAddr) -> String {
        let sent_by = self.sent_by(transport, local);
        match (scheme, transport.uri_param()) {
            (Scheme::Sips, _) => format!("<sips:{sent_by}>"),
            (_, Some(name)) => format!("<sip:{sent_by};transport={name}>"),
            (_, None) => format!("<sip:{sent_by}>"),
        }
    }
}

/// The scheme of our `Contact` in a request to `uri` by way of `route` (§8.1.1.8).
pub(crate) fn contact_scheme(uri: &Uri, route: Option<&Uri>) -> Scheme {
    let secure = route.is_some_and(|route| route.scheme() == Scheme::Sips) || uri.scheme() == Scheme::Sips;
    if secure { Scheme::Sips } else { Scheme::Sip }
}
