//! espeak-ng as a process. Its library is under the GPL and isn't linked. The text goes in by
//! the standard input, never on the command line, and no shell is involved.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::voice::Voice;
use super::{SpeechError, shape, spelling, wav};

/// Words per minute. The synthesiser's own 175 is hurried on a telephone line.
const SPEED: &str = "150";
/// Most output read, in bytes: two minutes and a half at 22,050 Hz.
const MOST_OUTPUT: u64 = 150 * 44_100;

/// How to run the synthesiser.
#[derive(Debug)]
pub(super) struct Espeak {
    program: PathBuf,
    slots: Semaphore,
    limit: Duration,
}

impl Espeak {
    pub(super) fn new(program: PathBuf, at_once: usize, limit: Duration) -> Self {
        Self { program, slots: Semaphore::new(at_once.max(1)), limit }
    }

    /// Renders a text for the telephone: 8 kHz, shaped.
    pub(super) async fn render(&self, voice: Voice, text: &str) -> Result<Vec<i16>, SpeechError> {
        let chars = text.chars().count();
        if chars > spelling::MAX_CHARS {
            return Err(SpeechError::TooLong { chars });
        }
        let words = spelling::read_aloud(voice, text);
        if !words.contains(char::is_alphanumeric) {
            return Err(SpeechError::Nothing);
        }
        let slot = timeout(self.limit, self.slots.acquire()).await;
        let _slot = slot.ok().and_then(Result::ok).ok_or(SpeechError::Busy)?;
        let output = timeout(self.limit, run(&self.program, voice, &words))
            .await
            .map_err(|_| SpeechError::TimedOut { after: self.limit })??;
        // Up to some milliseconds of arithmetic: not on a thread that paces calls.
        tokio::task::spawn_blocking(move || finish(&output)).await.map_err(|_| SpeechError::Interrupted)?
    }
}

/// Dropping the future kills the process.
async fn run(program: &Path, voice: Voice, words: &str) -> Result<Vec<u8>, SpeechError> {
    let mut child = Command::new(program)
        .args(["-v", voice.name(), "-s", SPEED, "-b", "1", "-z", "--stdin", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SpeechError::NotStarted { cause: error.kind() })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that exits without reading is told by its status, not by the broken pipe.
        let _ = stdin.write_all(words.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(MOST_OUTPUT).read_to_end(&mut output).await;
        read.map_err(|error| SpeechError::NotStarted { cause: error.kind() })?;
    }
    let status = child.wait().await.map_err(|error| SpeechError::NotStarted { cause: error.kind() })?;
    if status.success() { Ok(output) } else { Err(SpeechError::Failed { status: status.code() }) }
}

fn finish(output: &[u8]) -> Result<Vec<i16>, SpeechError> {
    let wav = wav::read(output)?;
    let at_8_khz = media::resample::to_8k(&wav.samples, wav.rate_hz);
    let at_8_khz = at_8_khz.map_err(|_| SpeechError::Unconvertible { rate_hz: wav.rate_hz })?;
    shape::for_telephone(&at_8_khz).ok_or(SpeechError::Nothing)
}

/// Where espeak-ng is, looking through the directories of `PATH`.
pub(super) fn find(path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?).map(|dir| dir.join("espeak-ng")).find(|file| file.is_file())
}
