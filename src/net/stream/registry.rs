//! Which connections there are, whom they lead to, and the limits on their number.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use sip::endpoint::flow::ConnectionId;
use tokio::sync::{mpsc, oneshot};

use super::StreamLimits;

/// Who made a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The far end.
    Accepted,
    /// We.
    Opened,
}

/// A message that waits for its connection. Keep-alives have no ticket.
pub(super) struct Outgoing<T> {
    pub(super) bytes: Bytes,
    pub(super) ticket: Option<T>,
}

/// Connections of ours remembered after their end, with whom they led to.
const FORMER: usize = 1_024;

/// No room for one more connection.
#[derive(Debug)]
pub(super) struct Full;

/// A connection's queue as its task sees it. It ends when the connection is released.
pub(super) type Outbound<T> = mpsc::Receiver<Outgoing<T>>;

/// What the task of a connection is given when it is entered.
pub(super) struct Admitted<T> {
    pub(super) id: ConnectionId,
    pub(super) outbound: Outbound<T>,
    /// Ends when the connection is released, for those who don't look at the queue yet.
    pub(super) released: oneshot::Receiver<Infallible>,
}

/// `P` is whom far ends have proven to be; see [`super::Carrier::Peer`].
pub(super) struct Registry<T, P> {
    /// In the order of their age: numbers only grow.
    connections: BTreeMap<ConnectionId, Entry<T, P>>,
    by_peer: HashMap<(SocketAddr, P), ConnectionId>,
    accepted_from: HashMap<IpAddr, usize>,
    former: VecDeque<(ConnectionId, P)>,
    last: u64,
    /// Cloned into each task; see [`super::StreamTransport::shutdown`]. `None` once closing.
    alive: Option<mpsc::Sender<()>>,
}

struct Entry<T, P> {
    peer: SocketAddr,
    /// What it is found by when a message names no connection.
    known_as: Option<P>,
    origin: Origin,
    proven: bool,
    queue: mpsc::Sender<Outgoing<T>>,
    /// Dropped with the entry.
    _held: oneshot::Sender<Infallible>,
}

impl<T, P: Clone + Eq + Hash> Registry<T, P> {
    /// Numbers begin above `first`, so that those of two transports differ.
    pub(super) fn new(first: u64, alive: mpsc::Sender<()>) -> Self {
        Self {
            connections: BTreeMap::new(),
            by_peer: HashMap::new(),
            accepted_from: HashMap::new(),
            former: VecDeque::new(),
            last: first,
            alive: Some(alive),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn alive(&self) -> Option<mpsc::Sender<()>> {
        self.alive.clone()
    }

    /// The connection named, else the newest that leads to this peer at this address.
    pub(super) fn find(
        &self,
        connection: Option<ConnectionId>,
        address: SocketAddr,
        peer: &P,
    ) -> Option<ConnectionId> {
        connection
            .filter(|id| self.connections.contains_key(id))
            .or_else(|| self.by_peer.get(&(address, peer.clone())).copied())
    }

    /// Whom a connection of ours led to that is gone.
    pub(super) fn former(&self, connection: ConnectionId) -> Option<&P> {
        self.former.iter().rev().find(|(id, _)| *id == connection).map(|(_, peer)| peer)
    }

    /// Enters a new connection, if the limits allow. `known_as` lets later messages find it.
    pub(super) fn admit(
        &mut self,
        peer: SocketAddr,
        origin: Origin,
        known_as: Option<P>,
        limits: &StreamLimits,
    ) -> Result<Admitted<T>, Full> {
        let over = match origin {
            Origin::Accepted => self.is_crowded(peer.ip(), limits) || self.is_full(limits),
            Origin::Opened => self.connections.len() >= limits.connections,
        };
        if over || self.alive.is_none() {
            return Err(Full);
        }
        self.last += 1;
        let id = ConnectionId(self.last);
        let (queue, outbound) = mpsc::channel(limits.queue.max(1));
        let (held, released) = oneshot::channel();
        if let Some(known_as) = known_as.clone() {
            self.by_peer.insert((peer, known_as), id);
        }
        let proven = origin == Origin::Opened;
        let entry = Entry { peer, known_as, origin, proven, queue, _held: held };
        self.connections.insert(id, entry);
        if origin == Origin::Accepted {
            *self.accepted_from.entry(source(peer.ip())).or_default() += 1;
        }
        Ok(Admitted { id, outbound, released })
    }

    /// When a limit is reached, releases the oldest accepted connection that hasn't delivered
    /// a message yet, so that those who connect and say nothing can't keep others out. Says
    /// whether it released one.
    pub(super) fn make_room(&mut self, source: IpAddr, limits: &StreamLimits) -> bool {
        let crowded = self.is_crowded(source, limits);
        if !crowded && !self.is_full(limits) {
            return false;
        }
        let idle = self
            .connections
            .iter()
            .find(|(_, entry)| {
                !entry.proven && (!crowded || self::source(entry.peer.ip()) == self::source(source))
            })
            .map(|(id, _)| *id);
        idle.is_some_and(|id| self.release(id))
    }

    /// Queues a message on a connection; gives it back when there is no room or no such
    /// connection.
    pub(super) fn queue(&self, id: ConnectionId, message: Outgoing<T>) -> Result<(), Outgoing<T>> {
        match self.connections.get(&id) {
            Some(entry) => entry.queue.try_send(message).map_err(mpsc::error::TrySendError::into_inner),
            None => Err(message),
        }
    }

    /// A whole message came on this connection.
    pub(super) fn prove(&mut self, id: ConnectionId) {
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.proven = true;
        }
    }

    /// Forgets a connection. Its task writes what is queued and ends.
    pub(super) fn release(&mut self, id: ConnectionId) -> bool {
        let Some(entry) = self.connections.remove(&id) else { return false };
        if let Some(known_as) = entry.known_as {
            if entry.origin == Origin::Opened {
                self.former.push_back((id, known_as.clone()));
                self.former.drain(..self.former.len().saturating_sub(FORMER));
            }
            let key = (entry.peer, known_as);
            if self.by_peer.get(&key) == Some(&id) {
                self.by_peer.remove(&key);
            }
        }
        if entry.origin == Origin::Accepted
            && let Some(number) = self.accepted_from.get_mut(&source(entry.peer.ip()))
        {
            *number -= 1;
            if *number == 0 {
                self.accepted_from.remove(&source(entry.peer.ip()));
            }
        }
        true
    }

    /// Forgets all connections and takes no more.
    pub(super) fn release_all(&mut self) {
        self.connections.clear();
        self.by_peer.clear();
        self.accepted_from.clear();
        self.alive = None;
    }

    fn is_crowded(&self, source: IpAddr, limits: &StreamLimits) -> bool {
        self.accepted_from.get(&self::source(source)).copied().unwrap_or(0) >= limits.per_source
    }

    /// An eighth is kept for connections of ours: whoever fills the rest can't keep us from
    /// reaching our trunks.
    fn is_full(&self, limits: &StreamLimits) -> bool {
        self.connections.len() >= limits.connections - limits.connections / 8
    }
}

/// What counts as one source: an IPv4 address, or an IPv6 network of 64 bits, which is what one
/// host has to itself.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    fn registry() -> (Registry<(), &'static str>, mpsc::Receiver<()>) {
        let (alive, ended) = mpsc::channel(1);
        (Registry::new(0, alive), ended)
    }

    #[test]
    fn the_oldest_silent_connection_makes_room_and_the_proven_ones_stay() {
        let (mut registry, _ended) = registry();
        let limits = StreamLimits { per_source: 3, ..StreamLimits::default() };
        let mut enter = |port| registry.admit(peer(1, port), Origin::Accepted, Some(""), &limits);
        let ids: Vec<_> = (1..=3).map(|port| enter(port).unwrap().id).collect();
        registry.prove(ids[0]);
        assert!(registry.admit(peer(1, 4), Origin::Accepted, Some(""), &limits).is_err());
        assert!(registry.make_room(peer(1, 4).ip(), &limits));
        assert_eq!(registry.find(Some(ids[1]), peer(1, 2), &""), None);
        assert_eq!(registry.find(Some(ids[0]), peer(1, 1), &""), Some(ids[0]));
        assert!(registry.admit(peer(1, 4), Origin::Accepted, Some(""), &limits).is_ok());
    }

    #[test]
    fn nobody_makes_room_when_all_have_delivered_messages() {
        let (mut registry, _ended) = registry();
        let limits = StreamLimits { connections: 1, ..StreamLimits::default() };
        let entered = registry.admit(peer(1, 1), Origin::Accepted, Some(""), &limits).unwrap();
        registry.prove(entered.id);
        assert!(!registry.make_room(peer(2, 1).ip(), &limits));
        assert!(registry.admit(peer(2, 1), Origin::Accepted, Some(""), &limits).is_err());
    }

    #[test]
    fn those_who_connect_to_us_leave_room_for_connections_of_ours() {
        let (mut registry, _ended) = registry();
        let limits = StreamLimits { connections: 8, ..StreamLimits::default() };
        for port in 1..=7 {
            registry.admit(peer(1, port), Origin::Accepted, Some(""), &limits).unwrap();
        }
        assert!(registry.admit(peer(1, 8), Origin::Accepted, Some(""), &limits).is_err());
        assert!(registry.admit(peer(2, 1), Origin::Opened, Some(""), &limits).is_ok());
        assert!(registry.admit(peer(2, 2), Origin::Opened, Some(""), &limits).is_err());
    }

    #[test]
    fn the_addresses_of_one_ipv6_host_are_one_source() {
        let (mut registry, _ended) = registry();
        let limits = StreamLimits { per_source: 2, ..StreamLimits::default() };
        let mut enter =
            |text: &str| registry.admit(text.parse().unwrap(), Origin::Accepted, Some(""), &limits).is_ok();
        assert!(enter("[2001:db8::1]:1") && enter("[2001:db8::2]:1"));
        assert!(!enter("[2001:db8::ffff:3]:1"));
        assert!(enter("[2001:db8:0:1::1]:1"));
    }

    #[test]
    fn whom_a_connection_of_ours_led_to_is_remembered_for_a_while() {
        let (mut registry, _ended) = registry();
        let limits = StreamLimits::default();
        let ours = registry.admit(peer(1, 1), Origin::Opened, Some("a.example"), &limits).unwrap().id;
        let theirs = registry.admit(peer(1, 2), Origin::Accepted, Some("b.example"), &limits).unwrap().id;
        registry.release(ours);
        registry.release(theirs);
        assert_eq!((registry.former(ours), registry.former(theirs)), (Some(&"a.example"), None));
        for port in 1..=1_024 {
            let id = registry.admit(peer(2, port), Origin::Opened, Some(""), &limits).unwrap().id;
            registry.release(id);
        }
        assert_eq!(registry.former(ours), None);
    }

    #[test]
    fn a_released_connection_leaves_its_address_to_the_newer_one_and_is_told() {
        let (mut registry, _ended) = registry();
        let limits = StreamLimits::default();
        let mut old = registry.admit(peer(1, 1), Origin::Opened, Some(""), &limits).unwrap();
        let new = registry.admit(peer(1, 1), Origin::Opened, Some(""), &limits).unwrap();
        assert_eq!(old.released.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        registry.release(old.id);
        assert_eq!(old.released.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(registry.find(None, peer(1, 1), &""), Some(new.id));
        registry.release(new.id);
        assert_eq!(registry.find(None, peer(1, 1), &""), None);
    }

    #[test]
    fn a_connection_is_found_by_whom_its_far_end_proved_to_be_and_by_nobody_else() {
        let (mut registry, _ended) = registry();
        let limits = StreamLimits::default();
        let known = registry.admit(peer(1, 1), Origin::Opened, Some("a.example"), &limits).unwrap();
        let unknown = registry.admit(peer(1, 1), Origin::Accepted, None, &limits).unwrap();
        assert_eq!(registry.find(None, peer(1, 1), &"a.example"), Some(known.id));
        assert_eq!(registry.find(None, peer(1, 1), &"b.example"), None);
        assert_eq!(registry.find(Some(unknown.id), peer(1, 1), &"b.example"), Some(unknown.id));
    }
}
