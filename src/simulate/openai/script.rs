//! What the simulated server says to what it hears, how fast, and what goes wrong.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// A script.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// How text becomes sound.
    pub voice: Voice,
    /// The language of espeak-ng's voice.
    pub language: String,
    /// How fast answers come.
    pub pace: Pace,
    /// How connections are taken.
    pub connect: Connect,
    /// What is said when the caller has said something, one after the other; after the last one
    /// the first comes again.
    pub turn: Vec<Turn>,
    /// Accept the beta protocol as well, as compatible servers do.
    pub beta: bool,
    /// Keys that are taken; none: any.
    pub keys: Vec<String>,
    /// Seconds until a session is closed with 1001.
    pub session_seconds: u64,
    /// Relative paths start here.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// How text becomes sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// A tone, 60 ms for each letter.
    Tone,
    /// espeak-ng; a tone where there is none.
    Espeak,
}

/// How fast answers come.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// From the request to the first audio.
    pub first_audio_ms: u64,
    /// At most that much more, at random.
    pub jitter_ms: u64,
    /// Audio in one event.
    pub chunk_ms: u64,
    /// How many times faster than it is spoken audio comes; 0: all at once.
    pub speed: f64,
    /// Audio that comes at once before `speed` holds.
    pub burst_ms: u64,
    /// From the end of a turn to its transcript.
    pub transcript_ms: u64,
}

/// How connections are taken.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Connect {
    /// Before the session is there.
    pub delay_ms: u64,
    /// Refuse with this HTTP status …
    pub refuse_status: Option<u16>,
    /// … the first so many connections; without it all of them.
    pub refuse_first: Option<u64>,
    /// Take the connection and say nothing.
    pub hang: bool,
}

/// What is said once, and what goes wrong with it.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    /// What the transcript says that the caller said; absent: the transcription fails.
    pub heard: Option<String>,
    /// What is said.
    pub say: Option<String>,
    /// A tone of this length instead.
    pub say_ms: Option<u64>,
    /// A WAV file instead, 8 or 24 kHz, mono.
    pub say_wav: Option<PathBuf>,
    /// A function that is called, after what is said.
    pub call: Option<Call>,
    /// From the request to the first audio, in place of the script's.
    pub first_audio_ms: Option<u64>,
    /// No more comes after so much audio, for `stall_ms`.
    pub stall_after_ms: Option<u64>,
    /// How long.
    pub stall_ms: u64,
    /// The connection is dropped after so much audio, once.
    pub drop_after_ms: Option<u64>,
    /// So many messages that are no events come before the audio.
    pub garbage: u32,
    /// The response fails with this code.
    pub fail: Option<String>,
    /// Say nothing at all to the request.
    pub hang: bool,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The function.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Value,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            voice: Voice::Tone,
            language: "en".to_owned(),
            pace: Pace::default(),
            connect: Connect::default(),
            turn: vec![Turn {
                heard: Some("Hello?".into()),
                say: Some("Yes, I hear you.".into()),
                ..Turn::default()
            }],
            beta: false,
            keys: Vec::new(),
            session_seconds: 3_600,
            directory: PathBuf::new(),
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { first_audio_ms: 150, jitter_ms: 0, chunk_ms: 100, speed: 0.0, burst_ms: 0, transcript_ms: 250 }
    }
}

/// A script that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file can't be read.
    #[error("can't read the script {file} ({error})")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// It isn't a script.
    #[error("the script {file} can't be used: {error}")]
    Form {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and where.
        error: String,
    },
}

impl Script {
    /// Reads a script, TOML or (by its name) JSON.
    ///
    /// # Errors
    /// When the file can't be read or isn't one.
    pub fn load(file: &Path) -> Result<Self, ScriptError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ScriptError::Read { file: file.to_owned(), error })?;
        let form = |error: String| ScriptError::Form { file: file.to_owned(), error };
        let json = file.extension().is_some_and(|extension| extension == "json");
        let script: Self = if json {
            serde_json::from_str(&text).map_err(|error| form(error.to_string()))?
        } else {
            toml::from_str(&text).map_err(|error| form(error.to_string()))?
        };
        if script.turn.is_empty() {
            return Err(form("it has no [[turn]]".to_owned()));
        }
        if script.pace.chunk_ms == 0 || script.pace.chunk_ms > 5_000 {
            return Err(form("`pace.chunk_ms` is from 1 to 5000".to_owned()));
        }
        let directory = file.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { directory, ..script })
    }

    /// What is said the `number`th time.
    #[must_use]
    pub fn turn(&self, number: usize) -> Option<&Turn> {
        self.turn.get(number % self.turn.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_that_ship_can_be_loaded() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/simulate");
        let mut loaded = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            Script::load(&entry.unwrap().path()).unwrap();
            loaded += 1;
        }
        assert!(loaded >= 3);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.toml");
        std::fs::write(&file, "[[turn]]\nsay = 'x'\nspeed = 3\n").unwrap();
        let error = Script::load(&file).unwrap_err().to_string();
        assert!(error.contains("speed") && error.contains("line 3"), "{error}");
        std::fs::write(&file, "turn = []\n").unwrap();
        assert!(Script::load(&file).is_err());
    }
}
