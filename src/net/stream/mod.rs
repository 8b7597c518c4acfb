//! SIP over streams (RFC 3261 §18): accepts and opens connections, keeps them for reuse, and cuts
//! what they carry into messages. What lies between TCP and the messages is a [`Carrier`]:
//! nothing, or TLS.
//!
//! Everything received goes to one bounded channel of [`NetEvent`]s; while it is full the
//! connections are not read, so that TCP itself slows the far ends down. Sending never waits:
//! each connection has a bounded queue, and a far end that doesn't read has its connection
//! closed.

mod connection;
mod counters;
mod registry;
mod writer;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::flow::{ConnectionId, Flow, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::connection::Connection;
pub use self::counters::StreamCounters;
use self::counters::{Totals, count};
use self::registry::{Origin, Outgoing, Registry};

/// What lies between a TCP connection and the messages on it.
pub trait Carrier: Send + Sync + 'static {
    /// What SIP calls it.
    const TRANSPORT: Transport;
    /// Whom a far end has to prove to be before it is sent anything; `()` where nothing is proven.
    type Peer: Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static;
    /// What messages are read from and written to.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Takes a connection that a far end has opened.
    fn accept(&self, socket: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Makes use of a connection that we have opened.
    fn connect(
        &self,
        socket: TcpStream,
        peer: &Self::Peer,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// As whom the far end of an accepted connection is known, so that requests of ours may go
    /// back over it; `None` when it has proven nothing.
    fn accepted_as(&self) -> Option<Self::Peer>;

    /// Whom a new connection leads to when a message names one of ours that is gone: `given` with
    /// the message, or `former` as the one that is gone.
    fn instead(given: &Self::Peer, former: &Self::Peer) -> Self::Peer;
}

/// Connections the kernel may hold for us before we accept them.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept: most often the process is out of descriptors, and trying again
/// at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of the connections of one transport. The defaults suit a listener that is open to the
/// internet.
#[derive(Debug, Clone)]
pub struct StreamLimits {
    /// Most connections at a time, both ways.
    pub connections: usize,
    /// Most connections accepted from one address at a time.
    pub per_source: usize,
    /// An accepted connection must have delivered its first whole message by then, its handshake
    /// included.
    pub first_message: Duration,
    /// A message that has begun must be whole by then.
    pub partial_message: Duration,
    /// A connection on which nothing was received for so long is closed.
    pub idle: Duration,
    /// Pause after which a connection that we opened is kept open by a double CRLF
    /// (RFC 5626 §4.4.1).
    pub keep_alive: Duration,
    /// A far end that has answered such a double CRLF before, and doesn't within this time, is
    /// gone (RFC 5626 §4.4.1).
    pub pong: Duration,
    /// What the far end's kernel doesn't acknowledge for so long breaks the connection.
    pub unacknowledged: Duration,
    /// A connection that isn't made by then, its handshake included, has failed. Shorter than the
    /// 4 s of one attempt, so that the next address gets its turn.
    pub connect: Duration,
    /// A far end that takes nothing of what we send for so long loses its connection.
    pub write_stall: Duration,
    /// Most messages that wait for one connection.
    pub queue: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_source: 1024,
            first_message: Duration::from_secs(15),
            partial_message: Duration::from_secs(15),
            // A call may be silent for half its session interval of 30 min (RFC 4028 §10).
            idle: Duration::from_secs(45 * 60),
            keep_alive: Duration::from_secs(90),
            pong: Duration::from_secs(10),
            unacknowledged: Duration::from_secs(20),
            connect: Duration::from_secs(3),
            write_stall: Duration::from_secs(10),
            queue: 256,
        }
    }
}

/// What connections tell the endpoint. `T` is what it gave with each message to be told of a
/// failure.
#[derive(Debug)]
pub enum NetEvent<T> {
    /// One whole message came.
    Message {
        /// How; its `connection` is always set.
        flow: Flow,
        /// The message.
        bytes: Bytes,
    },
    /// A connection that had delivered a message, or that was opened by us, is gone.
    Closed {
        /// The connection.
        connection: ConnectionId,
        /// Its far end.
        peer: SocketAddr,
        /// Why.
        reason: CloseReason,
        /// The messages that were not written, and those written last when the far end has sent
        /// nothing since: nobody knows whether it has seen them.
        undelivered: Vec<T>,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The far end closed it between two messages.
    Finished,
    /// The far end closed it within a message.
    Cut,
    /// What came is no sequence of SIP messages (RFC 3261 §18.3).
    Unframed,
    /// The first message, the rest of a message, or anything at all didn't come in time.
    TimedOut,
    /// The far end doesn't read.
    Stalled,
    /// The far end no longer answers our keep-alives.
    Silent,
    /// Its handshake failed.
    Handshake,
    /// It couldn't be made.
    Unreachable(io::ErrorKind),
    /// The network broke it.
    Broken(io::ErrorKind),
    /// We closed it, or made room for another.
    Released,
}

/// Why a message was not taken. Each gives the ticket back.
#[derive(Debug, thiserror::Error)]
pub enum SendError<T> {
    /// The queue of its connection is full.
    #[error("the connection's queue is full: the far end is slow")]
    QueueFull(T),
    /// There is no connection and no room for one more.
    #[error("no room for one more connection: raise the limit of connections")]
    TooManyConnections(T),
}

/// Listeners and all connections, accepted and opened. Dropping it closes them.
pub struct StreamTransport<C: Carrier, T> {
    shared: Arc<Shared<C, T>>,
    local: Vec<SocketAddr>,
    accepting: Vec<AbortHandle>,
    /// Gives `None` when the last connection's task has ended.
    ended: mpsc::Receiver<()>,
}

/// What the handle and the connections' tasks have in common.
struct Shared<C: Carrier, T> {
    carrier: Arc<C>,
    limits: StreamLimits,
    registry: Mutex<Registry<T, C::Peer>>,
    events: mpsc::Sender<NetEvent<T>>,
    runtime: Handle,
    totals: Totals,
}

impl<C: Carrier, T: Send + 'static> StreamTransport<C, T> {
    /// Listens on the addresses; without any, connections can only be opened. The connections'
    /// tasks run in the tokio runtime that this is called in.
    ///
    /// # Errors
    /// What the kernel says, `AddrInUse` above all, with the address that it is about.
    pub fn bind(
        addresses: &[SocketAddr],
        carrier: Arc<C>,
        limits: StreamLimits,
        events: mpsc::Sender<NetEvent<T>>,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let (mut listeners, mut local) = (Vec::new(), Vec::new());
        for address in addresses {
            let listener = listen(*address).map_err(|error| (*address, error))?;
            local.push(listener.local_addr().map_err(|error| (*address, error))?);
            listeners.push(listener);
        }
        let (alive, ended) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            registry: Mutex::new(Registry::new(first_number(C::TRANSPORT), alive.clone())),
            carrier,
            limits,
            events,
            runtime: Handle::current(),
            totals: Totals::default(),
        });
        let accepting = listeners
            .into_iter()
            .map(|listener| shared.runtime.spawn(accept(listener, shared.clone(), alive.clone())))
            .map(|task| task.abort_handle())
            .collect();
        Ok(Self { shared, local, accepting, ended })
    }

    /// The addresses it listens on, with the real port where 0 was asked for.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.local
    }

    /// Sends a message: on the connection named while it is open, else on one that leads to
    /// this peer at this address, else on a new one. Gives the connection. Never waits; what
    /// can't be written later comes back with [`NetEvent::Closed`].
    ///
    /// # Errors
    /// When the message was not taken.
    pub fn send(
        &self,
        connection: Option<ConnectionId>,
        address: SocketAddr,
        peer: &C::Peer,
        bytes: Bytes,
        ticket: T,
    ) -> Result<ConnectionId, SendError<T>> {
        let shared = &self.shared;
        let mut registry = shared.lock();
        let message = Outgoing { bytes, ticket: Some(ticket) };
        let former = connection.and_then(|connection| registry.former(connection));
        let peer = &former.map_or_else(|| peer.clone(), |former| C::instead(peer, former));
        if let Some(id) = registry.find(connection, address, peer) {
            return match registry.queue(id, message) {
                Ok(()) => Ok(id),
                Err(message) => refuse(message, |ticket| {
                    count(&shared.totals.queue_full);
                    SendError::QueueFull(ticket)
                }),
            };
        }
        let known_as = Some(peer.clone());
        let Ok(admitted) = registry.admit(address, Origin::Opened, known_as, &shared.limits) else {
            return refuse(message, SendError::TooManyConnections);
        };
        let id = admitted.id;
        // A new connection's queue has room for its first message.
        let _ = registry.queue(id, message);
        count(&shared.totals.opened);
        let connection = Connection::new(admitted, address, Origin::Opened, shared.clone());
        shared.runtime.spawn(connection.open(peer.clone(), registry.alive()));
        Ok(id)
    }

    /// Closes a connection after what is queued for it has been written.
    pub fn close(&self, connection: ConnectionId) {
        self.shared.lock().release(connection);
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> StreamCounters {
        self.shared.totals.read(self.shared.lock().len() as u64)
    }

    /// Stops listening, closes every connection once its queue is written, and waits for that
    /// at most `grace`.
    pub async fn shutdown(mut self, grace: Duration) {
        self.accepting.iter().for_each(AbortHandle::abort);
        self.shared.lock().release_all();
        // Over time is no error: the tasks end by themselves within the write limit.
        let _ = tokio::time::timeout(grace, self.ended.recv()).await;
    }
}

impl<C: Carrier, T> Drop for StreamTransport<C, T> {
    fn drop(&mut self) {
        self.accepting.iter().for_each(AbortHandle::abort);
        self.shared.lock().release_all();
    }
}

impl<C: Carrier, T> Shared<C, T> {
    /// The registry is only ever changed by whole steps, so that a panic elsewhere can't have
    /// left it half done.
    fn lock(&self) -> MutexGuard<'_, Registry<T, C::Peer>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse<T>(
    message: Outgoing<T>,
    error: impl FnOnce(T) -> SendError<T>,
) -> Result<ConnectionId, SendError<T>> {
    match message.ticket {
        Some(ticket) => Err(error(ticket)),
        // Only keep-alives have no ticket, and they don't come this way.
        None => Ok(ConnectionId(0)),
    }
}

/// The numbers of connections tell the transports apart.
fn first_number(transport: Transport) -> u64 {
    match transport {
        Transport::Udp | Transport::Tcp => 0,
        Transport::Tls => 1 << 62,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier run in TIME-WAIT must not keep the port from us.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners, as for UDP.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept<C: Carrier, T: Send + 'static>(
    listener: TcpListener,
    shared: Arc<Shared<C, T>>,
    alive: mpsc::Sender<()>,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a TCP connection couldn't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        admit(stream, peer, &shared, &alive);
    }
}

fn admit<C: Carrier, T: Send + 'static>(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared<C, T>>,
    alive: &mpsc::Sender<()>,
) {
    let mut registry = shared.lock();
    if registry.make_room(peer.ip(), &shared.limits) {
        count(&shared.totals.evicted);
    }
    let known_as = shared.carrier.accepted_as();
    let Ok(admitted) = registry.admit(peer, Origin::Accepted, known_as, &shared.limits) else {
        count(&shared.totals.refused);
        return;
    };
    drop(registry);
    count(&shared.totals.accepted);
    let connection = Connection::new(admitted, peer, Origin::Accepted, shared.clone());
    shared.runtime.spawn(connection.serve(stream, alive.clone()));
}

#[cfg(test)]
mod tests;
