//! The path of a packet and of a frame doesn't allocate: counted by an allocator that counts.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at a surprise, and has its own clock"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use media::codec::Codec;
use media::dtmf::Digit;
use media::playout::{Chunk, PlayoutCommand, UtteranceId};
use media::rtp::packet::Header;
use media::sdp::PayloadTypes;
use media::session::{Agreement, MAX_PACKET_BYTES, Session, SessionConfig};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
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

fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8], out: &mut [u8; 256]) -> usize {
    let header = Header { marker: false, payload_type, sequence, timestamp, ssrc: 7 };
    header.write(out, payload.len()).unwrap().copy_from_slice(payload);
    12 + payload.len()
}

#[test]
fn ten_seconds_of_a_call_allocate_nothing() {
    let remote = "192.0.2.1:4000".parse().unwrap();
    let agreement =
        Agreement { telephone_event: Some(PayloadTypes::same(101)), ..Agreement::new(Codec::Pcma, remote) };
    let start = Instant::now();
    let mut session = Session::new(SessionConfig::new(agreement, 1, 2, 3), start);
    let utterance = UtteranceId(1);
    for chunk in [
        Chunk::Pcma(vec![1; 20_000].into()),
        Chunk::Pcmu(vec![1; 20_000].into()),
        Chunk::Pcm([1; 20_000].into()),
    ] {
        session.playout(PlayoutCommand::Audio { utterance, chunk }).unwrap();
    }
    session.playout(PlayoutCommand::End { utterance }).unwrap();
    session.send_digit(Digit::from_char('1').unwrap(), 100);

    let before = ALLOCATIONS.with(Cell::get);
    let (mut datagram, mut out, mut events, mut heard) = ([0; 256], [0; MAX_PACKET_BYTES], 0, 0);
    for frame in 0..500u16 {
        let now = start + Duration::from_millis(20) * u32::from(frame);
        let timestamp = u32::from(frame) * 160;
        let length = match frame % 50 {
            // A key, junk, a stranger: everything that can come.
            0 => packet(101, frame, timestamp, &[5, 0x8A, 3, 32], &mut datagram),
            1 => packet(13, frame, timestamp, &[0x40], &mut datagram),
            _ => packet(8, frame, timestamp, &[0x2A; 160], &mut datagram),
        };
        session.handle_rtp(&datagram[..length], remote, now);
        session.handle_rtp(&datagram[..length], remote, now);
        session.handle_rtp(&datagram[..length], "203.0.113.1:9".parse().unwrap(), now);
        session.handle_rtp(&datagram[..5], remote, now);
        assert!(session.tick(now, &mut out).is_some());
        heard += session.next_frame().map_or(0, <[i16]>::len);
        while session.poll_event().is_some() {
            events += 1;
        }
    }
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
    assert!(events >= 10 && heard == 80_000);
}
