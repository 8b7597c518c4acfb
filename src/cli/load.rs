//! `offhook load`: many telephones that call a server.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use sip::message::Uri;
use tokio::sync::watch;

use crate::load::law::Law;
use crate::load::plan::{Depth, Plan, Sockets};
use crate::load::tone::Tone;
use crate::load::{self, Progress, Report};

/// How often the progress bar moves.
const REFRESH: Duration = Duration::from_millis(200);

/// Flags of `offhook load`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Whom to call, such as sip:+33199000001@127.0.0.1:5060; several take turns.
    #[arg(value_name = "URI", required = true, value_parser = uri)]
    targets: Vec<Uri>,
    /// How many calls in all.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
    /// New calls a second.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// How many seconds an answered call lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// How many seconds an answer is waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
    /// What the telephones speak.
    #[arg(long, value_enum, default_value_t = Spoken::Pcmu)]
    codec: Spoken,
    /// What they say, over and over; without it talk spurts with pauses, made to sound like speech.
    #[arg(long, value_name = "FILE", conflicts_with = "signalling_only")]
    wav: Option<PathBuf>,
    /// Milliseconds of a talk spurt.
    #[arg(long, value_name = "MS", default_value_t = 1_200, conflicts_with = "wav",
          value_parser = clap::value_parser!(u32).range(80..=60_000))]
    talk: u32,
    /// Milliseconds of the pause after it.
    #[arg(long, value_name = "MS", default_value_t = 1_300, conflicts_with = "wav",
          value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pause: u32,
    /// Whether calls share RTP sockets, which costs least, or have one each, as telephones have.
    #[arg(long, value_enum, default_value_t = SocketsOf::Shared)]
    sockets: SocketsOf,
    /// Threads for RTP [default: one for every 1,500 calls, at most one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Signalling alone: no RTP is sent, and what comes is not looked at.
    #[arg(long)]
    signalling_only: bool,
    /// The same, and each call ends as soon as it is answered: for call rates and answer times.
    #[arg(long, conflicts_with_all = ["seconds", "wav"])]
    rate_only: bool,
    /// Lost packets of the far end's, in percent, up to which the run is a success.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    max_loss: f64,
    /// The report as one JSON document.
    #[arg(long)]
    json: bool,
}

/// G.711's two laws.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spoken {
    /// µ-law.
    Pcmu,
    /// A-law.
    Pcma,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SocketsOf {
    /// Many calls on each.
    Shared,
    /// One each.
    Call,
}

fn uri(text: &str) -> Result<Uri, String> {
    Uri::parse(text.as_bytes()).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=100_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("0.001 to 100000 are possible".to_owned())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("0 to 86400 are possible".to_owned()) }
}

pub(crate) fn run(flags: Flags) -> Result<(), String> {
    let (plan, tone) = plan(&flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no threads can be started: {error}"))?;
    let report = runtime.block_on(put_on(&plan, tone)).map_err(|error| error.to_string())?;
    print(&report, flags.json)?;
    if report.success { Ok(()) } else { Err(report.failures.join("; ")) }
}

fn plan(flags: &Flags) -> Result<(Plan, Tone), String> {
    let law = match flags.codec {
        Spoken::Pcmu => Law::Mu,
        Spoken::Pcma => Law::A,
    };
    let tone = match &flags.wav {
        Some(path) => Tone::from_wav(law, path).map_err(|error| error.to_string())?,
        None => Tone::speech(law, flags.talk, flags.pause),
    };
    let depth = match (flags.signalling_only || flags.rate_only, flags.sockets) {
        (true, _) => Depth::Signalling,
        (false, SocketsOf::Shared) => Depth::Media(Sockets::Shared),
        (false, SocketsOf::Call) => Depth::Media(Sockets::PerCall),
    };
    let plan = Plan {
        targets: flags.targets.clone(),
        calls: flags.calls,
        rate: flags.rate,
        length: Duration::from_secs_f64(if flags.rate_only { 0.0 } else { flags.seconds }),
        patience: Duration::from_secs_f64(flags.timeout),
        depth,
        law,
        threads: flags.threads.map(usize::from),
        most_loss: flags.max_loss / 100.0,
    };
    Ok((plan, tone))
}

async fn put_on(plan: &Plan, tone: Tone) -> Result<Report, load::LoadError> {
    let progress = Arc::new(Progress::default());
    let (stop, stopped) = watch::channel(false);
    let interrupted = tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            // The second time is meant.
            if stop.send_replace(true) {
                std::process::exit(130);
            }
            let _ = writeln!(std::io::stderr(), "Ending the calls; once more to leave them.");
        }
    });
    let shown = std::io::stderr().is_terminal().then(|| tokio::spawn(show(plan.calls, progress.clone())));
    let report = load::run(plan, tone, &progress, stopped).await;
    interrupted.abort();
    if let Some(shown) = shown {
        shown.abort();
        // So that the bar is gone before the report.
        let _ = shown.await;
    }
    report
}

/// Draws the progress bar until it is aborted.
async fn show(calls: u32, progress: Arc<Progress>) {
    let bar = ProgressBar::new(u64::from(calls));
    let template = "{elapsed_precise} [{bar:30}] {pos}/{len} ended  {msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let _cleared = Cleared(bar.clone());
    let mut tick = tokio::time::interval(REFRESH);
    loop {
        tick.tick().await;
        let read = |value: &std::sync::atomic::AtomicU32| value.load(Ordering::Relaxed);
        let live = &progress.live;
        bar.set_position(u64::from(read(&progress.ended)));
        bar.set_message(format!(
            "{} placed, {} up, {} failed; RTP {} out, {} in, {} late turns",
            read(&progress.placed),
            read(&progress.up),
            read(&progress.failed),
            live.sent.load(Ordering::Relaxed),
            live.received.load(Ordering::Relaxed),
            live.late.load(Ordering::Relaxed),
        ));
    }
}

struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn print(report: &Report, as_json: bool) -> Result<(), String> {
    let text = if as_json {
        serde_json::to_string(report).map_err(|error| error.to_string())? + "\n"
    } else {
        report.to_string()
    };
    // Whoever reads has had enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}
