//! The service: everything made, wired, run and stopped in order.

mod banner;
mod calls;
mod control;
mod demo;
mod directory;
mod metrics;
mod records;
mod registrar;
mod stop;
mod transports;
mod ways;

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::directory::StoredDirectory;
use self::records::JournalSink;
use self::registrar::Reachable;
use self::stop::Signals;
use self::ways::LookedUp;
use crate::agent::{Builtin, Provider, Speech, SpeechConfig};
use crate::call::actor::Services;
use crate::call::inbound::{Inbound, Refused};
use crate::call::outbound::{Outbound, Repeats};
use crate::call::registry::Registry;
use crate::call::switchboard::Switchboard;
use crate::config::Config;
use crate::http::{self, Readiness};
use crate::net::dns::Resolver;
use crate::net::rtp::{RtpConfig, RtpPool};
use crate::net::signalling::SignallingHandle;
use crate::net::tls::TlsError;
use crate::routing::{Admission, Directory, DirectoryOptions};
use crate::store::StoreError;
use crate::store::carrier::{Carrier, CarrierOptions};
use crate::store::journal::{Journal, JournalError, JournalOptions};
use crate::store::sqlite::SqliteStore;
use crate::trace::TraceHandle;
use crate::trunk::Trunks;

pub use self::control::SOCKET as CONTROL_SOCKET;
pub use self::demo::{rows as tenant_rows, tenants as demo_tenants};
pub use self::transports::carrier as tls_carrier;

/// The database's file in the data directory.
pub const DATABASE: &str = "offhook.db";

/// Why the service can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address can't be listened on.
    #[error("can't listen for {what} on {address} ({error}): {advice}")]
    Listen {
        /// `SIP` or `HTTP`.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        error: io::Error,
        /// What to do about it.
        advice: String,
    },
    /// A certificate, a key or an authority can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory can't be used.
    #[error("the data directory {path} can't be used ({error}): name another with --data")]
    Data {
        /// The directory.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The demo tenants that ship with the program are wrong.
    #[error("the demo tenants can't be loaded: {0}")]
    Demo(String),
    /// Nobody could stop the service in order.
    #[error("signals can't be received: {0}")]
    Signals(io::Error),
    /// A thread can't be started.
    #[error("the media workers can't be started: {0}")]
    Media(io::Error),
    /// Its thread can't be started.
    #[error("the thread of signalling and calls can't be started: {0}")]
    Calls(io::Error),
}

/// Everything that runs.
struct Running {
    config: Config,
    local: SocketAddr,
    /// Where SIP is served as well: in the other family, and over TLS.
    also: Vec<SocketAddr>,
    secure: Vec<SocketAddr>,
    http_address: SocketAddr,
    signalling: SignallingHandle,
    registry: Registry,
    admission: Arc<Admission>,
    trunks: Arc<Trunks>,
    http: Arc<http::State>,
    journal: Journal,
    carrier: Arc<Carrier>,
    store: SqliteStore,
    pool: RtpPool,
    /// Ends the registrations first.
    trunks_stop: watch::Sender<bool>,
    trunk_tasks: JoinSet<()>,
    /// Ends everything else.
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Runs the service until it is told to stop.
///
/// # Errors
/// When it can't start.
pub async fn run(config: Config) -> Result<(), StartError> {
    if let Err(error) = crate::net::batch::raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of open files can't be raised; each call needs two");
    }
    // Before anything that a signal must not cut short.
    let signals = Signals::new().map_err(StartError::Signals)?;
    let running = start(config).await?;
    banner::print(&running).await;
    running.until_stopped(signals).await;
    Ok(())
}

async fn start(config: Config) -> Result<Running, StartError> {
    let service = &config.service;
    make_directories(&service.data)?;
    // The sockets first: a port that is taken is the commonest mistake, and quickly told.
    let resolver = Arc::new(transports::resolver(service));
    let calls = calls::CallThread::new().map_err(StartError::Calls)?;
    let (tap, tracer, trace) = crate::trace::start(config.trace.clone(), service.data.clone());
    let (signalling, tls) = transports::bind(&config, Arc::clone(&resolver), calls.handle())?;
    let signalling = signalling.with_tap(tap);
    let (listening, secure) = (signalling.local_addresses(), signalling.tls_addresses());
    let local = listening.first().copied().unwrap_or(service.sip);
    let listener = bind_http(service.http).await?;
    let http_address = listener.local_addr().unwrap_or(service.http);

    // Then the journal: its lock tells a second process of the same directory at once.
    let (journal, tail) = Journal::open(JournalOptions::new(service.data.join("journal")))?;
    let store = SqliteStore::open(&service.data.join(DATABASE)).await?;
    let carrier = Arc::new(Carrier::spawn(Arc::new(store.clone()), tail, CarrierOptions::default()));
    demo::load(&store).await?;

    let (stop, stopping) = watch::channel(false);
    let (trunks_stop, trunks_stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let directory =
        Arc::new(Directory::new(Arc::new(StoredDirectory::new(store.clone())), DirectoryOptions::default()));
    tasks.spawn(directory::follow(store.clone(), Arc::clone(&directory), stopping.clone()));

    let pool = start_media(&config, local)?;
    let handle = signalling.handle();
    let registry = Registry::default();
    let admission = Arc::new(Admission::new(None));
    let trunks = Arc::new(Trunks::new(&config.trunks));
    let services = Arc::new(Services {
        signalling: Arc::new(handle.clone()),
        media: Arc::new(pool.clone()),
        records: Arc::new(JournalSink::new(journal.clone())),
        trace: Arc::new(trace.clone()),
        tools: Arc::new(crate::tool::Registry::standard()),
        clock: Arc::new(chrono::Utc::now),
        data: service.data.clone(),
    });
    let builtin: Arc<dyn Provider> = Arc::new(Builtin::new(Speech::new(SpeechConfig::detect())));
    let reachable = Reachable {
        listen: listening.clone(),
        secure: secure.clone(),
        advertised: service.advertised_address,
        peers: transports::peers(&config),
    };
    let outbound = Arc::new(Outbound {
        services: Arc::clone(&services),
        trunks: Arc::clone(&trunks),
        directory: Arc::clone(&directory),
        admission: Arc::clone(&admission),
        builtin: Arc::clone(&builtin),
        ways: Arc::new(LookedUp { reachable: reachable.clone(), resolver: Arc::clone(&resolver) }),
        advertised: service.advertised_address,
        registry: registry.clone(),
        thread: calls.handle().clone(),
        repeats: Repeats::default(),
    });
    let inbound = Arc::new(Inbound {
        services,
        trunks: Arc::clone(&trunks),
        directory,
        admission: Arc::clone(&admission),
        builtin,
        advertised: service.advertised_address,
        refused: Refused::default(),
    });
    let http = http_state(&handle, &registry, &inbound, &pool, &journal, &carrier, &trace);
    // The world's numbering plans are read when first used, which takes a while: not in a call.
    crate::routing::number::load_plans();
    tasks.spawn(tracer.run(stopping.clone()));
    let signalling = signalling.run(Switchboard::new(inbound, registry.clone()), stopping.clone());
    tasks.spawn(calls.run(signalling).map_err(StartError::Calls)?);
    tasks.spawn(serve_http(listener, Arc::clone(&http), stopping.clone()));
    let trunk_tasks = look_after_trunks(&trunks, &handle, &reachable, &resolver, &trunks_stopping);
    if let Some(tls) = tls {
        tasks.spawn(transports::reload_on_hangup(tls, stopping.clone()));
    }
    let shown =
        control::Shown { trunks: Arc::clone(&trunks), admission: Arc::clone(&admission), trace, outbound };
    tasks.spawn(control::serve(service.data.clone(), shown, stopping));
    recover(&carrier).await;
    http.set(Readiness::Ready);
    Ok(Running {
        config,
        local,
        also: listening.into_iter().skip(1).collect(),
        secure,
        http_address,
        signalling: handle,
        registry,
        admission,
        trunks,
        http,
        journal,
        carrier,
        store,
        pool,
        trunks_stop,
        trunk_tasks,
        stop,
        tasks,
    })
}

/// Calls that an earlier process left open are closed before new ones are taken, unless the
/// database doesn't let us: what happens meanwhile waits in the journal.
async fn recover(carrier: &Carrier) {
    if tokio::time::timeout(RECOVERY, carrier.recovered()).await.is_err() {
        tracing::warn!("the database is slow; calls of an earlier run are closed later");
    }
}

fn look_after_trunks(
    trunks: &Trunks,
    signalling: &SignallingHandle,
    reachable: &Reachable,
    resolver: &Arc<Resolver>,
    stop: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for trunk in trunks.iter() {
        let (trunk, handle, resolver) = (Arc::clone(trunk), signalling.clone(), Arc::clone(resolver));
        tasks.spawn(registrar::look_after(trunk, handle, reachable.clone(), resolver, stop.clone()));
    }
    tasks
}

/// Makes the data directory and what belongs into it, for its owner alone.
///
/// # Errors
/// When a directory can't be made.
pub fn make_directories(data: &Path) -> Result<(), StartError> {
    for directory in [data.to_owned(), data.join("messages")] {
        // Callers' voices and numbers are nobody else's business.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|error| StartError::Data { path: directory.clone(), error })?;
    }
    Ok(())
}

async fn bind_http(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| listen_error("HTTP", "--http", address, error))
}

fn listen_error(what: &'static str, flag: &str, address: SocketAddr, error: io::Error) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has that port; stop it, or choose another with {flag} {}",
            SocketAddr::new(address.ip(), address.port().wrapping_add(1).max(1024))
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; choose one that it has with {flag}")
        }
        _ => format!("choose another address with {flag}"),
    };
    StartError::Listen { what, address, error, advice }
}

fn start_media(config: &Config, local: SocketAddr) -> Result<RtpPool, StartError> {
    let service = &config.service;
    let rtp = RtpConfig {
        address: local.ip(),
        ports: service.rtp_ports.first()..=service.rtp_ports.last(),
        workers: service.workers.media.map_or(1, |workers| workers.get().into()),
        ..RtpConfig::default()
    };
    RtpPool::start(&rtp, Instant::now()).map_err(StartError::Media)
}

fn http_state(
    handle: &SignallingHandle,
    registry: &Registry,
    inbound: &Arc<Inbound>,
    pool: &RtpPool,
    journal: &Journal,
    carrier: &Arc<Carrier>,
    trace: &TraceHandle,
) -> Arc<http::State> {
    let sources = metrics::Sources {
        signalling: handle.clone(),
        registry: registry.clone(),
        inbound: Arc::clone(inbound),
        pool: pool.clone(),
        carrier: Arc::clone(carrier),
        trace: trace.clone(),
    };
    let (journal, carrier) = (journal.clone(), Arc::clone(carrier));
    http::State::new(move || metrics::render(sources.clone()), move || stop::trouble(&journal, &carrier))
}

async fn serve_http(listener: TcpListener, state: Arc<http::State>, stop: watch::Receiver<bool>) {
    if let Err(error) = http::serve(listener, state, stop).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

/// How long calls wait for the records of an earlier process to be put in order.
const RECOVERY: Duration = Duration::from_secs(2);
/// How long the journal and the store may hold up the end of the process.
const CLOSING: Duration = Duration::from_secs(10);
