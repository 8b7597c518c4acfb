//! One connection: a task that reads, writes, and watches the time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::flow::{ConnectionId, Flow, Transport};
use sip::framing::{Framed, FramingError, PONG, StreamFramer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::registry::{Origin, Outbound, Outgoing};
use super::{CloseReason, NetEvent, Shared, TcpLimits, count};

/// Taken from the socket at a time; on the stack, so that an idle connection holds no buffer.
const READ_SIZE: usize = 8192;
/// Queued messages are joined into one write up to about this size.
const WRITE_SIZE: usize = 16_384;
/// The kernel asks a silent far end after this time whether it is still there.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// A message of unknown length ends its stream, but deserves its answer first (RFC 3261 §18.3).
const LINGER: Duration = Duration::from_secs(1);
/// What keeps an idle connection open (RFC 5626 §3.5.1).
const PING: &[u8] = b"\r\n\r\n";

pub(super) struct Connection<T> {
    id: ConnectionId,
    peer: SocketAddr,
    origin: Origin,
    outbound: Outbound<T>,
    /// Tickets of the messages being written.
    in_flight: Vec<T>,
    shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> Connection<T> {
    pub(super) fn new(
        id: ConnectionId,
        peer: SocketAddr,
        origin: Origin,
        outbound: Outbound<T>,
        shared: Arc<Shared<T>>,
    ) -> Self {
        Self { id, peer, origin, outbound, in_flight: Vec::new(), shared }
    }

    /// Connects, then serves. `_alive` is held until the end.
    pub(super) async fn open(self, _alive: Option<mpsc::Sender<()>>) {
        match timeout(self.shared.limits.connect, TcpStream::connect(self.peer)).await {
            Ok(Ok(stream)) => self.run(stream).await,
            Ok(Err(error)) => self.end(CloseReason::Unreachable(error.kind()), false).await,
            Err(_) => {
                self.end(CloseReason::Unreachable(io::ErrorKind::TimedOut), false).await;
            }
        }
    }

    /// Serves an accepted connection. `_alive` is held until the end.
    pub(super) async fn serve(self, stream: TcpStream, _alive: mpsc::Sender<()>) {
        self.run(stream).await;
    }

    async fn run(mut self, mut stream: TcpStream) {
        let Ok(local) = stream.local_addr() else {
            return self.end(CloseReason::Broken(io::ErrorKind::NotConnected), false).await;
        };
        tune(&stream);
        let flow = Flow { transport: Transport::Tcp, peer: self.peer, local, connection: Some(self.id) };
        let (read_half, write_half) = stream.split();
        let mut reader = Reader {
            half: read_half,
            flow,
            id: self.id,
            proven: self.origin == Origin::Opened,
            framer: StreamFramer::new(),
            shared: &self.shared,
        };
        let keep_alive = (self.origin == Origin::Opened).then_some(self.shared.limits.keep_alive);
        let limits = &self.shared.limits;
        let reason = tokio::select! {
            reason = reader.read() => reason,
            reason = write(write_half, &mut self.outbound, &mut self.in_flight, keep_alive, limits) => reason,
        };
        let proven = reader.proven;
        self.end(reason, proven).await;
    }

    /// Leaves the registry and tells the endpoint, if it has ever heard of this connection.
    async fn end(mut self, reason: CloseReason, proven: bool) {
        self.shared.lock().release(self.id);
        let totals = &self.shared.totals;
        match reason {
            CloseReason::Cut => count(&totals.cut),
            CloseReason::Unframed => count(&totals.unframed),
            CloseReason::TimedOut => count(&totals.timed_out),
            _ => {}
        }
        tracing::debug!(peer = %self.peer, ?reason, "TCP connection closed");
        if !proven && self.origin == Origin::Accepted {
            return;
        }
        self.outbound.close();
        let mut undelivered = std::mem::take(&mut self.in_flight);
        while let Ok(message) = self.outbound.try_recv() {
            undelivered.extend(message.ticket);
        }
        let closed = NetEvent::Closed { connection: self.id, peer: self.peer, reason, undelivered };
        // Fails only when the endpoint itself is gone.
        let _ = self.shared.events.send(closed).await;
    }
}

/// Options without which a connection still works.
fn tune(stream: &TcpStream) {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER / 4);
    let tuned = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&probes));
    if let Err(error) = tuned {
        tracing::debug!(%error, "TCP options not set");
    }
}

struct Reader<'a, T> {
    half: ReadHalf<'a>,
    flow: Flow,
    id: ConnectionId,
    proven: bool,
    framer: StreamFramer,
    shared: &'a Shared<T>,
}

impl<T> Reader<'_, T> {
    /// Reads until the connection has to end.
    async fn read(&mut self) -> CloseReason {
        let opened = Instant::now();
        let mut last_received = opened;
        let mut partial_since: Option<Instant> = None;
        loop {
            let deadline = self.deadline(opened, last_received, partial_since);
            match timeout_at(deadline, self.half.readable()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return CloseReason::Broken(error.kind()),
                Err(_) => return CloseReason::TimedOut,
            }
            match self.take() {
                Ok(0) if self.framer.is_mid_message() => return CloseReason::Cut,
                Ok(0) => return CloseReason::Finished,
                Ok(_) => last_received = Instant::now(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return CloseReason::Broken(error.kind()),
            }
            match self.deliver().await {
                Err(reason) => return reason,
                Ok(_) if !self.framer.is_mid_message() => partial_since = None,
                Ok(0) => partial_since = partial_since.or(Some(last_received)),
                // What is left over is the beginning of another message.
                Ok(_) => partial_since = Some(last_received),
            }
        }
    }

    fn deadline(&self, opened: Instant, last: Instant, partial: Option<Instant>) -> Instant {
        let limits = &self.shared.limits;
        if !self.proven {
            opened + limits.first_message
        } else if let Some(since) = partial {
            since + limits.partial_message
        } else {
            last + limits.idle
        }
    }

    /// Moves what waits in the socket to the framer; gives its length, 0 at the end.
    fn take(&mut self) -> io::Result<usize> {
        let mut buffer = [0; READ_SIZE];
        let length = self.half.try_read(&mut buffer)?;
        if let Some(bytes) = buffer.get(..length) {
            self.framer.push(bytes);
        }
        Ok(length)
    }

    /// Hands on what is whole; gives the number of messages.
    async fn deliver(&mut self) -> Result<usize, CloseReason> {
        let mut messages = 0;
        for framed in self.framer.by_ref() {
            match framed {
                Ok(Framed::Message(bytes)) => {
                    messages += 1;
                    count(&self.shared.totals.messages);
                    if !self.proven {
                        self.proven = true;
                        self.shared.lock().prove(self.id);
                    }
                    let message = NetEvent::Message { flow: self.flow, bytes };
                    if self.shared.events.send(message).await.is_err() {
                        return Err(CloseReason::Released);
                    }
                }
                Ok(Framed::KeepAlivePing) => {
                    let pong = Outgoing { bytes: Bytes::from_static(PONG), ticket: None };
                    // A full queue shows by itself that the connection is alive.
                    let _ = self.shared.lock().queue(self.id, pong);
                }
                Ok(Framed::Pong) => {}
                Err(FramingError::ContentLength) => {
                    sleep(LINGER).await;
                    return Err(CloseReason::Unframed);
                }
                Err(_) => return Err(CloseReason::Unframed),
            }
        }
        Ok(messages)
    }
}

/// Writes what is queued until the connection is released or the far end stops reading.
async fn write<T>(
    mut half: WriteHalf<'_>,
    outbound: &mut Outbound<T>,
    in_flight: &mut Vec<T>,
    keep_alive: Option<Duration>,
    limits: &TcpLimits,
) -> CloseReason {
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match keep_alive {
            None => match outbound.recv().await {
                Some(message) => join(&mut buffer, in_flight, message),
                None => break,
            },
            Some(pause) => match timeout(pause, outbound.recv()).await {
                Ok(Some(message)) => join(&mut buffer, in_flight, message),
                Ok(None) => break,
                Err(_) => buffer.extend_from_slice(PING),
            },
        }
        while buffer.len() < WRITE_SIZE
            && let Ok(message) = outbound.try_recv()
        {
            join(&mut buffer, in_flight, message);
        }
        match timeout(limits.write_stall, half.write_all(&buffer)).await {
            Ok(Ok(())) => in_flight.clear(),
            Ok(Err(error)) => return CloseReason::Broken(error.kind()),
            Err(_) => return CloseReason::Stalled,
        }
        if buffer.capacity() > 4 * WRITE_SIZE {
            buffer = Vec::new();
        }
    }
    // The far end may be gone already: nothing is lost then.
    let _ = half.shutdown().await;
    CloseReason::Released
}

fn join<T>(buffer: &mut Vec<u8>, in_flight: &mut Vec<T>, message: Outgoing<T>) {
    buffer.extend_from_slice(&message.bytes);
    in_flight.extend(message.ticket);
}
