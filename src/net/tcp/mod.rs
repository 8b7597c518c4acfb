//! SIP over TCP (RFC 3261 §18): accepts and opens connections, keeps them for reuse, and cuts
//! their streams into messages.
//!
//! Everything received goes to one bounded channel of [`NetEvent`]s; while it is full the
//! connections are not read, so that TCP itself slows the far ends down. Sending never waits:
//! each connection has a bounded queue, and a far end that doesn't read has its connection
//! closed.

mod connection;
mod registry;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::flow::{ConnectionId, Flow};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::connection::Connection;
use self::registry::{Origin, Outgoing, Registry};

/// Connections the kernel may hold for us before we accept them.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept: most often the process is out of descriptors, and trying again
/// at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of the connections of one listener. The defaults suit a listener that is open to the
/// internet.
#[derive(Debug, Clone)]
pub struct TcpLimits {
    /// Most connections at a time, both ways.
    pub connections: usize,
    /// Most connections accepted from one address at a time.
    pub per_source: usize,
    /// An accepted connection must have delivered its first whole message by then.
    pub first_message: Duration,
    /// A message that has begun must be whole by then.
    pub partial_message: Duration,
    /// A connection on which nothing was received for so long is closed.
    pub idle: Duration,
    /// Pause after which a connection that we opened is kept open by a double CRLF
    /// (RFC 5626 §4.4.1).
    pub keep_alive: Duration,
    /// A connection that isn't made by then has failed.
    pub connect: Duration,
    /// A far end that takes nothing of what we send for so long loses its connection.
    pub write_stall: Duration,
    /// Most messages that wait for one connection.
    pub queue: usize,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_source: 1024,
            first_message: Duration::from_secs(15),
            partial_message: Duration::from_secs(15),
            // A call may be silent for half its session interval of 30 min (RFC 4028 §10).
            idle: Duration::from_secs(45 * 60),
            keep_alive: Duration::from_secs(90),
            connect: Duration::from_secs(4),
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
        /// The messages that waited for it and were not written.
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

/// What happened on a listener and its connections since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpCounters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused because of a limit.
    pub refused: u64,
    /// Connections without a message yet that were closed to make room for another.
    pub evicted: u64,
    /// Connections opened by us.
    pub opened: u64,
    /// Messages received.
    pub messages: u64,
    /// Streams that ended within a message.
    pub cut: u64,
    /// Streams that were no SIP.
    pub unframed: u64,
    /// Connections closed because something didn't come in time.
    pub timed_out: u64,
    /// Messages refused because a queue was full.
    pub queue_full: u64,
    /// Connections open now.
    pub open: u64,
}

/// One listener and all connections, accepted and opened. Dropping it closes them.
pub struct TcpTransport<T> {
    shared: Arc<Shared<T>>,
    local: SocketAddr,
    accepting: AbortHandle,
    /// Gives `None` when the last connection's task has ended.
    ended: mpsc::Receiver<()>,
}

/// What the handle and the connections' tasks have in common.
struct Shared<T> {
    limits: TcpLimits,
    registry: Mutex<Registry<T>>,
    events: mpsc::Sender<NetEvent<T>>,
    runtime: Handle,
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    accepted: AtomicU64,
    refused: AtomicU64,
    evicted: AtomicU64,
    opened: AtomicU64,
    messages: AtomicU64,
    cut: AtomicU64,
    unframed: AtomicU64,
    timed_out: AtomicU64,
    queue_full: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl<T: Send + 'static> TcpTransport<T> {
    /// Listens on the address. The connections' tasks run in the tokio runtime that this is
    /// called in.
    ///
    /// # Errors
    /// What the kernel says, `AddrInUse` above all.
    pub fn bind(
        address: SocketAddr,
        limits: TcpLimits,
        events: mpsc::Sender<NetEvent<T>>,
    ) -> io::Result<Self> {
        let listener = listen(address)?;
        let local = listener.local_addr()?;
        let shared = Arc::new(Shared {
            registry: Mutex::new(Registry::default()),
            limits,
            events,
            runtime: Handle::current(),
            totals: Totals::default(),
        });
        let (alive, ended) = mpsc::channel(1);
        let accepting = shared.runtime.spawn(accept(listener, shared.clone(), alive.clone()));
        shared.lock().keep_alive_token(alive);
        Ok(Self { shared, local, accepting: accepting.abort_handle(), ended })
    }

    /// The address it listens on, with the real port when 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends a message: on the connection named while it is open, else on one that leads to
    /// the address, else on a new one. Gives the connection. Never waits; what can't be
    /// written later comes back with [`NetEvent::Closed`].
    ///
    /// # Errors
    /// When the message was not taken.
    pub fn send(
        &self,
        connection: Option<ConnectionId>,
        address: SocketAddr,
        bytes: Bytes,
        ticket: T,
    ) -> Result<ConnectionId, SendError<T>> {
        let shared = &self.shared;
        let mut registry = shared.lock();
        let message = Outgoing { bytes, ticket: Some(ticket) };
        if let Some(id) = registry.find(connection, address) {
            return match registry.queue(id, message) {
                Ok(()) => Ok(id),
                Err(message) => refuse(message, |ticket| {
                    count(&shared.totals.queue_full);
                    SendError::QueueFull(ticket)
                }),
            };
        }
        let Ok((id, outbound)) = registry.admit(address, Origin::Opened, &shared.limits) else {
            return refuse(message, SendError::TooManyConnections);
        };
        // A new connection's queue has room for its first message.
        let _ = registry.queue(id, message);
        count(&shared.totals.opened);
        let connection = Connection::new(id, address, Origin::Opened, outbound, shared.clone());
        shared.runtime.spawn(connection.open(registry.alive()));
        Ok(id)
    }

    /// Closes a connection after what is queued for it has been written.
    pub fn close(&self, connection: ConnectionId) {
        self.shared.lock().release(connection);
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> TcpCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let totals = &self.shared.totals;
        TcpCounters {
            accepted: get(&totals.accepted),
            refused: get(&totals.refused),
            evicted: get(&totals.evicted),
            opened: get(&totals.opened),
            messages: get(&totals.messages),
            cut: get(&totals.cut),
            unframed: get(&totals.unframed),
            timed_out: get(&totals.timed_out),
            queue_full: get(&totals.queue_full),
            open: self.shared.lock().len() as u64,
        }
    }

    /// Stops listening, closes every connection once its queue is written, and waits for that
    /// at most `grace`.
    pub async fn shutdown(mut self, grace: Duration) {
        self.accepting.abort();
        self.shared.lock().release_all();
        // Over time is no error: the tasks end by themselves within the write limit.
        let _ = tokio::time::timeout(grace, self.ended.recv()).await;
    }
}

impl<T> Drop for TcpTransport<T> {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.lock().release_all();
    }
}

impl<T> Shared<T> {
    /// The registry is only ever changed by whole steps, so that a panic elsewhere can't have
    /// left it half done.
    fn lock(&self) -> MutexGuard<'_, Registry<T>> {
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier run in TIME-WAIT must not keep the port from us.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept<T: Send + 'static>(listener: TcpListener, shared: Arc<Shared<T>>, alive: mpsc::Sender<()>) {
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

fn admit<T: Send + 'static>(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared<T>>,
    alive: &mpsc::Sender<()>,
) {
    let mut registry = shared.lock();
    if registry.make_room(peer.ip(), &shared.limits) {
        count(&shared.totals.evicted);
    }
    let Ok((id, outbound)) = registry.admit(peer, Origin::Accepted, &shared.limits) else {
        count(&shared.totals.refused);
        return;
    };
    drop(registry);
    count(&shared.totals.accepted);
    let connection = Connection::new(id, peer, Origin::Accepted, outbound, shared.clone());
    shared.runtime.spawn(connection.serve(stream, alive.clone()));
}

#[cfg(test)]
mod tests;
