//! Recordings encrypted at rest.
//!
//! A sealed file is a header (magic, salt) and chunks of 16 KiB, each with AES-256-GCM under a key of the file's own
//! (HKDF-SHA-256 of the master key with the salt). A chunk's nonce is its number and whether it is the last, so that
//! none can be left out, put elsewhere, or cut off unseen; the header is authenticated with every chunk. A file cut by a
//! crash opens up to its last whole chunk, half a second of stereo, and says that it isn't complete.

use std::fmt;
use std::io::{self, Read, Seek, Write};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use ring::hkdf;
use zeroize::Zeroize;

use super::HEADER;

const MAGIC: &[u8; 8] = b"offhook1";
/// Bytes of the salt: random for each file.
pub const SALT_BYTES: usize = 32;
const START: usize = MAGIC.len() + SALT_BYTES;
/// Plain bytes of a chunk.
const CHUNK: usize = 16 * 1024;
const TAG: usize = 16;

/// The key that files are sealed with. Prints masked, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// Takes 32 bytes from a secure source.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn of_file(&self, salt: &[u8]) -> Result<LessSafeKey, SealError> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.0);
        let key = extracted.expand(&[b"offhook recording"], &AES_256_GCM).map(UnboundKey::from);
        key.map(LessSafeKey::new).map_err(|_| SealError::NotOurs)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(*)")
    }
}

impl Drop for SealingKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why a sealed file can't be written or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The sink or source failed.
    #[error("sealed recording: {0}")]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("not a sealed recording")]
    NotSealed,
    /// Another key, or the file was changed.
    #[error("the key doesn't fit, or the recording was changed")]
    NotOurs,
    /// More chunks than numbers: 64 TiB.
    #[error("the recording is too long to be sealed")]
    TooLong,
}

impl From<SealError> for io::Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// Seals what is written to it.
pub struct Sealer<W: Write> {
    sink: W,
    key: LessSafeKey,
    start: [u8; START],
    chunk: Box<[u8; CHUNK]>,
    filled: usize,
    number: u32,
}

impl<W: Write> Sealer<W> {
    /// Starts a file; `salt` is random, and never used twice.
    ///
    /// # Errors
    /// [`SealError::Io`] if the sink fails.
    pub fn new(mut sink: W, key: &SealingKey, salt: &[u8; SALT_BYTES]) -> Result<Self, SealError> {
        let mut start = [0; START];
        for (place, byte) in start.iter_mut().zip(MAGIC.iter().chain(salt)) {
            *place = *byte;
        }
        sink.write_all(&start)?;
        Ok(Self { sink, key: key.of_file(salt)?, start, chunk: Box::new([0; CHUNK]), filled: 0, number: 0 })
    }

    /// Seals what is left and marks the end. Without it the file counts as cut off.
    ///
    /// # Errors
    /// [`SealError::Io`] if the sink fails.
    pub fn finish(mut self) -> Result<W, SealError> {
        self.seal(true)?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn seal(&mut self, last: bool) -> Result<(), SealError> {
        let plain = self.chunk.get_mut(..self.filled).unwrap_or_default();
        let nonce = nonce(self.number, last);
        let tag: Tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&self.start), plain)
            .map_err(|_| SealError::NotOurs)?;
        self.sink.write_all(plain)?;
        self.sink.write_all(tag.as_ref())?;
        self.filled = 0;
        self.number = self.number.checked_add(1).ok_or(SealError::TooLong)?;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits for more: only then is it known not to be the last.
        if self.filled == CHUNK && !bytes.is_empty() {
            self.seal(false)?;
        }
        let room = self.chunk.get_mut(self.filled..).unwrap_or_default();
        let count = room.len().min(bytes.len());
        for (place, byte) in room.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.filled += count;
        Ok(count)
    }

    /// Chunks have one length: what is begun stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// What was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Plain bytes.
    pub bytes: u64,
    /// Whether the end was reached, as opposed to: the file was cut off.
    pub complete: bool,
}

/// Opens a sealed file into `sink`. Nothing that isn't authentic gets there.
///
/// # Errors
/// [`SealError::NotOurs`] at the first chunk that was changed; those before it have been written.
pub fn open<R: Read, W: Write>(mut file: R, key: &SealingKey, mut sink: W) -> Result<Opened, SealError> {
    let mut start = [0; START];
    if read_full(&mut file, &mut start)? < START || !start.starts_with(MAGIC) {
        return Err(SealError::NotSealed);
    }
    let key = key.of_file(start.get(MAGIC.len()..).unwrap_or_default())?;
    let (mut number, mut opened) = (0u32, Opened { bytes: 0, complete: false });
    let (mut chunk, mut next) = (vec![0; CHUNK + TAG], vec![0; CHUNK + TAG]);
    let mut length = read_full(&mut file, &mut chunk)?;
    loop {
        let following = if length == chunk.len() { read_full(&mut file, &mut next)? } else { 0 };
        let sealed = chunk.get_mut(..length).unwrap_or_default();
        let last = following == 0;
        // What stands at the end is the last chunk, or a whole one that others should have followed, or a torn one.
        let mut copy = if last { sealed.to_vec() } else { Vec::new() };
        let plain = match open_chunk(&key, &start, number, last, sealed) {
            Some(plain) => {
                opened.complete = last;
                plain
            }
            // Torn, or changed: a short chunk can't tell. Nothing of it is used.
            None if last && length < CHUNK + TAG => return Ok(opened),
            None if last => open_chunk(&key, &start, number, false, &mut copy).ok_or(SealError::NotOurs)?,
            None => return Err(SealError::NotOurs),
        };
        sink.write_all(plain)?;
        opened.bytes += plain.len() as u64;
        if last {
            return Ok(opened);
        }
        number = number.checked_add(1).ok_or(SealError::TooLong)?;
        std::mem::swap(&mut chunk, &mut next);
        length = following;
    }
}

/// Opens a sealed WAV file that was recorded with [`super::Recorder::streaming`], and writes its length into the header.
///
/// # Errors
/// As [`open`].
pub fn open_wav<R: Read, W: Write + Seek>(
    file: R,
    key: &SealingKey,
    mut sink: W,
) -> Result<Opened, SealError> {
    let opened = open(file, key, &mut sink)?;
    let data = opened.bytes.saturating_sub(HEADER as u64);
    super::patch(&mut sink, u32::try_from(data).unwrap_or(super::UNKNOWN))?;
    Ok(opened)
}

fn open_chunk<'a>(
    key: &LessSafeKey,
    start: &[u8; START],
    number: u32,
    last: bool,
    sealed: &'a mut [u8],
) -> Option<&'a [u8]> {
    key.open_in_place(nonce(number, last), Aad::from(start), sealed).ok().map(|plain| &*plain)
}

/// The chunk's number, and whether it is the last. The key is the file's own, so that none comes twice.
fn nonce(number: u32, last: bool) -> Nonce {
    let [n0, n1, n2, n3] = number.to_be_bytes();
    Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, n0, n1, n2, n3, u8::from(last)])
}

fn read_full<R: Read>(file: &mut R, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = into.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::super::{Channels, Recorder};
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    const SALT: &[u8; SALT_BYTES] = &[5; SALT_BYTES];

    fn key(byte: u8) -> SealingKey {
        SealingKey::new([byte; 32])
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), &key(1), SALT).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(file: &[u8], key: &SealingKey) -> (Result<Opened, SealError>, Vec<u8>) {
        let mut plain = Vec::new();
        (open(file, key, &mut plain), plain)
    }

    #[test]
    fn every_length_comes_back() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 77] {
            let plain: Vec<u8> = (0..length).map(|n| (n * 7) as u8).collect();
            let file = sealed(&plain);
            assert!(plain.len() < 100 || !file.windows(50).any(|window| window == &plain[..50]));
            let (result, back) = opened(&file, &key(1));
            assert_eq!(result.unwrap(), Opened { bytes: length as u64, complete: true }, "{length}");
            assert_eq!(back, plain);
        }
    }

    #[test]
    fn another_key_and_another_file_open_nothing() {
        let file = sealed(&[7; 40_000]);
        assert!(matches!(opened(&file, &key(2)).0, Err(SealError::NotOurs)));
        assert!(matches!(opened(b"RIFF....", &key(1)).0, Err(SealError::NotSealed)));
        assert_eq!(format!("{:?}", key(1)), "SealingKey(*)");
    }

    #[test]
    fn a_file_cut_anywhere_opens_to_its_last_whole_chunk_and_says_so() {
        let plain: Vec<u8> = (0..3 * CHUNK + 500).map(|n| (n / 3) as u8).collect();
        let file = sealed(&plain);
        for cut in [
            START,
            START + 9,
            START + CHUNK,
            START + CHUNK + TAG,
            START + 2 * (CHUNK + TAG) + 40,
            file.len() - 1,
        ] {
            let (result, back) = opened(&file[..cut], &key(1));
            let result = result.unwrap();
            assert!(!result.complete, "cut at {cut}");
            assert_eq!(back.len(), (cut - START) / (CHUNK + TAG) * CHUNK, "cut at {cut}");
            assert!(plain.starts_with(&back));
        }
    }

    #[test]
    fn chunks_left_out_swapped_or_doubled_are_noticed() {
        let file = sealed(&[9; 4 * CHUNK]);
        let chunk = |n: usize| file[START + n * (CHUNK + TAG)..START + (n + 1) * (CHUNK + TAG)].to_vec();
        let start = file[..START].to_vec();
        for order in [&[0, 2, 3][..], &[1, 0, 2, 3], &[0, 0, 1, 2, 3], &[3], &[0, 1, 3, 2]] {
            let forged = [start.clone(), order.iter().flat_map(|n| chunk(*n)).collect()].concat();
            assert!(matches!(opened(&forged, &key(1)).0, Err(SealError::NotOurs)), "{order:?}");
        }
    }

    #[test]
    fn a_sealed_recording_becomes_a_wav_file_again() {
        let sealer = Sealer::new(Vec::new(), &key(1), SALT).unwrap();
        let mut recorder = Recorder::streaming(sealer, Channels::Stereo, 60_000).unwrap();
        for n in 0..100i16 {
            recorder.write_both(&[n; 160], &[-n; 160]).unwrap();
        }
        let file = recorder.finish().unwrap().finish().unwrap();
        let mut wav = Cursor::new(Vec::new());
        assert!(open_wav(&file[..], &key(1), &mut wav).unwrap().complete);
        let reader = hound::WavReader::new(Cursor::new(wav.into_inner())).unwrap();
        assert_eq!((reader.duration(), reader.spec().channels), (16_000, 2));
        let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
        assert_eq!((samples[0], samples[31_998], samples[31_999]), (0, 99, -99));
    }

    proptest! {
        #[test]
        fn any_change_is_noticed(at in 0usize..1_000, bit in 0u8..8) {
            let mut file = sealed(&[3; 900]);
            let at = at % file.len();
            file[at] ^= 1 << bit;
            let (result, plain) = opened(&file, &key(1));
            let complete = result.is_ok_and(|opened| opened.complete);
            prop_assert!(plain.is_empty() && !complete);
        }

        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let file = [MAGIC.as_slice(), &bytes].concat();
            let (result, plain) = opened(&file, &key(1));
            let complete = result.is_ok_and(|opened| opened.complete);
            prop_assert!(plain.is_empty() && !complete);
        }
    }
}
