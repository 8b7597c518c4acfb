//! When reports are sent, what is in them, and what the peer's tell.

use std::time::{Duration, Instant};

use super::packet::HEADER_BYTES;
use super::rtcp::{self, CNAME_BYTES, ReportBlock, RtcpPacket, SenderInfo};
use super::session::{Receiver, Sender};

/// Time between two reports, before it is made irregular (RFC 3550 §6.2: at least 5 s; a call's share of bandwidth
/// would allow more).
const INTERVAL: Duration = Duration::from_secs(5);
/// Longest round trip believed, in 1/65536 s: 10 s.
const MAX_ROUND_TRIP: u32 = 10 << 16;
/// What a peer's clock may be off by while it holds our report: −20 ms.
const GRAIN: i32 = -1_311;

/// What the peer says of our stream, and the round trip.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RemoteReport {
    /// Share of our packets lost since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Our packets lost since the start, as the peer counts.
    pub lost: i32,
    /// Interarrival jitter of our packets at the peer, in milliseconds.
    pub jitter_ms: f32,
}

/// Counters of RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtcpStats {
    /// Compounds received that could be read.
    pub received: u64,
    /// Datagrams that are no compound.
    pub malformed: u64,
    /// Compounds sent.
    pub sent: u64,
    /// BYEs received: the call goes on until signalling ends it.
    pub byes: u64,
}

/// The reporting side of a session.
#[derive(Debug)]
pub struct Reports {
    cname: [u8; CNAME_BYTES],
    /// NTP time of `started`.
    wall: u64,
    started: Instant,
    random: u64,
    due: Instant,
    /// Packets sent at the last report: without more of them we are no sender (RFC 3550 §6.4).
    sent_before: u64,
    /// Middle of the peer's last NTP time, and when it came.
    last_report: Option<(u32, Instant)>,
    remote: Option<RemoteReport>,
    round_trip: Option<Duration>,
    stats: RtcpStats,
}

impl Reports {
    /// `wall` is the NTP time of `now` (32.32); `seed` any random number.
    #[must_use]
    pub fn new(wall: u64, seed: u64, now: Instant) -> Self {
        let mut reports = Self {
            cname: [0; CNAME_BYTES],
            wall,
            started: now,
            random: seed,
            due: now,
            sent_before: 0,
            last_report: None,
            remote: None,
            round_trip: None,
            stats: RtcpStats::default(),
        };
        for place in 0..CNAME_BYTES {
            let letter =
                LETTERS.get(usize::try_from(reports.draw() % 64).unwrap_or(0)).copied().unwrap_or(b'A');
            if let Some(byte) = reports.cname.get_mut(place) {
                *byte = letter;
            }
        }
        // RFC 3550 §6.2: the first report comes after half the time.
        reports.due = now + reports.interval() / 2;
        reports
    }

    /// When the next report is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// What the peer reported last.
    #[must_use]
    pub fn remote(&self) -> Option<RemoteReport> {
        self.remote
    }

    /// The latest round trip.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> RtcpStats {
        self.stats
    }

    /// Writes the report that is due, or the last one with BYE; 0 if there is no room.
    pub fn write(
        &mut self,
        sender: &Sender,
        receiver: &mut Receiver,
        bye: bool,
        now: Instant,
        out: &mut [u8],
    ) -> usize {
        self.due = now + self.interval();
        let (packets, octets) = sender.sent();
        let sends = packets > std::mem::replace(&mut self.sent_before, packets);
        let info = sends.then(|| SenderInfo {
            ntp: self.ntp(now),
            timestamp: sender.timestamp(),
            packets: low(packets),
            octets: low(octets),
        });
        let block = receiver.report().map(|block| match self.last_report {
            None => block,
            Some((last_report, at)) => {
                let since = now.saturating_duration_since(at);
                let since_last_report =
                    u32::try_from((since.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX);
                ReportBlock { last_report, since_last_report, ..block }
            }
        });
        let length = rtcp::write_compound(out, sender.ssrc(), info, block, &self.cname, bye).unwrap_or(0);
        self.stats.sent += u64::from(length > 0);
        length
    }

    /// Takes a compound from the peer. `clock_khz` is the clock of our own stream, which its jitter is counted in.
    pub fn handle(&mut self, compound: &[u8], ours: u32, clock_khz: u32, now: Instant) {
        if !rtcp::is_compound(compound) || compound.len() < HEADER_BYTES - 4 {
            self.stats.malformed += 1;
            return;
        }
        self.stats.received += 1;
        for packet in rtcp::packets(compound) {
            let blocks = match packet {
                RtcpPacket::SenderReport(_, info, blocks) => {
                    self.last_report = Some((middle(info.ntp), now));
                    blocks
                }
                RtcpPacket::ReceiverReport(_, blocks) => blocks,
                RtcpPacket::Bye(_) => {
                    self.stats.byes += 1;
                    continue;
                }
                RtcpPacket::SourceDescription(..) | RtcpPacket::Other(..) => continue,
            };
            for block in blocks.filter(|block| block.ssrc == ours) {
                self.take(&block, clock_khz, now);
            }
        }
    }

    fn take(&mut self, block: &ReportBlock, clock_khz: u32, now: Instant) {
        self.remote = Some(RemoteReport {
            fraction_lost: block.fraction_lost,
            lost: block.cumulative_lost,
            jitter_ms: block.jitter as f32 / clock_khz.max(1) as f32,
        });
        if block.last_report == 0 {
            return;
        }
        // RFC 3550 §6.4.1: arrival minus the time of our report minus the time that it lay with the peer.
        let trip =
            middle(self.ntp(now)).wrapping_sub(block.last_report).wrapping_sub(block.since_last_report);
        // Clocks of different grain make a short trip negative, by little.
        let trip = match trip.cast_signed() {
            GRAIN..0 => 0,
            trip => u32::try_from(trip).unwrap_or(u32::MAX),
        };
        if trip <= MAX_ROUND_TRIP {
            self.round_trip = Some(Duration::from_micros((u64::from(trip) * 1_000_000) >> 16));
        }
    }

    fn ntp(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        self.wall.wrapping_add(since.as_secs() << 32).wrapping_add(fraction)
    }

    /// Half to one and a half times the interval (RFC 3550 §6.3.1), so that nobody's reports fall in step.
    fn interval(&mut self) -> Duration {
        let permille = 500 + self.draw() % 1_000;
        INTERVAL * u32::try_from(permille).unwrap_or(1_000) / 1_000
    }

    /// splitmix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The middle 32 bits of an NTP time: seconds and fraction, 16 bits each.
fn middle(ntp: u64) -> u32 {
    low(ntp >> 16)
}

/// The lower half: counters and times wrap (RFC 3550 §6.4.1).
fn low(value: u64) -> u32 {
    let [.., b0, b1, b2, b3] = value.to_be_bytes();
    u32::from_be_bytes([b0, b1, b2, b3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::packet::{Header, Packet};

    const MS: Duration = Duration::from_millis(1);

    struct End {
        reports: Reports,
        sender: Sender,
        receiver: Receiver,
    }

    impl End {
        fn new(seed: u32, now: Instant) -> Self {
            Self {
                reports: Reports::new(u64::from(seed) << 40, u64::from(seed), now),
                sender: Sender::new(seed, 0, 0),
                receiver: Receiver::default(),
            }
        }

        fn report(&mut self, bye: bool, now: Instant) -> Vec<u8> {
            let mut out = [0; rtcp::MAX_BYTES];
            let length = self.reports.write(&self.sender, &mut self.receiver, bye, now, &mut out);
            out[..length].to_vec()
        }

        /// Packets of 20 ms from here to there, some of them lost.
        fn speak(&mut self, to: &mut Self, start: Instant, packets: u32, lost: impl Fn(u32) -> bool) {
            for n in 0..packets {
                let header = self.sender.header(8, false, self.sender.timestamp(), 160).to_bytes();
                self.sender.advance(160);
                let packet = Packet::parse(&header).unwrap();
                if !lost(n) {
                    to.receiver.admit(&packet, Some(8), start + MS * 20 * n);
                }
            }
        }
    }

    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
    fn ends() -> (End, End, Instant) {
        let now = Instant::now();
        (End::new(1, now), End::new(2, now), now)
    }

    #[test]
    fn loss_and_round_trip_are_told_back() {
        let (mut a, mut b, start) = ends();
        a.speak(&mut b, start, 100, |n| n % 10 == 5);
        let report = a.report(false, start + MS * 2_000);
        b.reports.handle(&report, 2, 8, start + MS * 2_040);
        let back = b.report(false, start + MS * 5_000);
        a.reports.handle(&back, 1, 8, start + MS * 5_060);
        let trip = a.reports.round_trip().unwrap();
        assert!((trip.as_millis().abs_diff(100)) <= 1, "{trip:?}");
        let remote = a.reports.remote().unwrap();
        assert_eq!((remote.lost, remote.fraction_lost), (10, 25));
        assert!(remote.jitter_ms < 0.1);
        assert!(b.reports.round_trip().is_none(), "nobody has answered them yet");
    }

    #[test]
    fn who_sends_nothing_reports_as_a_receiver() {
        let (mut a, mut b, start) = ends();
        assert_eq!(a.report(false, start)[1], 201);
        a.speak(&mut b, start, 1, |_| false);
        assert_eq!(a.report(false, start)[1], 200);
        assert_eq!(a.report(false, start)[1], 201);
    }

    #[test]
    fn reports_come_at_irregular_times_around_five_seconds() {
        let (mut a, _, start) = ends();
        assert!((MS * 1_250..=MS * 3_750).contains(&(a.reports.due() - start)));
        let mut gaps = Vec::new();
        let mut now = start;
        for _ in 0..200 {
            now = a.reports.due();
            a.report(false, now);
            gaps.push((a.reports.due() - now).as_millis());
        }
        assert!(gaps.iter().all(|gap| (2_500..=7_500).contains(gap)));
        let mean = gaps.iter().sum::<u128>() / 200;
        assert!((4_500..=5_500).contains(&mean), "{mean} ms");
        let _ = now;
    }

    #[test]
    fn a_bye_is_counted_and_junk_too() {
        let (mut a, mut b, start) = ends();
        let last = a.report(true, start);
        b.reports.handle(&last, 2, 8, start);
        b.reports.handle(&[0x80, 203, 0, 1, 0, 0, 0, 1], 2, 8, start);
        b.reports.handle(&[], 2, 8, start);
        assert_eq!((b.reports.stats().byes, b.reports.stats().malformed), (1, 2));
    }

    #[test]
    fn an_invented_time_makes_no_round_trip() {
        let (mut a, mut b, start) = ends();
        a.speak(&mut b, start, 3, |_| false);
        let mut back = b.report(false, start);
        // The block's times: a moment that never was.
        back[24..28].copy_from_slice(&0x7777_7777u32.to_be_bytes());
        a.reports.handle(&back, 1, 8, start + MS * 5_060);
        assert!(a.reports.remote().is_some() && a.reports.round_trip().is_none());
    }

    #[test]
    fn names_are_not_shared() {
        let (a, b, _) = ends();
        assert_ne!(a.reports.cname, b.reports.cname);
        assert!(a.reports.cname.iter().all(u8::is_ascii_graphic));
        let header = Header { marker: false, payload_type: 0, sequence: 0, timestamp: 0, ssrc: 0 };
        assert_eq!(header.to_bytes().len(), HEADER_BYTES);
    }
}
