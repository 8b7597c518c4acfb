//! The bytes of the journal: a segment is a header and then frames.
//!
//! ```text
//! header  magic "OFFHOOKJ" | version u32 | journal u64 | segment u64 | CRC-32 of the 28 before
//! frame   marker ff fe 'o' 'j' | length u32 | CRC-32 of length and payload | payload
//! payload kind u8 | call id, 16 bytes | call record as JSON
//! ```
//! Numbers are little-endian, the call id is as RFC 9562 has it. The marker holds bytes that UTF-8 never does, so that a reader can
//! find the next frame after damaged bytes.

use std::ops::Range;

/// Bytes of a segment's header.
pub(super) const HEADER_BYTES: usize = 32;
/// Bytes of a frame before its payload.
pub(super) const PREFIX_BYTES: usize = 12;
/// The longest payload: a call record of this length holds hours of transcript.
pub(super) const MAX_PAYLOAD_BYTES: usize = 512 * 1024;

const MAGIC: &[u8; 8] = b"OFFHOOKJ";
const VERSION: u32 = 1;
const MARKER: [u8; 4] = [0xff, 0xfe, b'o', b'j'];

/// Which journal a segment belongs to, and which segment of it it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Random, chosen when the journal was created.
    pub journal: u64,
    /// Counts up from 1.
    pub segment: u64,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.journal.to_le_bytes());
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// `None` when the bytes are not a header of this version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.get(..HEADER_BYTES)?.split_at_checked(HEADER_BYTES - 4)?;
        let valid = body.starts_with(MAGIC)
            && u32_at(body, 8)? == VERSION
            && crc32fast::hash(body) == u32_at(crc, 0)?;
        valid.then_some(())?;
        Some(Self { journal: u64_at(body, 12)?, segment: u64_at(body, 20)? })
    }
}

/// Starts a frame: room for the prefix, then the payload goes behind it, then [`seal`].
pub(super) fn begin() -> Vec<u8> {
    let mut frame = Vec::with_capacity(2048);
    frame.extend_from_slice(&[0; PREFIX_BYTES]);
    frame
}

/// Fills in the prefix of a frame begun with [`begin`]. `None` when the payload is too long.
pub(super) fn seal(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let payload = frame.get(PREFIX_BYTES..)?;
    if payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?.to_le_bytes();
    let crc = checksum(&length, payload).to_le_bytes();
    let prefix: Vec<u8> = [MARKER, length, crc].concat();
    frame.get_mut(..PREFIX_BYTES)?.copy_from_slice(&prefix);
    Some(frame)
}

/// What stands at the start of some bytes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A whole, valid frame: where its payload lies, and where the next frame begins.
    Frame { payload: Range<usize>, next: usize },
    /// The bytes end before the frame does.
    Short,
    /// No frame.
    Damaged,
}

/// Reads the frame at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let present = bytes.len().min(MARKER.len());
    if bytes.get(..present) != MARKER.get(..present) {
        return Parsed::Damaged;
    }
    let (Some(length), Some(crc)) = (u32_at(bytes, 4), u32_at(bytes, 8)) else {
        return Parsed::Short;
    };
    let payload_bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if payload_bytes > MAX_PAYLOAD_BYTES {
        return Parsed::Damaged;
    }
    let next = PREFIX_BYTES + payload_bytes;
    match bytes.get(PREFIX_BYTES..next) {
        None => Parsed::Short,
        Some(payload) if checksum(&length.to_le_bytes(), payload) == crc => {
            Parsed::Frame { payload: PREFIX_BYTES..next, next }
        }
        Some(_) => Parsed::Damaged,
    }
}

/// Where the next marker stands in `bytes`, not before `from`; a marker cut by the end counts.
pub(super) fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find(|at| {
        let rest = bytes.get(*at..).unwrap_or_default();
        let present = rest.len().min(MARKER.len());
        rest.get(..present) == MARKER.get(..present)
    })
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = begin();
        frame.extend_from_slice(payload);
        seal(frame).unwrap()
    }

    #[test]
    fn a_frame_comes_back_and_says_where_the_next_begins() {
        let bytes = [frame(b"one"), frame(b"two")].concat();
        let Parsed::Frame { payload, next } = parse(&bytes) else { panic!() };
        assert_eq!(&bytes[payload], b"one");
        assert!(matches!(parse(&bytes[next..]), Parsed::Frame { .. }));
    }

    #[test]
    fn every_cut_of_a_frame_is_short_and_every_flipped_bit_is_noticed() {
        let whole = frame(b"{\"call\":1}");
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), Parsed::Short, "cut at {cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(parse(&bytes), Parsed::Frame { .. }), "bit {bit}");
        }
    }

    #[test]
    fn a_payload_beyond_the_bound_is_refused_on_both_sides() {
        let mut long = begin();
        long.resize(PREFIX_BYTES + MAX_PAYLOAD_BYTES + 1, b'x');
        assert_eq!(seal(long), None);
        let mut claims = frame(b"");
        claims[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(parse(&claims), Parsed::Damaged);
    }

    #[test]
    fn a_header_comes_back_and_a_broken_one_does_not() {
        let header = Header { journal: 7, segment: 9 };
        let mut bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        bytes[20] ^= 1;
        assert_eq!(Header::decode(&bytes), None);
        assert_eq!(Header::decode(&bytes[..31]), None);
    }
}
