//! Cost of a call's 20 ms: one packet in, one frame out, one packet made. The baseline for the packet itself is the
//! `rtc-rtp` crate (webrtc-rs, sans-IO).

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may stop at a surprise"
)]
#![allow(clippy::disallowed_methods, reason = "an arbitrary origin for the bench's own clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use media::codec::Codec;
use media::playout::{Chunk, PlayoutCommand, UtteranceId};
use media::rtp::packet::{HEADER_BYTES, Header, Packet};
use media::sdp::PayloadTypes;
use media::session::{Agreement, MAX_PACKET_BYTES, Session, SessionConfig};
use rtc_rtp::packet::Packet as RtcPacket;
use rtc_shared::marshal::{Marshal, Unmarshal};

fn datagram(sequence: u16) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type: 8,
        sequence,
        timestamp: u32::from(sequence).wrapping_mul(160),
        ssrc: 7,
    };
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend([0x2A; 160]);
    bytes
}

fn packets(criterion: &mut Criterion) {
    let bytes = datagram(1);
    let shared_bytes = Bytes::from(bytes.clone());
    let mut out = [0u8; MAX_PACKET_BYTES];
    let mut group = criterion.benchmark_group("rtp_packet");
    group.bench_function("baseline_rtc_rtp_parse_datagram", |bencher| {
        bencher.iter(|| RtcPacket::unmarshal(&mut black_box(&bytes[..])));
    });
    group.bench_function("baseline_rtc_rtp_parse_shared", |bencher| {
        bencher.iter(|| RtcPacket::unmarshal(&mut black_box(shared_bytes.clone())));
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Packet::parse(black_box(&bytes)).map(|packet| packet.payload.len()));
    });
    let theirs = RtcPacket::unmarshal(&mut shared_bytes.clone()).expect("a packet");
    group.bench_function("baseline_rtc_rtp_write", |bencher| {
        bencher.iter(|| black_box(&theirs).marshal_to(&mut out));
    });
    let ours = Packet::parse(&bytes).expect("a packet");
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            let packet = black_box(&ours);
            let header = Header {
                marker: packet.marker,
                payload_type: packet.payload_type,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                ssrc: packet.ssrc,
            };
            let payload = header.write(&mut out, packet.payload.len()).expect("room");
            payload.copy_from_slice(packet.payload);
            HEADER_BYTES + packet.payload.len()
        });
    });
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session_20ms");
    for (name, chunk) in [
        ("silence", None),
        ("passthrough", Some(Chunk::Pcma(vec![0x2A; 160_000].into()))),
        ("linear", Some(Chunk::Pcm(vec![1_000; 160_000].into()))),
    ] {
        let now = Instant::now();
        let mut line = Line {
            session: session(now),
            now,
            sequence: 0,
            datagram: datagram(0),
            out: [0; MAX_PACKET_BYTES],
        };
        let mut utterance = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                if let (Some(chunk), 0) = (&chunk, line.session.queued_ms()) {
                    utterance += 2;
                    let utterance = UtteranceId(utterance);
                    let audio = PlayoutCommand::Audio { utterance, chunk: chunk.clone() };
                    line.session.playout(audio).expect("room");
                    line.session.playout(PlayoutCommand::End { utterance }).expect("room");
                }
                line.step()
            });
        });
    }
    group.finish();
}

struct Line {
    session: Session,
    now: Instant,
    sequence: u16,
    datagram: Vec<u8>,
    out: [u8; MAX_PACKET_BYTES],
}

impl Line {
    fn step(&mut self) -> usize {
        let source = self.session.agreement().remote;
        self.sequence = self.sequence.wrapping_add(1);
        let timestamp =
            u32::from_be_bytes([self.datagram[4], self.datagram[5], self.datagram[6], self.datagram[7]]);
        self.datagram[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        self.datagram[4..8].copy_from_slice(&timestamp.wrapping_add(160).to_be_bytes());
        self.session.handle_rtp(black_box(&self.datagram), source, self.now);
        let length = self.session.tick(self.now, &mut self.out).unwrap_or(0);
        self.now += Duration::from_millis(20);
        let heard = self.session.next_frame().map_or(0, |frame| usize::from(frame[0].unsigned_abs()));
        while self.session.poll_event().is_some() {}
        length + heard
    }
}

fn session(now: Instant) -> Session {
    let agreement = Agreement {
        telephone_event: Some(PayloadTypes::same(101)),
        ..Agreement::new(Codec::Pcma, "192.0.2.1:4000".parse().expect("an address"))
    };
    Session::new(SessionConfig::new(agreement, 1, 2, 3), now)
}

criterion_group!(benches, packets, frames);
criterion_main!(benches);
