//! Getting a message out: by which transport, to whom, and where to next when that fails
//! (RFC 3263 §4.3).

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use sip::endpoint::flow::{Hop, PeerId, Transport};
use sip::endpoint::{Ticket, Transmit};

use crate::net::stream::{NetEvent, SendError};
use crate::net::tls::Whom;

/// A message on its way: what its transport gives back when it can't be delivered.
#[derive(Debug)]
pub(super) struct Sending {
    /// For the endpoint.
    pub(super) ticket: Option<Ticket>,
    /// The message again, and the ways that are left.
    rest: Option<Box<(Transmit, Way)>>,
}

/// The ways to a server, best first.
#[derive(Debug, Clone)]
pub(super) struct Way {
    hops: VecDeque<Hop>,
    /// The domain that was looked up, which is what a certificate has to bear (RFC 5922 §4).
    domain: Option<Arc<str>>,
}

/// What to do next with a message.
#[allow(clippy::large_enum_variant, reason = "one at a time, for a turn of a loop")]
pub(super) enum Next {
    /// Try this way.
    Try(Hop, Transmit, Whom, Sending),
    /// There is none left.
    GiveUp(Option<Ticket>),
}

impl Way {
    /// One way, to an address.
    pub(super) fn direct(transmit: &Transmit, address: std::net::SocketAddr, peer: Option<PeerId>) -> Self {
        let hop = Hop { transport: transmit.transport, address, peer };
        Self { hops: VecDeque::from([hop]), domain: None }
    }

    /// The ways that a domain's look-up gave.
    pub(super) fn to_domain(domain: &str, hops: Vec<Hop>) -> Self {
        Self { hops: hops.into(), domain: Some(domain.into()) }
    }

    /// Takes the first way.
    pub(super) fn next(mut self, transmit: Transmit) -> Next {
        let ticket = transmit.ticket;
        let Some(hop) = self.hops.pop_front() else { return Next::GiveUp(ticket) };
        let whom = match (hop.peer, &self.domain) {
            (Some(peer), _) => Whom::Peer(peer),
            (None, Some(domain)) => Whom::Domain(Arc::clone(domain)),
            (None, None) => Whom::Address(hop.address.ip()),
        };
        let rest = (!self.hops.is_empty()).then(|| Box::new((transmit.clone(), self)));
        Next::Try(hop, transmit, whom, Sending { ticket, rest })
    }
}

impl Sending {
    /// Itself, if anything follows from its failure.
    pub(super) fn worth_telling(self) -> Option<Self> {
        (self.ticket.is_some() || self.rest.is_some()).then_some(self)
    }

    /// The next way after one that failed.
    pub(super) fn failed(self) -> Next {
        match self.rest {
            Some(rest) => {
                let (mut transmit, way) = *rest;
                // The connection it named is of the server that failed.
                transmit.connection = None;
                way.next(transmit)
            }
            None => Next::GiveUp(self.ticket),
        }
    }
}

/// What comes back with an error of a stream transport.
pub(super) fn given_back(error: SendError<Sending>) -> Sending {
    tracing::info!(%error, "a message can't be sent");
    let (SendError::QueueFull(sending) | SendError::TooManyConnections(sending)) = error;
    sending
}

/// The messages of a connection that is gone.
pub(super) fn undelivered(event: NetEvent<Sending>) -> Vec<Sending> {
    match event {
        NetEvent::Closed { undelivered, .. } => undelivered,
        NetEvent::Message { .. } => Vec::new(),
    }
}

/// The copies of a message, which are the same byte by byte, choose the same server
/// (RFC 3263 §4.3: a retransmission goes where the request went).
pub(super) fn seed(transmit: &Transmit) -> [u8; 32] {
    let mut hasher = DefaultHasher::new();
    hasher.write(&transmit.bytes);
    let hash = hasher.finish().to_be_bytes();
    let mut seed = [0; 32];
    seed.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    seed
}

/// Whether the URI that was looked up wanted TLS and nothing else.
pub(super) fn is_secure(transmit: &Transmit) -> bool {
    transmit.transport == Transport::Tls
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::endpoint::flow::{ConnectionId, Target};

    fn transmit() -> Transmit {
        Transmit {
            transport: Transport::Tls,
            target: Target::Name { host: "carrier.test".to_owned(), port: None },
            connection: Some(ConnectionId(1)),
            bytes: "OPTIONS".into(),
            ticket: None,
        }
    }

    #[test]
    fn each_way_is_tried_once_and_in_order() {
        let hops: Vec<Hop> = ["192.0.2.1:5061", "192.0.2.2:5061"]
            .iter()
            .map(|address| Hop::new(Transport::Tls, address.parse().unwrap()))
            .collect();
        let Next::Try(hop, first, whom, sending) =
            Way::to_domain("carrier.test", hops.clone()).next(transmit())
        else {
            panic!()
        };
        assert_eq!((hop, first.connection), (hops[0], Some(ConnectionId(1))));
        assert_eq!(whom, Whom::Domain("carrier.test".into()));
        let Next::Try(hop, second, _, sending) = sending.failed() else { panic!() };
        assert_eq!((hop, second.connection), (hops[1], None));
        assert!(matches!(sending.failed(), Next::GiveUp(None)));
    }

    #[test]
    fn a_server_has_to_prove_what_the_hop_says() {
        let address = "192.0.2.1:5061".parse().unwrap();
        for (peer, expected) in
            [(Some(PeerId(3)), Whom::Peer(PeerId(3))), (None, Whom::Address("192.0.2.1".parse().unwrap()))]
        {
            let Next::Try(_, _, whom, _) = Way::direct(&transmit(), address, peer).next(transmit()) else {
                panic!()
            };
            assert_eq!(whom, expected);
        }
    }
}
