//! RTP, RTCP and keys.

use std::net::SocketAddr;
use std::time::Duration;

use media::codec::Codec;
use media::dtmf::Digit;
use media::dtmf::telephone_event::{EventPacket, EventReceiver, EventSender};
use media::jitter_buffer::JitterRange;
use media::rtp::packet::{HEADER_BYTES, Header, Packet};
use media::rtp::rtcp::{self, RtcpPacket};
use media::sdp::{Direction, Keys, PayloadTypes};
use media::session::{Agreement, MAX_PACKET_BYTES, MediaEvent, Prefix, Session, SessionConfig, SourcePolicy};
use media::srtp::{Protector, Seed, Suite};

use crate::digest::epoch;
use crate::input::Choices;

const PEERS: [&str; 5] =
    ["192.0.2.1:4000", "192.0.2.1:4002", "203.0.113.9:4000", "10.0.0.5:4000", "[::ffff:192.0.2.1]:4000"];

fn peer(number: usize) -> SocketAddr {
    PEERS[number % PEERS.len()].parse().expect("an address")
}

fn agreement(choices: &mut Choices<'_>) -> Agreement {
    let flags = choices.byte();
    let more = choices.byte();
    let remote = peer(usize::from(flags >> 6));
    Agreement {
        codec: match (flags & 1, more & 1) {
            (0, 0) => Codec::Pcma,
            (_, 0) => Codec::Pcmu,
            _ => Codec::G722,
        },
        payload_type: if flags & 2 == 0 {
            PayloadTypes::same(8)
        } else {
            PayloadTypes { send: 0, receive: 100 }
        },
        telephone_event: (flags & 4 == 0).then_some(PayloadTypes::same(101)),
        event_clock_hz: 8_000,
        ptime_ms: choices.byte(),
        remote,
        remote_rtcp: (more & 2 == 0).then(|| SocketAddr::new(remote.ip(), remote.port() + 1)),
        rtcp_mux: more & 4 != 0,
        direction: [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            [usize::from(flags >> 4 & 3)],
        held: flags & 8 != 0,
        keys: (more & 8 != 0).then(|| keys(Suite::ALL[usize::from(more >> 4) % Suite::ALL.len()])),
    }
}

/// The peer's key is known to the target, so that it can write packets that are believed.
fn keys(suite: Suite) -> Keys {
    let key = |seed: u8| Seed::new([seed; 32]).master_key(suite, None);
    Keys { send: key(1), receive: key(2) }
}

/// Target `rtp`: a session that is sent anything by anybody.
pub fn rtp(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut now = epoch();
    let mut config = SessionConfig::new(agreement(&mut choices), 0xAABB_CCDD, choices.u16(), choices.u32());
    config.source = match choices.below(3) {
        0 => SourcePolicy::Exact,
        1 => SourcePolicy::Address,
        _ => SourcePolicy::Latch(vec![Prefix { network: [203, 0, 113, 0].into(), bits: choices.byte() }]),
    };
    let policy = config.source.clone();
    config.jitter = JitterRange::new(u16::from(choices.byte()), u16::from(choices.byte()));
    let mut session = Session::new(config, now);
    let (mut given, mut sent, mut out) = (0_u64, 0_u64, [0; MAX_PACKET_BYTES]);
    while !choices.is_empty() {
        match choices.below(8) {
            0 | 1 => {
                session.handle_rtp(choices.short(), peer(choices.below(5)), now);
                given += 1;
            }
            // A well-formed one.
            2..=4 => {
                let mut datagram = [0; MAX_PACKET_BYTES];
                let header = Header {
                    marker: choices.chance(30),
                    payload_type: choices.one_of(&[8, 0, 101, 13, 100, 127]),
                    sequence: choices.u16(),
                    timestamp: choices.u32(),
                    ssrc: u32::from(choices.byte() & 3),
                };
                let payload = choices.short();
                header.write(&mut datagram, payload.len()).expect("room").copy_from_slice(payload);
                let plain = HEADER_BYTES + payload.len();
                let length = match session.agreement().keys.as_ref().filter(|_| !choices.chance(30)) {
                    Some(keys) => {
                        let mut protector = Protector::new(keys.receive.clone()).expect("a key of a suite");
                        protector.protect_rtp(&mut datagram, plain).expect("room")
                    }
                    None => plain,
                };
                session.handle_rtp(&datagram[..length], peer(choices.below(5)), now);
                given += 1;
            }
            5 => {
                now += Duration::from_millis(u64::from(choices.u16()));
                let mut due = 0;
                while let Some(length) = session.tick(now, &mut out) {
                    due += 1;
                    assert!(due < 16, "a stall is not made up for in one burst");
                    sent += u64::from(length > 0);
                    let packet = (length > 0).then(|| Packet::parse(&out[..length]).expect("ours is RTP"));
                    assert!(length <= MAX_PACKET_BYTES);
                    assert!(packet.is_none_or(|packet| packet.ssrc == 0xAABB_CCDD));
                    assert_eq!(session.next_frame().map(<[i16]>::len), Some(session.frame_samples()));
                }
            }
            6 => session.update(agreement(&mut choices), now),
            _ => drop(
                session.send_digit(Digit::from_event(choices.byte() & 15).expect("a key"), choices.u16()),
            ),
        }
        while let Some(event) = session.poll_event() {
            if let MediaEvent::FirstPacket { source } = event {
                trusted(source, &policy, &session);
            }
        }
    }
    let stats = session.stats();
    let counted = stats.injected + stats.malformed + stats.unknown_payload + stats.unauthenticated;
    assert!(counted <= given && stats.received <= given && stats.sent == sent, "{stats:?}");
}

/// The first packet that is listened to comes from where it may (figure 6).
fn trusted(source: SocketAddr, policy: &SourcePolicy, session: &Session) {
    let (source, remote) = (source.ip().to_canonical(), session.agreement().remote.ip().to_canonical());
    match policy {
        SourcePolicy::Latch(prefixes) => assert!(prefixes.iter().any(|prefix| prefix.contains(source))),
        SourcePolicy::Exact | SourcePolicy::Address => assert_eq!(source, remote),
    }
}

/// Target `rtcp`: compound packets, and what is read of them written again.
pub fn rtcp(data: &[u8]) {
    let mut count = 0;
    for packet in rtcp::packets(data) {
        count += 1;
        let (ssrc, info, mut blocks) = match packet {
            RtcpPacket::SenderReport(ssrc, info, blocks) => (ssrc, Some(info), blocks),
            RtcpPacket::ReceiverReport(ssrc, blocks) => (ssrc, None, blocks),
            _ => continue,
        };
        let (block, mut out) = (blocks.next(), [0; rtcp::MAX_BYTES]);
        let name = b"0123456789abcdef";
        let written = rtcp::write_compound(&mut out, ssrc, info, block, name, true).expect("there is room");
        let mut again = rtcp::packets(&out[..written]);
        match again.next() {
            Some(RtcpPacket::SenderReport(read, told, mut blocks)) => {
                assert_eq!((read, Some(told), blocks.next()), (ssrc, info, block));
            }
            Some(RtcpPacket::ReceiverReport(read, mut blocks)) => {
                assert_eq!((read, None, blocks.next()), (ssrc, info, block));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(again.next(), Some(RtcpPacket::SourceDescription(ssrc, name)));
        assert_eq!(again.next(), Some(RtcpPacket::Bye(Some(ssrc))));
    }
    assert!(count <= data.len() / 4 + 1);
    if let Ok(packet) = Packet::parse(data) {
        assert!(packet.payload.len() + packet.csrc.len() + HEADER_BYTES <= data.len());
    }
}

/// Target `telephone_event`: packets of any kind, or keys of ours over a network that loses.
pub fn telephone_event(data: &[u8]) {
    let mut choices = Choices::new(data);
    if choices.chance(128) {
        any_events(&mut choices);
    } else {
        keys_over_a_bad_network(&mut choices);
    }
}

fn any_events(choices: &mut Choices<'_>) {
    let (mut receiver, mut now) = (EventReceiver::default(), epoch());
    let (mut packets, mut presses) = (0, 0);
    while !choices.is_empty() {
        now += Duration::from_millis(u64::from(choices.byte()));
        let event = EventPacket {
            ssrc: u32::from(choices.byte() & 1),
            timestamp: if choices.chance(200) { u32::from(choices.byte()) << 8 } else { choices.u32() },
            payload: choices.take(4),
        };
        packets += 1;
        presses += receiver.handle(event, now).len() + usize::from(receiver.poll(now).is_some());
        assert!(presses <= packets, "no key without a packet that began it");
    }
}

/// Every key arrives once and in order as long as one of its first packets does.
fn keys_over_a_bad_network(choices: &mut Choices<'_>) {
    let (mut sender, mut receiver) = (EventSender::default(), EventReceiver::default());
    let keys: Vec<Digit> =
        (0..=choices.below(12)).filter_map(|_| Digit::from_event(choices.byte() & 15)).collect();
    let duration = 40 + u16::from(choices.byte());
    keys.iter().for_each(|key| assert!(sender.push(*key, duration)));
    let mut timestamp = choices.u32();
    let (mut now, mut arrived) = (epoch(), Vec::new());
    // Long enough for all of them: a key, its ends, and the pause after it.
    for _ in 0..keys.len() * (usize::from(duration) / 20 + 12) {
        if let Some(event) = sender.next(timestamp, 160) {
            let lost = !event.marker && choices.chance(100);
            let copies = if choices.chance(40) { 2 } else { 1 };
            for _ in 0..if lost { 0 } else { copies } {
                let packet = EventPacket { ssrc: 1, timestamp: event.timestamp, payload: &event.payload };
                arrived.extend(receiver.handle(packet, now).iter().map(|press| press.digit));
            }
        }
        now += Duration::from_millis(20);
        timestamp = timestamp.wrapping_add(160);
        arrived.extend(receiver.poll(now).map(|press| press.digit));
    }
    arrived.extend(receiver.poll(now + Duration::from_secs(1)).map(|press| press.digit));
    assert_eq!(arrived.len(), keys.len());
    assert!(arrived == keys);
}
