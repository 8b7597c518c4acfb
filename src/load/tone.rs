//! What our telephones say: talk spurts made like speech, or a WAV file, in codewords.

use std::f64::consts::TAU;
use std::path::Path;

use media::SAMPLES_PER_MS;

use super::echo::{MARK_FRAMES, MARKS_HZ};
use super::law::Law;

/// Samples in a packet of ours.
pub const FRAME: usize = super::plan::PTIME_MS as usize * SAMPLES_PER_MS;
const RATE_HZ: f64 = 8_000.0;
/// Peak of what is said, well above a line's noise and below clipping.
const PEAK: f64 = 9_000.0;

/// Why a WAV file can't be played.
#[derive(Debug, thiserror::Error)]
pub enum ToneError {
    /// It can't be opened.
    #[error("{0}: {1}")]
    Open(String, std::io::Error),
    /// It can't be read.
    #[error("{0}: {1}")]
    Read(String, media::resample::ResampleError),
    /// It has nothing to play.
    #[error("{0} has no audio: at least 20 ms are needed")]
    Empty(String),
}

/// Audio that is played over and over, frame by frame.
#[derive(Debug, Clone)]
pub struct Tone {
    codewords: Box<[u8]>,
    /// The frames at which a talk spurt with a mark begins, and which mark.
    spurts: Vec<(usize, usize)>,
}

impl Tone {
    /// Talk spurts of so many milliseconds with pauses between them. Each begins with a mark, by
    /// which it is known again when it comes back.
    #[must_use]
    pub fn speech(law: Law, talk_ms: u32, pause_ms: u32) -> Self {
        let frames = |ms: u32| (ms as usize).div_ceil(usize::from(super::plan::PTIME_MS));
        let (talk, pause) = (frames(talk_ms).max(MARK_FRAMES), frames(pause_ms));
        let mut samples = Vec::new();
        let mut spurts = Vec::new();
        for (mark, hertz) in MARKS_HZ.into_iter().enumerate() {
            spurts.push((samples.len() / FRAME, mark));
            samples.extend((0..MARK_FRAMES * FRAME).map(|at| sine(hertz, at)));
            samples.extend((MARK_FRAMES * FRAME..talk * FRAME).map(|at| speech_like(at, mark)));
            samples.extend(std::iter::repeat_n(0, pause * FRAME));
        }
        Self { codewords: encode(law, &samples), spurts }
    }

    /// A WAV file, of any rate and number of channels.
    ///
    /// # Errors
    /// When it can't be read, or is shorter than a packet.
    pub fn from_wav(law: Law, path: &Path) -> Result<Self, ToneError> {
        let name = || path.display().to_string();
        let file = std::fs::File::open(path).map_err(|error| ToneError::Open(name(), error))?;
        let samples = media::resample::import_wav(std::io::BufReader::new(file))
            .map_err(|error| ToneError::Read(name(), error))?;
        if samples.len() < FRAME {
            return Err(ToneError::Empty(name()));
        }
        Ok(Self { codewords: encode(law, &samples), spurts: Vec::new() })
    }

    /// How many frames it has until it begins anew.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.codewords.len() / FRAME
    }

    /// The frame at a place.
    #[must_use]
    pub fn frame(&self, at: usize) -> &[u8] {
        let at = at % self.frames().max(1) * FRAME;
        self.codewords.get(at..at + FRAME).unwrap_or_default()
    }

    /// The mark of the talk spurt that begins at a place.
    #[must_use]
    pub fn spurt(&self, at: usize) -> Option<usize> {
        let at = at % self.frames().max(1);
        self.spurts.iter().find(|(frame, _)| *frame == at).map(|(_, mark)| *mark)
    }

    /// Whether it has marks at all.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        !self.spurts.is_empty()
    }
}

fn encode(law: Law, samples: &[i16]) -> Box<[u8]> {
    let whole = samples.get(..samples.len() / FRAME * FRAME).unwrap_or_default();
    whole.iter().map(|sample| law.encode(*sample)).collect()
}

fn sine(hertz: f64, at: usize) -> i16 {
    quantise((TAU * hertz * at as f64 / RATE_HZ).sin() * PEAK)
}

/// A voice's harmonics, falling by half each, under a syllable's swell four times a second: what
/// a voice detector takes for speech.
fn speech_like(at: usize, spurt: usize) -> i16 {
    let seconds = at as f64 / RATE_HZ;
    // The pitch moves as a sentence's does.
    let pitch = 110.0 + 15.0 * spurt as f64 + 12.0 * (TAU * 1.3 * seconds).sin() / (TAU * 1.3);
    let mut sum = 0.0;
    let mut weight = 1.0;
    for harmonic in 1..=12 {
        sum += (TAU * pitch * f64::from(harmonic) * seconds).sin() * weight;
        weight *= 0.75;
    }
    let swell = 0.55 - 0.45 * (TAU * 4.0 * seconds).cos();
    quantise(sum / 3.0 * swell * PEAK)
}

#[allow(clippy::cast_possible_truncation, reason = "clamped to the type's range")]
fn quantise(value: f64) -> i16 {
    value.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spurts_come_one_after_the_other_and_pauses_are_silent() {
        let tone = Tone::speech(Law::A, 1_000, 500);
        assert_eq!(tone.frames(), MARKS_HZ.len() * 75);
        let starts: Vec<_> = (0..tone.frames()).filter(|at| tone.spurt(*at).is_some()).collect();
        assert_eq!(starts, (0..MARKS_HZ.len()).map(|n| n * 75).collect::<Vec<_>>());
        let energy = |at: usize| {
            tone.frame(at).iter().map(|code| f64::from(Law::A.decode(*code)).powi(2)).sum::<f64>()
        };
        assert!((0..50).all(|at| energy(at) > 1e6), "talk");
        assert!((50..75).all(|at| energy(at) < 160.0 * 70.0), "pause");
        assert_eq!(tone.frame(0), tone.frame(tone.frames()), "it begins anew");
    }

    #[test]
    fn a_wav_file_is_played_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("caller.wav");
        assert!(matches!(Tone::from_wav(Law::Mu, &path), Err(ToneError::Open(..))));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        for (samples, frames) in [(FRAME * 3 + 7, Some(3)), (FRAME - 1, None)] {
            let mut writer = hound::WavWriter::create(&path, spec).unwrap();
            (0..samples).for_each(|at| writer.write_sample(sine(440.0, at)).unwrap());
            writer.finalize().unwrap();
            let tone = Tone::from_wav(Law::Mu, &path);
            assert_eq!(tone.as_ref().ok().map(Tone::frames), frames);
            if let Ok(tone) = tone {
                assert!(!tone.is_marked());
                assert_eq!(tone.frame(1).first(), Some(&Law::Mu.encode(sine(440.0, FRAME))));
            }
        }
    }
}
