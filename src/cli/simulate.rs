//! `offhook simulate`: servers that behave as the providers' do.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;

use crate::simulate::openai::{Script, Server, ServerOptions};

/// Which server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// OpenAI's Realtime API over WebSocket (docs/simulators.md).
    Openai {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDR")]
        listen: SocketAddr,
        /// What it says, how fast, and what goes wrong (TOML or JSON; config/simulate/*.toml).
        #[arg(long, value_name = "FILE")]
        script: Option<PathBuf>,
        /// Write every event that clients send as a line of JSON, audio summed up.
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
        /// Threads [default: 1].
        #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
        workers: u16,
    },
}

pub(crate) fn run(command: Command) -> Result<(), String> {
    let Command::Openai { listen, script, log, workers } = command;
    let script = match script {
        None => Script::default(),
        Some(file) => Script::load(&file).map_err(|error| error.to_string())?,
    };
    super::serve::log_to_stderr(crate::config::LogFormat::Text);
    if let Err(error) = crate::net::batch::raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of open files can't be raised; each session needs one");
    }
    let mut runtime = match workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime =
        runtime.worker_threads(workers.into()).enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async move {
        let server = Server::bind(listen, script, ServerOptions { log }).await;
        let server = server.map_err(|error| format!("can't listen on {listen}: {error}"))?;
        let address = server.address().map_err(|error| error.to_string())?;
        println!("ws://{address}/v1");
        tokio::select! {
            () = server.run() => Ok(()),
            stopped = tokio::signal::ctrl_c() => stopped.map_err(|error| error.to_string()),
        }
    })
}
