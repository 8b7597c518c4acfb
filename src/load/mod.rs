//! A load generator: many telephones that call a SIP server, talk and listen.
//!
//! `plan` says what is to be done, `caller` does the signalling in one task, `media` the RTP
//! in threads of their own; `leg` is one call's media, `tone` what it says and `echo` how
//! that is known again; `tally`, `leg` and `histogram` hold what was measured, and
//! `report` draws it up, what we did badly ourselves included.

mod caller;
pub mod echo;
pub mod histogram;
mod lane;
pub mod law;
pub mod leg;
mod machine;
pub mod media;
pub mod plan;
pub mod report;
pub mod tally;
pub mod tone;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use sip::endpoint::flow::{Hop, Transport};
use sip::locate::Families;
use sip::message::{Scheme, Uri};
use tokio::sync::watch;

use self::caller::{Caller, Setting};
use self::lane::Pair;
use self::machine::Usage;
use self::media::{Live, Media};
use self::plan::{Depth, Plan, Sockets};
use self::report::Outcome;
pub use self::report::Report;
use self::tone::Tone;
use crate::net::batch;
use crate::net::dns::{DnsError, Resolver};

/// The port of SIP where nothing names another (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// How far a run is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Calls placed.
    pub placed: AtomicU32,
    /// Calls that are up.
    pub up: AtomicU32,
    /// Calls that have ended.
    pub ended: AtomicU32,
    /// Those of them that failed.
    pub failed: AtomicU32,
    /// RTP.
    pub live: Arc<Live>,
}

/// Why a run can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target can't be called over UDP.
    #[error("{0} can't be called: only sip: URIs over UDP are, such as sip:+33199000001@127.0.0.1:5060")]
    Target(Uri),
    /// Its name leads nowhere.
    #[error(transparent)]
    Name(#[from] DnsError),
    /// The targets are reached from different addresses of ours.
    #[error("the targets are reached from different addresses of this machine: call them in separate runs")]
    Sources,
    /// The system gives no sockets or threads.
    #[error("no socket or thread: {0}; check the limit of open files")]
    System(#[from] io::Error),
}

/// Puts the load on, until it is done or `stop` turns true.
///
/// # Errors
/// When it can't begin. What goes wrong with calls is in the report.
pub async fn run(
    plan: &Plan,
    tone: Tone,
    progress: &Progress,
    stop: watch::Receiver<bool>,
) -> Result<Report, LoadError> {
    batch::raise_descriptor_limit()?;
    let hops = locate(&plan.targets).await?;
    let address = caller::source(&hops)?.ok_or(LoadError::Sources)?;
    let udp = caller::bind(address)?;
    let tone = Arc::new(tone);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = plan.media_threads(cores);
    let media = match plan.depth {
        Depth::Signalling => None,
        Depth::Media(Sockets::PerCall) => Some(Media::start(address, threads, 0, &tone, &progress.live)?),
        Depth::Media(Sockets::Shared) => {
            let sockets = plan.sockets(threads);
            Some(Media::start(address, threads, sockets, &tone, &progress.live)?)
        }
    };
    let idle = if media.is_none() { Some(Pair::open(address)?) } else { None };
    let before = Usage::now();
    let setting = Setting { plan, hops, media: media.as_ref(), idle, frames: tone.frames(), progress };
    let called = Caller::new(setting, udp).run(stop).await?;
    let work = media.map(Media::finish);
    let after = Usage::now();
    Ok(Report::new(&Outcome {
        plan,
        tally: &called.tally,
        media: work.as_ref(),
        marked: tone.is_marked(),
        took: called.took,
        placing: called.placing,
        processor: after.process_since(&before),
        busy: after.busy_since(&before),
        stopped: called.stopped,
    }))
}

/// The ways to each target.
async fn locate(targets: &[Uri]) -> Result<Vec<Vec<Hop>>, LoadError> {
    let mut all = Vec::new();
    let mut resolver = None;
    for uri in targets {
        let unusable = || LoadError::Target(uri.clone());
        let over_udp =
            uri.param("transport").is_none_or(|value| value.is_some_and(|v| v.eq_ignore_ascii_case(b"udp")));
        let host = uri.host().filter(|_| uri.scheme() == Scheme::Sip && over_udp).ok_or_else(unusable)?;
        let hops = match host.ip() {
            Some(ip) => vec![Hop::new(Transport::Udp, (ip, uri.port().unwrap_or(SIP_PORT)).into())],
            None => {
                let resolver = resolver.get_or_insert_with(|| Resolver::from_system(Families::V4First));
                let hops =
                    resolver.locate(&host.to_string(), uri.port(), Some(Transport::Udp), false).await?;
                hops.into_iter().filter(|hop| hop.transport == Transport::Udp).collect()
            }
        };
        if hops.is_empty() {
            return Err(unusable());
        }
        all.push(hops);
    }
    Ok(all)
}
