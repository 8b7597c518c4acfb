//! WAV files with one channel of linear 16-bit or G.711 samples. Two readings that a general
//! reader refuses are needed here: A-law (format tag 6 of RFC 2361), which keeps the shipped audio
//! small, and a `data` chunk whose length is a placeholder, as a synthesiser writes to a pipe.

use media::codec::Law;

/// Why bytes aren't a WAV file of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// It doesn't begin as a WAV file.
    #[error("it has no RIFF/WAVE header")]
    NotWav,
    /// It ends before its samples.
    #[error("it ends before its samples")]
    Truncated,
    /// Its samples are of another kind.
    #[error(
        "its samples are format {tag} with {bits} bits and {channels} channels; one channel of 16-bit linear or 8-bit G.711 is read"
    )]
    Format {
        /// The format tag.
        tag: u16,
        /// Bits per sample.
        bits: u16,
        /// Channels.
        channels: u16,
    },
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// Samples per second.
    pub rate_hz: u32,
    /// Linear samples.
    pub samples: Vec<i16>,
}

const LINEAR: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;

/// Reads a WAV file.
///
/// # Errors
/// When the bytes are something else; see [`WavError`].
pub fn read(bytes: &[u8]) -> Result<Wav, WavError> {
    let (header, mut rest) = bytes.split_at_checked(12).ok_or(WavError::NotWav)?;
    if !header.starts_with(b"RIFF") || !header.ends_with(b"WAVE") {
        return Err(WavError::NotWav);
    }
    let mut format = None;
    loop {
        let (head, body) = rest.split_at_checked(8).ok_or(WavError::Truncated)?;
        let length = usize::try_from(u32_at(head, 4)).unwrap_or(usize::MAX);
        if head.starts_with(b"data") {
            let (rate_hz, decode) = format.ok_or(WavError::Truncated)?;
            let data = body.get(..length).unwrap_or(body);
            return Ok(Wav { rate_hz, samples: samples(decode, data) });
        }
        if head.starts_with(b"fmt ") {
            format = Some(read_format(body.get(..16).ok_or(WavError::Truncated)?)?);
        }
        // Chunks are padded to an even length.
        let next = length.saturating_add(length % 2);
        rest = body.get(next..).ok_or(WavError::Truncated)?;
    }
}

/// An A-law WAV file at 8 kHz.
#[must_use]
pub fn write_alaw(samples: &[i16]) -> Vec<u8> {
    const HEADER_AFTER_RIFF: u32 = 4 + (8 + 18) + (8 + 4) + 8;
    const RATE_HZ: u32 = 8_000;
    let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    let padding = count % 2;
    let mut out = Vec::with_capacity(samples.len() + 64);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&HEADER_AFTER_RIFF.saturating_add(count).saturating_add(padding).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&18_u32.to_le_bytes());
    for field in [A_LAW, 1] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    for field in [RATE_HZ, RATE_HZ] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    for field in [1_u16, 8, 0] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    // A format other than linear has a `fact` chunk with the number of samples.
    out.extend_from_slice(b"fact");
    out.extend_from_slice(&4_u32.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(b"data");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend(samples.iter().map(|&sample| Law::A.encode(sample)));
    if padding == 1 {
        out.push(0);
    }
    out
}

#[derive(Clone, Copy)]
enum Decode {
    Linear,
    G711(Law),
}

fn read_format(body: &[u8]) -> Result<(u32, Decode), WavError> {
    let (tag, channels, bits) = (u16_at(body, 0), u16_at(body, 2), u16_at(body, 14));
    let decode = match (tag, channels, bits) {
        (LINEAR, 1, 16) => Decode::Linear,
        (A_LAW, 1, 8) => Decode::G711(Law::A),
        (MU_LAW, 1, 8) => Decode::G711(Law::Mu),
        _ => return Err(WavError::Format { tag, bits, channels }),
    };
    Ok((u32_at(body, 4), decode))
}

fn samples(decode: Decode, data: &[u8]) -> Vec<i16> {
    match decode {
        Decode::Linear => data
            .chunks_exact(2)
            .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
            .map(i16::from_le_bytes)
            .collect(),
        Decode::G711(codec) => data.iter().map(|&codeword| codec.decode(codeword)).collect(),
    }
}

/// The little-endian number at an offset; 0 beyond the end, where callers have checked.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(data_length: u32, samples: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\x24\xf0\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        bytes.extend_from_slice(&22_050_u32.to_le_bytes());
        bytes.extend_from_slice(&44_100_u32.to_le_bytes());
        bytes.extend_from_slice(b"\x02\0\x10\0data");
        bytes.extend_from_slice(&data_length.to_le_bytes());
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    #[test]
    fn alaw_that_was_written_reads_back_within_its_steps() {
        let samples: Vec<i16> = (-200..=200).map(|n| n * 150).collect();
        let wav = read(&write_alaw(&samples)).unwrap();
        assert_eq!(wav.rate_hz, 8_000);
        assert_eq!(wav.samples.len(), samples.len());
        for (was, is) in samples.iter().zip(&wav.samples) {
            assert!((was - is).unsigned_abs() <= was.unsigned_abs() / 16 + 8, "{was} {is}");
        }
    }

    #[test]
    fn a_placeholder_length_means_all_that_follows() {
        let wav = read(&linear(0x7FFF_F000, &[1, -2, 3])).unwrap();
        assert_eq!(wav, Wav { rate_hz: 22_050, samples: vec![1, -2, 3] });
    }

    #[test]
    fn bytes_after_the_samples_are_not_samples() {
        assert_eq!(read(&linear(4, &[1, -2, 3])).unwrap().samples, vec![1, -2]);
    }

    #[test]
    fn other_bytes_are_refused_without_panic() {
        assert_eq!(read(b""), Err(WavError::NotWav));
        assert_eq!(read(b"RIFF\0\0\0\0WAVE"), Err(WavError::Truncated));
        let whole = linear(6, &[1, 2, 3]);
        for cut in 0..44 {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut stereo = whole;
        stereo[22] = 2;
        assert_eq!(read(&stereo), Err(WavError::Format { tag: 1, bits: 16, channels: 2 }));
    }
}
