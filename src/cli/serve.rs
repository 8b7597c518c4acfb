//! `offhook serve` and `offhook check`.

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use media::recording::sealed::SealingKey;
use tracing_subscriber::EnvFilter;

use super::Common;
use crate::config::{Config, Loaded, LogFormat, Overrides, PortRange};

/// Flags of `offhook serve`; each wins over the configuration file.
#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// Where to listen for SIP, over UDP and TCP [default: 127.0.0.1:5060].
    #[arg(long, env = "OFFHOOK_SIP", value_name = "ADDR")]
    sip: Option<SocketAddr>,
    /// Where to serve HTTP [default: 127.0.0.1:8080].
    #[arg(long, env = "OFFHOOK_HTTP", value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// How many seconds running calls may go on after the first signal to stop [default: 60].
    #[arg(long, env = "OFFHOOK_DRAIN", value_name = "SECONDS")]
    drain: Option<u64>,
    /// The address that peers reach us at, behind NAT.
    #[arg(long, env = "OFFHOOK_ADVERTISED_ADDRESS", value_name = "IP")]
    advertised_address: Option<IpAddr>,
    /// The UDP ports for RTP [default: 16384-32767].
    #[arg(long, env = "OFFHOOK_RTP_PORTS", value_name = "FIRST-LAST")]
    rtp_ports: Option<PortRange>,
    /// Threads for connections, HTTP and storage [default: one per core].
    #[arg(long, env = "OFFHOOK_SERVICE_WORKERS", value_name = "N")]
    service_workers: Option<NonZeroU16>,
    /// Threads for RTP.
    #[arg(long, env = "OFFHOOK_MEDIA_WORKERS", value_name = "N")]
    media_workers: Option<NonZeroU16>,
    /// How log lines look: text or json [default: text].
    #[arg(long, env = "OFFHOOK_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

pub(crate) fn run(common: &Common, flags: Flags) -> Result<(), String> {
    let (file, overrides) = (common.config.clone(), overrides(common, flags));
    // Read again on SIGHUP, as it is read now.
    let load = move || Config::load(file.as_deref(), &overrides, &environment);
    let Loaded { config, warnings } = load().map_err(|error| error.to_string())?;
    log_to_stderr(config.service.log_format);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.service.workers.service {
        runtime.worker_threads(workers.get().into());
    }
    let runtime =
        runtime.enable_all().build().map_err(|error| format!("no threads can be started: {error}"))?;
    runtime.block_on(crate::app::run(config, Arc::new(load))).map_err(|error| error.to_string())
}

pub(crate) fn check(common: &Common) -> Result<(), String> {
    let loaded = load(common, Flags::default())?;
    for warning in &loaded.warnings {
        println!("warning: {warning}");
    }
    crate::app::tls_carrier(&loaded.config).map_err(|error| error.to_string())?;
    println!("The configuration is sound: {} trunk(s).", loaded.config.trunks.len());
    Ok(())
}

/// The data directory that the flags and the configuration name.
pub(crate) fn data_directory(common: &Common) -> Result<PathBuf, String> {
    match &common.data {
        Some(data) => Ok(data.clone()),
        None => load(common, Flags::default()).map(|loaded| loaded.config.service.data),
    }
}

/// The key that recordings are sealed with, if the configuration has one.
pub(crate) fn recording_key(common: &Common) -> Result<Option<SealingKey>, String> {
    load(common, Flags::default()).map(|loaded| loaded.config.service.recording_key)
}

fn load(common: &Common, flags: Flags) -> Result<Loaded, String> {
    Config::load(common.config.as_deref(), &overrides(common, flags), &environment)
        .map_err(|error| error.to_string())
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn overrides(common: &Common, flags: Flags) -> Overrides {
    Overrides {
        sip: flags.sip,
        http: flags.http,
        data: common.data.clone(),
        drain: flags.drain.map(Duration::from_secs),
        advertised_address: flags.advertised_address,
        rtp_ports: flags.rtp_ports,
        service_workers: flags.service_workers,
        media_workers: flags.media_workers,
        log_format: flags.log_format,
    }
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for eyes, not for files and collectors.
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
