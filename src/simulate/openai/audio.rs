//! The server's voice: text, tones and files as samples at 8 kHz, rendered once and kept.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::script::{Script, Turn, Voice};
use crate::agent::{Speech, SpeechConfig};

/// Samples a millisecond.
pub(super) const PER_MS: usize = 8;
/// What a letter takes as a tone.
const LETTER_MS: usize = 60;
/// The longest sound, in milliseconds.
const LONGEST_MS: usize = 120_000;
/// Sounds that are kept.
const MOST_KEPT: usize = 256;

/// A sound at 8 kHz.
pub(super) type Samples = Arc<[i16]>;

/// Makes sounds.
pub(super) struct Sounds {
    speech: Speech,
    kept: Mutex<HashMap<String, Samples>>,
}

impl Sounds {
    pub(super) fn new() -> Self {
        Self { speech: Speech::new(SpeechConfig::detect()), kept: Mutex::default() }
    }

    /// What a turn sounds like.
    pub(super) async fn of_turn(&self, script: &Script, turn: &Turn) -> Samples {
        if let Some(ms) = turn.say_ms {
            return self.kept(format!("tone {ms}"), || tone(usize::try_from(ms).unwrap_or(LONGEST_MS)));
        }
        if let Some(file) = &turn.say_wav {
            let path = script.directory.join(file);
            return self.kept(format!("wav {}", path.display()), || wav(&path));
        }
        match &turn.say {
            Some(text) => self.of_text(script, text).await,
            None => Samples::from(Vec::new()),
        }
    }

    /// What a text sounds like.
    pub(super) async fn of_text(&self, script: &Script, text: &str) -> Samples {
        if script.voice == Voice::Espeak && self.speech.synthesises() {
            match self.speech.speak(&script.language, text).await {
                Ok(samples) => return samples,
                Err(error) => tracing::warn!(%error, "a tone stands in for a text"),
            }
        }
        let length = text.chars().count() * LETTER_MS;
        self.kept(format!("tone {length}"), || tone(length))
    }

    fn kept(&self, name: String, make: impl FnOnce() -> Vec<i16>) -> Samples {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(samples) = kept.get(&name) {
            return Arc::clone(samples);
        }
        let samples = Samples::from(make());
        if kept.len() < MOST_KEPT {
            kept.insert(name, Arc::clone(&samples));
        }
        samples
    }
}

/// 440 Hz that swell and fade four times a second, as loud as speech.
fn tone(ms: usize) -> Vec<i16> {
    let count = ms.min(LONGEST_MS) * PER_MS;
    let sample = |n: usize| {
        let seconds = n as f64 / 8_000.0;
        let swell = 0.6 + 0.4 * (TAU * 4.0 * seconds).sin();
        // Within i16: the factors are at most 1.
        #[allow(clippy::cast_possible_truncation)]
        let value = (6_000.0 * swell * (TAU * 440.0 * seconds).sin()) as i16;
        value
    };
    (0..count).map(sample).collect()
}

fn wav(path: &Path) -> Vec<i16> {
    let samples = || -> Result<Vec<i16>, hound::Error> {
        let mut reader = hound::WavReader::open(path)?;
        let step = usize::try_from(reader.spec().sample_rate / 8_000).unwrap_or(1).max(1);
        let channels = usize::from(reader.spec().channels.max(1));
        reader.samples::<i16>().step_by(step * channels).take(LONGEST_MS * PER_MS).collect()
    };
    samples().unwrap_or_else(|error| {
        tracing::warn!(file = %path.display(), %error, "a sound can't be read; silence stands in");
        vec![0; 1_000 * PER_MS]
    })
}
