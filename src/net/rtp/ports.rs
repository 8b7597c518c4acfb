//! RTP ports: which are free, which rest, and the sockets bound to them.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::batch::{self, ReceiveArena};

/// Bound ports kept open for the next calls.
const STOCK_LIMIT: usize = 1024;
/// A kept port is given out again after this time at the earliest: what the last call's peer
/// still had on its way has arrived by then, and shows.
const STOCK_REST: Duration = Duration::from_millis(500);
/// Ports that turn out to be used by somebody else before an attempt to open one is given up.
const BIND_ATTEMPTS: usize = 32;
/// DSCP EF, telephony (RFC 4594 §4.1), in its place in the TOS byte.
const TELEPHONY_TOS: u32 = 46 << 2;

/// Why no port could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPort {
    /// All ports of the range are in use or rest after use.
    #[error("every RTP port is in use or resting: widen the RTP port range")]
    Exhausted,
    /// The kernel gave no socket.
    #[error("no socket for RTP ({0}): check the limit of open files and the RTP address")]
    Socket(io::ErrorKind),
}

/// An even port for RTP and the odd one after it for RTCP (RFC 3550 §11), both bound.
#[derive(Debug)]
pub(super) struct PortPair {
    pub(super) port: u16,
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
}

impl PortPair {
    fn bind(address: IpAddr, port: u16) -> io::Result<Self> {
        Ok(Self {
            port,
            rtp: bind(SocketAddr::new(address, port))?,
            // Round trips count from when a report came, so that it bears its time, too.
            rtcp: bind(SocketAddr::new(address, port + 1))?,
        })
    }

    /// Takes away what waits on both sockets and says whether there was anything.
    pub(super) fn drain(&self, arena: &mut ReceiveArena<1>) -> bool {
        let mut found = false;
        for socket in [&self.rtp, &self.rtcp] {
            while arena.receive(socket.as_fd()).is_ok() {
                found = true;
            }
        }
        found
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    // Each call takes two of these: what can be said in one system call is.
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(TELEPHONY_TOS)?;
    } else {
        socket.set_tos_v4(TELEPHONY_TOS)?;
    }
    batch::enable_timestamps(socket.as_fd())?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Free and resting ports, without their sockets.
struct Book {
    /// Least recently used first.
    free: VecDeque<u16>,
    /// In the order in which their rest ends.
    resting: VecDeque<(Instant, u16)>,
    rest: Duration,
}

impl Book {
    fn new(range: &RangeInclusive<u16>, rest: Duration) -> Self {
        let mut free: Vec<u16> =
            range.clone().filter(|port| port % 2 == 0 && range.contains(&(port + 1))).collect();
        // An order that can't be foreseen makes a call's port hard to guess.
        free.shuffle(&mut rand::rng());
        Self { free: free.into(), resting: VecDeque::new(), rest }
    }

    fn take(&mut self, now: Instant) -> Option<u16> {
        while let Some((until, port)) = self.resting.front().copied() {
            if until > now {
                break;
            }
            self.resting.pop_front();
            self.free.push_back(port);
        }
        self.free.pop_front()
    }

    fn put_to_rest(&mut self, port: u16, now: Instant) {
        self.resting.push_back((now + self.rest, port));
    }
}

/// All ports of a pool: free, resting, and kept open.
pub(super) struct Ports {
    address: IpAddr,
    book: Book,
    /// Bound ports on which nothing has arrived, with the time they were given back.
    stock: VecDeque<(Instant, PortPair)>,
    arena: ReceiveArena<1>,
}

impl Ports {
    pub(super) fn new(address: IpAddr, range: &RangeInclusive<u16>, rest: Duration) -> Self {
        Self { address, book: Book::new(range, rest), stock: VecDeque::new(), arena: ReceiveArena::new(1) }
    }

    /// A bound pair: one kept open if it has rested, else a new one.
    pub(super) fn take(&mut self, now: Instant) -> Result<PortPair, NoPort> {
        if let Some(pair) = self.take_kept(now, STOCK_REST) {
            return Ok(pair);
        }
        for _ in 0..BIND_ATTEMPTS {
            let Some(port) = self.book.take(now) else { break };
            match PortPair::bind(self.address, port) {
                Ok(pair) => return Ok(pair),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    self.book.put_to_rest(port, now);
                }
                Err(error) => {
                    self.book.free.push_back(port);
                    let kept = self.take_kept(now, Duration::ZERO);
                    return kept.ok_or(NoPort::Socket(error.kind()));
                }
            }
        }
        self.take_kept(now, Duration::ZERO).ok_or(NoPort::Exhausted)
    }

    fn take_kept(&mut self, now: Instant, rest: Duration) -> Option<PortPair> {
        while self.stock.front().is_some_and(|(since, _)| *since + rest <= now) {
            let (_, pair) = self.stock.pop_front()?;
            if !pair.drain(&mut self.arena) {
                return Some(pair);
            }
            self.book.put_to_rest(pair.port, now);
        }
        None
    }

    /// Takes a pair back. One on which anything has arrived rests unbound; others are kept
    /// open. Gives the sockets to close, which is better done without the lock on this.
    pub(super) fn give_back(&mut self, pair: PortPair, carried: bool, now: Instant) -> Option<PortPair> {
        if carried {
            self.book.put_to_rest(pair.port, now);
            return Some(pair);
        }
        self.stock.push_back((now, pair));
        if self.stock.len() <= STOCK_LIMIT {
            return None;
        }
        let (_, oldest) = self.stock.pop_front()?;
        self.book.free.push_back(oldest.port);
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(30);
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Four neighbouring ports that nobody uses at the moment.
    fn free_range() -> RangeInclusive<u16> {
        loop {
            let probe = UdpSocket::bind((LOOPBACK, 0)).unwrap();
            let first = probe.local_addr().unwrap().port() & !1;
            drop(probe);
            let all: Vec<_> = (first..first + 4).map(|port| UdpSocket::bind((LOOPBACK, port))).collect();
            if all.iter().all(Result::is_ok) {
                return first..=first + 3;
            }
        }
    }

    #[test]
    fn ports_are_even_have_their_neighbour_and_run_out() {
        let now = Instant::now();
        let range = free_range();
        let mut ports = Ports::new(LOOPBACK, &range, REST);
        let pairs = [ports.take(now).unwrap(), ports.take(now).unwrap()];
        for pair in &pairs {
            assert_eq!(pair.port % 2, 0);
            assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.port);
            assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.port + 1);
        }
        assert_eq!(ports.take(now).unwrap_err(), NoPort::Exhausted);
    }

    #[test]
    fn a_port_that_carried_media_rests_thirty_seconds() {
        let now = Instant::now();
        let range = free_range();
        let mut ports = Ports::new(LOOPBACK, &range, REST);
        let (first, _second) = (ports.take(now).unwrap(), ports.take(now).unwrap());
        let port = first.port;
        drop(ports.give_back(first, true, now).unwrap());
        assert!(ports.take(now + REST - Duration::from_millis(1)).is_err());
        assert_eq!(ports.take(now + REST).unwrap().port, port);
    }

    #[test]
    fn a_port_on_which_nothing_came_stays_bound_for_the_next_call() {
        let now = Instant::now();
        let mut ports = Ports::new(LOOPBACK, &free_range(), REST);
        let pair = ports.take(now).unwrap();
        let port = pair.port;
        assert!(ports.give_back(pair, false, now).is_none());
        assert_ne!(ports.take(now).unwrap().port, port, "not before it has rested");
        assert_eq!(ports.take(now + STOCK_REST).unwrap().port, port);
    }

    #[test]
    fn a_kept_port_on_which_something_came_late_rests() {
        let now = Instant::now();
        let mut ports = Ports::new(LOOPBACK, &free_range(), REST);
        let (pair, _other) = (ports.take(now).unwrap(), ports.take(now).unwrap());
        let address = pair.rtp.local_addr().unwrap();
        ports.give_back(pair, false, now);
        UdpSocket::bind((LOOPBACK, 0)).unwrap().send_to(b"late", address).unwrap();
        assert_eq!(ports.take(now + STOCK_REST).unwrap_err(), NoPort::Exhausted);
        assert_eq!(ports.take(now + STOCK_REST + REST).unwrap().port, address.port());
    }

    #[test]
    fn a_port_used_by_somebody_else_is_passed_over() {
        let now = Instant::now();
        let range = free_range();
        let taken = UdpSocket::bind((LOOPBACK, *range.start() + 1)).unwrap();
        let mut ports = Ports::new(LOOPBACK, &range, REST);
        assert_eq!(ports.take(now).unwrap().port, range.start() + 2);
        drop(taken);
    }
}
