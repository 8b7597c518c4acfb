//! The path of a packet and of a frame doesn't allocate: counted by an allocator that counts.
//!
//! Receiving (source check, SRTP, jitter buffer, decoding, concealment, keys, noticing speech) and sending (playout,
//! encoding, packet, SRTP), with reports, in all codecs. What a call needs once it has at its start, or when its first
//! speech comes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test may stop at a surprise, and has its own clock"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::bridge::Bridge;
use media::codec::{Codec, Encoder};
use media::dtmf::Digit;
use media::playout::{Chunk, PlayoutCommand, UtteranceId};
use media::rtp::packet::Header;
use media::rtp::rtcp;
use media::sdp::{Keys, PayloadTypes};
use media::session::{Agreement, MAX_PACKET_BYTES, MAX_REPORT_BYTES, Session, SessionConfig};
use media::srtp::{MAX_DATAGRAM, Protector, Seed, Suite};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        ALLOCATED.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by our caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FRAMES: u32 = 600;
/// The first second: the first speech is noticed, and what that takes is there.
const WARM: u32 = 50;

fn keys(ours: u8, theirs: u8, suite: Suite) -> Keys {
    let key = |seed| Seed::new([seed; 32]).master_key(suite, None);
    Keys { send: key(ours), receive: key(theirs) }
}

/// Everything a peer sends in a call, made before the counting begins: protected datagrams by frame.
fn datagrams(codec: Codec, suite: Option<Suite>) -> Vec<Vec<Vec<u8>>> {
    let mut protector = suite.map(|suite| Protector::new(keys(1, 2, suite).receive).unwrap());
    let mut encoder = Encoder::new(codec).unwrap();
    let rate = codec.rate_hz();
    let clock = codec.clock_hz() / 50;
    let mut frames = Vec::new();
    for frame in 0..FRAMES {
        let mut payload = [0; 480];
        let spoken: Vec<i16> = (0..rate / 50)
            .map(|n| {
                let t = f64::from(frame * rate / 50 + n) / f64::from(rate) * std::f64::consts::TAU;
                let pitch = (130.0 * t).sin() + 0.6 * (390.0 * t).sin() + 0.3 * (1_170.0 * t).sin();
                (6_000.0 * pitch * (2.5 * t).sin().abs()) as i16
            })
            .collect();
        let length = encoder.encode(&spoken, &mut payload);
        let (payload_type, payload): (u8, &[u8]) = match frame % 50 {
            7 => (101, &[5, 0x8A, 3, 32]),
            8 => (13, &[0x40]),
            _ => (codec.payload_type(), &payload[..length]),
        };
        let header = Header {
            marker: false,
            payload_type,
            sequence: 65_300u16.wrapping_add(frame as u16),
            timestamp: frame * clock,
            ssrc: 7,
        };
        let mut buffer = [0; MAX_DATAGRAM];
        header.write(&mut buffer, payload.len()).unwrap().copy_from_slice(payload);
        let length = 12 + payload.len();
        let length = protector.as_mut().map_or(length, |p| p.protect_rtp(&mut buffer, length).unwrap());
        let packet = buffer[..length].to_vec();
        frames.push(match frame % 23 {
            // Lost; twice; late by two.
            3 => vec![],
            5 => vec![packet.clone(), packet],
            _ => vec![packet],
        });
        if frame > 2 && frame % 31 == 0 {
            let late = frames[frame as usize - 2].clone();
            frames[frame as usize].extend(late);
        }
    }
    frames
}

fn agreement(codec: Codec, suite: Option<Suite>, telephone_event: bool) -> Agreement {
    Agreement {
        telephone_event: telephone_event.then_some(PayloadTypes::same(101)),
        remote_rtcp: Some("192.0.2.1:4001".parse().unwrap()),
        keys: suite.map(|suite| keys(1, 2, suite)),
        ..Agreement::new(codec, "192.0.2.1:4000".parse().unwrap())
    }
}

fn talk(session: &mut Session) {
    let utterance = UtteranceId(1);
    for chunk in [
        Chunk::Pcma(vec![1; 20_000].into()),
        Chunk::Pcmu(vec![1; 20_000].into()),
        Chunk::Pcm(vec![1; 20_000].into()),
        Chunk::Wide(vec![1; 40_000].into()),
    ] {
        session.playout(PlayoutCommand::Audio { utterance, chunk }).unwrap();
    }
    session.playout(PlayoutCommand::End { utterance }).unwrap();
    session.send_digit(Digit::from_char('1').unwrap(), 100);
}

#[test]
fn ten_seconds_of_a_call_allocate_nothing() {
    let peer: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    let suites = [None, Some(Suite::AesCm128HmacSha1_80), Some(Suite::AeadAes256Gcm)];
    for codec in Codec::ALL {
        for suite in suites {
            for telephone_event in [true, false] {
                let datagrams = datagrams(*codec, suite);
                let start = Instant::now();
                let agreement = agreement(*codec, suite, telephone_event);
                let mut session = Session::new(SessionConfig::new(agreement, 1, 2, 3), start);
                talk(&mut session);
                let mut report = [0; rtcp::MAX_BYTES];
                rtcp::write_compound(&mut report, 7, None, None, b"abcdefghijklmnop", false).unwrap();
                let (mut out, mut heard, mut before, mut events) = ([0; MAX_PACKET_BYTES], 0, 0, 0);
                let mut reports = [0; MAX_REPORT_BYTES];
                for (frame, arrived) in (0u32..).zip(&datagrams) {
                    if frame == WARM {
                        before = ALLOCATIONS.with(Cell::get);
                    }
                    let now = start + Duration::from_millis(20) * frame;
                    for datagram in arrived {
                        session.handle_rtp(datagram, peer, now);
                    }
                    session.handle_rtp(&report, "203.0.113.1:9".parse().unwrap(), now);
                    session.handle_rtp(&report[..5], peer, now);
                    session.handle_rtcp(&report, "192.0.2.1:4001".parse().unwrap(), now);
                    assert!(session.tick(now, &mut out).is_some());
                    session.poll_rtcp(now, &mut reports);
                    heard += session.next_frame().map_or(0, <[i16]>::len) + session.sent_frame().len() - 160;
                    while session.poll_event().is_some() {
                        events += 1;
                    }
                }
                let allocated = ALLOCATIONS.with(Cell::get) - before;
                assert_eq!(allocated, 0, "{codec:?} {suite:?} telephone-event {telephone_event}");
                let stats = session.stats();
                assert!(stats.heard_ms > 9_000 && stats.concealed_ms > 200, "{codec:?} {suite:?}: {stats:?}");
                assert!(events > 3 && heard == FRAMES as usize * 160, "{events} events, {heard} samples");
            }
        }
    }
}

#[test]
fn a_bridge_allocates_nothing() {
    let peer: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    for (from, to) in [(Codec::Pcma, Codec::Pcma), (Codec::Pcma, Codec::Pcmu), (Codec::Pcmu, Codec::G722)] {
        let datagrams = datagrams(from, None);
        let start = Instant::now();
        let mut a = Session::new(SessionConfig::new(agreement(from, None, true), 1, 2, 3), start);
        let mut b = Session::new(SessionConfig::new(agreement(to, None, true), 4, 5, 6), start);
        let bridge = Bridge::new(&mut a, &mut b);
        let (mut out, mut sent, mut before) = ([0; MAX_PACKET_BYTES], 0, 0);
        for (frame, arrived) in (0u32..).zip(&datagrams) {
            if frame == WARM {
                before = ALLOCATIONS.with(Cell::get);
            }
            let now = start + Duration::from_millis(20) * frame;
            for datagram in arrived {
                a.handle_rtp(datagram, peer, now);
                while bridge.relay(&mut a, &mut b, &mut out).is_some() {
                    sent += 1;
                }
            }
            a.tick(now, &mut out);
            bridge.carry(&a, &mut b);
            sent += usize::from(b.tick(now, &mut out).is_some_and(|length| length > 0));
            bridge.carry(&b, &mut a);
            while a.poll_event().or_else(|| b.poll_event()).is_some() {}
        }
        assert_eq!(ALLOCATIONS.with(Cell::get), before, "{from:?} to {to:?}");
        assert!(sent > FRAMES as usize * 9 / 10, "{from:?} to {to:?}: {sent} packets");
    }
}

#[test]
fn a_session_is_small() {
    let before = ALLOCATED.with(Cell::get);
    let session =
        Session::new(SessionConfig::new(agreement(Codec::Pcma, None, true), 1, 2, 3), Instant::now());
    let bytes = ALLOCATED.with(Cell::get) - before + size_of::<Session>();
    println!("a session of G.711 takes {bytes} bytes, {} of them itself", size_of::<Session>());
    assert!(bytes < 24_000, "{bytes}");
    drop(session);
}
