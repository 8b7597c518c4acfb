//! RTP packets (RFC 3550 §5.1), parsed in place and written into a caller's buffer.

/// Length of the fixed header in bytes.
pub const HEADER_BYTES: usize = 12;

/// Why bytes aren't an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than its header says.
    #[error("RTP packet shorter than its own header, CSRC list or extension")]
    Truncated,
    /// Not version 2.
    #[error("RTP version is not 2")]
    Version,
    /// The padding count is zero or larger than what follows the header.
    #[error("RTP padding count is impossible")]
    Padding,
}

/// An RTP packet, borrowed from the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The marker bit.
    pub marker: bool,
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload type's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Contributing sources, four bytes each.
    pub csrc: &'a [u8],
    /// Header extension, if there is one.
    pub extension: Option<Extension<'a>>,
    /// Payload without padding; may be empty.
    pub payload: &'a [u8],
}

/// A header extension (RFC 3550 §5.3.1), not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The 16 bits "defined by profile".
    pub profile: u16,
    /// The extension's words.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Parses a datagram. Never panics, never allocates, whatever the bytes are.
    ///
    /// # Errors
    /// A [`PacketError`] if lengths inside the packet don't fit its size, or the version isn't 2.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(PacketError::Truncated)?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *header;
        if flags >> 6 != 2 {
            return Err(PacketError::Version);
        }
        let csrc_bytes = usize::from(flags & 0x0F) * 4;
        let (csrc, rest) = rest.split_at_checked(csrc_bytes).ok_or(PacketError::Truncated)?;
        let (extension, rest) = if flags & 0x10 == 0 {
            (None, rest)
        } else {
            Extension::split(rest).map(|(found, rest)| (Some(found), rest))?
        };
        let payload = if flags & 0x20 == 0 { rest } else { without_padding(rest)? };
        Ok(Self {
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            csrc,
            extension,
            payload,
        })
    }
}

impl<'a> Extension<'a> {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), PacketError> {
        let ([p0, p1, l0, l1], rest) = bytes.split_first_chunk::<4>().ok_or(PacketError::Truncated)?;
        let length = usize::from(u16::from_be_bytes([*l0, *l1])) * 4;
        let (data, rest) = rest.split_at_checked(length).ok_or(PacketError::Truncated)?;
        Ok((Self { profile: u16::from_be_bytes([*p0, *p1]), data }, rest))
    }
}

/// RFC 3550 §5.1: the last octet counts the padding, itself included.
fn without_padding(bytes: &[u8]) -> Result<&[u8], PacketError> {
    let count = usize::from(*bytes.last().ok_or(PacketError::Padding)?);
    match bytes.len().checked_sub(count) {
        Some(length) if count > 0 => bytes.get(..length).ok_or(PacketError::Padding),
        _ => Err(PacketError::Padding),
    }
}

/// Whether a datagram on a port shared by RTP and RTCP is RTCP (RFC 5761 §4).
#[must_use]
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [_, kind, ..] if (192..=223).contains(kind))
}

/// The fixed header of a packet to send: no CSRC, extension or padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// Payload type; only the lower seven bits are used.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Header {
    /// The twelve bytes on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let marker = if self.marker { 0x80 } else { 0 };
        [0x80, self.payload_type & 0x7F | marker, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }

    /// Writes the header and gives room for `payload` bytes behind it; `None` if `out` is too small.
    pub fn write(self, out: &mut [u8], payload: usize) -> Option<&mut [u8]> {
        let (header, rest) = out.split_first_chunk_mut::<HEADER_BYTES>()?;
        let room = rest.get_mut(..payload)?;
        *header = self.to_bytes();
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: [u8; 14] = [0x80, 0x88, 0x12, 0x34, 0, 0, 0, 160, 0xDE, 0xAD, 0xBE, 0xEF, 0x55, 0xD5];

    #[test]
    fn a_plain_packet_is_read_field_by_field() {
        let packet = Packet::parse(&PLAIN).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence, packet.timestamp), (8, 0x1234, 160));
        assert_eq!((packet.ssrc, packet.payload), (0xDEAD_BEEF, &[0x55, 0xD5][..]));
    }

    #[test]
    fn csrc_extension_and_padding_are_taken_off_the_payload() {
        let mut bytes = PLAIN[..12].to_vec();
        bytes[0] = 0x80 | 0x20 | 0x10 | 2;
        bytes.extend([1, 1, 1, 1, 2, 2, 2, 2]);
        bytes.extend([0xBE, 0xDE, 0, 1, 9, 9, 9, 9]);
        bytes.extend([7, 7, 0, 0, 3]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.csrc.len(), 8);
        assert_eq!(packet.extension, Some(Extension { profile: 0xBEDE, data: &[9, 9, 9, 9] }));
        assert_eq!(packet.payload, &[7, 7]);
    }

    #[test]
    fn hostile_lengths_are_errors() {
        let with = |flags: u8, tail: &[u8]| {
            let mut bytes = PLAIN[..12].to_vec();
            bytes[0] = flags;
            bytes.extend_from_slice(tail);
            Packet::parse(&bytes).map(|packet| packet.payload.len())
        };
        assert_eq!(Packet::parse(&PLAIN[..11]), Err(PacketError::Truncated));
        assert_eq!(with(0x00, &[]), Err(PacketError::Version));
        assert_eq!(with(0x8F, &[0; 59]), Err(PacketError::Truncated));
        assert_eq!(with(0x90, &[0, 0, 0xFF, 0xFF]), Err(PacketError::Truncated));
        assert_eq!(with(0x90, &[0, 0, 0]), Err(PacketError::Truncated));
        assert_eq!(with(0xA0, &[]), Err(PacketError::Padding));
        assert_eq!(with(0xA0, &[1, 0]), Err(PacketError::Padding));
        assert_eq!(with(0xA0, &[1, 3]), Err(PacketError::Padding));
        assert_eq!(with(0xA0, &[1, 2]), Ok(0));
    }

    #[test]
    fn rtcp_types_are_told_apart() {
        assert!(is_rtcp(&[0x80, 200]));
        assert!(!is_rtcp(&[0x80, 0x80 | 13]));
        assert!(!is_rtcp(&[0x80]));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() + packet.csrc.len() + HEADER_BYTES <= bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..480),
        ) {
            let mut out = [0; 512];
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            header.write(&mut out, payload.len()).unwrap().copy_from_slice(&payload);
            let packet = Packet::parse(&out[..HEADER_BYTES + payload.len()]).unwrap();
            let read = Header {
                marker: packet.marker, payload_type: packet.payload_type, sequence: packet.sequence,
                timestamp: packet.timestamp, ssrc: packet.ssrc,
            };
            prop_assert_eq!(read, header);
            prop_assert_eq!(packet.payload, &payload[..]);
        }
    }
}
