use super::*;
use crate::codec::{Codec, Law};
use crate::playout::{Chunk, UtteranceId};
use crate::rtp::packet::{Header, Packet};
use crate::sdp::{Direction, PayloadTypes};

const PEER: &str = "192.0.2.1:4000";
const MS: Duration = Duration::from_millis(1);

fn agreement() -> Agreement {
    Agreement { telephone_event: Some(PayloadTypes::same(101)), ..Agreement::new(Codec::Pcma, address(PEER)) }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A session with a clock and a peer that numbers its packets.
struct Line {
    session: Session,
    now: Instant,
    sequence: u16,
    timestamp: u32,
}

/// A packet of ours, read back.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

impl Line {
    fn new() -> Self {
        Self::with(agreement())
    }

    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
    fn with(agreement: Agreement) -> Self {
        let now = Instant::now();
        let config = SessionConfig::new(agreement, 0xAABB_CCDD, 65_534, u32::MAX - 159);
        Self { session: Session::new(config, now), now, sequence: 0, timestamp: 0 }
    }

    fn tick(&mut self) -> Option<Sent> {
        let mut out = [0; MAX_PACKET_BYTES];
        let length = self.session.tick(self.now, &mut out).expect("a frame is due");
        self.now += MS * self.session.frame_samples() as u32 / 8;
        (length > 0).then(|| {
            let packet = Packet::parse(&out[..length]).unwrap();
            Sent {
                marker: packet.marker,
                payload_type: packet.payload_type,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                payload: packet.payload.to_vec(),
            }
        })
    }

    fn tick_quietly(&mut self) {
        self.session.tick(self.now, &mut [0; MAX_PACKET_BYTES]).expect("a frame is due");
        self.now += MS * self.session.frame_samples() as u32 / 8;
    }

    fn hear(&mut self, payload: &[u8]) {
        self.hear_from(PEER, 1, 8, payload);
    }

    fn hear_from(&mut self, source: &str, ssrc: u32, payload_type: u8, payload: &[u8]) {
        let header =
            Header { marker: false, payload_type, sequence: self.sequence, timestamp: self.timestamp, ssrc };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(payload);
        self.session.handle_rtp(&bytes, address(source), self.now);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(payload.len() as u32);
    }

    fn events(&mut self) -> Vec<MediaEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }
}

#[test]
fn packets_flow_from_the_first_tick_with_marker_and_running_numbers() {
    let mut line = Line::new();
    let sent: Vec<_> = (0..3).map(|_| line.tick().unwrap()).collect();
    assert_eq!(sent.iter().map(|p| p.marker).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(sent.iter().map(|p| p.sequence).collect::<Vec<_>>(), [65_534, 65_535, 0]);
    assert_eq!(sent.iter().map(|p| p.timestamp).collect::<Vec<_>>(), [u32::MAX - 159, 0, 160]);
    assert!(sent.iter().all(|p| p.payload_type == 8 && p.payload == [0xD5; 160]));
}

#[test]
fn every_packet_time_is_sent_at_its_own_pace() {
    for ptime_ms in [10u8, 20, 30, 40, 50, 60] {
        let mut line = Line::with(Agreement { ptime_ms, ..agreement() });
        let start = line.now;
        let sent: Vec<_> = (0..10).map(|_| line.tick().unwrap()).collect();
        assert!(sent.iter().all(|p| p.payload.len() == usize::from(ptime_ms) * 8));
        assert_eq!(line.session.next_tick(), start + MS * u32::from(ptime_ms) * 10);
        assert_eq!(sent[9].timestamp.wrapping_sub(sent[0].timestamp), u32::from(ptime_ms) * 72);
    }
}

#[test]
fn the_callers_audio_comes_out_after_sixty_milliseconds_one_frame_a_tick() {
    let mut line = Line::new();
    let mut frames = Vec::new();
    for n in 0..6u8 {
        line.hear(&[0x80 | n; 160]);
        line.tick();
        frames.push(line.session.next_frame().unwrap().to_vec());
        assert_eq!(line.session.next_frame(), None);
    }
    assert!(frames[..3].iter().all(|frame| frame == &[0; 160]));
    assert_eq!(frames[3], [Law::A.decode(0x80); 160]);
    assert_eq!(frames[5], [Law::A.decode(0x82); 160]);
    assert_eq!(line.events(), [MediaEvent::FirstPacket { source: address(PEER) }]);
}

#[test]
fn both_laws_are_understood_whatever_was_agreed() {
    let mut line = Line::new();
    for _ in 0..4 {
        line.hear_from(PEER, 1, 0, &[0x80; 160]);
        line.tick();
    }
    assert_eq!(line.session.next_frame().unwrap(), [32_124; 160]);
}

#[test]
fn an_injected_stream_is_never_heard_and_is_counted() {
    let mut line = Line::new();
    for _ in 0..10 {
        line.hear_from("203.0.113.66:4000", 9, 8, &[0x80; 160]);
        line.tick();
        assert_eq!(line.session.next_frame().unwrap(), [0; 160], "before the first packet");
    }
    line.hear(&[0xD5; 160]);
    line.session.update(agreement(), line.now);
    for _ in 0..10 {
        line.hear_from("192.0.2.1:4444", 9, 8, &[0x80; 160]);
        line.hear_from("203.0.113.66:4000", 9, 8, &[0x80; 160]);
        line.tick();
        let quiet = line.session.next_frame().unwrap().iter().all(|sample| sample.abs() <= 8);
        assert!(quiet, "after a re-INVITE");
    }
    assert_eq!(line.session.stats().injected, 30);
    assert_eq!(line.session.stats().received, 1);
}

#[test]
fn junk_of_the_right_source_is_counted_and_harmless() {
    let mut line = Line::new();
    let peer = address(PEER);
    line.session.handle_rtp(&[], peer, line.now);
    line.session.handle_rtp(&[0x80; 11], peer, line.now);
    line.session.handle_rtp(&[0xFF; 600], peer, line.now);
    line.session.handle_rtp(&[0x80, 200, 0, 1, 0, 0, 0, 1], peer, line.now);
    line.hear_from(PEER, 1, 96, &[0; 160]);
    let stats = line.session.stats();
    assert_eq!((stats.malformed, stats.rtcp.received, stats.unknown_payload), (3, 1, 1));
    assert_eq!(line.events(), [], "none of it locks the source");
    line.hear(&[0xD5; 1_400]);
    assert_eq!(line.session.stats().buffer.unfit, 1);
    line.tick();
}

#[test]
fn comfort_noise_keeps_the_call_alive_and_plays_silence() {
    let mut line = Line::new();
    for _ in 0..5 {
        line.hear_from(PEER, 1, 13, &[0x40]);
        line.tick();
    }
    let noise = line.session.next_frame().unwrap();
    assert!(noise.iter().any(|sample| *sample != 0) && noise.iter().all(|sample| sample.abs() < 60));
    assert_eq!(line.session.stats().comfort_noise, 5);
}

#[test]
fn a_key_is_reported_once_and_disturbs_no_audio() {
    let mut line = Line::new();
    line.hear(&[0xD5; 160]);
    for duration in [160u16, 320, 480, 640, 800, 800, 800] {
        let end = if duration == 800 { 0x80 } else { 0 };
        let [d0, d1] = duration.to_be_bytes();
        let timestamp = line.timestamp;
        line.hear_from(PEER, 1, 101, &[11, 10 | end, d0, d1]);
        line.timestamp = timestamp;
        line.tick();
    }
    let events = line.events();
    let digit = MediaEvent::Digit { digit: Digit::from_char('#').unwrap(), duration_ms: 100 };
    assert_eq!(events[1..], [digit]);
    assert_eq!(line.session.stats().lost, 0);
    assert!(!format!("{events:?}").contains('#'), "keys are masked in logs");
}

#[test]
fn keys_in_the_audio_are_heard_only_without_telephone_event() {
    let tone: Vec<u8> = (0..800u32)
        .map(|n| {
            let t = std::f64::consts::TAU * f64::from(n) / 8_000.0;
            Law::A.encode((6_000.0 * ((770.0 * t).sin() + (1_336.0 * t).sin())) as i16)
        })
        .collect();
    for telephone_event in [None, Some(PayloadTypes::same(101))] {
        let mut line = Line::with(Agreement { telephone_event, ..agreement() });
        for packet in tone.chunks(160).chain([[0xD5; 160].as_slice(); 10]) {
            line.hear(packet);
            line.tick();
        }
        let keys: Vec<_> =
            line.events().into_iter().filter(|e| matches!(e, MediaEvent::Digit { .. })).collect();
        let five = Digit::from_char('5').unwrap();
        match telephone_event {
            None => assert!(
                matches!(keys[..], [MediaEvent::Digit { digit, duration_ms: 80..=110 }] if digit == five)
            ),
            Some(_) => assert_eq!(keys, []),
        }
    }
}

#[test]
fn a_key_whose_end_was_lost_comes_with_a_later_tick() {
    let mut line = Line::new();
    line.hear_from(PEER, 1, 101, &[1, 10, 0, 160]);
    for _ in 0..12 {
        line.tick();
    }
    assert!(matches!(line.events()[1..], [MediaEvent::Digit { duration_ms: 20, .. }]));
}

#[test]
fn a_sent_key_replaces_audio_and_playout_waits() {
    let mut line = Line::new();
    let utterance = UtteranceId(2);
    let chunk = Chunk::Pcm(vec![1_000; 160].into());
    line.session.playout(PlayoutCommand::Audio { utterance, chunk }).unwrap();
    assert!(line.session.send_digit(Digit::from_char('5').unwrap(), 40));
    let types: Vec<_> = (0..6).map(|_| line.tick().unwrap()).collect();
    assert_eq!(types.iter().map(|p| p.payload_type).collect::<Vec<_>>(), [101, 101, 101, 101, 8, 8]);
    assert!(types[..4].iter().all(|p| p.timestamp == types[0].timestamp));
    assert_eq!(types[4].timestamp.wrapping_sub(types[0].timestamp), 640);
    assert_eq!(types[4].payload, [Law::A.encode(1_000); 160]);
    let mut without = Line::with(Agreement { telephone_event: None, ..agreement() });
    assert!(!without.session.send_digit(Digit::from_char('5').unwrap(), 40));
}

#[test]
fn drained_tells_what_was_sent() {
    let mut line = Line::new();
    let utterance = UtteranceId(2);
    let chunk = Chunk::Pcma(vec![0x2A; 400].into());
    line.session.playout(PlayoutCommand::Audio { utterance, chunk }).unwrap();
    line.session.playout(PlayoutCommand::End { utterance }).unwrap();
    for _ in 0..2 {
        line.tick();
        assert_eq!(line.events(), []);
    }
    assert_eq!(line.tick().unwrap().payload[..81], [[0x2A; 80].as_slice(), &[0xD5]].concat());
    assert_eq!(line.events(), [MediaEvent::Drained { utterance, sent_ms: 50 }]);
}

#[test]
fn hold_stops_packets_and_playout_and_parks_the_timeout() {
    let mut line = Line::new();
    line.hear(&[0xD5; 160]);
    let first = line.tick().unwrap();
    let utterance = UtteranceId(2);
    let chunk = Chunk::Pcma(vec![0x2A; 160].into());
    line.session.playout(PlayoutCommand::Audio { utterance, chunk }).unwrap();
    let held = Agreement { direction: Direction::RecvOnly, held: true, ..agreement() };
    line.session.update(held, line.now);
    for _ in 0..5_000 {
        assert_eq!(line.tick(), None);
        assert!(line.session.next_frame().is_some());
    }
    assert_eq!(line.session.queued_ms(), 20);
    line.session.update(agreement(), line.now);
    let resumed = line.tick().unwrap();
    assert!(resumed.marker);
    assert_eq!(resumed.sequence, first.sequence.wrapping_add(1), "nothing was lost");
    assert_eq!(resumed.timestamp.wrapping_sub(first.timestamp), 5_001 * 160);
    assert_eq!(resumed.payload, [0x2A; 160]);
    assert_eq!(line.events().len(), 1, "no timeout in 100 s of hold");
}

#[test]
fn silence_of_the_peer_is_told_once_and_so_is_its_return() {
    let mut line = Line::new();
    for _ in 0..1_600 {
        line.tick();
    }
    assert_eq!(line.events(), [MediaEvent::Timeout { first_media: true, silent_ms: 30_000 }]);
    line.hear(&[0xD5; 160]);
    assert_eq!(line.events()[1..], [MediaEvent::Resumed]);
    for _ in 0..3_100 {
        line.tick();
    }
    assert_eq!(line.events(), [MediaEvent::Timeout { first_media: false, silent_ms: 60_000 }]);
}

#[test]
fn a_stall_is_caught_up_by_three_frames_and_the_time_line_stays() {
    let mut line = Line::new();
    let first = line.tick().unwrap();
    line.now += MS * 980;
    let mut out = [0; MAX_PACKET_BYTES];
    let mut stamps = Vec::new();
    while let Some(length) = line.session.tick(line.now, &mut out) {
        let packet = Packet::parse(&out[..length]).unwrap();
        stamps.push((packet.timestamp.wrapping_sub(first.timestamp) / 160, packet.marker));
    }
    assert_eq!(stamps, [(48, true), (49, false), (50, false)]);
    assert_eq!(line.session.stats().skipped_frames, 47);
}

#[test]
fn a_new_law_and_packet_time_apply_from_the_next_frame() {
    let mut line = Line::new();
    line.tick();
    let changed =
        Agreement { codec: Codec::Pcmu, payload_type: PayloadTypes::same(0), ptime_ms: 30, ..agreement() };
    line.session.update(changed, line.now);
    let sent = line.tick().unwrap();
    assert_eq!((sent.payload_type, sent.payload), (0, vec![0xFF; 240]));
    line.tick();
}

#[test]
fn a_stream_that_restarts_is_heard_again() {
    let mut line = Line::new();
    for _ in 0..10 {
        line.hear(&[0xAA; 160]);
        line.tick();
    }
    (line.sequence, line.timestamp) = (40_000, 3_000_000_000);
    for _ in 0..6 {
        line.hear_from(PEER, 77, 8, &[0x80; 160]);
        line.tick();
    }
    assert_eq!(line.session.next_frame().unwrap(), [Law::A.decode(0x80); 160]);
    assert_eq!(line.session.stats().restarts, 1);
}

#[test]
fn unread_events_are_bounded() {
    let mut line = Line::new();
    for n in 0..1_000u32 {
        line.timestamp = n * 2_000;
        line.hear_from(PEER, 1, 101, &[1, 0x8A, 3, 32]);
    }
    assert_eq!(line.events().len(), MAX_EVENTS);
    assert_eq!(line.session.stats().events_dropped as usize, 1_001 - MAX_EVENTS);
}

mod srtp {
    use super::*;
    use crate::sdp::Keys;
    use crate::srtp::{MAX_DATAGRAM, Protector, Seed, Suite, Unprotector};

    fn keys(suite: Suite, peer: u8) -> Keys {
        let key = |seed| Seed::new([seed; 32]).master_key(suite, None);
        Keys { send: key(1), receive: key(peer) }
    }

    fn secured(suite: Suite) -> Agreement {
        Agreement { keys: Some(keys(suite, 2)), ..agreement() }
    }

    fn sent(line: &mut Line) -> Vec<u8> {
        let mut out = [0; MAX_PACKET_BYTES];
        let length = line.session.tick(line.now, &mut out).expect("a frame is due");
        line.now += MS * 20;
        out[..length].to_vec()
    }

    fn say(line: &mut Line, protector: &mut Protector, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence: line.sequence,
            timestamp: line.timestamp,
            ssrc: 1,
        };
        let mut buffer = [0; MAX_DATAGRAM];
        buffer[..12].copy_from_slice(&header.to_bytes());
        buffer[12..12 + payload.len()].copy_from_slice(payload);
        let length = protector.protect_rtp(&mut buffer, 12 + payload.len()).unwrap();
        line.sequence = line.sequence.wrapping_add(1);
        line.timestamp = line.timestamp.wrapping_add(payload.len() as u32);
        line.session.handle_rtp(&buffer[..length], address(PEER), line.now);
        buffer[..length].to_vec()
    }

    fn peer(seed: u8, suite: Suite) -> Protector {
        Protector::new(Seed::new([seed; 32]).master_key(suite, None)).unwrap()
    }

    #[test]
    fn both_directions_are_protected() {
        for suite in Suite::ALL {
            let mut line = Line::with(secured(suite));
            let mut theirs = Unprotector::new(keys(suite, 2).send).unwrap();
            let mut protector = peer(2, suite);
            for _ in 0..6 {
                say(&mut line, &mut protector, &[0x80; 160]);
                let packet = sent(&mut line);
                let mut plain = [0; MAX_DATAGRAM];
                let length = theirs.unprotect_rtp(&packet, &mut plain).unwrap();
                assert_eq!(Packet::parse(&plain[..length]).unwrap().payload, [0xD5; 160]);
            }
            assert_eq!(line.session.next_frame().unwrap(), [Law::A.decode(0x80); 160]);
        }
    }

    #[test]
    fn plain_tampered_and_repeated_packets_are_counted_and_neither_heard_nor_locked_on() {
        let suite = Suite::AesCm128HmacSha1_80;
        let mut line = Line::with(secured(suite));
        for _ in 0..50 {
            line.hear(&[0x80; 160]);
            line.tick_quietly();
        }
        assert_eq!(line.events(), [], "nothing was believed");
        assert_eq!(line.session.stats().unauthenticated, 50);
        let mut protector = peer(2, suite);
        let mut packet = say(&mut line, &mut protector, &[0xD5; 160]);
        line.session.handle_rtp(&packet, address(PEER), line.now);
        packet[20] ^= 1;
        packet[3] = packet[3].wrapping_add(9);
        line.session.handle_rtp(&packet, address(PEER), line.now);
        let stats = line.session.stats();
        assert_eq!((stats.received, stats.replayed, stats.unauthenticated), (1, 1, 51));
        for _ in 0..10_000 {
            line.session.handle_rtp(&packet, address(PEER), line.now);
        }
        say(&mut line, &mut protector, &[0xD5; 160]);
        assert_eq!(line.session.stats().received, 2, "ten thousand bad packets later");
    }

    #[test]
    fn the_same_keys_again_change_nothing_and_a_new_one_of_the_peer_is_followed() {
        let suite = Suite::AesCm128HmacSha1_80;
        let mut line = Line::with(secured(suite));
        let mut protector = peer(2, suite);
        say(&mut line, &mut protector, &[0x80; 160]);
        let ssrc = line.session.ssrc();
        line.session.update(secured(suite), line.now);
        say(&mut line, &mut protector, &[0x80; 160]);
        assert_eq!((line.session.stats().received, line.session.ssrc()), (2, ssrc));
        line.session.update(Agreement { keys: Some(keys(suite, 3)), ..agreement() }, line.now);
        let mut renewed = peer(3, suite);
        say(&mut line, &mut protector, &[0x80; 160]);
        say(&mut line, &mut renewed, &[0x80; 160]);
        assert_eq!(line.session.stats().received, 4, "a packet under the old key was on the way");
        assert_eq!(line.session.ssrc(), ssrc, "our key is the same, and so is our stream");
        line.now += MS * 3_000;
        say(&mut line, &mut protector, &[0x80; 160]);
        assert_eq!((line.session.stats().received, line.session.stats().unauthenticated), (4, 1));
    }

    #[test]
    fn a_new_key_of_ours_begins_a_new_stream() {
        let mut line = Line::with(secured(Suite::AesCm128HmacSha1_80));
        sent(&mut line);
        let ssrc = line.session.ssrc();
        line.session.update(secured(Suite::AeadAes256Gcm), line.now);
        let packet = sent(&mut line);
        assert_ne!(line.session.ssrc(), ssrc);
        let mut theirs = Unprotector::new(keys(Suite::AeadAes256Gcm, 2).send).unwrap();
        let length = theirs.unprotect_rtp(&packet, &mut [0; MAX_DATAGRAM]).unwrap();
        assert_eq!(length, 172);
        assert!(packet[1] & 0x80 != 0 && packet[2] < 0x80, "marker, and a number far from its turn");
    }
}

mod codecs {
    use super::*;
    use crate::codec::{Decoder, Encoder};

    fn tone(samples: usize, rate: f64) -> Vec<i16> {
        (0..samples)
            .map(|n| (8_000.0 * (std::f64::consts::TAU * 500.0 * n as f64 / rate).sin()) as i16)
            .collect()
    }

    fn energy(samples: &[i16]) -> f64 {
        (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    }

    /// Speaks and listens over a session for a second and gives the levels heard by both.
    fn converse(line: &mut Line, codec: Codec) -> (f64, f64) {
        let (mut encoder, mut decoder) = (Encoder::new(codec).unwrap(), Decoder::new(codec).unwrap());
        let clock = codec.clock_hz() / 50;
        let utterance = UtteranceId(2);
        let chunk = Chunk::Pcm(tone(8_000, 8_000.0).into());
        line.session.playout(PlayoutCommand::Audio { utterance, chunk }).unwrap();
        let (mut heard, mut said) = (Vec::new(), Vec::new());
        for spoken in
            tone(codec.rate_hz() as usize, f64::from(codec.rate_hz())).chunks(codec.rate_hz() as usize / 50)
        {
            let mut payload = [0; 480];
            let length = encoder.encode(spoken, &mut payload);
            let timestamp = line.timestamp;
            line.hear_from(PEER, 1, codec.payload_type(), &payload[..length]);
            line.timestamp = timestamp.wrapping_add(clock);
            let sent = line.tick().unwrap();
            assert_eq!(sent.payload_type, codec.payload_type());
            let mut samples = [0; 960];
            let count = decoder.decode(&sent.payload, &mut samples);
            assert_eq!(count, codec.rate_hz() as usize / 50);
            said.extend_from_slice(&samples[..count]);
            assert_eq!(
                line.session.wide_frame().map(<[i16]>::len),
                (codec.rate_hz() == 16_000).then_some(320)
            );
            heard.extend_from_slice(line.session.next_frame().unwrap());
        }
        (energy(&heard[1_600..]), energy(&said[said.len() / 4..]))
    }

    #[test]
    fn every_codec_carries_a_voice_both_ways_and_can_be_changed_in_the_call() {
        let of = |codec: Codec| Agreement {
            codec,
            payload_type: PayloadTypes::same(codec.payload_type()),
            ..agreement()
        };
        let mut line = Line::with(of(Codec::Pcmu));
        for codec in Codec::ALL.iter().chain(Codec::ALL.iter().rev()) {
            line.session.update(of(*codec), line.now);
            let (heard, said) = converse(&mut line, *codec);
            for level in [heard, said] {
                assert!((4_500.0..6_300.0).contains(&level), "{codec:?}: heard {heard:.0}, said {said:.0}");
            }
        }
        assert_eq!(line.session.stats().concealed_ms, 0);
    }

    #[test]
    fn timestamps_count_the_codecs_clock() {
        for codec in Codec::ALL {
            let payload_type = PayloadTypes::same(codec.payload_type());
            let mut line = Line::with(Agreement { codec: *codec, payload_type, ..agreement() });
            let (first, second) = (line.tick().unwrap(), line.tick().unwrap());
            assert_eq!(second.timestamp.wrapping_sub(first.timestamp), codec.clock_hz() / 50, "{codec:?}");
        }
    }
}

mod reports {
    use super::*;
    use crate::rtp::rtcp;

    fn with_rtcp() -> Agreement {
        Agreement { remote_rtcp: Some(address("192.0.2.1:4001")), ..agreement() }
    }

    /// Two sessions that hear each other over a network of 40 ms.
    fn exchange(keys: Option<crate::sdp::Keys>) -> (Line, Line) {
        let reversed = keys.clone().map(|keys| crate::sdp::Keys { send: keys.receive, receive: keys.send });
        let mut ends = [keys, reversed].map(|keys| Line::with(Agreement { keys, ..with_rtcp() }));
        let mut flying: Vec<(Instant, usize, bool, Vec<u8>)> = Vec::new();
        let mut out = [0; 256];
        for _ in 0..1_000 {
            for (from, end) in ends.iter_mut().enumerate() {
                let now = end.now;
                let length = end.session.tick(now, &mut out).unwrap();
                flying.push((now + MS * 40, 1 - from, false, out[..length].to_vec()));
                while let Some(length) = end.session.poll_rtcp(now, &mut out) {
                    flying.push((now + MS * 40, 1 - from, true, out[..length].to_vec()));
                }
                end.now += MS * 20;
            }
            let now = ends[0].now;
            flying.retain(|(at, to, report, bytes)| {
                if *at <= now {
                    let line = &mut ends[*to];
                    if *report {
                        line.session.handle_rtcp(bytes, address("192.0.2.1:4001"), line.now);
                    } else {
                        line.session.handle_rtp(bytes, address(PEER), line.now);
                    }
                }
                *at > now
            });
        }
        let [a, b] = ends;
        (a, b)
    }

    #[test]
    fn round_trip_loss_and_score_are_known_after_a_few_seconds() {
        for keys in [None, Some(())] {
            let key = |seed| {
                let seed = crate::srtp::Seed::new([seed; 32]);
                seed.master_key(crate::srtp::Suite::AeadAes256Gcm, None)
            };
            let (a, b) = exchange(keys.map(|()| crate::sdp::Keys { send: key(1), receive: key(2) }));
            for line in [&a, &b] {
                let stats = line.session.stats();
                assert!(stats.rtcp.received >= 2 && stats.rtcp.sent >= 2, "{:?}", stats.rtcp);
                assert!(
                    stats.round_trip_ms.is_some_and(|ms| (79.0..=125.0).contains(&ms)),
                    "{:?}",
                    stats.round_trip_ms
                );
                assert_eq!(stats.remote.map(|remote| remote.lost), Some(0));
                assert!(stats.mos.is_some_and(|mos| mos > 4.2), "{:?}", stats.mos);
                assert_eq!((stats.unauthenticated, stats.injected), (0, 0));
            }
        }
    }

    #[test]
    fn ten_thousand_bad_reports_and_a_bye_change_nothing() {
        let mut line = Line::with(with_rtcp());
        line.hear(&[0xD5; 160]);
        let mut bye = [0; rtcp::MAX_BYTES];
        let length = rtcp::write_compound(&mut bye, 1, None, None, b"abcdefghijklmnop", true).unwrap();
        for n in 0..10_000u32 {
            let mut report = bye[..length].to_vec();
            report[n as usize % length] ^= n as u8;
            line.session.handle_rtcp(&report, address("192.0.2.1:4001"), line.now);
            line.session.handle_rtp(&report, address(PEER), line.now);
            line.session.handle_rtcp(&report, address("203.0.113.9:4001"), line.now);
        }
        assert_eq!(line.events().len(), 1, "the first packet's");
        assert!(line.tick().is_some());
        assert!(line.session.stats().rtcp.byes > 100 && line.session.stats().injected >= 10_000);
    }

    #[test]
    fn reports_go_where_the_description_says() {
        let to =
            |agreement: Agreement| Line::with(agreement).session.rtcp_destination().map(|to| to.to_string());
        assert_eq!(to(agreement()), None);
        assert_eq!(to(with_rtcp()).as_deref(), Some("192.0.2.1:4001"));
        let elsewhere = Agreement { remote_rtcp: Some(address("192.0.2.77:5000")), ..agreement() };
        assert_eq!(to(elsewhere).as_deref(), Some("192.0.2.77:5000"));
        assert_eq!(to(Agreement { rtcp_mux: true, ..with_rtcp() }).as_deref(), Some(PEER));
    }

    #[test]
    fn the_end_is_told() {
        let mut line = Line::with(with_rtcp());
        line.tick();
        let mut out = [0; MAX_REPORT_BYTES];
        let length = line.session.close(line.now, &mut out);
        let last = rtcp::packets(&out[..length]).last();
        assert_eq!(last, Some(rtcp::RtcpPacket::Bye(Some(line.session.ssrc()))));
    }
}
