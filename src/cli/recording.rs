//! `offhook recording`: recordings that are sealed at rest.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Subcommand;
use media::recording::sealed;

use super::{Common, serve};

/// What can be done with recordings.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open a sealed recording with the configured key, into a WAV file.
    Open {
        /// The recording, such as recordings/….wav.sealed in the data directory.
        sealed: PathBuf,
        /// The WAV file to make; it must not exist.
        wav: PathBuf,
    },
}

pub(crate) fn run(common: &Common, command: &Command) -> Result<(), String> {
    let Command::Open { sealed: from, wav } = command;
    let key = serve::recording_key(common)?.ok_or(
        "the configuration has no key for recordings: set `recording_key_file` or `recording_key_env` in [service]",
    )?;
    let file = File::open(from).map_err(|error| format!("can't open {}: {error}", from.display()))?;
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(wav);
    let out = out.map_err(|error| format!("can't make {}: {error}", wav.display()))?;
    let mut out = BufWriter::new(out);
    let opened = sealed::open_wav(BufReader::new(file), &key, &mut out)
        .and_then(|opened| Ok(out.flush().map(|()| opened)?))
        .map_err(|error| error.to_string())
        .inspect_err(|_| {
            // What isn't authentic to its end is left to nobody; it may be gone already.
            let _ = std::fs::remove_file(wav);
        })?;
    if !opened.complete {
        println!("The recording was cut off: {} holds it up to there.", wav.display());
    }
    Ok(())
}
