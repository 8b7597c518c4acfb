use super::*;
use crate::codec::{Codec, Decoder, Encoder};
use crate::dtmf::Digit;
use crate::playout::{Chunk, PlayoutCommand, UtteranceId};
use crate::rtp::packet::{Header, Packet};
use crate::sdp::{Keys, PayloadTypes};
use crate::session::{Agreement, MediaEvent, SessionConfig};
use crate::srtp::{MAX_DATAGRAM, Seed, Suite, Unprotector};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_millis(20);

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

struct Pair {
    a: Session,
    b: Session,
    bridge: Bridge,
    now: Instant,
    sequence: u16,
    timestamp: u32,
}

/// A packet that a leg's peer gets.
#[derive(Debug, Clone, PartialEq)]
struct Got {
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

fn got(bytes: &[u8]) -> Got {
    let packet = Packet::parse(bytes).unwrap();
    Got {
        marker: packet.marker,
        payload_type: packet.payload_type,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        payload: packet.payload.to_vec(),
    }
}

fn agreement(codec: Codec, port: u16) -> Agreement {
    Agreement { telephone_event: Some(PayloadTypes::same(101)), ..Agreement::new(codec, address(port)) }
}

impl Pair {
    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
    fn new(a: Agreement, b: Agreement) -> Self {
        let now = Instant::now();
        let mut a = Session::new(SessionConfig::new(a, 0xA, 100, 1_000), now);
        let mut b = Session::new(SessionConfig::new(b, 0xB, 60_000, 9_000), now);
        let bridge = Bridge::new(&mut a, &mut b);
        Self { a, b, bridge, now, sequence: 0, timestamp: 0 }
    }

    /// A's peer sends a packet; gives what B's peer gets of it at once.
    fn hear(&mut self, payload_type: u8, payload: &[u8]) -> Vec<Got> {
        let header = Header {
            marker: false,
            payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: 7,
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(payload);
        self.a.handle_rtp(&bytes, address(4_000), self.now);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        let mut out = [0; MAX_DATAGRAM];
        std::iter::from_fn(|| self.bridge.relay(&mut self.a, &mut self.b, &mut out).map(|n| got(&out[..n])))
            .collect()
    }

    /// Both tick; gives what B's peer gets.
    fn tick(&mut self) -> Option<Got> {
        let mut out = [0; MAX_DATAGRAM];
        self.a.tick(self.now, &mut out).unwrap();
        self.bridge.carry(&self.a, &mut self.b);
        let length = self.b.tick(self.now, &mut out).unwrap();
        self.bridge.carry(&self.b, &mut self.a);
        self.now += FRAME;
        (length > 0).then(|| got(&out[..length]))
    }
}

#[test]
fn with_one_codec_packets_go_through_untouched_and_at_once() {
    let mut pair = Pair::new(agreement(Codec::Pcma, 4_000), agreement(Codec::Pcma, 5_000));
    assert_eq!(pair.bridge.mode(), Mode::Relay);
    let mut relayed = Vec::new();
    for n in 0..50u8 {
        if n == 20 {
            // Lost on the way to us: lost on the way from us.
            (pair.sequence, pair.timestamp) =
                (pair.sequence.wrapping_add(1), pair.timestamp.wrapping_add(160));
            pair.tick();
            continue;
        }
        let now = pair.hear(8, &[n; 160]);
        assert_eq!(now.len(), 1, "packet {n}");
        assert_eq!(now[0].payload, [n; 160]);
        relayed.extend(now);
        assert_eq!(pair.tick(), None, "nothing of ours is sent in between");
    }
    assert!(relayed[0].marker && !relayed[1].marker);
    for (n, pair) in relayed.windows(2).enumerate() {
        let step = if n == 19 { 2 } else { 1 };
        assert_eq!(pair[1].sequence.wrapping_sub(pair[0].sequence), step);
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 160 * u32::from(step));
    }
}

#[test]
fn keys_go_through_as_keys_with_the_other_legs_number() {
    let b = Agreement { telephone_event: Some(PayloadTypes::same(96)), ..agreement(Codec::Pcmu, 5_000) };
    let mut pair = Pair::new(agreement(Codec::Pcmu, 4_000), b);
    pair.hear(0, &[0xFF; 160]);
    let key = pair.hear(101, &[5, 0x8A, 3, 32]);
    assert_eq!((key[0].payload_type, key[0].payload.as_slice()), (96, &[5, 0x8A, 3, 32][..]));
    assert_eq!(pair.hear(13, &[0x40])[0].payload_type, 13);
}

#[test]
fn with_two_codecs_speech_is_spoken_again() {
    for (from, to) in [
        (Codec::Pcma, Codec::Pcmu),
        (Codec::Pcma, Codec::G722),
        (Codec::G722, Codec::Pcma),
        (Codec::G722, Codec::Pcmu),
    ] {
        let mut pair = Pair::new(agreement(from, 4_000), agreement(to, 5_000));
        assert_eq!(pair.bridge.mode(), Mode::Transcode);
        let (mut encoder, mut decoder) = (Encoder::new(from).unwrap(), Decoder::new(to).unwrap());
        let rate = f64::from(from.rate_hz());
        let tone: Vec<i16> = (0..from.rate_hz())
            .map(|n| (8_000.0 * (std::f64::consts::TAU * 600.0 * f64::from(n) / rate).sin()) as i16)
            .collect();
        let mut heard = Vec::new();
        for spoken in tone.chunks(from.rate_hz() as usize / 50) {
            let mut payload = [0; 160];
            encoder.encode(spoken, &mut payload);
            assert_eq!(pair.hear(from.payload_type(), &payload), []);
            let sent = pair.tick().expect("a packet a tick");
            assert_eq!(sent.payload_type, to.payload_type());
            let mut samples = [0; 320];
            let count = decoder.decode(&sent.payload, &mut samples);
            heard.extend_from_slice(&samples[..count]);
        }
        let rest = &heard[heard.len() / 4..];
        let level = (rest.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / rest.len() as f64).sqrt();
        assert!((5_300.0..6_000.0).contains(&level), "{from:?} to {to:?}: {level:.0}");
    }
}

#[test]
fn a_new_codec_on_one_leg_changes_the_way() {
    let mut pair = Pair::new(agreement(Codec::Pcma, 4_000), agreement(Codec::Pcma, 5_000));
    pair.hear(8, &[1; 160]);
    pair.b.update(agreement(Codec::Pcmu, 5_000), pair.now);
    let Pair { a, b, bridge, .. } = &mut pair;
    bridge.renegotiated(a, b);
    assert_eq!(pair.bridge.mode(), Mode::Transcode);
    assert_eq!(pair.hear(8, &[1; 160]), []);
    assert_eq!(pair.tick().unwrap().payload_type, 0);
}

#[test]
fn a_leg_that_falls_silent_gets_our_silence_and_then_the_relay_again() {
    let mut pair = Pair::new(agreement(Codec::Pcma, 4_000), agreement(Codec::Pcma, 5_000));
    let first = pair.hear(8, &[1; 160]).remove(0);
    let own: Vec<_> = (0..20).filter_map(|_| pair.tick()).collect();
    assert!((8..=12).contains(&own.len()), "{} packets of silence in 400 ms", own.len());
    assert!(own.iter().all(|packet| packet.payload == [0xD5; 160]));
    let again = pair.hear(8, &[2; 160]).remove(0);
    let steps: Vec<u16> = std::iter::once(&first)
        .chain(&own)
        .chain([&again])
        .map(|packet| packet.sequence.wrapping_sub(first.sequence))
        .collect();
    assert!(steps.windows(2).all(|pair| pair[1] == pair[0] + 1), "numbers run on: {steps:?}");
    assert!(again.timestamp.wrapping_sub(first.timestamp) < 160 * 25 && again.marker);
}

#[test]
fn an_announcement_goes_before_the_other_leg() {
    let mut pair = Pair::new(agreement(Codec::Pcma, 4_000), agreement(Codec::Pcma, 5_000));
    pair.hear(8, &[1; 160]);
    let chunk = Chunk::Pcma(vec![0x2A; 320].into());
    pair.b.playout(PlayoutCommand::Audio { utterance: UtteranceId(2), chunk }).unwrap();
    assert_eq!(pair.hear(8, &[1; 160]), []);
    assert_eq!(pair.tick().unwrap().payload, [0x2A; 160]);
    assert_eq!(pair.tick().unwrap().payload, [0x2A; 160]);
    assert_eq!(pair.hear(8, &[1; 160]).len(), 1);
}

#[test]
fn a_held_leg_gets_nothing_and_letting_go_restores_both() {
    let held =
        Agreement { direction: crate::sdp::Direction::Inactive, held: true, ..agreement(Codec::Pcma, 5_000) };
    let mut pair = Pair::new(agreement(Codec::Pcma, 4_000), held);
    assert_eq!(pair.hear(8, &[1; 160]), []);
    assert_eq!(pair.tick(), None);
    pair.b.update(agreement(Codec::Pcma, 5_000), pair.now);
    assert_eq!(pair.hear(8, &[1; 160]).len(), 1);
    let Pair { mut a, mut b, bridge, now, .. } = pair;
    bridge.release(&mut a, &mut b);
    assert!(b.tick(now, &mut [0; MAX_DATAGRAM]).is_some_and(|length| length == 172));
}

#[test]
fn an_encrypted_leg_stays_encrypted() {
    let key = |seed| Seed::new([seed; 32]).master_key(Suite::AesCm128HmacSha1_80, None);
    let keys = Some(Keys { send: key(1), receive: key(2) });
    let mut pair =
        Pair::new(agreement(Codec::Pcma, 4_000), Agreement { keys, ..agreement(Codec::Pcma, 5_000) });
    let mut theirs = Unprotector::new(key(1)).unwrap();
    for n in 0..5u8 {
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence: u16::from(n),
            timestamp: u32::from(n) * 160,
            ssrc: 7,
        };
        let bytes = [header.to_bytes().as_slice(), &[n; 160]].concat();
        pair.a.handle_rtp(&bytes, address(4_000), pair.now);
        let mut out = [0; MAX_DATAGRAM];
        let length = pair.bridge.relay(&mut pair.a, &mut pair.b, &mut out).unwrap();
        let mut plain = [0; MAX_DATAGRAM];
        let length = theirs.unprotect_rtp(&out[..length], &mut plain).unwrap();
        assert_eq!(got(&plain[..length]).payload, [n; 160]);
    }
}

#[test]
fn a_flood_without_a_reader_is_bounded_and_keys_are_told_as_ever() {
    let mut pair = Pair::new(agreement(Codec::Pcma, 4_000), agreement(Codec::Pcma, 5_000));
    for n in 0..1_000u16 {
        let header = Header { marker: false, payload_type: 8, sequence: n, timestamp: 0, ssrc: 7 };
        pair.a.handle_rtp(&[header.to_bytes().as_slice(), &[1; 160]].concat(), address(4_000), pair.now);
    }
    pair.sequence = 1_000;
    assert!(pair.hear(101, &[5, 0x8A, 3, 32]).len() <= 16);
    let digit = Digit::from_char('5').unwrap();
    let told: Vec<_> = std::iter::from_fn(|| pair.a.poll_event()).collect();
    assert!(told.contains(&MediaEvent::Digit { digit, duration_ms: 100 }), "{told:?}");
}
