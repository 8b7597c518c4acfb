//! Tones, made as a [`Chunk`] when they are needed (not on the frame path).

use std::f64::consts::TAU;

use super::Chunk;

/// Rise and fall of the envelope, so that a tone doesn't click, in samples (5 ms).
const RAMP: usize = 40;
/// Longest tone, in milliseconds.
const MAX_MS: u32 = 10_000;
/// A sine of 0 dBm0 in 16-bit scale: the overload point of A-law is +3.14 dBm0 at 32,256 (G.711 §5).
const PEAK_0_DBM0: f64 = 32_256.0 / 1.435_5;

/// A sine of `frequency_hz` at `level_dbm0` (0 is loud, −13 usual) for `duration_ms` (at most 10 s).
#[must_use]
pub fn sine(frequency_hz: f64, level_dbm0: f64, duration_ms: u32) -> Chunk {
    let count = duration_ms.min(MAX_MS) as usize * crate::SAMPLES_PER_MS;
    let peak = (PEAK_0_DBM0 * 10f64.powf(level_dbm0 / 20.0)).min(f64::from(i16::MAX));
    let samples = (0..count).map(|n| {
        let edge = n.min(count - 1 - n).min(RAMP);
        let gain = edge as f64 / RAMP as f64;
        let value = peak * gain * (TAU * frequency_hz * n as f64 / 8_000.0).sin();
        // `peak` is within i16, and so is everything below it.
        #[allow(clippy::cast_possible_truncation)]
        let sample = value.round() as i16;
        sample
    });
    Chunk::Pcm(samples.collect())
}

/// The beep before a message is recorded: 1,000 Hz, −13 dBm0, 300 ms.
#[must_use]
pub fn record_beep() -> Chunk {
    sine(1_000.0, -13.0, 300)
}

/// One second of the European ringback tone: 425 Hz at −13 dBm0 (ETSI TR 101 041, ITU-T E.180).
#[must_use]
pub fn ringback_second() -> Chunk {
    sine(425.0, -13.0, 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_has_its_length_frequency_and_level_and_starts_softly() {
        let Chunk::Pcm(samples) = sine(425.0, -10.0, 400) else { panic!("tones are linear") };
        assert_eq!(samples.len(), 3_200);
        assert_eq!((samples[0], samples[3_199]), (0, 0));
        let crossings = samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!((169..=171).contains(&crossings), "{crossings} periods in 400 ms");
        let peak = samples.iter().copied().max().unwrap();
        assert!((7_000..7_200).contains(&peak), "peak {peak}");
    }

    #[test]
    fn an_overloud_tone_is_limited() {
        let Chunk::Pcm(samples) = sine(1_000.0, 40.0, 20) else { panic!("tones are linear") };
        assert!(samples.iter().all(|sample| *sample >= -i16::MAX));
        assert_eq!(sine(1_000.0, 0.0, 0).samples(), 0);
    }
}
