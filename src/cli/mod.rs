//! The command line: one file for each command.

mod bans;
mod call;
mod calls;
mod control;
mod load;
mod recording;
mod reload;
mod serve;
mod speech;
mod tenant;
mod trace;
mod trunks;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// An AI receptionist on a telephone line.
#[derive(Debug, Parser)]
#[command(name = "offhook", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    serve: serve::Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Where the database, the journal and recordings are kept.
    #[arg(long, global = true, env = "OFFHOOK_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The configuration file (TOML); see config/offhook.toml.
    #[arg(long, global = true, env = "OFFHOOK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take calls (the default).
    Serve(serve::Flags),
    /// Let a tenant's agent call somebody.
    Call(call::Flags),
    /// List the calls that were recorded, newest first.
    Calls(calls::Flags),
    /// Play many telephones that call a SIP server, and measure what they hear.
    Load(load::Flags),
    /// Show the trunks of the running service and their registration.
    Trunks(trunks::Flags),
    /// Show the SIP messages of a call, or capture those of all.
    Trace(trace::Flags),
    /// Show which sources the running service doesn't listen to.
    Bans(bans::Flags),
    /// Lift the ban of an address.
    Unban(bans::Unban),
    /// Let the running service read its configuration anew.
    Reload,
    /// Check the configuration, and say what is wrong with it by file and line.
    Check,
    /// Work on tenants.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Work on recordings of calls.
    #[command(subcommand)]
    Recording(recording::Command),
    /// Work on spoken sentences.
    #[command(subcommand)]
    Speech(speech::Command),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => serve::run(&cli.common, cli.serve),
        Some(Command::Serve(flags)) => serve::run(&cli.common, flags),
        Some(Command::Call(flags)) => call::run(&cli.common, &flags),
        Some(Command::Calls(flags)) => calls::run(&cli.common, &flags),
        Some(Command::Load(flags)) => load::run(flags),
        Some(Command::Trunks(flags)) => trunks::run(&cli.common, &flags),
        Some(Command::Trace(flags)) => trace::run(&cli.common, &flags),
        Some(Command::Bans(flags)) => bans::run(&cli.common, &flags),
        Some(Command::Unban(flags)) => bans::unban(&cli.common, &flags),
        Some(Command::Reload) => reload::run(&cli.common),
        Some(Command::Check) => serve::check(&cli.common),
        Some(Command::Tenant(command)) => tenant::run(&cli.common, &command),
        Some(Command::Recording(command)) => recording::run(&cli.common, &command),
        Some(Command::Speech(command)) => speech::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "offhook: {message}");
            ExitCode::FAILURE
        }
    }
}
