//! Rates brought together, band-limited: whole recordings at once, and live audio piece by piece ([`Resampler`]).

mod stream;

use std::io::Read;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

pub use stream::Resampler;

/// The rate used inside.
pub const RATE_HZ: u32 = 8_000;
/// Sample rates accepted.
pub const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// Longest input: ten minutes at 48 kHz.
pub const MAX_SAMPLES: usize = 10 * 60 * 48_000;
/// Input frames given to the transform at a time. Large, so that its transition band is narrow: delay doesn't matter
/// for a whole buffer.
const CHUNK: usize = 4_096;
const FULL_SCALE: f32 = 32_768.0;

/// Why audio can't be resampled or imported.
#[derive(Debug, thiserror::Error)]
pub enum ResampleError {
    /// The rate is outside [`RATES_HZ`].
    #[error("sample rate {0} Hz is not within 4,000–192,000 Hz")]
    Rate(u32),
    /// More than [`MAX_SAMPLES`].
    #[error("audio is longer than ten minutes: cut it")]
    TooLong,
    /// Not a WAV file, or an unknown kind of one.
    #[error("WAV file can't be read: {0}")]
    Wav(#[from] hound::Error),
    /// The WAV file has no channel.
    #[error("WAV file has no channel")]
    NoChannel,
    /// The resampler refused the combination of rates.
    #[error("resampler refused: {0}")]
    Setup(#[from] rubato::ResamplerConstructionError),
    /// The resampler failed.
    #[error("resampler failed: {0}")]
    Failed(#[from] rubato::ResampleError),
}

/// Mono linear audio at `rate_hz` to 8 kHz.
///
/// # Errors
/// [`ResampleError::Rate`] and [`ResampleError::TooLong`] for input out of range.
pub fn to_8k(samples: &[i16], rate_hz: u32) -> Result<Vec<i16>, ResampleError> {
    convert(samples, rate_hz, RATE_HZ)
}

/// Mono linear audio from one rate to another; as long as the input to the sample, and without delay.
///
/// # Errors
/// [`ResampleError::Rate`] and [`ResampleError::TooLong`] for input out of range.
pub fn convert(samples: &[i16], from_hz: u32, to_hz: u32) -> Result<Vec<i16>, ResampleError> {
    for rate in [from_hz, to_hz] {
        if !RATES_HZ.contains(&rate) {
            return Err(ResampleError::Rate(rate));
        }
    }
    if samples.len() > MAX_SAMPLES {
        return Err(ResampleError::TooLong);
    }
    if from_hz == to_hz || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let input: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / FULL_SCALE).collect();
    let mut resampler = Fft::<f32>::new_custom(
        from_hz as usize,
        to_hz as usize,
        CHUNK,
        1,
        1,
        rubato::WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )?;
    let adapter = InterleavedSlice::new(&input, 1, input.len()).map_err(|_| ResampleError::TooLong)?;
    let output = resampler.process_all(&adapter, input.len(), None)?;
    Ok(output.take_data().into_iter().map(quantise).collect())
}

/// Reads a WAV file of any rate and number of channels (mixed to one) as 8 kHz mono.
///
/// # Errors
/// [`ResampleError`] if the file is no WAV, too long, or of a rate out of range.
pub fn import_wav<R: Read>(file: R) -> Result<Vec<i16>, ResampleError> {
    let mut reader = hound::WavReader::new(file)?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    if channels == 0 {
        return Err(ResampleError::NoChannel);
    }
    // The header's length is a claim: count while reading.
    let limit = MAX_SAMPLES.saturating_mul(channels).saturating_add(1);
    let interleaved: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().take(limit).collect::<Result<_, _>>()?,
        hound::SampleFormat::Int => {
            let scale = 2f32.powi(i32::from(spec.bits_per_sample) - 1);
            reader
                .samples::<i32>()
                .take(limit)
                .map(|s| s.map(|s| s as f32 / scale))
                .collect::<Result<_, _>>()?
        }
    };
    if interleaved.len() == limit {
        return Err(ResampleError::TooLong);
    }
    let mono =
        interleaved.chunks(channels).map(|frame| quantise(frame.iter().sum::<f32>() / channels as f32));
    to_8k(&mono.collect::<Vec<_>>(), spec.sample_rate)
}

fn quantise(value: f32) -> i16 {
    // A float to integer cast saturates, and makes NaN zero.
    #[allow(clippy::cast_possible_truncation)]
    let sample = (value * FULL_SCALE).round() as i16;
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(rate: u32, frequency: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (16_000.0 * (TAU * frequency * n as f64 / f64::from(rate)).sin()).round() as i16)
            .collect()
    }

    /// Level of one frequency in dB against the 16,000 peak of [`tone`]: a windowed DFT bin, edges left out.
    fn level(samples: &[i16], frequency: f64) -> f64 {
        let middle = &samples[800..samples.len() - 800];
        let count = middle.len() as f64;
        let (mut real, mut imaginary, mut weight) = (0.0, 0.0, 0.0);
        for (n, sample) in middle.iter().enumerate() {
            let window = 0.5 - 0.5 * (TAU * n as f64 / count).cos();
            let phase = TAU * frequency * n as f64 / 8_000.0;
            real += window * f64::from(*sample) * phase.cos();
            imaginary += window * f64::from(*sample) * phase.sin();
            weight += window;
        }
        20.0 * (2.0 * real.hypot(imaginary) / weight / 16_000.0).log10()
    }

    /// Level of everything, in dB as above.
    fn total(samples: &[i16]) -> f64 {
        let middle = &samples[800..samples.len() - 800];
        let power = middle.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / middle.len() as f64;
        20.0 * ((2.0 * power).sqrt() / 16_000.0 + 1e-9).log10()
    }

    #[test]
    fn the_telephone_band_is_flat() {
        for rate in [11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            for frequency in [300.0, 1_000.0, 2_000.0, 3_000.0, 3_400.0] {
                let out = to_8k(&tone(rate, frequency, rate as usize), rate).unwrap();
                let db = level(&out, frequency);
                assert!(db.abs() < 0.1, "{frequency} Hz from {rate} Hz comes out at {db:.2} dB");
            }
        }
    }

    #[test]
    fn what_would_alias_is_sixty_decibels_down() {
        for rate in [16_000, 22_050, 24_000, 44_100, 48_000] {
            for frequency in [4_300.0, 5_000.0, 6_000.0, 7_000.0, 7_900.0] {
                let out = to_8k(&tone(rate, frequency, rate as usize), rate).unwrap();
                let db = total(&out);
                assert!(db < -60.0, "{frequency} Hz at {rate} Hz leaves {db:.1} dB");
            }
        }
    }

    #[test]
    fn length_and_position_are_kept() {
        for (rate, length) in [(22_050, 22_050), (22_050, 100), (48_000, 4_801), (16_000, 2)] {
            let out = to_8k(&vec![0; length], rate).unwrap();
            assert_eq!(out.len(), (length * 8_000).div_ceil(rate as usize), "{length} samples at {rate} Hz");
        }
        let mut click = vec![0i16; 22_050];
        click[11_025] = 30_000;
        let out = to_8k(&click, 22_050).unwrap();
        let peak = (0..out.len()).max_by_key(|n| out[*n].unsigned_abs()).unwrap();
        assert!((3_999..=4_001).contains(&peak), "a click in the middle stays there, at {peak}");
    }

    #[test]
    fn input_out_of_range_is_refused() {
        assert!(matches!(to_8k(&[0; 10], 0), Err(ResampleError::Rate(0))));
        assert!(matches!(to_8k(&[0; 10], 3_999_999), Err(ResampleError::Rate(_))));
        assert!(matches!(to_8k(&vec![0; MAX_SAMPLES + 1], 48_000), Err(ResampleError::TooLong)));
        assert_eq!(to_8k(&[], 16_000).unwrap(), Vec::<i16>::new());
        assert_eq!(to_8k(&[1, 2, 3], 8_000).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_stereo_wav_file_is_mixed_and_brought_to_eight_kilohertz() {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 22_050,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for sample in tone(22_050, 440.0, 22_050) {
            writer.write_sample(sample).unwrap();
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        let out = import_wav(file.get_ref().as_slice()).unwrap();
        assert_eq!(out.len(), 8_000);
        assert!(level(&out, 440.0).abs() < 0.1);
        assert!(matches!(import_wav(&b"RIFFjunk"[..]), Err(ResampleError::Wav(_))));
    }
}
