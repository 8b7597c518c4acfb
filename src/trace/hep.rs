//! HEP3, the encapsulation that Homer's collectors take ("HEP3 Network Protocol Specification",
//! revision 37; also called EEP).
//!
//! A packet is `HEP3`, the length of the whole in two octets, and chunks: vendor, type and length
//! in two octets each (the length counts these six), then the content; numbers in network order.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The largest packet: what fits into one UDP datagram over IPv4.
const MAX_PACKET: usize = 65_507;

/// Chunks of vendor 0, by the names of the specification.
mod chunk {
    pub const FAMILY: u16 = 0x0001;
    pub const PROTOCOL: u16 = 0x0002;
    pub const SOURCE_V4: u16 = 0x0003;
    pub const DESTINATION_V4: u16 = 0x0004;
    pub const SOURCE_V6: u16 = 0x0005;
    pub const DESTINATION_V6: u16 = 0x0006;
    pub const SOURCE_PORT: u16 = 0x0007;
    pub const DESTINATION_PORT: u16 = 0x0008;
    pub const SECONDS: u16 = 0x0009;
    pub const MICROSECONDS: u16 = 0x000a;
    pub const CAPTURED: u16 = 0x000b;
    pub const AGENT_ID: u16 = 0x000c;
    pub const KEY: u16 = 0x000e;
    pub const PAYLOAD: u16 = 0x000f;
    pub const CORRELATION: u16 = 0x0011;
    pub const NODE: u16 = 0x0013;
}

/// What was captured: chunk 0x000b.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Captured {
    /// A SIP message.
    Sip = 0x01,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The capture agent's number.
    pub id: u32,
    /// The key that the collector asks for.
    pub key: Option<Key>,
    /// The node's name.
    pub node: Option<String>,
}

/// The key that a collector asks for. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Box<str>);

impl Key {
    /// The key as it is sent.
    #[must_use]
    pub fn new(key: impl Into<Box<str>>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// What is reported.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// What the payload is.
    pub captured: Captured,
    /// The number of the protocol over IP: 17 for UDP, 6 for TCP and what runs over it.
    pub protocol: u8,
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it went to.
    pub destination: SocketAddr,
    /// When, in microseconds since 1970.
    pub at: u64,
    /// What belongs together; for SIP the Call-ID.
    pub correlation: &'a [u8],
    /// What was captured.
    pub payload: &'a [u8],
}

/// The number of the protocol that a SIP transport runs over.
#[must_use]
pub fn protocol(transport: &str) -> u8 {
    const UDP: u8 = 17;
    const TCP: u8 = 6;
    if transport == "UDP" { UDP } else { TCP }
}

/// Writes a packet. What is too long for a datagram is cut at the end.
#[must_use]
pub fn encode(packet: &Packet<'_>, agent: &Agent) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(packet.payload.len() + 192));
    out.0.extend_from_slice(b"HEP3\0\0");
    let (source, destination) = (packet.source.ip().to_canonical(), packet.destination.ip().to_canonical());
    // The families of the operating system that the specification was written on.
    let family = if source.is_ipv4() && destination.is_ipv4() { 2 } else { 10 };
    out.chunk(chunk::FAMILY, &[family]);
    out.chunk(chunk::PROTOCOL, &[packet.protocol]);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.chunk(chunk::SOURCE_V4, &source.octets());
            out.chunk(chunk::DESTINATION_V4, &destination.octets());
        }
        (source, destination) => {
            out.chunk(chunk::SOURCE_V6, &v6(source));
            out.chunk(chunk::DESTINATION_V6, &v6(destination));
        }
    }
    out.chunk(chunk::SOURCE_PORT, &packet.source.port().to_be_bytes());
    out.chunk(chunk::DESTINATION_PORT, &packet.destination.port().to_be_bytes());
    let seconds = u32::try_from(packet.at / 1_000_000).unwrap_or(u32::MAX);
    let micros = u32::try_from(packet.at % 1_000_000).unwrap_or_default();
    out.chunk(chunk::SECONDS, &seconds.to_be_bytes());
    out.chunk(chunk::MICROSECONDS, &micros.to_be_bytes());
    out.chunk(chunk::CAPTURED, &[packet.captured as u8]);
    out.chunk(chunk::AGENT_ID, &agent.id.to_be_bytes());
    if let Some(key) = &agent.key {
        out.chunk(chunk::KEY, key.0.as_bytes());
    }
    if let Some(node) = &agent.node {
        out.chunk(chunk::NODE, node.as_bytes());
    }
    if !packet.correlation.is_empty() {
        out.chunk(chunk::CORRELATION, packet.correlation);
    }
    out.chunk(chunk::PAYLOAD, packet.payload);
    out.finish()
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

struct Writer(Vec<u8>);

impl Writer {
    /// A chunk; its content is cut where the packet would get too long.
    fn chunk(&mut self, kind: u16, content: &[u8]) {
        const HEAD: usize = 6;
        let room = MAX_PACKET.saturating_sub(self.0.len() + HEAD);
        let content = content.get(..room).unwrap_or(content);
        let length = u16::try_from(content.len() + HEAD).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(content);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u16::try_from(self.0.len()).unwrap_or(u16::MAX).to_be_bytes();
        if let Some(place) = self.0.get_mut(4..6) {
            place.copy_from_slice(&length);
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet {
            captured: Captured::Sip,
            protocol: protocol("UDP"),
            source: "212.202.0.1:12010".parse().unwrap(),
            destination: "82.116.0.211:5060".parse().unwrap(),
            at: 1_313_440_459_120_000,
            correlation: b"",
            payload,
        }
    }

    fn agent() -> Agent {
        Agent { id: 228, key: None, node: None }
    }

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    /// Type, content and rest of the first chunk.
    fn first_chunk(bytes: &[u8]) -> (u16, &[u8], &[u8]) {
        let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (chunk, rest) = bytes.split_at(number(4).into());
        assert_eq!(number(0), 0, "vendor");
        (number(2), &chunk[6..], rest)
    }

    #[test]
    fn the_packet_is_the_one_that_the_specification_shows() {
        let golden =
            hex("48 45 50 33 00 71 00 00 00 01 00 07 02 00 00 00 02 00 07 11 00 00 00 03 00 0a d4 ca 00 01 \
             00 00 00 04 00 0a 52 74 00 d3 00 00 00 07 00 08 2e ea 00 00 00 08 00 08 13 c4 \
             00 00 00 09 00 0a 4e 49 82 cb 00 00 00 0a 00 0a 00 01 d4 c0 00 00 00 0b 00 07 01 \
             00 00 00 0c 00 0a 00 00 00 e4 00 00 00 0f 00 14 49 4e 56 49 54 45 20 73 69 70 3a 62 6f 62");
        assert_eq!(encode(&packet(b"INVITE sip:bob"), &agent()), golden);
        assert_eq!(golden.len(), 113);
    }

    #[test]
    fn key_node_and_correlation_have_chunks_of_their_own() {
        let agent = Agent { id: 7, key: Some(Key::new("secret")), node: Some("paris-1".to_owned()) };
        let bytes = encode(&Packet { correlation: b"abc@d", ..packet(b"x") }, &agent);
        let mut rest = &bytes[6..];
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let (kind, content, after) = first_chunk(rest);
            chunks.push((kind, content));
            rest = after;
        }
        let of = |kind| chunks.iter().find(|(known, _)| *known == kind).unwrap().1;
        assert_eq!(usize::from(u16::from_be_bytes([bytes[4], bytes[5]])), bytes.len());
        assert_eq!((of(0x0e), of(0x13), of(0x11)), (&b"secret"[..], &b"paris-1"[..], &b"abc@d"[..]));
    }

    #[test]
    fn version_6_has_its_own_address_chunks() {
        let (source, destination) =
            ("[2001:db8::1]:5060".parse().unwrap(), "[2001:db8::2]:5061".parse().unwrap());
        let bytes =
            encode(&Packet { source, destination, protocol: protocol("TLS"), ..packet(b"x") }, &agent());
        let (family, content, rest) = first_chunk(&bytes[6..]);
        assert_eq!((family, content), (1, &[10][..]));
        let (protocol, content, rest) = first_chunk(rest);
        assert_eq!((protocol, content), (2, &[6][..]));
        let (kind, content, rest) = first_chunk(rest);
        assert_eq!((kind, content[0], content[15]), (5, 0x20, 1));
        assert_eq!(first_chunk(rest).0, 6);
    }

    #[test]
    fn what_is_too_long_for_a_datagram_is_cut() {
        let bytes = encode(&packet(&vec![b'a'; 200_000]), &agent());
        assert_eq!(bytes.len(), MAX_PACKET);
        assert_eq!(usize::from(u16::from_be_bytes([bytes[4], bytes[5]])), MAX_PACKET);
    }
}
