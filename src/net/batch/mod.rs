//! Many datagrams with one system call: `recvmmsg(2)` and `sendmmsg(2)`, and the few
//! process settings that the standard library has no call for.
//!
//! This is the only room of the service with `unsafe` in it, and each block is one system
//! call. Addresses and ancillary data cross the boundary as plain byte arrays and are read
//! and written by safe code, so that the calls' only obligation is that their pointers and
//! lengths describe live buffers.
#![allow(unsafe_code)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::unnecessary_cast,
    reason = "small constants, in types that differ from one C library to the next"
)]

pub mod errors;
mod wire;

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use libc::{c_int, c_void, iovec, mmsghdr};

use self::wire::{Ancillary, CONTROL_SIZE, NAME_SIZE, decode_address, encode_address};

/// Most datagrams handed to the kernel by one `sendmmsg`.
pub const SEND_BATCH: usize = 32;

/// Receive buffers for `N` datagrams, reused by every call.
///
/// Memory is `N` times the slot size, of which the kernel maps only the pages that
/// datagrams have really filled.
pub struct ReceiveArena<const N: usize> {
    slot_size: usize,
    payload: Box<[u8]>,
    names: Box<[[u8; NAME_SIZE]; N]>,
    controls: Box<[[u8; CONTROL_SIZE]; N]>,
    filled: [Filled; N],
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Filled {
    length: usize,
    control_length: usize,
    flags: c_int,
}

/// One datagram, borrowed from the arena it was received into.
#[derive(Debug)]
pub struct Received<'a> {
    /// The payload, cut at the arena's slot size.
    pub payload: &'a [u8],
    /// Where it came from; IPv4 sources seen on an IPv6 socket are given as IPv4.
    pub source: SocketAddr,
    /// It was longer than a slot: `payload` is only its beginning.
    pub truncated: bool,
    /// When the kernel took it in, as time since 1970; only with [`enable_timestamps`].
    pub arrived: Option<Duration>,
    /// Which of our addresses it was sent to; only with [`enable_local_address`].
    pub local: Option<IpAddr>,
    /// How many datagrams this socket has lost to a full buffer since it was opened; only
    /// with [`enable_drop_count`], and only once there was a loss.
    pub dropped: Option<u32>,
}

impl<const N: usize> ReceiveArena<N> {
    /// Buffers for datagrams of up to `slot_size` bytes.
    #[must_use]
    pub fn new(slot_size: usize) -> Self {
        Self {
            slot_size,
            payload: vec![0; slot_size * N].into_boxed_slice(),
            names: Box::new([[0; NAME_SIZE]; N]),
            controls: Box::new([[0; CONTROL_SIZE]; N]),
            filled: [Filled::default(); N],
            count: 0,
        }
    }

    /// Takes what waits in the socket's buffer, at most `N` datagrams, without blocking.
    /// Fewer than `N` means that the buffer was empty at that moment.
    ///
    /// # Errors
    /// `WouldBlock` when nothing waits; otherwise what the kernel says about the socket.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.count = 0;
        let mut vectors = [iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; N];
        // SAFETY: `mmsghdr` is a C struct of integers and pointers; all zeroes is a value of it.
        let mut headers: [mmsghdr; N] = unsafe { mem::zeroed() };
        let slots = self.payload.chunks_exact_mut(self.slot_size);
        let rows = headers.iter_mut().zip(&mut vectors).zip(slots);
        let ancillary = self.names.iter_mut().zip(self.controls.iter_mut());
        for (((header, vector), slot), (name, control)) in rows.zip(ancillary) {
            vector.iov_base = slot.as_mut_ptr().cast::<c_void>();
            vector.iov_len = slot.len();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = name.as_mut_ptr().cast::<c_void>();
            header.msg_hdr.msg_namelen = NAME_SIZE as libc::socklen_t;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast::<c_void>();
            header.msg_hdr.msg_controllen = CONTROL_SIZE as _;
        }
        // SAFETY: `headers` has N entries; every pointer in them was set just above to a
        // buffer of the length beside it, borrowed mutably and alive until this returns.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                N as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        for (filled, header) in self.filled.iter_mut().zip(headers.iter().take(count)) {
            filled.length = (header.msg_len as usize).min(self.slot_size);
            filled.control_length = (header.msg_hdr.msg_controllen as usize).min(CONTROL_SIZE);
            filled.flags = header.msg_hdr.msg_flags;
        }
        self.count = count;
        Ok(count)
    }

    /// The datagrams of the last [`ReceiveArena::receive`], in the order of their arrival.
    /// Those whose source is no IP address and port that could be answered are left out.
    pub fn received(&self) -> impl Iterator<Item = Received<'_>> {
        self.payload
            .chunks_exact(self.slot_size)
            .zip(self.names.iter().zip(self.controls.iter()))
            .zip(&self.filled)
            .take(self.count)
            .filter_map(|((slot, (name, control)), filled)| {
                let ancillary = Ancillary::read(control.get(..filled.control_length)?);
                Some(Received {
                    payload: slot.get(..filled.length)?,
                    source: decode_address(name)?,
                    truncated: filled.flags & libc::MSG_TRUNC != 0,
                    arrived: ancillary.arrived,
                    local: ancillary.local,
                    dropped: ancillary.dropped,
                })
            })
    }
}

/// Hands the first messages to the kernel, at most [`SEND_BATCH`], without blocking; says
/// how many it took, which is at least one.
///
/// # Errors
/// `WouldBlock` when the socket's buffer is full; any other error is about the first message.
pub fn send<'a, B: AsRef<[u8]> + ?Sized + 'a>(
    socket: BorrowedFd<'_>,
    messages: impl Iterator<Item = (SocketAddr, &'a B)>,
) -> io::Result<usize> {
    let mut names = [[0_u8; NAME_SIZE]; SEND_BATCH];
    let mut vectors = [iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; SEND_BATCH];
    // SAFETY: `mmsghdr` is a C struct of integers and pointers; all zeroes is a value of it.
    let mut headers: [mmsghdr; SEND_BATCH] = unsafe { mem::zeroed() };
    let mut count: libc::c_uint = 0;
    let rows = headers.iter_mut().zip(&mut vectors).zip(&mut names);
    for (((header, vector), name), (destination, payload)) in rows.zip(messages) {
        let payload = payload.as_ref();
        header.msg_hdr.msg_namelen = encode_address(destination, name) as libc::socklen_t;
        header.msg_hdr.msg_name = name.as_mut_ptr().cast::<c_void>();
        // The kernel only reads through this pointer; the struct is shared with receiving.
        vector.iov_base = payload.as_ptr().cast_mut().cast::<c_void>();
        vector.iov_len = payload.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    // SAFETY: the first `count` headers were filled above; their pointers lead to `names`,
    // `vectors` and the payloads, which all outlive the call, and are only read.
    let result = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Asks for [`Received::arrived`].
///
/// # Errors
/// When the kernel refuses the option.
pub fn enable_timestamps(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_flag(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)
}

/// Asks for [`Received::dropped`].
///
/// # Errors
/// When the kernel refuses the option.
pub fn enable_drop_count(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_flag(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL)
}

/// Asks for [`Received::local`], for sockets bound to an unspecified address.
///
/// # Errors
/// When the kernel refuses the option.
pub fn enable_local_address(socket: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        set_flag(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        set_flag(socket, libc::IPPROTO_IP, libc::IP_PKTINFO)
    }
}

fn set_flag(socket: BorrowedFd<'_>, level: c_int, option: c_int) -> io::Result<()> {
    let on: c_int = 1;
    // SAFETY: the pointer and length describe `on`, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast::<c_void>(),
            mem::size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What precedence a thread got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// It runs as soon as it is due (`SCHED_RR`, lowest real-time priority). The kernel keeps
    /// 5 % of each second for the others, whatever it does.
    RealTime,
    /// It gets more than its share (nice −10), and its share at short notice.
    Favoured,
    /// It gets its share at short notice (sched(7): a time slice of 0.1 ms, Linux 6.12).
    Prompt,
    /// It is a thread as any other.
    Ordinary,
}

/// Gives the calling thread what precedence the system allows, so that pacing holds while
/// other threads and processes are busy. Threads it starts don't inherit real-time priority.
pub fn prefer_this_thread() -> Precedence {
    // SAFETY: `sched_param` is a C struct of integers; all zeroes is a value of it.
    let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
    parameters.sched_priority = 1;
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a live struct that is only read. 0 means the calling thread.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } == 0 {
        Precedence::RealTime
    } else if share_promptly(-10) {
        Precedence::Favoured
    } else if share_promptly(0) {
        Precedence::Prompt
    } else {
        Precedence::Ordinary
    }
}

/// The kernel's `struct sched_attr` in its first version (sched_setattr(2)).
#[repr(C)]
struct SchedulingAttributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Ordinary scheduling with this niceness and the shortest time slice, which is what lets a
/// thread that wakes up overtake others.
fn share_promptly(nice: i32) -> bool {
    const SLICE_NANOS: u64 = 100_000;
    let attributes = SchedulingAttributes {
        size: mem::size_of::<SchedulingAttributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice,
        priority: 0,
        runtime: SLICE_NANOS,
        deadline: 0,
        period: 0,
    };
    let (this_thread, no_flags): (libc::pid_t, libc::c_uint) = (0, 0);
    // SAFETY: the pointer is to a live struct that begins with its own size and is only read.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, &raw const attributes, no_flags) };
    result == 0
}

/// Lifts the soft limit of open descriptors to the hard one: each call holds two. Gives the
/// limit now in force.
///
/// # Errors
/// When the limit can't be read.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live `rlimit`, which the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live `rlimit`, which the call only reads.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0;
    Ok(if raised { limit.rlim_cur } else { before })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn wait_readable(socket: &UdpSocket) {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.peek(&mut [0; 1]).unwrap();
    }

    #[test]
    fn a_batch_keeps_order_source_and_exact_payload() {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        enable_timestamps(b.as_fd()).unwrap();
        let messages: Vec<Bytes> = (0..5_u8).map(|n| Bytes::from(vec![n; usize::from(n)])).collect();
        let to = b.local_addr().unwrap();
        assert_eq!(send(a.as_fd(), messages.iter().map(|m| (to, m))).unwrap(), 5);
        wait_readable(&b);
        let mut arena = ReceiveArena::<8>::new(2048);
        assert_eq!(arena.receive(b.as_fd()).unwrap(), 5);
        let got: Vec<_> = arena.received().collect();
        for (received, sent) in got.iter().zip(&messages) {
            assert_eq!(received.payload, sent);
            assert_eq!(received.source, a.local_addr().unwrap());
            assert!(received.arrived.is_some() && !received.truncated);
        }
        assert_eq!(arena.receive(b.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(arena.received().count(), 0);
    }

    #[test]
    fn an_unspecified_socket_learns_which_address_was_meant() {
        for (listen, to) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
            let b = UdpSocket::bind(listen).unwrap();
            let to: IpAddr = to.parse().unwrap();
            enable_local_address(b.as_fd(), to.is_ipv6()).unwrap();
            let a = UdpSocket::bind((to, 0)).unwrap();
            a.send_to(b"x", (to, b.local_addr().unwrap().port())).unwrap();
            wait_readable(&b);
            let mut arena = ReceiveArena::<2>::new(64);
            arena.receive(b.as_fd()).unwrap();
            assert_eq!(arena.received().next().unwrap().local, Some(to));
        }
    }

    #[test]
    fn a_datagram_longer_than_a_slot_is_marked() {
        let (a, b) = (UdpSocket::bind("[::1]:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        a.send_to(&[7; 100], b.local_addr().unwrap()).unwrap();
        wait_readable(&b);
        let mut arena = ReceiveArena::<2>::new(64);
        arena.receive(b.as_fd()).unwrap();
        let got = arena.received().next().unwrap();
        assert!(got.truncated);
        assert_eq!(got.payload, [7; 64]);
        assert!(got.source.is_ipv6());
    }

    #[test]
    fn short_notice_needs_no_privilege() {
        let allowed = std::thread::spawn(|| share_promptly(0)).join().unwrap();
        assert!(allowed);
    }

    #[test]
    fn losses_of_a_full_buffer_are_told() {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        enable_drop_count(b.as_fd()).unwrap();
        socket2::SockRef::from(&b).set_recv_buffer_size(4096).unwrap();
        let to = b.local_addr().unwrap();
        for _ in 0..200 {
            a.send_to(&[1; 500], to).unwrap();
        }
        let mut arena = ReceiveArena::<32>::new(2048);
        while arena.receive(b.as_fd()).is_ok() {}
        a.send_to(b"after", to).unwrap();
        wait_readable(&b);
        arena.receive(b.as_fd()).unwrap();
        assert!(arena.received().last().unwrap().dropped.is_some_and(|n| n > 0));
    }
}
