//! SIP over UDP (RFC 3261 §18), driven by the one task that owns the endpoint.
//!
//! The task waits on [`UdpTransport::ready`] beside its other sources, takes a bounded number
//! of datagrams with [`UdpTransport::receive`], lets the endpoint work, queues what it wants
//! sent with [`UdpTransport::send`], and ends the turn with [`UdpTransport::flush`]:
//!
//! ```ignore
//! loop {
//!     tokio::select! {
//!         ready = udp.ready() => ready?,
//!         Some(command) = commands.recv() => endpoint.command(command),
//!         () = &mut next_timer => {}
//!     }
//!     udp.receive(|datagram| endpoint.received(datagram))?;
//!     while let Some(transmit) = endpoint.poll_transmit() {
//!         udp.send(transmit.destination, transmit.bytes, transmit.ticket);
//!     }
//!     udp.flush(|ticket, error| endpoint.undeliverable(ticket, error));
//! }
//! ```
//!
//! The bounded queue before the endpoint is the socket's own buffer: what doesn't fit is
//! dropped by the kernel, which says how many ([`UdpCounters::dropped_by_kernel`]), and each
//! datagram tells how long it waited there, so that an overloaded endpoint can refuse early.

mod sent;
mod sockets;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;

use self::sent::RecentlySent;
pub use self::sockets::UdpSockets;
use super::batch::{self, ReceiveArena, errors};

/// Datagrams taken by one system call.
const BATCH: usize = 32;
/// Batches taken by one [`UdpTransport::receive`], so that timers and commands get their turn.
const BATCHES_PER_TURN: usize = 2;
/// The largest UDP payload is 65,507 bytes: no datagram is ever cut.
const SLOT_SIZE: usize = 65_536;
/// Asked of the kernel for each direction; it grants at most `net.core.{r,w}mem_max`.
const SOCKET_BUFFER: usize = 8 << 20;
/// Messages held while the socket's send buffer is full; beyond it they are dropped and
/// counted, as the network would, and SIP's retransmissions repair it.
const OUTBOX_LIMIT: usize = 4096;
/// Reports of the network that one flush makes way for, so that a storm of them ends it.
const REPORTS_PER_FLUSH: usize = 64;
/// DSCP CS5, telephone signalling (RFC 4594 §4.2), in its place in the TOS byte.
const SIGNALLING_TOS: u32 = 40 << 2;

/// One received datagram.
#[derive(Debug, Clone)]
pub struct Datagram {
    /// The sender; never with port 0.
    pub source: SocketAddr,
    /// Our address and port it was sent to; never an unspecified address.
    pub local: SocketAddr,
    /// The payload in an allocation of exactly its size: keeping it pins nothing else.
    pub bytes: Bytes,
    /// How long it waited in the socket's buffer.
    pub queued_for: Duration,
}

/// What went through a transport since it was bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UdpCounters {
    /// Datagrams handed to the endpoint.
    pub received: u64,
    /// Datagrams lost because the endpoint didn't read fast enough.
    pub dropped_by_kernel: u64,
    /// Datagrams the kernel took for sending.
    pub sent: u64,
    /// Datagrams dropped because 4,096 of them were waiting already.
    pub dropped_unsent: u64,
    /// Datagrams the kernel refused: no route, too long, and the like.
    pub failed: u64,
    /// Requests that came back from the network: nobody listens there, no such host.
    pub unreachable: u64,
}

/// One bound UDP socket with its receive buffers and its queue of messages to send. `T` is
/// what the endpoint wants back when a message can't be sent.
pub struct UdpTransport<T> {
    socket: tokio::net::UdpSocket,
    local: SocketAddr,
    receive_buffer: usize,
    arena: ReceiveArena<BATCH>,
    outbox: VecDeque<Outgoing<T>>,
    sent: RecentlySent<T>,
    /// What the network gave back, until it is told.
    returned: Vec<(T, io::Error)>,
    kernel_drops: u32,
    counters: UdpCounters,
}

struct Outgoing<T> {
    destination: SocketAddr,
    bytes: Bytes,
    ticket: Option<T>,
}

impl<T> UdpTransport<T> {
    /// Binds the address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says, `AddrInUse` above all.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            // `[::]` and `0.0.0.0` are two listeners, each answering from its own family.
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(SIGNALLING_TOS)?;
        } else {
            socket.set_tos_v4(SIGNALLING_TOS)?;
        }
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
        batch::enable_timestamps(socket.as_fd())?;
        batch::enable_drop_count(socket.as_fd())?;
        errors::enable(socket.as_fd(), address.is_ipv6())?;
        if address.ip().is_unspecified() {
            batch::enable_local_address(socket.as_fd(), address.is_ipv6())?;
        }
        socket.bind(&address.into())?;
        let socket = tokio::net::UdpSocket::from_std(socket.into())?;
        Ok(Self {
            local: socket.local_addr()?,
            receive_buffer: SockRef::from(&socket).recv_buffer_size()?,
            socket,
            arena: ReceiveArena::new(SLOT_SIZE),
            outbox: VecDeque::new(),
            sent: RecentlySent::default(),
            returned: Vec::new(),
            kernel_drops: 0,
            counters: UdpCounters::default(),
        })
    }

    /// The address it is bound to, with the real port when 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The receive buffer the kernel granted, in bytes of its own accounting (a small message
    /// counts for about 1 KB). Below 8 MB, raise `net.core.rmem_max`.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// What went through so far.
    #[must_use]
    pub fn counters(&self) -> UdpCounters {
        self.counters
    }

    /// Waits until there is something to receive, or room again for messages that a full send
    /// buffer held back. Can be dropped and called again at any time.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn ready(&self) -> io::Result<()> {
        let mut interest = Interest::READABLE | Interest::ERROR;
        if !self.outbox.is_empty() {
            interest |= Interest::WRITABLE;
        }
        self.socket.ready(interest).await.map(drop)
    }

    /// Hands over what waits, at most 64 datagrams, in the order of arrival; gives their
    /// number. Costs nothing when [`UdpTransport::ready`] hasn't said that something is there.
    ///
    /// # Errors
    /// What the kernel says about the socket; the transport stays usable.
    pub fn receive(&mut self, mut deliver: impl FnMut(Datagram)) -> io::Result<usize> {
        while let Ok(report) = self.socket.try_io(Interest::ERROR, || errors::receive(self.socket.as_fd())) {
            self.take_back(report);
        }
        let mut total = 0;
        for _ in 0..BATCHES_PER_TURN {
            let count = match self.receive_batch() {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            // The wall clock only dates the kernel's stamps; a step of it is clamped away.
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            for received in self.arena.received() {
                if let Some(drops) = received.dropped {
                    let lost = drops.wrapping_sub(self.kernel_drops);
                    self.counters.dropped_by_kernel += u64::from(lost);
                    self.kernel_drops = drops;
                }
                let queued_for = received.arrived.map_or(Duration::ZERO, |at| now.saturating_sub(at));
                self.counters.received += 1;
                let local = received.local.unwrap_or(self.local.ip());
                deliver(Datagram {
                    source: received.source,
                    local: SocketAddr::new(local, self.local.port()),
                    bytes: Bytes::copy_from_slice(received.payload),
                    queued_for,
                });
            }
            total += count;
            if count < BATCH {
                break;
            }
        }
        Ok(total)
    }

    /// One `recvmmsg`. A batch that isn't full has emptied the buffer: telling tokio so (by
    /// `WouldBlock`) spares the system call that would find it empty.
    fn receive_batch(&mut self) -> io::Result<usize> {
        let Self { socket, arena, .. } = self;
        let mut partial = 0;
        let result = socket.try_io(Interest::READABLE, || {
            let count = arena.receive(socket.as_fd())?;
            if count < BATCH {
                partial = count;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        if partial > 0 { Ok(partial) } else { result }
    }

    /// Queues a message; [`UdpTransport::flush`] sends it. Without a ticket nobody is told
    /// when it can't be delivered.
    pub fn send(&mut self, destination: SocketAddr, bytes: Bytes, ticket: Option<T>) {
        if self.outbox.len() >= OUTBOX_LIMIT {
            self.counters.dropped_unsent += 1;
            return;
        }
        self.outbox.push_back(Outgoing { destination, bytes, ticket });
    }

    /// Sends what is queued, in order, as far as the socket takes it; the rest goes with the
    /// next flush, for which [`UdpTransport::ready`] then waits too. What the kernel refuses and
    /// what the network gave back is reported by its ticket: a transport error in RFC 3261's
    /// sense (§17.1.4, §18.4).
    pub fn flush(&mut self, mut failed: impl FnMut(T, io::Error)) {
        let mut reports = REPORTS_PER_FLUSH;
        while !self.outbox.is_empty() {
            match self.send_batch() {
                Ok(count) => {
                    self.counters.sent += count as u64;
                    for message in self.outbox.drain(..count.min(self.outbox.len())) {
                        if let Some(ticket) = message.ticket {
                            self.sent.remember(message.destination, message.bytes, ticket);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A report about an earlier datagram fails whatever is sent next.
                Err(_) if reports > 0 && self.take_reports() => reports -= 1,
                Err(error) => {
                    self.counters.failed += 1;
                    if let Some(ticket) = self.outbox.pop_front().and_then(|refused| refused.ticket) {
                        failed(ticket, error);
                    }
                }
            }
        }
        for (ticket, error) in self.returned.drain(..) {
            failed(ticket, error);
        }
    }

    /// Empties the error queue; says whether anything in it came from the network.
    fn take_reports(&mut self) -> bool {
        let mut any = false;
        while let Ok(report) = errors::receive(self.socket.as_fd()) {
            any |= report.is_some();
            self.take_back(report);
        }
        any
    }

    fn take_back(&mut self, report: Option<errors::Undelivered>) {
        let Some(report) = report else { return };
        if let Some(ticket) = self.sent.find(&report) {
            self.counters.unreachable += 1;
            self.returned.push((ticket, report.error));
        }
    }

    /// One `sendmmsg`, tried without asking tokio first: the buffer nearly always has room.
    /// Only when it hasn't is tokio told, by way of a second try, so that it waits for room.
    fn send_batch(&self) -> io::Result<usize> {
        let attempt = || {
            let messages = self.outbox.iter().map(|m| (m.destination, &m.bytes));
            batch::send(self.socket.as_fd(), messages)
        };
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.try_io(Interest::WRITABLE, attempt)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(5);

    fn transport(address: &str) -> UdpTransport<u32> {
        UdpTransport::bind(address.parse().unwrap()).unwrap()
    }

    async fn receive_all(udp: &mut UdpTransport<u32>, wanted: usize) -> Vec<Datagram> {
        let mut got = Vec::new();
        while got.len() < wanted {
            timeout(SOON, udp.ready()).await.unwrap().unwrap();
            udp.receive(|datagram| got.push(datagram)).unwrap();
        }
        got
    }

    #[tokio::test]
    async fn many_datagrams_arrive_in_order_on_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (mut a, mut b) = (transport(address), transport(address));
            for n in 0..150_u16 {
                a.send(b.local_addr(), Bytes::copy_from_slice(&n.to_be_bytes()), Some(0));
            }
            a.flush(|_, error| panic!("{error}"));
            let got = receive_all(&mut b, 150).await;
            let order: Vec<u16> = got.iter().map(|d| u16::from_be_bytes([d.bytes[0], d.bytes[1]])).collect();
            assert_eq!(order, (0..150).collect::<Vec<_>>());
            assert!(got.iter().all(|d| d.source == a.local_addr() && d.local == b.local_addr()));
            assert_eq!((a.counters().sent, b.counters().received), (150, 150));
        }
    }

    #[tokio::test]
    async fn the_largest_datagram_arrives_whole() {
        let (mut a, mut b) = (transport("127.0.0.1:0"), transport("127.0.0.1:0"));
        a.send(b.local_addr(), vec![b'x'; 65_507].into(), Some(0));
        a.flush(|_, error| panic!("{error}"));
        assert_eq!(receive_all(&mut b, 1).await[0].bytes.len(), 65_507);
    }

    #[tokio::test]
    async fn a_message_the_kernel_refuses_is_reported_and_the_others_go_out() {
        let (mut a, mut b) = (transport("127.0.0.1:0"), transport("127.0.0.1:0"));
        a.send(b.local_addr(), "one".into(), Some(1));
        a.send(b.local_addr(), vec![0; 65_508].into(), Some(2));
        a.send(b.local_addr(), "two".into(), Some(3));
        let mut refused = Vec::new();
        a.flush(|ticket, _| refused.push(ticket));
        assert_eq!(refused, [2]);
        assert_eq!(a.counters().failed, 1);
        let got = receive_all(&mut b, 2).await;
        assert_eq!((&got[0].bytes[..], &got[1].bytes[..]), (&b"one"[..], &b"two"[..]));
    }

    #[tokio::test]
    async fn readiness_is_not_lost_between_turns() {
        let (mut a, mut b) = (transport("127.0.0.1:0"), transport("127.0.0.1:0"));
        for turn in 0..200_u32 {
            a.send(b.local_addr(), Bytes::copy_from_slice(&turn.to_be_bytes()), Some(turn));
            a.flush(|_, error| panic!("{error}"));
            assert_eq!(receive_all(&mut b, 1).await[0].bytes[..], turn.to_be_bytes());
        }
    }

    #[tokio::test]
    async fn messages_beyond_the_outbox_are_dropped_and_counted() {
        let mut a = transport("127.0.0.1:0");
        for _ in 0..OUTBOX_LIMIT + 3 {
            a.send("127.0.0.1:9".parse().unwrap(), "x".into(), Some(0));
        }
        assert_eq!(a.counters().dropped_unsent, 3);
    }

    #[tokio::test]
    async fn datagrams_lost_in_a_full_buffer_are_counted() {
        let (mut a, mut b) = (transport("127.0.0.1:0"), transport("127.0.0.1:0"));
        SockRef::from(&b.socket).set_recv_buffer_size(4096).unwrap();
        for _ in 0..200 {
            a.send(b.local_addr(), vec![0; 500].into(), None);
        }
        a.flush(|_, error| panic!("{error}"));
        let before = receive_all(&mut b, 1).await.len();
        a.send(b.local_addr(), "after".into(), None);
        a.flush(|_, error| panic!("{error}"));
        receive_all(&mut b, 1).await;
        let lost = b.counters().dropped_by_kernel;
        assert!(lost > 0 && lost <= 200 - before as u64, "{lost} lost, {before} read");
    }

    #[tokio::test]
    async fn a_request_that_nobody_listens_for_comes_back_and_others_are_not_held_up() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (mut a, mut b) = (transport(address), transport(address));
            let nobody = std::net::UdpSocket::bind((a.local_addr().ip(), 0)).unwrap();
            let to = nobody.local_addr().unwrap();
            drop(nobody);
            let request = |branch: &str| {
                Bytes::from(format!(
                    "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{branch}\r\n",
                    a.local_addr()
                ))
            };
            let (first, second) = (request("1111111111111111"), request("2222222222222222"));
            let mut returned = Vec::new();
            a.send(to, first, Some(1));
            a.send(b.local_addr(), "there".into(), Some(2));
            a.flush(|ticket, error| returned.push((ticket, error.kind())));
            a.send(to, second, None);
            a.send(b.local_addr(), "too".into(), None);
            while returned.is_empty() {
                timeout(SOON, a.ready()).await.unwrap().unwrap();
                a.receive(|_| ()).unwrap();
                a.flush(|ticket, error| returned.push((ticket, error.kind())));
            }
            a.flush(|ticket, error| panic!("{ticket} {error}"));
            assert_eq!(returned, [(1, io::ErrorKind::ConnectionRefused)]);
            assert_eq!((a.counters().unreachable, a.counters().failed), (1, 0));
            let got = receive_all(&mut b, 2).await;
            assert_eq!((&got[0].bytes[..], &got[1].bytes[..]), (&b"there"[..], &b"too"[..]));
        }
    }
}
