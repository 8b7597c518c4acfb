//! `offhook speech`: the sentences that ship as audio.

use std::path::PathBuf;

use clap::Subcommand;

/// What can be done with spoken sentences.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Render every sentence that the demo tenants can say into a catalogue, with espeak-ng.
    Render {
        /// The directory of the catalogue.
        #[arg(default_value = "config/audio")]
        directory: PathBuf,
    },
}

pub(crate) fn run(command: &Command) -> Result<(), String> {
    let Command::Render { directory } = command;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let tenants = crate::app::demo_tenants().map_err(|error| error.to_string())?;
    let speech = crate::agent::SpeechConfig::detect();
    let rendered = runtime
        .block_on(crate::agent::shipped::render(&tenants, directory, &speech))
        .map_err(|error| error.to_string())?;
    println!("{} sentences, {} KB, in {}", rendered.files, rendered.bytes / 1_024, directory.display());
    Ok(())
}
