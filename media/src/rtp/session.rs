//! The two halves of an RTP stream: what we know of the peer's packets, and the counters of our own.

use std::time::Instant;

use super::packet::{Header, Packet};
use super::rtcp::ReportBlock;
use crate::window::Window;

/// RFC 3550 Appendix A.1: a larger step forward means that the sender started anew.
const MAX_DROPOUT: u16 = 3000;
/// RFC 3550 Appendix A.1: a packet at most this far behind is late or a duplicate, not a restart.
const MAX_MISORDER: u16 = 100;
/// Where extended numbers start, so that packets from before the first one don't go below zero.
const EXTENDED_ORIGIN: u64 = 1 << 32;

/// Place of an accepted packet in its stream: numbers that don't wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Extended sequence number.
    pub sequence: u64,
    /// Extended timestamp, in units of the payload type's clock.
    pub timestamp: u64,
    /// The stream began here: first packet, new SSRC, or a jump too large to be loss.
    pub restarted: bool,
}

/// Reception state of one stream (RFC 3550 Appendix A.1, A.3, A.8).
#[derive(Debug, Default)]
pub struct Receiver {
    stream: Option<Stream>,
    /// First packet of what may be another stream: believed when the next in sequence follows.
    newcomer: Option<(u32, u16)>,
    epoch: Option<Instant>,
    totals: Totals,
}

/// Counters over all streams of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Packets accepted.
    pub received: u64,
    /// Packets received twice.
    pub duplicate: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets held back because they may be a restart or a second stream.
    pub doubtful: u64,
    /// Streams begun after the first (SSRC change or restart).
    pub restarts: u32,
    /// Packets lost in streams that ended; [`Receiver::lost`] adds the present one.
    lost_before: u64,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    base: u64,
    highest: u64,
    highest_timestamp: u64,
    received: u64,
    came: Window,
    jitter: Jitter,
    prior: (u64, u64),
}

/// RFC 3550 Appendix A.8, in sixteenths of a timestamp unit.
#[derive(Debug, Default)]
struct Jitter {
    transit: Option<u32>,
    sixteenths: u32,
    clock_khz: u32,
}

impl Receiver {
    /// Takes a packet of the trusted source. Those of a clock (audio, not events), given in kHz, also count for jitter.
    ///
    /// `None` means not to be used: received before, or held back, as a jump or a new SSRC is believed at its second
    /// packet in sequence (RFC 3550 A.1).
    pub fn admit(&mut self, packet: &Packet<'_>, clock_khz: Option<u32>, now: Instant) -> Option<Position> {
        let position = match &mut self.stream {
            None => self.begin(packet),
            Some(stream) if stream.ssrc == packet.ssrc => match stream.place(packet) {
                Some(position) if !stream.came.is_new(position.sequence) => {
                    self.totals.duplicate += 1;
                    return None;
                }
                Some(position) => {
                    self.totals.reordered += u64::from(position.sequence < stream.highest);
                    stream.advance(position);
                    position
                }
                None => self.consider(packet)?,
            },
            Some(_) => self.consider(packet)?,
        };
        self.totals.received += 1;
        let arrived = clock_khz.map(|clock_khz| (clock_khz, self.arrival(now, clock_khz)));
        if let Some(stream) = &mut self.stream {
            stream.received += 1;
            stream.came.insert(position.sequence);
            if let Some((clock_khz, arrival)) = arrived {
                stream.jitter.observe(arrival, packet.timestamp, clock_khz);
            }
        }
        Some(position)
    }

    /// The SSRC now listened to.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.stream.as_ref().map(|stream| stream.ssrc)
    }

    /// Counters.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Packets expected but never received, over the whole session (RFC 3550 A.3, but that duplicates hide no loss).
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.totals.lost_before + self.stream.as_ref().map_or(0, Stream::lost)
    }

    /// Packets expected so far, over the whole session.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.totals.received + self.lost()
    }

    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1).
    #[must_use]
    pub fn jitter_ms(&self) -> f32 {
        let jitter = self.stream.as_ref().map(|stream| &stream.jitter);
        jitter.map_or(0.0, |jitter| jitter.sixteenths as f32 / (16 * jitter.clock_khz.max(1)) as f32)
    }

    /// The report block about the peer's stream for the next SR or RR; starts a new interval for the fraction lost.
    pub fn report(&mut self) -> Option<ReportBlock> {
        self.stream.as_mut().map(Stream::report)
    }

    /// The arrival time in timestamp units, from an arbitrary origin.
    fn arrival(&mut self, now: Instant, clock_khz: u32) -> u32 {
        let epoch = *self.epoch.get_or_insert(now);
        let micros = now.saturating_duration_since(epoch).as_micros();
        // A transit time is only ever compared with the previous one: wrapping is harmless.
        #[allow(clippy::cast_possible_truncation)]
        let units = (micros * u128::from(clock_khz) / 1000) as u32;
        units
    }

    fn consider(&mut self, packet: &Packet<'_>) -> Option<Position> {
        if self.newcomer == Some((packet.ssrc, packet.sequence)) {
            self.totals.restarts += 1;
            self.totals.lost_before = self.lost();
            return Some(self.begin(packet));
        }
        self.newcomer = Some((packet.ssrc, packet.sequence.wrapping_add(1)));
        self.totals.doubtful += 1;
        None
    }

    fn begin(&mut self, packet: &Packet<'_>) -> Position {
        let sequence = EXTENDED_ORIGIN + u64::from(packet.sequence);
        let timestamp = EXTENDED_ORIGIN + u64::from(packet.timestamp);
        self.newcomer = None;
        self.stream = Some(Stream {
            ssrc: packet.ssrc,
            base: sequence,
            highest: sequence,
            highest_timestamp: timestamp,
            received: 0,
            came: Window::default(),
            jitter: Jitter::default(),
            prior: (0, 0),
        });
        Position { sequence, timestamp, restarted: true }
    }
}

impl Stream {
    /// Extends the packet's numbers around the highest seen; `None` if the sequence number is out of any reason.
    fn place(&self, packet: &Packet<'_>) -> Option<Position> {
        let [.., high, low] = self.highest.to_be_bytes();
        let ahead = packet.sequence.wrapping_sub(u16::from_be_bytes([high, low]));
        let behind = ahead.wrapping_neg();
        let sequence = if ahead < MAX_DROPOUT {
            self.highest + u64::from(ahead)
        } else if behind <= MAX_MISORDER {
            self.highest - u64::from(behind)
        } else {
            return None;
        };
        let [.., t0, t1, t2, t3] = self.highest_timestamp.to_be_bytes();
        let step = packet.timestamp.wrapping_sub(u32::from_be_bytes([t0, t1, t2, t3])).cast_signed();
        let timestamp = self.highest_timestamp.saturating_add_signed(i64::from(step));
        Some(Position { sequence, timestamp, restarted: false })
    }

    fn advance(&mut self, position: Position) {
        if position.sequence > self.highest {
            self.highest = position.sequence;
            self.highest_timestamp = position.timestamp;
        }
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// RFC 3550 §6.4.1 and A.3.
    fn report(&mut self) -> ReportBlock {
        let (expected, received) = (self.expected() - self.prior.0, self.received - self.prior.1);
        self.prior = (self.expected(), self.received);
        let lost = expected.saturating_sub(received);
        let fraction_lost = (lost * 256).checked_div(expected).unwrap_or(0).min(255);
        let [.., h0, h1, h2, h3] = (self.highest - EXTENDED_ORIGIN).to_be_bytes();
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction_lost).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(self.lost()).unwrap_or(i32::MAX).min(0x7F_FFFF),
            highest_sequence: u32::from_be_bytes([h0, h1, h2, h3]),
            jitter: self.jitter.sixteenths >> 4,
            ..ReportBlock::default()
        }
    }
}

impl Jitter {
    fn observe(&mut self, arrival: u32, timestamp: u32, clock_khz: u32) {
        if self.clock_khz != clock_khz {
            *self = Self { clock_khz, ..Self::default() };
        }
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            let difference = transit.wrapping_sub(previous).cast_signed().unsigned_abs();
            // A jump of more than a second is a new time base, not jitter.
            if difference <= 1_000 * clock_khz {
                self.sixteenths = (self.sixteenths + difference).saturating_sub((self.sixteenths + 8) >> 4);
            }
        }
    }
}

/// Numbering and counters of what we send.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    packets: u64,
    octets: u64,
}

impl Sender {
    /// Starts a stream; all three values must be random (RFC 3550 §5.1).
    #[must_use]
    pub const fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, sequence, timestamp, packets: 0, octets: 0 }
    }

    /// The timestamp of the frame that is due.
    #[must_use]
    pub const fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Our SSRC.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The next packet's sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u16 {
        self.sequence
    }

    /// The header of a packet that is relayed under a number of its own; ours go on behind the highest of them.
    pub fn relayed_header(
        &mut self,
        payload_type: u8,
        marker: bool,
        sequence: u16,
        timestamp: u32,
        payload: usize,
    ) -> Header {
        let next = sequence.wrapping_add(1);
        if next.wrapping_sub(self.sequence) < 1 << 15 {
            self.sequence = next;
        }
        self.packets += 1;
        self.octets += payload as u64;
        Header { marker, payload_type, sequence, timestamp, ssrc: self.ssrc }
    }

    /// Packets and payload bytes sent.
    #[must_use]
    pub const fn sent(&self) -> (u64, u64) {
        (self.packets, self.octets)
    }

    /// The header of the next packet; takes its sequence number.
    pub fn header(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: usize) -> Header {
        let header = Header { marker, payload_type, sequence: self.sequence, timestamp, ssrc: self.ssrc };
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += payload as u64;
        header
    }

    /// Begins another stream, with another SSRC: for a new key. The sequence number starts in its lower half, so that
    /// it doesn't turn before the peer has seen a packet (RFC 3711 §3.3.1).
    pub fn restart(&mut self) {
        // splitmix64: another number that nobody else has, made of the random ones we were given.
        let mut mixed = u64::from(self.ssrc) << 32 | u64::from(self.timestamp);
        mixed = mixed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let [c0, c1, c2, c3, s0, s1, ..] = (mixed ^ (mixed >> 31)).to_be_bytes();
        self.ssrc = u32::from_be_bytes([c0, c1, c2, c3]);
        self.sequence = u16::from_be_bytes([s0, s1]) & 0x7FFF;
    }

    /// Moves the clock by samples, sent or not.
    pub fn advance(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Peer {
        receiver: Receiver,
        start: Instant,
    }

    impl Peer {
        #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
        fn new() -> Self {
            Self { receiver: Receiver::default(), start: Instant::now() }
        }

        fn packet(&mut self, ssrc: u32, sequence: u16, timestamp: u32, at_ms: u64) -> Option<Position> {
            let bytes = Header { marker: false, payload_type: 8, sequence, timestamp, ssrc }.to_bytes();
            let packet = Packet::parse(&bytes).unwrap();
            self.receiver.admit(&packet, Some(8), self.start + Duration::from_millis(at_ms))
        }
    }

    #[test]
    fn sequence_and_timestamp_run_on_over_their_wrap() {
        let mut peer = Peer::new();
        let first = peer.packet(1, 65535, u32::MAX - 79, 0).unwrap();
        let second = peer.packet(1, 0, 80, 20).unwrap();
        assert_eq!(second.sequence, first.sequence + 1);
        assert_eq!(second.timestamp, first.timestamp + 160);
        assert!(first.restarted && !second.restarted);
    }

    #[test]
    fn loss_is_expected_minus_received_and_reordering_heals_it() {
        let mut peer = Peer::new();
        for (at, sequence) in [0u16, 1, 3, 4, 2, 6].into_iter().enumerate() {
            peer.packet(1, sequence, u32::from(sequence) * 160, at as u64 * 20).unwrap();
        }
        assert_eq!(peer.receiver.lost(), 1);
        assert_eq!(peer.receiver.totals().reordered, 1);
        let report = peer.receiver.report().unwrap();
        assert_eq!((report.cumulative_lost, report.fraction_lost), (1, 36));
    }

    #[test]
    fn a_new_ssrc_is_believed_at_its_second_packet() {
        let mut peer = Peer::new();
        peer.packet(1, 10, 0, 0).unwrap();
        assert_eq!(peer.packet(2, 500, 99, 20), None);
        assert!(peer.packet(1, 11, 160, 20).is_some(), "one stray packet doesn't disturb the stream");
        let taken = peer.packet(2, 501, 259, 40).unwrap();
        assert!(taken.restarted);
        assert_eq!(peer.receiver.ssrc(), Some(2));
    }

    #[test]
    fn a_jump_in_sequence_is_a_restart_only_when_it_goes_on() {
        let mut peer = Peer::new();
        peer.packet(1, 10, 0, 0).unwrap();
        assert_eq!(peer.packet(1, 30_000, 0, 20), None);
        assert!(!peer.packet(1, 11, 160, 20).unwrap().restarted);
        assert_eq!(peer.packet(1, 40_000, 0, 40), None);
        assert!(peer.packet(1, 40_001, 160, 60).unwrap().restarted);
        assert_eq!(peer.receiver.lost(), 0, "a restart isn't thirty thousand lost packets");
    }

    #[test]
    fn a_repeated_packet_is_used_once_and_hides_no_loss() {
        let mut peer = Peer::new();
        for sequence in [0u16, 1, 1, 1, 3] {
            peer.packet(1, sequence, u32::from(sequence) * 160, 0);
        }
        assert_eq!(peer.packet(1, 0, 0, 0), None);
        assert_eq!((peer.receiver.lost(), peer.receiver.totals().duplicate), (1, 3));
    }

    #[test]
    fn jitter_follows_appendix_a8() {
        let mut peer = Peer::new();
        // Arrivals alternate 10 ms early and late around 20 ms: |D| is 10 ms = 80 units each time.
        let mut sixteenths = 0u32;
        for n in 0..200u16 {
            let at = u64::from(n) * 20 + if n % 2 == 0 { 0 } else { 10 };
            peer.packet(1, n, u32::from(n) * 160, at).unwrap();
            if n > 0 {
                sixteenths = sixteenths + 80 - ((sixteenths + 8) >> 4);
            }
        }
        assert_eq!(peer.receiver.report().unwrap().jitter, sixteenths >> 4);
        assert!((peer.receiver.jitter_ms() - 10.0).abs() < 0.2);
    }
}
