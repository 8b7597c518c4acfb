//! Finding and reading segments.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{self, HEADER_BYTES, Header, MAX_PAYLOAD_BYTES, PREFIX_BYTES, Parsed};

/// Bytes read at once; at least one whole frame fits.
const CHUNK_BYTES: usize = 1024 * 1024;
const _: () = assert!(CHUNK_BYTES > MAX_PAYLOAD_BYTES + PREFIX_BYTES);

/// Bytes of a segment that hold no readable event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// Where the damage begins, in bytes.
    pub offset: u64,
    /// How many bytes were passed over.
    pub bytes: u64,
    /// Whether it reaches to the end: a write that the machine's death cut short.
    pub torn: bool,
}

/// What one reading gave.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The payloads, in order.
    pub payloads: Vec<Vec<u8>>,
    /// Where the next reading goes on.
    pub next: u64,
    /// What couldn't be read.
    pub damages: Vec<Damage>,
}

/// The path of a segment.
pub(super) fn path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment:020}.journal"))
}

/// The segments present, in order.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".journal"));
        segments
            .extend(number.filter(|digits| digits.len() == 20).and_then(|digits| digits.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The header of a segment; `None` when it has no readable one.
pub(super) fn header(directory: &Path, segment: u64) -> io::Result<Option<Header>> {
    let file = File::open(path(directory, segment))?;
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(Header::decode(&bytes).filter(|header| header.segment == segment)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads frames of `segment` that lie from `from` up to `limit`, at most `most` of them and one
/// chunk. Bytes before `limit` that make no frame are passed over up to the next valid one.
pub(super) fn read(directory: &Path, segment: u64, from: u64, limit: u64, most: usize) -> io::Result<Frames> {
    let file = File::open(path(directory, segment))?;
    let wanted = usize::try_from(limit.saturating_sub(from)).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
    let mut bytes = vec![0; wanted];
    let got = read_up_to(&file, &mut bytes, from)?;
    bytes.truncate(got);
    // A file shorter than it ought to be ends where it ends.
    let last_chunk = got < wanted || from.saturating_add(as_u64(got)) >= limit;
    let mut frames = walk(&bytes, segment, from, last_chunk, most);
    if got < wanted && frames.next >= from.saturating_add(as_u64(got)) {
        frames.next = limit;
    }
    Ok(frames)
}

fn walk(bytes: &[u8], segment: u64, from: u64, last_chunk: bool, most: usize) -> Frames {
    let mut frames = Frames::default();
    let mut at = 0;
    let mut bad_from = None;
    while at < bytes.len() && frames.payloads.len() < most {
        let rest = bytes.get(at..).unwrap_or_default();
        match frame::parse(rest) {
            Parsed::Frame { payload, next } => {
                close_damage(&mut frames, &mut bad_from, at, segment, from, false);
                frames.payloads.push(rest.get(payload).unwrap_or_default().to_vec());
                at += next;
            }
            Parsed::Short if !last_chunk => break,
            Parsed::Short | Parsed::Damaged => {
                bad_from.get_or_insert(at);
                at = frame::next_marker(bytes, at + 1).unwrap_or(bytes.len());
            }
        }
    }
    close_damage(&mut frames, &mut bad_from, at, segment, from, last_chunk && at == bytes.len());
    frames.next = from.saturating_add(as_u64(at));
    frames
}

fn close_damage(
    frames: &mut Frames,
    bad_from: &mut Option<usize>,
    at: usize,
    segment: u64,
    from: u64,
    torn: bool,
) {
    if let Some(start) = bad_from.take() {
        frames.damages.push(Damage {
            segment,
            offset: from.saturating_add(as_u64(start)),
            bytes: as_u64(at - start),
            torn,
        });
    }
}

fn read_up_to(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from.saturating_add(as_u64(got))) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(payload: &[u8]) -> Vec<u8> {
        let mut frame = frame::begin();
        frame.extend_from_slice(payload);
        frame::seal(frame).unwrap()
    }

    fn three() -> (Vec<u8>, usize) {
        let one = frame_of(b"first");
        (([one.clone(), frame_of(b"second"), frame_of(b"third")]).concat(), one.len())
    }

    #[test]
    fn a_tail_torn_at_any_byte_costs_only_the_last_frame() {
        let (whole, _) = three();
        let last = whole.len() - frame_of(b"third").len();
        for cut in last + 1..whole.len() {
            let frames = walk(&whole[..cut], 1, 0, true, 100);
            assert_eq!(frames.payloads, [b"first".to_vec(), b"second".to_vec()], "cut at {cut}");
            let torn = Damage { segment: 1, offset: last as u64, bytes: (cut - last) as u64, torn: true };
            assert_eq!(frames.damages, [torn]);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_costs_only_its_own_frame() {
        let (whole, first) = three();
        let second_end = first + frame_of(b"second").len();
        for at in first..second_end {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let frames = walk(&bytes, 1, 0, true, 100);
            assert_eq!(frames.payloads, [b"first".to_vec(), b"third".to_vec()], "byte {at}");
            assert_eq!(frames.damages.len(), 1);
            assert_eq!((frames.damages[0].offset, frames.damages[0].torn), (first as u64, false));
        }
    }

    #[test]
    fn a_frame_cut_by_the_chunk_is_left_for_the_next_reading() {
        let (whole, first) = three();
        let frames = walk(&whole[..first + 5], 1, 0, false, 100);
        assert_eq!((frames.next, frames.damages.len()), (first as u64, 0));
    }

    #[test]
    fn zeros_left_by_a_power_cut_are_a_torn_tail() {
        let (mut bytes, _) = three();
        let end = bytes.len() as u64;
        bytes.resize(bytes.len() + 4096, 0);
        let frames = walk(&bytes, 1, 0, true, 100);
        assert_eq!(frames.payloads.len(), 3);
        assert_eq!(frames.damages, [Damage { segment: 1, offset: end, bytes: 4096, torn: true }]);
    }
}
