//! One call's media as our telephone plays it: what it sends next, and what it makes of what comes.

use std::time::{Duration, Instant};

use media::codec::Codec;
use media::rtp::packet::{HEADER_BYTES, Packet};
use media::rtp::rtcp::ReportBlock;
use media::rtp::session::{Receiver, Sender};
use media::sdp::PayloadTypes;

use super::echo::Listener;
use super::histogram::Histogram;
use super::law::Law;
use super::tone::{FRAME, Tone};

/// Bytes of a packet of ours.
pub const PACKET: usize = HEADER_BYTES + FRAME;
/// G.711's clock.
const CLOCK_KHZ: u32 = 8;
/// The longest step of the timestamp from one packet to the next that is no pause: two packets of
/// the longest packet time.
const PAUSE: u64 = 2 * media::MAX_FRAME_SAMPLES as u64;
/// A gap longer than this is a step of the wall clock, which dates what arrives.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// When a packet came: by the clock that everything is timed with, and by the kernel's stamp.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// For differences from what we did ourselves.
    pub at: Instant,
    /// For differences between arrivals: it isn't changed by how late we looked.
    pub stamp: Duration,
}

/// What was agreed for a call's media.
#[derive(Debug, Clone, Copy)]
pub struct Agreed {
    /// The law to send.
    pub law: Law,
    /// Its payload type numbers.
    pub payload_type: PayloadTypes,
    /// The numbers that our packets begin with: SSRC, sequence, timestamp.
    pub numbers: (u32, u16, u32),
    /// When the answer came.
    pub answered: Instant,
    /// Where in the tone it begins.
    pub starts_at: usize,
    /// Whether the frames that come are searched for our own talk spurts.
    pub listens: bool,
}

/// One call's media.
#[derive(Debug)]
pub struct Leg {
    agreed: Agreed,
    sender: Sender,
    receiver: Receiver,
    at: usize,
    began: bool,
    listener: Option<Listener>,
    last: Option<Last>,
    heard: bool,
    /// What the far end last said it has lost of ours.
    reported: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    sequence: u64,
    timestamp: u64,
    stamp: Duration,
}

/// What was measured of all calls' media.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Calls whose media has ended.
    pub legs: u64,
    /// Of those, calls that heard nothing at all.
    pub silent: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets received of the calls' streams.
    pub received: u64,
    /// Packets that their numbers say were sent but that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Datagrams that were no RTP of the call.
    pub foreign: u64,
    /// Times that the far end paused its stream (no packets, and a marker after it).
    pub pauses: u64,
    /// Calls in which the far end reported by RTCP how our packets fared, and what it had lost.
    pub reported: u64,
    /// Packets of ours that those reports call lost.
    pub reported_lost: u64,
    /// Time between one packet and the next.
    pub gap: Histogram,
    /// From the answer to the first packet.
    pub first: Histogram,
    /// Each call's jitter at its end (RFC 3550 §6.4.1).
    pub jitter: Histogram,
    /// From a talk spurt of ours to its echo.
    pub round_trip: Histogram,
    /// Calls that listened for echoes.
    pub listened: u64,
    /// Talk spurts of theirs whose echo was waited for.
    pub spurts: u64,
}

impl Leg {
    /// A call that was answered just now.
    #[must_use]
    pub fn new(agreed: Agreed) -> Self {
        let (ssrc, sequence, timestamp) = agreed.numbers;
        Self {
            sender: Sender::new(ssrc, sequence, timestamp),
            receiver: Receiver::default(),
            at: agreed.starts_at,
            began: false,
            listener: agreed.listens.then(Listener::default),
            last: None,
            heard: false,
            reported: None,
            agreed,
        }
    }

    /// Our SSRC, by which the far end's reports name us.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.agreed.numbers.0
    }

    /// Writes the packet that is due and moves on by its length; gives its size.
    pub fn next(
        &mut self,
        tone: &Tone,
        out: &mut [u8; PACKET],
        now: Instant,
        measured: &mut Measured,
    ) -> usize {
        if let (Some(listener), Some(mark)) = (&mut self.listener, tone.spurt(self.at)) {
            measured.spurts += u64::from(listener.sent(mark, now));
        }
        let frame = tone.frame(self.at);
        let timestamp = self.sender.timestamp();
        let payload_type = self.agreed.payload_type.send;
        let header = self.sender.header(payload_type, !self.began, timestamp, frame.len());
        let Some(room) = header.write(out, frame.len()) else { return 0 };
        room.copy_from_slice(frame);
        self.sender.advance(u32::try_from(FRAME).unwrap_or_default());
        self.began = true;
        self.at = (self.at + 1) % tone.frames().max(1);
        measured.sent += 1;
        HEADER_BYTES + frame.len()
    }

    /// Takes a datagram that came for this call.
    pub fn take(&mut self, datagram: &[u8], arrival: Arrival, measured: &mut Measured) {
        let Ok(packet) = Packet::parse(datagram) else {
            measured.foreign += 1;
            return;
        };
        let audio = self.law_of(packet.payload_type);
        let Some(position) = self.receiver.admit(&packet, audio.map(|_| CLOCK_KHZ), arrival.at) else {
            return;
        };
        if !self.heard {
            self.heard = true;
            measured.first.record(arrival.at.saturating_duration_since(self.agreed.answered));
        }
        self.measure_gap(&packet, (position.sequence, position.timestamp), arrival, measured);
        if let (Some(listener), Some(law)) = (&mut self.listener, audio)
            && let Some(took) = listener.heard(law, packet.payload, arrival.at)
        {
            measured.round_trip.record(took);
        }
    }

    fn measure_gap(
        &mut self,
        packet: &Packet<'_>,
        (sequence, timestamp): (u64, u64),
        arrival: Arrival,
        measured: &mut Measured,
    ) {
        let Some(last) = self.last.filter(|last| sequence.abs_diff(last.sequence) < 1_000) else {
            // The first packet of a stream has none before it.
            self.last = Some(Last { sequence, timestamp, stamp: arrival.stamp });
            return;
        };
        if sequence <= last.sequence {
            return;
        }
        self.last = Some(Last { sequence, timestamp, stamp: arrival.stamp });
        // A stream that was silent on purpose begins again with a marker and says by its timestamp
        // for how long (RFC 3551 §4.1): that is no gap.
        let steps = sequence - last.sequence;
        if packet.marker && timestamp.saturating_sub(last.timestamp) > PAUSE.saturating_mul(steps) {
            measured.pauses += 1;
        } else if let Some(gap) = arrival.stamp.checked_sub(last.stamp).filter(|gap| *gap < LONGEST_GAP) {
            measured.gap.record(gap);
        }
    }

    /// The far end has reported how a stream fares.
    pub fn reported(&mut self, report: &ReportBlock) {
        // Below zero where packets were doubled on their way (RFC 3550 §6.4.1).
        self.reported = Some(u32::try_from(report.cumulative_lost).unwrap_or(0));
    }

    /// Adds what the call has been to the sum.
    pub fn end(self, measured: &mut Measured) {
        let totals = self.receiver.totals();
        measured.legs += 1;
        measured.silent += u64::from(!self.heard);
        measured.received += totals.received;
        measured.lost += self.receiver.lost();
        measured.reordered += totals.reordered;
        measured.listened += u64::from(self.listener.is_some());
        if let Some(lost) = self.reported {
            measured.reported += 1;
            measured.reported_lost += u64::from(lost);
        }
        if self.heard {
            let micros = f64::from(self.receiver.jitter_ms()) * 1_000.0;
            measured.jitter.record(Duration::try_from_secs_f64(micros / 1e6).unwrap_or_default());
        }
    }

    /// Which law a packet is in; none for events and comfort noise.
    fn law_of(&self, payload_type: u8) -> Option<Law> {
        if payload_type == self.agreed.payload_type.receive {
            return Some(self.agreed.law);
        }
        Codec::from_static_payload_type(payload_type).and_then(Law::of)
    }
}

impl Measured {
    /// Adds what another thread has measured.
    pub fn merge(&mut self, other: &Self) {
        self.legs += other.legs;
        self.silent += other.silent;
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
        self.pauses += other.pauses;
        self.reported += other.reported;
        self.reported_lost += other.reported_lost;
        self.listened += other.listened;
        self.spurts += other.spurts;
        self.gap.merge(&other.gap);
        self.first.merge(&other.first);
        self.jitter.merge(&other.jitter);
        self.round_trip.merge(&other.round_trip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line {
        tone: Tone,
        here: Leg,
        start: Instant,
        measured: Measured,
    }

    impl Line {
        #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
        fn new() -> Self {
            let start = Instant::now();
            let tone = Tone::speech(Law::Mu, 400, 200);
            Self { tone, here: Leg::new(agreed(1, start)), start, measured: Measured::default() }
        }

        fn arrival(&self, ms: u64) -> Arrival {
            let after = Duration::from_millis(ms);
            Arrival { at: self.start + after, stamp: Duration::from_secs(1_000) + after }
        }

        /// What a far end would send: sequence and timestamp as given.
        fn hear(&mut self, sequence: u16, timestamp: u32, marker: bool, ms: u64) {
            let header =
                media::rtp::packet::Header { marker, payload_type: 0, sequence, timestamp, ssrc: 77 };
            let mut packet = [0xFF; PACKET];
            header.write(&mut packet, FRAME).unwrap();
            self.here.take(&packet, self.arrival(ms), &mut self.measured);
        }

        fn end(mut self) -> Measured {
            self.here.end(&mut self.measured);
            self.measured
        }
    }

    fn agreed(ssrc: u32, answered: Instant) -> Agreed {
        Agreed {
            law: Law::Mu,
            payload_type: PayloadTypes::same(0),
            numbers: (ssrc, 65_530, u32::MAX - 500),
            answered,
            starts_at: 0,
            listens: true,
        }
    }

    #[test]
    fn packets_are_numbered_and_carry_the_tone() {
        let mut line = Line::new();
        let mut out = [0; PACKET];
        for at in 0..20_u16 {
            let length = line.here.next(&line.tone, &mut out, line.start, &mut line.measured);
            let packet = Packet::parse(&out[..length]).unwrap();
            assert_eq!(packet.sequence, 65_530_u16.wrapping_add(at));
            assert_eq!(packet.timestamp, (u32::MAX - 500).wrapping_add(u32::from(at) * 160));
            assert_eq!((packet.marker, packet.ssrc, packet.payload_type), (at == 0, 1, 0));
            assert_eq!(packet.payload, line.tone.frame(usize::from(at)));
        }
        assert_eq!((line.measured.sent, line.measured.spurts), (20, 1));
    }

    #[test]
    fn gaps_loss_and_the_first_packet_are_measured() {
        let mut line = Line::new();
        for (sequence, ms) in [(0_u16, 5), (1, 25), (2, 46), (4, 85), (3, 86), (6, 125)] {
            line.hear(sequence, u32::from(sequence) * 160, sequence == 0, ms);
        }
        let measured = line.end();
        assert_eq!((measured.received, measured.lost, measured.reordered, measured.silent), (6, 1, 1, 0));
        assert_eq!((measured.gap.count(), measured.gap.quantile(1.0)), (4, 40_000));
        assert_eq!(measured.first.quantile(1.0), 5_000);
        assert_eq!(measured.jitter.count(), 1);
    }

    #[test]
    fn a_pause_that_the_far_end_meant_is_no_gap() {
        let mut line = Line::new();
        line.hear(0, 0, true, 0);
        line.hear(1, 160, false, 20);
        line.hear(2, 160 + 8_000, true, 1_020);
        // A marker alone doesn't hide a stall.
        line.hear(3, 320 + 8_000, true, 1_320);
        let measured = line.end();
        assert_eq!((measured.pauses, measured.gap.count()), (1, 2));
        assert!(measured.gap.quantile(1.0) >= 300_000);
    }

    #[test]
    fn what_is_no_rtp_is_counted_and_a_call_that_hears_nothing_is_silent() {
        let mut line = Line::new();
        let arrival = line.arrival(0);
        line.here.take(b"hello", arrival, &mut line.measured);
        let measured = line.end();
        assert_eq!((measured.foreign, measured.silent, measured.received), (1, 1, 0));
    }

    #[test]
    fn an_echo_tells_the_round_trip() {
        let mut line = Line::new();
        let mut sent = Vec::new();
        for at in 0..30_u64 {
            let mut out = [0; PACKET];
            let now = line.arrival(at * 20);
            line.here.next(&line.tone, &mut out, now.at, &mut line.measured);
            sent.push(out);
            if let Some(back) = at.checked_sub(3).and_then(|at| sent.get(at as usize)) {
                line.here.take(back, now, &mut line.measured);
            }
        }
        assert_eq!((line.measured.round_trip.count(), line.measured.round_trip.quantile(1.0)), (1, 60_000));
    }

    #[test]
    fn what_the_far_end_reports_is_added_up() {
        let mut line = Line::new();
        let block = |lost| ReportBlock {
            ssrc: 1,
            fraction_lost: 0,
            cumulative_lost: lost,
            highest_sequence: 9,
            jitter: 0,
            last_report: 0,
            since_last_report: 0,
        };
        line.here.reported(&block(2));
        line.here.reported(&block(3));
        let measured = line.end();
        assert_eq!((measured.reported, measured.reported_lost), (1, 3));
    }
}
