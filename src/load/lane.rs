//! One RTP socket and the calls that are played on it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use media::rtp::packet;
use media::rtp::rtcp::{self, RtcpPacket};
use socket2::SockRef;

use super::leg::{Arrival, Leg, PACKET};
use super::media::Work;
use super::tone::Tone;
use crate::net::batch::{self, ReceiveArena};

/// Datagrams taken or given by one system call.
const BATCH: usize = batch::SEND_BATCH;
/// Batches taken from one socket in one turn.
const BATCHES_A_TURN: usize = 64;
/// Longer datagrams are no audio of a call.
const SLOT: usize = 2_048;
/// Asked of the kernel for each socket; it grants at most `net.core.rmem_max`.
const SOCKET_BUFFER: usize = 4 << 20;
/// Packets kept for calls whose answer is still on its way to this thread, and how long.
const EARLY: (usize, Duration) = (256, Duration::from_secs(1));
/// The RTCP port is read once in so many turns.
const RTCP_EVERY: u64 = 50;
/// Ports tried until one is even and has its neighbour.
const PORT_ATTEMPTS: usize = 256;

/// An RTP socket and the one after it for RTCP (RFC 3550 §11).
#[derive(Debug)]
pub struct Pair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

/// A socket, and the calls that are played on it.
pub(super) struct Lane {
    pair: Pair,
    calls: Vec<Playing>,
    /// Whose packets they are, by where they come from: an index into `calls`.
    sources: HashMap<SocketAddr, usize>,
    early: VecDeque<Early>,
    /// It belongs to one call: all that comes is that call's.
    own: bool,
    began: bool,
    turns: u64,
    kernel_drops: u32,
}

/// A call.
pub(super) struct Playing {
    pub(super) call: u32,
    remote: SocketAddr,
    leg: Leg,
    /// To be ended at the next turn, when what has come is taken.
    ends: bool,
}

/// A packet of a call that this thread doesn't know yet.
struct Early {
    source: SocketAddr,
    arrival: Arrival,
    bytes: Box<[u8]>,
}

/// What the lanes of a thread share.
pub(super) struct Desk {
    tone: Arc<Tone>,
    arena: ReceiveArena<BATCH>,
    packets: Box<[[u8; PACKET]; BATCH]>,
    pub(super) work: Work,
}

impl Desk {
    pub(super) fn new(tone: Arc<Tone>) -> Self {
        Self {
            tone,
            arena: ReceiveArena::new(SLOT),
            packets: Box::new([[0; PACKET]; BATCH]),
            work: Work::default(),
        }
    }
}

impl Playing {
    pub(super) fn new(call: u32, remote: SocketAddr, leg: Leg) -> Self {
        Self { call, remote, leg, ends: false }
    }
}

impl Pair {
    /// Two ports that the kernel chooses, the first of them even.
    pub(super) fn open(address: IpAddr) -> io::Result<Self> {
        let mut last = io::ErrorKind::AddrInUse.into();
        // Kept until the end, so that the kernel chooses another.
        let mut odd = Vec::new();
        for _ in 0..PORT_ATTEMPTS {
            let rtp = bind(address, 0)?;
            let port = rtp.local_addr()?.port();
            if port % 2 != 0 {
                odd.push(rtp);
                continue;
            }
            match bind(address, port + 1) {
                Ok(rtcp) => return Ok(Self { rtp, rtcp }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.rtp.local_addr()?.port())
    }
}

fn bind(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, port))?;
    socket.set_nonblocking(true)?;
    SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
    batch::enable_timestamps(socket.as_fd())?;
    batch::enable_drop_count(socket.as_fd())?;
    Ok(socket)
}

impl Lane {
    pub(super) fn new(pair: Pair, own: bool) -> Self {
        Self {
            pair,
            calls: Vec::new(),
            sources: HashMap::new(),
            early: VecDeque::new(),
            own,
            began: false,
            turns: 0,
            kernel_drops: 0,
        }
    }

    /// Takes a call in, with what has come of it already.
    pub(super) fn begin(&mut self, mut playing: Playing, work: &mut Work) {
        self.began = true;
        let (own, remote) = (self.own, playing.remote);
        self.early.retain(|early| {
            let its = own || early.source == remote;
            if its {
                playing.leg.take(&early.bytes, early.arrival, &mut work.measured);
            }
            !its
        });
        self.sources.insert(remote, self.calls.len());
        self.calls.push(playing);
    }

    /// Marks calls to be ended.
    pub(super) fn let_end(&mut self, which: impl Fn(&Playing) -> bool) {
        self.calls.iter_mut().filter(|playing| which(playing)).for_each(|playing| playing.ends = true);
    }

    /// It belonged to a call that has ended.
    pub(super) fn is_over(&self) -> bool {
        self.own && self.began && self.calls.is_empty()
    }

    /// Takes away the calls that were to be ended.
    pub(super) fn drop_ended(&mut self, work: &mut Work) {
        let mut at = 0;
        while let Some(playing) = self.calls.get(at) {
            if !playing.ends {
                at += 1;
                continue;
            }
            let ended = self.calls.swap_remove(at);
            if self.sources.get(&ended.remote) == Some(&at) {
                self.sources.remove(&ended.remote);
            }
            if let Some(moved) = self.calls.get(at) {
                self.sources.insert(moved.remote, at);
            }
            ended.leg.end(&mut work.measured);
        }
    }

    /// Takes what has come.
    pub(super) fn receive(&mut self, desk: &mut Desk) {
        self.turns += 1;
        if self.calls.is_empty() && !self.turns.is_multiple_of(RTCP_EVERY) && !self.own {
            // What waits is of calls whose answer hasn't come yet, or of none.
            self.forget_early(&mut desk.work);
            return;
        }
        let Desk { arena, work, .. } = desk;
        for _ in 0..BATCHES_A_TURN {
            let Ok(count) = arena.receive(self.pair.rtp.as_fd()) else { break };
            work.datagrams += count as u64;
            // Read after the packets were taken: none of them is younger.
            let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
            for received in arena.received() {
                if let Some(drops) = received.dropped {
                    work.overflowed += u64::from(drops.wrapping_sub(self.kernel_drops));
                    self.kernel_drops = drops;
                }
                let stamp = received.arrived.unwrap_or(wall);
                let at = now.checked_sub(wall.saturating_sub(stamp)).unwrap_or(now);
                self.take(received.payload, received.source, Arrival { at, stamp }, work);
            }
            if count < BATCH {
                break;
            }
        }
        self.forget_early(work);
        if self.turns.is_multiple_of(RTCP_EVERY) {
            self.receive_reports(arena);
        }
    }

    fn take(&mut self, bytes: &[u8], source: SocketAddr, arrival: Arrival, work: &mut Work) {
        // The far end may send both on one port (RFC 5761).
        if packet::is_rtcp(bytes) {
            self.take_report(bytes);
            return;
        }
        let at =
            if self.own && !self.calls.is_empty() { Some(0) } else { self.sources.get(&source).copied() };
        if let Some(playing) = at.and_then(|at| self.calls.get_mut(at)) {
            playing.leg.take(bytes, arrival, &mut work.measured);
        } else if self.early.len() < EARLY.0 {
            self.early.push_back(Early { source, arrival, bytes: bytes.into() });
        } else {
            work.unknown += 1;
        }
    }

    fn forget_early(&mut self, work: &mut Work) {
        while self.early.front().is_some_and(|early| early.arrival.at.elapsed() > EARLY.1) {
            self.early.pop_front();
            work.unknown += 1;
        }
    }

    fn receive_reports(&mut self, arena: &mut ReceiveArena<BATCH>) {
        for _ in 0..BATCHES_A_TURN {
            let Ok(count) = arena.receive(self.pair.rtcp.as_fd()) else { return };
            for received in arena.received() {
                self.take_report(received.payload);
            }
            if count < BATCH {
                return;
            }
        }
    }

    /// Finds the call that a report is about by our SSRC in it.
    fn take_report(&mut self, compound: &[u8]) {
        for part in rtcp::packets(compound).take(8) {
            let (RtcpPacket::SenderReport(_, _, blocks) | RtcpPacket::ReceiverReport(_, blocks)) = part
            else {
                continue;
            };
            for block in blocks {
                let its = |playing: &&mut Playing| playing.leg.ssrc() == block.ssrc;
                if let Some(playing) = self.calls.iter_mut().find(its) {
                    playing.leg.reported(&block);
                }
            }
        }
    }

    /// Sends one packet of each call.
    pub(super) fn send(&mut self, desk: &mut Desk) {
        let Desk { tone, packets, work, .. } = desk;
        let now = Instant::now();
        for calls in self.calls.chunks_mut(BATCH) {
            let mut lengths = [0; BATCH];
            for ((playing, packet), length) in calls.iter_mut().zip(packets.iter_mut()).zip(&mut lengths) {
                *length = playing.leg.next(tone, packet, now, &mut work.measured);
            }
            let mut messages =
                calls.iter().zip(packets.iter()).zip(&lengths).map(|((playing, packet), length)| {
                    (playing.remote, packet.get(..*length).unwrap_or_default())
                });
            let mut left = calls.len();
            while left > 0 {
                match batch::send(self.pair.rtp.as_fd(), messages.clone().take(left)) {
                    Ok(sent) if sent > 0 => {
                        left = left.saturating_sub(sent);
                        messages.by_ref().take(sent).for_each(drop);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // The next ones are due in 20 ms: these are gone.
                        work.unsent += left as u64;
                        break;
                    }
                    // It is about the first one.
                    Ok(_) | Err(_) => {
                        work.unsent += 1;
                        left -= 1;
                        messages.next();
                    }
                }
            }
        }
    }
}
