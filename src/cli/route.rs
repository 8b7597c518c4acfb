//! `offhook route`: why a call to a number goes where it goes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;

use super::Common;
use super::tenant::say;
use crate::app::StoredDirectory;
use crate::ids::E164;
use crate::routing::explain::{Explained, explain};
use crate::routing::{Directory, DirectoryOptions};

/// Flags of `offhook route`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The number that is dialed, such as +33199000001.
    #[arg(value_name = "NUMBER")]
    number: E164,
    /// When, such as 2026-11-20T09:00:00Z [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(common: &Common, flags: &Flags) -> Result<(), String> {
    let explained = super::stored::reading_shared(common, async |store| {
        let source = Arc::new(StoredDirectory::new(store));
        let directory = Directory::new(source, DirectoryOptions::default());
        Ok(explain(&directory, &flags.number, flags.at.unwrap_or_else(Utc::now)).await)
    })?;
    if flags.json {
        say(&serde_json::to_string(&explained).map_err(|error| error.to_string())?);
    } else {
        print(&explained);
    }
    if explained.is_unavailable() { Err(explained.explanation) } else { Ok(()) }
}

fn print(explained: &Explained) {
    say(&explained.explanation);
    if let Some(opening) = &explained.opening {
        say(&opening.hours.explanation);
    }
    for destination in &explained.destinations {
        let reaches = destination.reaches.as_ref().map_or("nobody".to_owned(), ToString::to_string);
        say(&format!("{} reaches {reaches}", destination.destination_id));
        destination.steps.iter().for_each(|step| say(&format!("  {step}")));
    }
}
