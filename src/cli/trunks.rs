//! `offhook trunks`: the trunks of the running service.

use clap::Args;
use serde_json::Value;

use super::{Common, control};

/// Flags of `offhook trunks`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(common: &Common, flags: &Flags) -> Result<(), String> {
    let data = super::serve::data_directory(common)?;
    let answer = control::ask(&data, "trunks")?;
    let trunks = answer.get("trunks").and_then(Value::as_array).cloned().unwrap_or_default();
    if flags.json {
        println!("{}", Value::Array(trunks));
        return Ok(());
    }
    println!("{:<16} {:<9} {:<5} {:<22} {:<14} DETAIL", "TRUNK", "MODE", "VIA", "PEER", "STATE");
    for trunk in trunks {
        let text = |name: &str| trunk.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        println!(
            "{:<16} {:<9} {:<5} {:<22} {:<14} {}",
            text("name"),
            text("mode"),
            text("transport"),
            text("peer"),
            text("state"),
            text("detail"),
        );
    }
    Ok(())
}
