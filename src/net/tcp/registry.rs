//! Which connections there are, whom they lead to, and the limits on their number.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sip::endpoint::flow::ConnectionId;
use tokio::sync::mpsc;

use super::TcpLimits;

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

/// No room for one more connection.
#[derive(Debug)]
pub(super) struct Full;

/// A connection's queue as its task sees it. It ends when the connection is released.
pub(super) type Outbound<T> = mpsc::Receiver<Outgoing<T>>;

pub(super) struct Registry<T> {
    /// In the order of their age: numbers only grow.
    connections: BTreeMap<ConnectionId, Entry<T>>,
    by_peer: HashMap<SocketAddr, ConnectionId>,
    accepted_from: HashMap<IpAddr, usize>,
    last: u64,
    /// Cloned into each task; see [`super::TcpTransport::shutdown`]. `None` once closing.
    alive: Option<mpsc::Sender<()>>,
}

struct Entry<T> {
    peer: SocketAddr,
    origin: Origin,
    proven: bool,
    queue: mpsc::Sender<Outgoing<T>>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            connections: BTreeMap::new(),
            by_peer: HashMap::new(),
            accepted_from: HashMap::new(),
            last: 0,
            alive: None,
        }
    }
}

impl<T> Registry<T> {
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn keep_alive_token(&mut self, alive: mpsc::Sender<()>) {
        self.alive = Some(alive);
    }

    pub(super) fn alive(&self) -> Option<mpsc::Sender<()>> {
        self.alive.clone()
    }

    /// The connection named, else the newest that leads to the address.
    pub(super) fn find(&self, connection: Option<ConnectionId>, address: SocketAddr) -> Option<ConnectionId> {
        connection
            .filter(|id| self.connections.contains_key(id))
            .or_else(|| self.by_peer.get(&address).copied())
    }

    /// Enters a new connection, if the limits allow.
    pub(super) fn admit(
        &mut self,
        peer: SocketAddr,
        origin: Origin,
        limits: &TcpLimits,
    ) -> Result<(ConnectionId, Outbound<T>), Full> {
        let over = match origin {
            Origin::Accepted => self.accepted_from(peer.ip()) >= limits.per_source,
            Origin::Opened => false,
        };
        if over || self.connections.len() >= limits.connections || self.alive.is_none() {
            return Err(Full);
        }
        self.last += 1;
        let id = ConnectionId(self.last);
        let (queue, outbound) = mpsc::channel(limits.queue.max(1));
        let entry = Entry { peer, origin, proven: origin == Origin::Opened, queue };
        self.connections.insert(id, entry);
        self.by_peer.insert(peer, id);
        if origin == Origin::Accepted {
            *self.accepted_from.entry(peer.ip()).or_default() += 1;
        }
        Ok((id, outbound))
    }

    /// When a limit is reached, releases the oldest accepted connection that hasn't delivered
    /// a message yet, so that those who connect and say nothing can't keep others out. Says
    /// whether it released one.
    pub(super) fn make_room(&mut self, source: IpAddr, limits: &TcpLimits) -> bool {
        let crowded = self.accepted_from(source) >= limits.per_source;
        if !crowded && self.connections.len() < limits.connections {
            return false;
        }
        let idle = self
            .connections
            .iter()
            .find(|(_, entry)| !entry.proven && (!crowded || entry.peer.ip() == source))
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
        if self.by_peer.get(&entry.peer) == Some(&id) {
            self.by_peer.remove(&entry.peer);
        }
        if entry.origin == Origin::Accepted
            && let Some(number) = self.accepted_from.get_mut(&entry.peer.ip())
        {
            *number -= 1;
            if *number == 0 {
                self.accepted_from.remove(&entry.peer.ip());
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

    fn accepted_from(&self, source: IpAddr) -> usize {
        self.accepted_from.get(&source).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    fn registry() -> (Registry<()>, mpsc::Receiver<()>) {
        let (alive, ended) = mpsc::channel(1);
        let mut registry = Registry::default();
        registry.keep_alive_token(alive);
        (registry, ended)
    }

    #[test]
    fn the_oldest_silent_connection_makes_room_and_the_proven_ones_stay() {
        let (mut registry, _ended) = registry();
        let limits = TcpLimits { per_source: 3, ..TcpLimits::default() };
        let ids: Vec<_> =
            (1..=3).map(|port| registry.admit(peer(1, port), Origin::Accepted, &limits).unwrap().0).collect();
        registry.prove(ids[0]);
        assert!(registry.admit(peer(1, 4), Origin::Accepted, &limits).is_err());
        assert!(registry.make_room(peer(1, 4).ip(), &limits));
        assert_eq!(registry.find(Some(ids[1]), peer(1, 2)), None);
        assert_eq!(registry.find(Some(ids[0]), peer(1, 1)), Some(ids[0]));
        assert!(registry.admit(peer(1, 4), Origin::Accepted, &limits).is_ok());
    }

    #[test]
    fn nobody_makes_room_when_all_have_delivered_messages() {
        let (mut registry, _ended) = registry();
        let limits = TcpLimits { connections: 1, ..TcpLimits::default() };
        let (id, _outbound) = registry.admit(peer(1, 1), Origin::Accepted, &limits).unwrap();
        registry.prove(id);
        assert!(!registry.make_room(peer(2, 1).ip(), &limits));
        assert!(registry.admit(peer(2, 1), Origin::Accepted, &limits).is_err());
    }

    #[test]
    fn a_released_connection_leaves_its_address_to_the_newer_one() {
        let (mut registry, _ended) = registry();
        let limits = TcpLimits::default();
        let (old, _a) = registry.admit(peer(1, 1), Origin::Opened, &limits).unwrap();
        let (new, _b) = registry.admit(peer(1, 1), Origin::Opened, &limits).unwrap();
        registry.release(old);
        assert_eq!(registry.find(None, peer(1, 1)), Some(new));
        registry.release(new);
        assert_eq!(registry.find(None, peer(1, 1)), None);
    }
}
