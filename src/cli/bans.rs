//! `offhook bans` and `offhook unban`: whom the running service doesn't listen to.

use std::net::IpAddr;

use clap::Args;
use serde_json::Value;

use super::{Common, control};

/// Flags of `offhook bans`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

/// Arguments of `offhook unban`.
#[derive(Debug, Args)]
pub(crate) struct Unban {
    /// The address; for IPv6 its /64 is meant.
    #[arg(value_name = "IP")]
    address: IpAddr,
}

pub(crate) fn run(common: &Common, flags: &Flags) -> Result<(), String> {
    let data = super::serve::data_directory(common)?;
    let answer = control::ask(&data, "bans")?;
    let bans = answer.get("bans").and_then(Value::as_array).cloned().unwrap_or_default();
    if flags.json {
        println!("{}", Value::Array(bans));
        return Ok(());
    }
    if bans.is_empty() {
        println!("Nobody is banned.");
        return Ok(());
    }
    println!("{:<40} {:<10} {:>9} {:>5} {:>9}", "SOURCE", "REASON", "LEFT", "TIMES", "DROPPED");
    for ban in bans {
        let text = |name: &str| ban.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let number = |name: &str| ban.get(name).and_then(Value::as_u64).unwrap_or_default();
        println!(
            "{:<40} {:<10} {:>7} s {:>5} {:>9}",
            text("source"),
            text("reason"),
            number("seconds_left"),
            number("times"),
            number("dropped"),
        );
    }
    Ok(())
}

pub(crate) fn unban(common: &Common, arguments: &Unban) -> Result<(), String> {
    let data = super::serve::data_directory(common)?;
    let answer = control::ask(&data, &format!("unban {}", arguments.address))?;
    match answer.get("lifted").and_then(Value::as_bool) {
        Some(true) => {
            println!("{} is listened to again.", arguments.address);
            Ok(())
        }
        Some(false) => Err(format!("{} is not banned: see `offhook bans`", arguments.address)),
        None => Err("the service doesn't know how to lift a ban: is it of another version?".to_owned()),
    }
}
