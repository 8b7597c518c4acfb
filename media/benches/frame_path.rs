//! Each step of the way of a frame, and the whole of it: what 20 ms of a call cost.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a bench may stop at a surprise, and has an arbitrary origin for its own clock"
)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use media::bridge::Bridge;
use media::codec::{Codec, Encoder};
use media::dtmf::inband::Detector;
use media::jitter_buffer::{Incoming, JitterBuffer};
use media::playout::{Chunk, Output, Playout, PlayoutCommand, UtteranceId};
use media::sdp::Keys;
use media::session::{Agreement, MAX_PACKET_BYTES, Session, SessionConfig};
use media::srtp::{MAX_DATAGRAM, Protector, Seed, Suite, Unprotector};
use media::vad::Vad;

const FRAME: Duration = Duration::from_millis(20);

fn peer() -> SocketAddr {
    "192.0.2.1:4000".parse().expect("an address")
}

fn voice(samples: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU / 8_000.0;
    let voice = |n: usize| {
        let phase = step * n as f64;
        6_000.0 * (118.0 * phase).sin() + 3_000.0 * (590.0 * phase).sin() + 1_000.0 * (2_300.0 * phase).sin()
    };
    // Syllables: a steady sound would become background.
    (0..samples).map(|n| (voice(n) * (step * 2.5 * n as f64).sin().abs()) as i16).collect()
}

fn key(seed: u8, suite: Suite) -> media::srtp::MasterKey {
    Seed::new([seed; 32]).master_key(suite, None)
}

/// A packet whose numbers rise.
struct Sender {
    bytes: Vec<u8>,
    sequence: u16,
    timestamp: u32,
}

impl Sender {
    fn new(codec: Codec) -> Self {
        let mut bytes = vec![0x80, codec.payload_type(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let mut payload = [0; 480];
        let samples: Vec<i16> =
            voice(2_000).iter().copied().skip(800).take(codec.rate_hz() as usize / 50).collect();
        let length = Encoder::new(codec).expect("an encoder").encode(&samples, &mut payload);
        bytes.extend_from_slice(&payload[..length]);
        Self { bytes, sequence: 0, timestamp: 0 }
    }

    fn next(&mut self) -> &[u8] {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        self.bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        &self.bytes
    }
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for suite in Suite::ALL {
        let mut protector = Protector::new(key(1, suite)).expect("keys");
        let mut sender = Sender::new(Codec::Pcma);
        let mut buffer = [0; MAX_DATAGRAM];
        group.bench_function(format!("protect_{}", suite.name()), |bencher| {
            bencher.iter(|| {
                let packet = sender.next();
                buffer[..packet.len()].copy_from_slice(packet);
                protector.protect_rtp(&mut buffer, packet.len())
            });
        });
        let mut protector = Protector::new(key(1, suite)).expect("keys");
        let mut unprotector = Unprotector::new(key(1, suite)).expect("keys");
        let mut sender = Sender::new(Codec::Pcma);
        let mut plain = [0; MAX_DATAGRAM];
        group.bench_function(format!("protect_and_unprotect_{}", suite.name()), |bencher| {
            bencher.iter(|| {
                let packet = sender.next();
                buffer[..packet.len()].copy_from_slice(packet);
                let length = protector.protect_rtp(&mut buffer, packet.len()).expect("room");
                unprotector.unprotect_rtp(&buffer[..length], &mut plain)
            });
        });
    }
    let mut buffer = JitterBuffer::default();
    let (payload, mut at) = ([0x2A; 160], 0u64);
    group.bench_function("jitter_buffer_in_and_out", |bencher| {
        bencher.iter(|| {
            at += 1;
            let packet =
                Incoming { sequence: at, timestamp: at * 160, codec: Some(Codec::Pcma), payload: &payload };
            buffer.insert(packet, 8_000 + at * 160);
            matches!(buffer.next(8_000 + at * 160), media::jitter_buffer::Step::Packet { .. })
        });
    });
    let speech = voice(16_000);
    let mut frames = speech.chunks_exact(160).cycle();
    let mut detector = Detector::default();
    group.bench_function("inband_keys", |bencher| {
        bencher.iter(|| detector.listen(black_box(frames.next().unwrap_or_default())));
    });
    let mut vad = Vad::default();
    group.bench_function("vad_gate_closed", |bencher| {
        bencher.iter(|| vad.listen(black_box(&[3; 160]), black_box(&[0; 160])));
    });
    let mut vad = Vad::default();
    group.bench_function("vad_gate_open", |bencher| {
        bencher.iter(|| vad.listen(black_box(frames.next().unwrap_or_default()), &[]));
    });
    let mut playout = Playout::default();
    let chunk = Chunk::Pcma(vec![0x2A; 160_000].into());
    let mut out = [0; 160];
    group.bench_function("playout_passed_through", |bencher| {
        bencher.iter(|| {
            if playout.is_idle() {
                let audio = PlayoutCommand::Audio { utterance: UtteranceId(2), chunk: chunk.clone() };
                playout.command(audio).expect("room");
            }
            playout.fill(Output::Law(media::codec::Law::A, &mut out))
        });
    });
    group.finish();
}

/// One call: a packet in, a frame out, a packet made.
struct Call {
    session: Session,
    protector: Option<Protector>,
    sender: Sender,
    now: Instant,
}

impl Call {
    fn new(codec: Codec, suite: Option<Suite>, vad: bool) -> Self {
        let now = Instant::now();
        let keys = suite.map(|suite| Keys { send: key(1, suite), receive: key(2, suite) });
        let agreement = Agreement {
            keys,
            telephone_event: Some(media::sdp::PayloadTypes::same(101)),
            ..Agreement::new(codec, peer())
        };
        let mut config = SessionConfig::new(agreement, 1, 2, 3);
        if !vad {
            config.vad = None;
        }
        Self {
            session: Session::new(config, now),
            protector: suite.map(|suite| Protector::new(key(2, suite)).expect("keys")),
            sender: Sender::new(codec),
            now,
        }
    }

    fn step(&mut self) -> usize {
        let packet = self.sender.next();
        match &mut self.protector {
            None => self.session.handle_rtp(packet, peer(), self.now),
            Some(protector) => {
                let mut buffer = [0; 256];
                buffer[..packet.len()].copy_from_slice(packet);
                let length = protector.protect_rtp(&mut buffer, packet.len()).expect("room");
                self.session.handle_rtp(&buffer[..length], peer(), self.now);
            }
        }
        let mut out = [0; MAX_PACKET_BYTES];
        let length = self.session.tick(self.now, &mut out).unwrap_or(0);
        self.now += FRAME;
        while self.session.poll_event().is_some() {}
        length + self.session.next_frame().map_or(0, <[i16]>::len)
    }
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call_20ms");
    for (name, codec, suite, vad) in [
        ("pcma_without_vad", Codec::Pcma, None, false),
        ("pcma_speech", Codec::Pcma, None, true),
        ("pcma_speech_srtp_cm_and_its_peer", Codec::Pcma, Some(Suite::AesCm128HmacSha1_80), true),
        ("pcma_speech_srtp_gcm_and_its_peer", Codec::Pcma, Some(Suite::AeadAes256Gcm), true),
        ("g722_without_vad", Codec::G722, None, false),
    ] {
        let mut call = Call::new(codec, suite, vad);
        group.bench_function(name, |bencher| bencher.iter(|| call.step()));
    }
    for (name, to) in [("bridge_relay", Codec::Pcma), ("bridge_transcode_to_g722", Codec::G722)] {
        let mut a = Call::new(Codec::Pcma, None, false);
        let mut b = Call::new(to, None, false);
        let bridge = Bridge::new(&mut a.session, &mut b.session);
        let mut out = [0; MAX_PACKET_BYTES];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let packet = a.sender.next();
                a.session.handle_rtp(packet, peer(), a.now);
                while bridge.relay(&mut a.session, &mut b.session, &mut out).is_some() {}
                a.session.tick(a.now, &mut out);
                bridge.carry(&a.session, &mut b.session);
                b.session.tick(a.now, &mut out);
                bridge.carry(&b.session, &mut a.session);
                a.now += FRAME;
                while a.session.poll_event().or_else(|| b.session.poll_event()).is_some() {}
            });
        });
    }
    group.finish();
}

criterion_group!(benches, steps, calls);
criterion_main!(benches);
