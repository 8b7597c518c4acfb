//! Captures that tcpdump, Wireshark and sngrep read: the classic pcap file, each packet an IP
//! packet (`LINKTYPE_RAW`) with a UDP header that is made here.
//!
//! Messages that came over TCP or TLS are written as UDP datagrams too, decrypted, one message in
//! each: that is how other tools export them, and it lets every reader show them. The addresses
//! are those of the connection; sequence numbers and segments are not to be had from this.

use std::net::IpAddr;

use super::Message;

/// The file's first 24 bytes: microseconds, version 2.4, no zone, whole packets, raw IP.
const HEADER: [u8; 24] = {
    let magic = 0xa1b2_c3d4_u32.to_le_bytes();
    let snap = 0x0004_0000_u32.to_le_bytes();
    let link = 101_u32.to_le_bytes();
    [
        magic[0], magic[1], magic[2], magic[3], 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, snap[0], snap[1],
        snap[2], snap[3], link[0], link[1], link[2], link[3],
    ]
};
/// UDP's number over IP.
const UDP: u8 = 17;
/// The most that a UDP datagram carries over IPv4; what a stream brought beyond it is cut.
const MAX_PAYLOAD: usize = 65_507;
/// DSCP CS5, telephone signalling (RFC 4594 §4.2).
const TOS: u8 = 40 << 2;

/// What a capture begins with.
#[must_use]
pub fn header() -> &'static [u8] {
    &HEADER
}

/// One message as a record of a capture.
#[must_use]
pub fn record(message: &Message) -> Vec<u8> {
    let packet = ip_packet(message);
    // A stream's message can be longer than any datagram; the record says what there was.
    let missing = message.bytes.len().saturating_sub(MAX_PAYLOAD);
    let seconds = u32::try_from(message.at / 1_000_000).unwrap_or(u32::MAX);
    let micros = u32::try_from(message.at % 1_000_000).unwrap_or_default();
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut record = Vec::with_capacity(packet.len() + 16);
    record.extend_from_slice(&seconds.to_le_bytes());
    record.extend_from_slice(&micros.to_le_bytes());
    record.extend_from_slice(&length(packet.len()));
    record.extend_from_slice(&length(packet.len() + missing));
    record.extend_from_slice(&packet);
    record
}

/// A whole capture.
#[must_use]
pub fn file<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<u8> {
    let mut file = HEADER.to_vec();
    messages.into_iter().for_each(|message| file.extend_from_slice(&record(message)));
    file
}

fn ip_packet(message: &Message) -> Vec<u8> {
    let payload = message.bytes.get(..MAX_PAYLOAD).unwrap_or(&message.bytes);
    let (source, destination) = (message.source.ip().to_canonical(), message.destination.ip().to_canonical());
    let ports = (message.source.port(), message.destination.port());
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (source, destination) = (source.octets(), destination.octets());
            let udp = datagram(&[&source[..], &destination].concat(), ports, payload);
            let total = u16::try_from(udp.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
            // Version 4, five words; never fragmented; 64 hops.
            let mut packet = vec![0x45, TOS, total[0], total[1], 0, 0, 0x40, 0, 64, UDP, 0, 0];
            packet.extend_from_slice(&source);
            packet.extend_from_slice(&destination);
            let sum = checksum([packet.as_slice()]).to_be_bytes();
            if let Some(place) = packet.get_mut(10..12) {
                place.copy_from_slice(&sum);
            }
            packet.extend_from_slice(&udp);
            packet
        }
        (source, destination) => {
            let (source, destination) = (v6(source), v6(destination));
            let udp = datagram(&[source, destination].concat(), ports, payload);
            let length = u16::try_from(udp.len()).unwrap_or(u16::MAX).to_be_bytes();
            let mut packet = vec![0x60 | TOS >> 4, TOS << 4, 0, 0, length[0], length[1], UDP, 64];
            packet.extend_from_slice(&source);
            packet.extend_from_slice(&destination);
            packet.extend_from_slice(&udp);
            packet
        }
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// RFC 768, with the checksum over `addresses`, source and destination in a row.
fn datagram(addresses: &[u8], (source, destination): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX).to_be_bytes();
    let mut datagram = Vec::with_capacity(payload.len() + 8);
    datagram.extend_from_slice(&source.to_be_bytes());
    datagram.extend_from_slice(&destination.to_be_bytes());
    datagram.extend_from_slice(&length);
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(payload);
    let sum = checksum([addresses, &[0, UDP], &length, &datagram]);
    // A sum of 0 would mean that there is none.
    let sum = if sum == 0 { u16::MAX } else { sum };
    if let Some(place) = datagram.get_mut(6..8) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    datagram
}

/// The Internet checksum (RFC 1071) of parts; all but the last of even length.
fn checksum<const N: usize>(parts: [&[u8]; N]) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        let (words, rest) = part.as_chunks::<2>();
        sum += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
        sum += rest.first().map_or(0, |last| u64::from(*last) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::net::SocketAddr;

    use super::*;
    use crate::trace::Way;

    fn message(source: &str, destination: &str, bytes: &[u8]) -> Message {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        Message {
            at: 1_760_000_000_000_250,
            way: Way::In,
            transport: Cow::Borrowed("UDP"),
            source: address(source),
            destination: address(destination),
            bytes: bytes.into(),
        }
    }

    #[test]
    fn a_version_4_packet_byte_for_byte() {
        let packet = ip_packet(&message("192.0.2.1:5060", "192.0.2.2:5062", b"hi"));
        // Both checksums were taken from another implementation.
        let golden = [
            0x45, 0xa0, 0, 30, 0, 0, 0x40, 0, 64, 17, 0xb6, 0x2b, 192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0xc4,
            0x13, 0xc6, 0, 10, 0xeb, 0xe2, b'h', b'i',
        ];
        assert_eq!(packet, golden);
    }

    #[test]
    fn checksums_over_a_right_packet_are_zero() {
        let packet = ip_packet(&message("192.0.2.1:5060", "192.0.2.2:5062", b"odd"));
        assert_eq!(checksum([&packet[..20]]), 0);
        let packet = ip_packet(&message("[2001:db8::1]:5060", "[2001:db8::2]:5060", b"OPTIONS"));
        let pseudo = [&packet[8..40], &[0, UDP, 0, 15]].concat();
        assert_eq!(checksum([&pseudo, &packet[40..]]), 0);
    }

    #[test]
    fn records_say_when_and_how_long() {
        let record = record(&message("192.0.2.1:5060", "192.0.2.2:5062", &vec![b'x'; 70_000]));
        let number = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        assert_eq!((number(0), number(4)), (1_760_000_000, 250));
        assert_eq!((number(8), number(12)), (65_535, 70_028));
        assert_eq!(record.len(), 16 + 65_535);
    }

    #[test]
    fn a_capture_begins_with_its_header() {
        assert_eq!(
            file([]),
            [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0]
        );
    }
}
