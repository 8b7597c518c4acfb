//! Text to telephone audio: 8 kHz, mono, 16-bit, at one loudness.
//!
//! A sentence is looked for in the shipped catalogue, then in memory; otherwise espeak-ng renders
//! it, once however many calls want it at the same time. With another synthesiser in mind, only
//! the module `espeak` would change.

mod catalogue;
mod espeak;
mod memory;
mod render;
mod sentences;
mod shape;
mod spelling;
mod voice;
mod wav;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use catalogue::Catalogue;
use espeak::Espeak;
use memory::Memory;
pub use render::{RenderError, Rendered, Sentence, render};
pub use voice::Voice;
pub use wav::WavError;

/// 8 kHz mono samples; cloning shares them.
pub type Audio = Arc<[i16]>;

/// Why a text can't be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// It isn't in the shipped audio, and there is no synthesiser.
    #[error(
        "only the shipped sentences can be spoken: install espeak-ng (`apt-get install espeak-ng`) for any other text"
    )]
    NotInstalled,
    /// There is nothing in it to say.
    #[error("there is no word in the text to be spoken")]
    Nothing,
    /// It is longer than a caller would listen to.
    #[error("a text of {chars} characters is too long to be spoken; {} is the most", spelling::MAX_CHARS)]
    TooLong {
        /// Its length.
        chars: usize,
    },
    /// The synthesiser couldn't be run.
    #[error("espeak-ng couldn't be run ({cause}): check that it is executable for this user")]
    NotStarted {
        /// What the operating system said.
        cause: std::io::ErrorKind,
    },
    /// The synthesiser gave up.
    #[error("espeak-ng ended with status {status:?}: check that its voices are installed")]
    Failed {
        /// Its exit status; `None` when a signal ended it.
        status: Option<i32>,
    },
    /// The synthesiser took too long and was stopped.
    #[error("espeak-ng didn't finish within {after:?}")]
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// Too many texts wait for the synthesiser.
    #[error("too many texts are waiting to be spoken")]
    Busy,
    /// The synthesiser's output can't be used.
    #[error("espeak-ng gave no usable audio: {0}")]
    Unreadable(#[from] WavError),
    /// The synthesiser's output can't be converted.
    #[error("audio of espeak-ng at {rate_hz} Hz can't be converted to 8 kHz")]
    Unconvertible {
        /// Samples per second.
        rate_hz: u32,
    },
    /// The service is stopping.
    #[error("the service is stopping")]
    Interrupted,
}

/// How speech is made.
#[derive(Debug, Clone)]
pub struct SpeechConfig {
    /// The synthesiser's program; `None` when there is none.
    pub espeak: Option<PathBuf>,
    /// Most synthesiser processes at once.
    pub at_once: usize,
    /// How long a text may wait for its turn, and again how long it may take.
    pub limit: Duration,
    /// Most memory for rendered sentences, in bytes.
    pub memory_bytes: usize,
    /// Whether the shipped sentences are used.
    pub shipped: bool,
}

impl SpeechConfig {
    /// The shipped sentences, and espeak-ng if a directory of `PATH` holds it.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            espeak: espeak::find(std::env::var_os("PATH").as_deref()),
            at_once: 2,
            limit: Duration::from_secs(5),
            memory_bytes: 32 << 20,
            shipped: true,
        }
    }
}

/// The speech service. Cloning is cheap and shares everything.
#[derive(Debug, Clone)]
pub struct Speech {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    catalogue: Catalogue,
    memory: Mutex<Memory>,
    flights: Mutex<HashMap<Key, WeakShared<Flight>>>,
    espeak: Option<Espeak>,
}

/// A rendering under way is found by what it is of.
type Key = (Voice, Box<str>);

type Flight = BoxFuture<'static, Result<Audio, SpeechError>>;

/// Renderings begun and given up are swept out when there are more entries than this.
const SWEEP_ABOVE: usize = 64;

impl Speech {
    /// A service of this configuration.
    #[must_use]
    pub fn new(config: SpeechConfig) -> Self {
        let catalogue = if config.shipped { Catalogue::shipped() } else { Catalogue::empty() };
        let espeak = config.espeak.map(|program| Espeak::new(program, config.at_once, config.limit));
        let inner = Inner {
            catalogue,
            memory: Mutex::new(Memory::new(config.memory_bytes)),
            flights: Mutex::new(HashMap::new()),
            espeak,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A service without a synthesiser that has a second of sound for each of these texts.
    #[cfg(test)]
    pub(crate) fn holding<'a>(locale: &str, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let config = SpeechConfig { espeak: None, shipped: false, ..SpeechConfig::detect() };
        let speech = Self::new(config);
        for text in texts {
            let audio = Audio::from(vec![1_000; 8_000]);
            held(&speech.inner.memory).insert(Voice::for_locale(locale), text, audio);
        }
        speech
    }

    /// Whether texts beyond the shipped sentences can be spoken.
    #[must_use]
    pub fn synthesises(&self) -> bool {
        self.inner.espeak.is_some()
    }

    /// The audio if it is at hand. Allocates nothing once a sentence has been asked for.
    #[must_use]
    pub fn cached(&self, locale: &str, text: &str) -> Option<Audio> {
        self.inner.cached(Voice::for_locale(locale), text)
    }

    /// Cuts a text between sentences so that what is at hand as audio is used and the rest is
    /// rendered in as few pieces as possible. Sentences that were written apart and are said
    /// together are found that way.
    #[must_use]
    pub fn parts<'a>(&self, locale: &str, text: &'a str) -> Vec<&'a str> {
        let voice = Voice::for_locale(locale);
        sentences::parts(text, |part| self.inner.cached(voice, part).is_some())
    }

    /// The audio, rendered if need be. The rendering is shared by all who wait for the same
    /// text, and stopped when none of them waits any more.
    ///
    /// The future fails when the text isn't at hand and can't be rendered.
    #[must_use]
    pub fn speak(&self, locale: &str, text: &str) -> BoxFuture<'static, Result<Audio, SpeechError>> {
        let voice = Voice::for_locale(locale);
        match self.inner.cached(voice, text) {
            Some(audio) => std::future::ready(Ok(audio)).boxed(),
            None if self.inner.espeak.is_none() => std::future::ready(Err(SpeechError::NotInstalled)).boxed(),
            None => self.flight(voice, text).boxed(),
        }
    }

    fn flight(&self, voice: Voice, text: &str) -> Shared<Flight> {
        let mut flights = held(&self.inner.flights);
        let key: Key = (voice, Box::from(text));
        if let Some(flight) = flights.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        if flights.len() > SWEEP_ABOVE {
            flights.retain(|_, flight| flight.upgrade().is_some());
        }
        let flight = self.inner.clone().render(key.clone()).boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        flight
    }
}

impl Inner {
    fn cached(&self, voice: Voice, text: &str) -> Option<Audio> {
        self.catalogue.get(voice, text).or_else(|| held(&self.memory).get(voice, text))
    }

    async fn render(self: Arc<Self>, key: Key) -> Result<Audio, SpeechError> {
        let (voice, text) = &key;
        let espeak = self.espeak.as_ref().ok_or(SpeechError::NotInstalled)?;
        let result = espeak.render(*voice, text).await.map(Audio::from);
        if let Ok(audio) = &result {
            held(&self.memory).insert(*voice, text, audio.clone());
        }
        held(&self.flights).remove(&key);
        result
    }
}

/// What these locks guard is whole after every statement, so a panic elsewhere doesn't spoil it.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
