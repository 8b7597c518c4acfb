//! Where a call of ours is dialed, and where a redirection may take it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sip::endpoint::flow::Hop;
use sip::message::{HeaderName, NameAddr, Response, Uri};

use super::number::Allowed;
use crate::call::ports::{OutgoingInvite, Way};
use crate::ids::E164;
use crate::trunk::{Caller, IdentityHeaders, Trunk, identity_headers};

/// Redirections followed in one call (RFC 3261 §8.1.3.4 leaves the number to us).
const MAX_REDIRECTIONS: usize = 3;
/// Contacts looked at of one redirection.
const MAX_CONTACTS: usize = 16;
/// The port of SIP where nothing names another (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// Whom to call: always a number, always over the trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The number.
    pub number: E164,
    /// The address of the trunk's that a redirection named; else the trunk's own.
    pub at: Option<SocketAddr>,
}

/// The way of one call: the trunk, who we are on it, and where it has been.
pub struct Route {
    trunk: Arc<Trunk>,
    way: Way,
    allowed: Allowed,
    call_id: String,
    first: Destination,
    tried: Vec<Destination>,
}

impl Route {
    /// The way to a number that was found allowed.
    #[must_use]
    pub fn new(trunk: Arc<Trunk>, way: Way, allowed: Allowed, number: E164, call_id: String) -> Self {
        let first = Destination { number, at: None };
        Self { trunk, way, allowed, call_id, tried: vec![first.clone()], first }
    }

    /// Where it begins.
    #[must_use]
    pub fn first(&self) -> &Destination {
        &self.first
    }

    /// The INVITE for a destination, without an offer.
    #[must_use]
    pub fn invite(&self, destination: &Destination) -> OutgoingInvite {
        let uri = self.uri(destination);
        let hops = match destination.at {
            // The transport stays: a redirection doesn't lead from TLS to UDP.
            Some(address) => self.way.hops.first().map(|hop| Hop { address, ..*hop }).into_iter().collect(),
            None => self.way.hops.clone(),
        };
        let ours = host(self.way.advertised);
        let IdentityHeaders { from, headers } =
            identity_headers(&self.trunk.config, Caller::default(), false, &ours);
        OutgoingInvite {
            to: text(NameAddr::new(None, &uri).raw()),
            uri,
            from,
            call_id: self.call_id.clone(),
            headers,
            routes: self.way.routes.clone(),
            hops,
            local: self.way.local,
            sdp: Bytes::new(),
            credentials: self.trunk.config.credentials.clone().map(Arc::new),
            policy: self.way.policy,
        }
    }

    /// Where a `3xx` leads, the contact with the highest `q` first: a number that the tenant may
    /// call, not called before in this call, at most three times. It is called over the same trunk.
    /// A host that the contact names is used when it is an address of that trunk, and else not.
    pub fn follow(&mut self, response: &Response) -> Option<Destination> {
        if self.tried.len() > MAX_REDIRECTIONS {
            return None;
        }
        let mut contacts: Vec<(u16, NameAddr)> = response
            .headers()
            .list(HeaderName::Contact)
            .take(MAX_CONTACTS)
            .filter_map(NameAddr::parse)
            .map(|contact| (preference(&contact), contact))
            .collect();
        // Stable: of equals the first.
        contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
        let next = contacts.iter().find_map(|(_, contact)| self.destination(&contact.uri))?;
        self.tried.push(next.clone());
        Some(next)
    }

    fn destination(&self, uri: &Uri) -> Option<Destination> {
        let number = self.allowed.check(&text(uri.as_bytes())).ok()?;
        let named = uri.host().and_then(sip::message::Host::ip);
        let at = named
            .filter(|address| self.trunk.is_at(*address))
            .map(|address| SocketAddr::new(address, uri.port().unwrap_or(SIP_PORT)))
            .filter(|address| self.way.hops.first().map(|hop| hop.address) != Some(*address));
        let destination = Destination { number, at };
        (!self.tried.contains(&destination)).then_some(destination)
    }

    /// RFC 3261 §19.1.6: a telephone number in a SIP URI says so.
    fn uri(&self, destination: &Destination) -> Uri {
        let user = Some(destination.number.as_str());
        let uri = match (destination.at, self.trunk.config.mode.home()) {
            (Some(address), _) => Uri::sip(user, &host(address), Some(address.port())),
            (None, Some(home)) => Uri::sip(user, &home.host.to_string(), home.port),
            (None, None) => Uri::sip(user, &host(self.way.local), None),
        };
        uri.with_param("user", "phone")
    }
}

fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

/// `q` in thousandths (RFC 3261 §20.10); without one the highest.
fn preference(contact: &NameAddr) -> u16 {
    let Some(q) = contact.param("q") else { return 1_000 };
    let q = q.and_then(|q| std::str::from_utf8(q).ok()).and_then(|q| q.parse::<f32>().ok());
    // What is no number comes last.
    (0..=1_000)
        .rev()
        .find(|thousandths| q.is_some_and(|q| f32::from(*thousandths) <= q * 1_000.0))
        .unwrap_or(0)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
