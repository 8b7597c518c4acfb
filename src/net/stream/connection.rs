//! One connection: a task that reads, writes, and watches the time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::flow::{ConnectionId, Flow};
use sip::framing::{Framed, FramingError, PONG, StreamFramer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::registry::{Admitted, Origin, Outbound, Outgoing};
use super::writer::{self, Pulse, Sent};
use super::{Carrier, CloseReason, NetEvent, Shared, StreamLimits, count};

/// Taken from the stream at a time; on the stack, so that an idle connection holds no buffer.
const READ_SIZE: usize = 8192;
/// The kernel asks a silent far end after this time whether it is still there.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// A message of unknown length ends its stream, but deserves its answer first (RFC 3261 §18.3).
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Connection<C: Carrier, T> {
    id: ConnectionId,
    peer: SocketAddr,
    origin: Origin,
    outbound: Outbound<T>,
    released: oneshot::Receiver<Infallible>,
    sent: Sent<T>,
    shared: Arc<Shared<C, T>>,
}

impl<C: Carrier, T: Send + 'static> Connection<C, T> {
    pub(super) fn new(
        admitted: Admitted<T>,
        peer: SocketAddr,
        origin: Origin,
        shared: Arc<Shared<C, T>>,
    ) -> Self {
        let Admitted { id, outbound, released } = admitted;
        Self { id, peer, origin, outbound, released, sent: Sent::default(), shared }
    }

    /// Connects, then serves. `_alive` is held until the end.
    pub(super) async fn open(self, whom: C::Peer, _alive: Option<mpsc::Sender<()>>) {
        let opened = Instant::now();
        let shared = Arc::clone(&self.shared);
        let connecting = async {
            let socket = TcpStream::connect(self.peer).await?;
            tune(&socket, &shared.limits);
            let local = socket.local_addr()?;
            Ok((shared.carrier.connect(socket, &whom).await?, local))
        };
        let result = match timeout(shared.limits.connect, connecting).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        match result {
            Ok((stream, local)) => self.run(stream, local, opened).await,
            Err(error) => {
                let transport = C::TRANSPORT.via_name();
                tracing::warn!(peer = %self.peer, transport, ?whom, %error, "no connection");
                self.end(CloseReason::Unreachable(error.kind()), false).await;
            }
        }
    }

    /// Serves an accepted connection. `_alive` is held until the end.
    pub(super) async fn serve(mut self, socket: TcpStream, _alive: mpsc::Sender<()>) {
        let opened = Instant::now();
        let shared = Arc::clone(&self.shared);
        tune(&socket, &shared.limits);
        let Ok(local) = socket.local_addr() else {
            return self.end(CloseReason::Broken(io::ErrorKind::NotConnected), false).await;
        };
        let handshake = timeout_at(opened + shared.limits.first_message, shared.carrier.accept(socket));
        let reason = tokio::select! {
            result = handshake => match result {
                Ok(Ok(stream)) => return self.run(stream, local, opened).await,
                Ok(Err(error)) => {
                    tracing::debug!(peer = %self.peer, %error, "a handshake failed");
                    CloseReason::Handshake
                }
                Err(_) => CloseReason::TimedOut,
            },
            _ = &mut self.released => CloseReason::Released,
        };
        self.end(reason, false).await;
    }

    async fn run(mut self, stream: C::Stream, local: SocketAddr, opened: Instant) {
        let flow = Flow { transport: C::TRANSPORT, peer: self.peer, local, connection: Some(self.id) };
        let (read_half, write_half) = tokio::io::split(stream);
        let pulse = Pulse::default();
        let mut reader = Reader {
            half: read_half,
            flow,
            id: self.id,
            opened,
            proven: self.origin == Origin::Opened,
            framer: StreamFramer::new(),
            pulse: &pulse,
            shared: &self.shared,
        };
        let limits = &self.shared.limits;
        let keep_alive = (self.origin == Origin::Opened).then_some(limits.keep_alive);
        let reason = tokio::select! {
            reason = reader.read() => reason,
            reason = writer::write(write_half, &mut self.outbound, &mut self.sent, &pulse, keep_alive, limits)
                => reason,
        };
        let proven = reader.proven;
        self.sent.settle(&pulse);
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
            CloseReason::Handshake => count(&totals.handshakes_failed),
            CloseReason::Unreachable(_) => count(&totals.unreachable),
            _ => {}
        }
        tracing::debug!(peer = %self.peer, transport = C::TRANSPORT.via_name(), ?reason, "connection closed");
        if !proven && self.origin == Origin::Accepted {
            return;
        }
        self.outbound.close();
        let mut undelivered = self.sent.undelivered(reason);
        while let Ok(message) = self.outbound.try_recv() {
            undelivered.extend(message.ticket);
        }
        let closed = NetEvent::Closed { connection: self.id, peer: self.peer, reason, undelivered };
        // Fails only when the endpoint itself is gone.
        let _ = self.shared.events.send(closed).await;
    }
}

/// Options without which a connection still works.
fn tune(stream: &TcpStream, limits: &StreamLimits) {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER / 4);
    let socket = SockRef::from(stream);
    let tuned = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&probes))
        // Without it the kernel repeats itself for a quarter of an hour to a far end that is gone.
        .and_then(|()| socket.set_tcp_user_timeout(Some(limits.unacknowledged)));
    if let Err(error) = tuned {
        tracing::debug!(%error, "TCP options not set");
    }
}

struct Reader<'a, C: Carrier, T> {
    half: tokio::io::ReadHalf<C::Stream>,
    flow: Flow,
    id: ConnectionId,
    opened: Instant,
    proven: bool,
    framer: StreamFramer,
    pulse: &'a Pulse,
    shared: &'a Shared<C, T>,
}

impl<C: Carrier, T> Reader<'_, C, T> {
    /// Reads until the connection has to end.
    async fn read(&mut self) -> CloseReason {
        let mut last_received = self.opened;
        let mut partial_since: Option<Instant> = None;
        loop {
            let deadline = self.deadline(last_received, partial_since);
            match timeout_at(deadline, poll_fn(|context| self.poll_take(context))).await {
                Ok(Ok(0)) if self.framer.is_mid_message() => return CloseReason::Cut,
                Ok(Ok(0)) => return CloseReason::Finished,
                Ok(Ok(_)) => last_received = Instant::now(),
                // Many far ends end TLS by closing TCP, as if they had said goodbye.
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return if self.framer.is_mid_message() {
                        CloseReason::Cut
                    } else {
                        CloseReason::Finished
                    };
                }
                Ok(Err(error)) => return CloseReason::Broken(error.kind()),
                Err(_) => return CloseReason::TimedOut,
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

    fn deadline(&self, last: Instant, partial: Option<Instant>) -> Instant {
        let limits = &self.shared.limits;
        if !self.proven {
            self.opened + limits.first_message
        } else if let Some(since) = partial {
            since + limits.partial_message
        } else {
            last + limits.idle
        }
    }

    /// Moves what has come to the framer; gives its length, 0 at the end.
    fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.half).poll_read(context, &mut buffer))?;
        self.pulse.felt();
        self.framer.push(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Hands on what is whole; gives the number of messages.
    async fn deliver(&mut self) -> Result<usize, CloseReason> {
        let mut messages = 0;
        for framed in self.framer.by_ref() {
            match framed {
                Ok(Framed::Message(bytes)) => {
                    messages += 1;
                    count(&self.shared.totals.messages);
                    self.pulse.message();
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
                Ok(Framed::Pong) => self.pulse.pong(),
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
