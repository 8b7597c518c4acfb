//! The sentences that ship with the configuration as audio, so that a fresh checkout speaks
//! without a synthesiser. They are inside the binary: it can be started from any directory.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::voice::Voice;
use super::wav;

/// Voice, text, and a WAV file at 8 kHz. Written by the renderer beside the files.
static SHIPPED: &[(&str, &str, &[u8])] = include!("../../../config/audio/catalogue.rs");

/// Sentences by voice and text.
#[derive(Debug)]
pub(super) struct Catalogue {
    sentences: HashMap<Voice, HashMap<&'static str, Entry>>,
}

#[derive(Debug)]
struct Entry {
    file: &'static [u8],
    /// Decoded when first asked for: most calls need few of them.
    samples: OnceLock<Option<Arc<[i16]>>>,
}

impl Catalogue {
    /// What ships with the binary.
    pub(super) fn shipped() -> Self {
        Self::of(SHIPPED)
    }

    /// Nothing, for a service that must synthesise every sentence.
    pub(super) fn empty() -> Self {
        Self::of(&[])
    }

    fn of(files: &'static [(&'static str, &'static str, &'static [u8])]) -> Self {
        let mut sentences: HashMap<Voice, HashMap<_, _>> = HashMap::new();
        for &(voice, text, file) in files {
            if let Some(voice) = Voice::named(voice) {
                let entry = Entry { file, samples: OnceLock::new() };
                sentences.entry(voice).or_default().insert(text, entry);
            }
        }
        Self { sentences }
    }

    /// The sentence at 8 kHz. Allocates only the first time it is asked for.
    pub(super) fn get(&self, voice: Voice, text: &str) -> Option<Arc<[i16]>> {
        let entry = self.sentences.get(&voice)?.get(text)?;
        entry.samples.get_or_init(|| decode(entry.file)).clone()
    }
}

fn decode(file: &[u8]) -> Option<Arc<[i16]>> {
    wav::read(file).ok().filter(|wav| wav.rate_hz == 8_000).map(|wav| wav.samples.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::speech::shape;

    #[test]
    fn every_shipped_sentence_is_audible_and_not_clipped() {
        assert!(!SHIPPED.is_empty());
        for (voice, text, file) in SHIPPED {
            let samples = decode(file).unwrap_or_else(|| panic!("{voice}: {text}"));
            let level = shape::active_dbfs(&samples).unwrap();
            assert!((-30.0..=-12.0).contains(&level), "{text}: {level} dBFS");
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!(peak < 29_000, "{text}: peak {peak}");
            let ms = samples.len() / media::SAMPLES_PER_MS;
            assert!((400..30_000).contains(&ms), "{text}: {ms} ms");
        }
    }

    #[test]
    fn every_shipped_sentence_is_found_by_its_voice_and_text() {
        let catalogue = Catalogue::shipped();
        for (voice, text, _) in SHIPPED {
            assert!(catalogue.get(Voice::named(voice).unwrap(), text).is_some(), "{voice}: {text}");
        }
        assert!(catalogue.get(Voice::for_locale("fr"), "Phrase inconnue.").is_none());
    }

    #[test]
    fn the_shipped_audio_stays_small() {
        let bytes: usize = SHIPPED.iter().map(|(_, _, file)| file.len()).sum();
        assert!(bytes < 3_000_000, "{bytes} bytes");
    }
}
