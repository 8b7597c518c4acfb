//! The service: everything made, wired, run and stopped in order.

mod api;
mod banner;
mod calls;
mod control;
mod demo;
mod directory;
mod metrics;
mod node;
mod outward;
mod peer;
mod records;
mod registrar;
mod reload;
mod stop;
mod transports;
mod ways;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::outward::Reachable;
use self::records::JournalSink;
use self::reload::{Keeper, Lines};
use self::stop::Signals;
use self::ways::LookedUp;
use crate::agent::openai::BadEndpoint;
use crate::agent::{Builtin, OpenAi, Providers, Speech, SpeechConfig};
use crate::call::actor::Services;
use crate::call::inbound::{Inbound, Refused};
use crate::call::outbound::{Outbound, Repeats};
use crate::call::registry::Registry;
use crate::call::switchboard::Switchboard;
use crate::config::{Config, Service};
use crate::http::{self, Readiness};
use crate::net::rtp::{RtpConfig, RtpPool};
use crate::net::signalling::{AudioGauge, SignallingHandle};
use crate::net::tls::TlsError;
use crate::routing::{Admission, Directory, DirectoryOptions};
use crate::store::carrier::{Carrier, CarrierOptions};
use crate::store::journal::{Journal, JournalError, JournalOptions};
use crate::store::{self, Store, StoreError};
use crate::trace::TraceHandle;
use crate::trunk::Trunks;
use crate::vault::VaultError;

pub use crate::config::DATABASE;

pub use self::control::SOCKET as CONTROL_SOCKET;
pub use self::demo::{rows as tenant_rows, tenants as demo_tenants};
pub use self::directory::StoredDirectory;
pub use self::reload::Loader;
pub use self::transports::carrier as tls_carrier;

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
    /// The operator's master key can't be read or made.
    #[error("the master key {path} can't be used ({error})")]
    MasterKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// The vault's keys can't be read or made.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The demo tenants that ship with the program are wrong.
    #[error("the demo tenants can't be loaded: {0}")]
    Demo(String),
    /// The realtime provider's configuration can't be used.
    #[error("[agent.openai]: {0}")]
    OpenAi(#[from] BadEndpoint),
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
    store: Arc<dyn Store>,
    pool: RtpPool,
    /// Ends the registrations first.
    trunks_stop: watch::Sender<bool>,
    trunk_tasks: JoinSet<()>,
    /// Ends everything else.
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Runs the service until it is told to stop. `load` reads the configuration anew.
///
/// # Errors
/// When it can't start.
pub async fn run(config: Config, load: Loader) -> Result<(), StartError> {
    if let Err(error) = crate::net::batch::raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of open files can't be raised; each call needs two");
    }
    // Before anything that a signal must not cut short.
    let signals = Signals::new().map_err(StartError::Signals)?;
    let running = start(config, load).await?;
    banner::print(&running).await;
    running.until_stopped(signals).await;
    Ok(())
}

fn directory(store: &Arc<dyn Store>) -> Arc<Directory> {
    let stored = Arc::new(StoredDirectory::new(Arc::clone(store)));
    Arc::new(Directory::new(stored, DirectoryOptions::default()))
}

async fn start(config: Config, load: Loader) -> Result<Running, StartError> {
    let service = &config.service;
    make_directories(&service.data)?;
    // The sockets first: a port that is taken is the commonest mistake, and quickly told.
    let resolver = Arc::new(transports::resolver(service));
    let trunks = Arc::new(Trunks::new(&config.trunks));
    let calls = calls::CallThread::new().map_err(StartError::Calls)?;
    let (tap, tracer, trace) = crate::trace::start(config.trace.clone(), service.data.clone());
    let (signalling, tls) =
        transports::bind(&config, Arc::clone(&trunks), Arc::clone(&resolver), calls.handle())?;
    let mut signalling = signalling.with_tap(tap);
    let hang_up = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let (listening, secure) = (signalling.local_addresses(), signalling.tls_addresses());
    let local = listening.first().copied().unwrap_or(service.sip);
    let listener = bind_http(service.http).await?;
    let http_address = listener.local_addr().unwrap_or(service.http);

    // Then the journal: its lock tells a second process of the same directory at once.
    let (journal, tail) = Journal::open(JournalOptions::new(service.data.join("journal")))?;
    let store = store::open(&config.store.place(&service.data)).await?;
    let carrying = CarrierOptions { node: node::name(&config)?, ..CarrierOptions::default() };
    let carrier = Arc::new(Carrier::spawn(Arc::clone(&store), tail, carrying));
    demo::load(store.as_ref()).await?;

    let (stop, stopping) = watch::channel(false);
    let (trunks_stop, trunks_stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let directory = directory(&store);
    let numbers = Arc::clone(&directory);
    tasks.spawn(directory::follow(Arc::clone(&store), Arc::clone(&directory), stopping.clone()));
    let pool = start_media(&config, local)?;
    signalling.watch_audio(audio_gauge(&pool));
    let handle = signalling.handle();
    let (providers, openai) = agents(&config)?;
    let wiring = Wiring {
        services: Arc::new(services(&handle, &pool, &journal, &trace, service)),
        trunks: Arc::clone(&trunks),
        directory,
        admission: Arc::new(Admission::new(None)),
        providers: providers.clone(),
        advertised: service.advertised_address,
    };
    let (admission, registry) = (Arc::clone(&wiring.admission), Registry::default());
    let (listen, advertised) = (listening.clone(), service.advertised_address);
    let reachable = Reachable { listen, secure: secure.clone(), advertised };
    let ways = LookedUp { reachable: reachable.clone(), resolver: Arc::clone(&resolver) };
    let outbound = Arc::new(wiring.outbound(ways, registry.clone(), calls.handle().clone()));
    let inbound = Arc::new(wiring.inbound());
    let sources = metrics::Sources {
        signalling: handle.clone(),
        registry: registry.clone(),
        inbound: Arc::clone(&inbound),
        pool: pool.clone(),
        carrier: Arc::clone(&carrier),
        trace: trace.clone(),
        openai,
    };
    let http = http_state(sources, &journal, &carrier);
    let api = api::sources(&config, &store, numbers, &outbound)?;
    let api = http::api::router(api, &config.api);
    // The world's numbering plans are read when first used, which takes a while: not in a call.
    crate::routing::number::load_plans();
    tasks.spawn(tracer.run(stopping.clone()));
    let signalling = signalling.run(Switchboard::new(inbound, registry.clone()), stopping.clone());
    tasks.spawn(calls.run(signalling).map_err(StartError::Calls)?);
    tasks.spawn(serve_http(listener, Arc::clone(&http), api, stopping.clone()));
    let (reload, reloads) = mpsc::channel(1);
    let lines = Lines { trunks: Arc::clone(&trunks), signalling: handle.clone(), reachable, resolver, tls };
    let mut trunk_tasks = JoinSet::new();
    trunk_tasks.spawn(Keeper::new(config.clone(), load, lines).run(hang_up, reloads, trunks_stopping));
    let shown = control::Shown {
        trunks: Arc::clone(&trunks),
        admission: Arc::clone(&admission),
        trace,
        outbound,
        signalling: handle.clone(),
        reload,
    };
    tasks.spawn(control::serve(service.data.clone(), shown, stopping));
    wait_for_records(&carrier).await;
    http.set(Readiness::Ready);
    let also = listening.into_iter().skip(1).collect();
    Ok(Running {
        config,
        local,
        also,
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

/// The agents that are configured. Sessions over the network run on the runtime that this is
/// called on, not on the thread of signalling.
fn agents(config: &Config) -> Result<(Providers, Option<OpenAi>), StartError> {
    let speech = Speech::new(SpeechConfig::detect());
    let providers = Providers::new(Arc::new(Builtin::new(speech.clone())));
    let Some(openai) = &config.agent.openai else { return Ok((providers, None)) };
    let openai = OpenAi::new(openai.clone(), speech, tokio::runtime::Handle::current())?;
    Ok((providers.with_openai(Arc::new(openai.clone())), Some(openai)))
}

fn services(
    signalling: &SignallingHandle,
    pool: &RtpPool,
    journal: &Journal,
    trace: &TraceHandle,
    service: &Service,
) -> Services {
    Services {
        signalling: Arc::new(signalling.clone()),
        media: Arc::new(pool.clone()),
        records: Arc::new(JournalSink::new(journal.clone())),
        trace: Arc::new(trace.clone()),
        tools: Arc::new(crate::tool::Registry::standard()),
        stats: Arc::default(),
        clock: Arc::new(chrono::Utc::now),
        data: service.data.clone(),
        recording_key: service.recording_key.clone(),
    }
}

/// What calls in both directions are made with.
struct Wiring {
    services: Arc<Services>,
    trunks: Arc<Trunks>,
    directory: Arc<Directory>,
    admission: Arc<Admission>,
    providers: Providers,
    advertised: Option<IpAddr>,
}

impl Wiring {
    fn outbound(&self, ways: LookedUp, registry: Registry, thread: tokio::runtime::Handle) -> Outbound {
        Outbound {
            services: Arc::clone(&self.services),
            trunks: Arc::clone(&self.trunks),
            directory: Arc::clone(&self.directory),
            admission: Arc::clone(&self.admission),
            providers: self.providers.clone(),
            ways: Arc::new(ways),
            advertised: self.advertised,
            registry,
            thread,
            repeats: Repeats::default(),
        }
    }

    fn inbound(self) -> Inbound {
        Inbound {
            services: self.services,
            trunks: self.trunks,
            directory: self.directory,
            admission: self.admission,
            providers: self.providers,
            advertised: self.advertised,
            refused: Refused::default(),
        }
    }
}

/// Calls that an earlier process left open are closed before new ones are taken, unless the
/// database doesn't let us: what happens meanwhile waits in the journal.
async fn wait_for_records(carrier: &Carrier) {
    if tokio::time::timeout(RECOVERY, carrier.recovered()).await.is_err() {
        tracing::warn!("the database is slow; calls of an earlier run are closed later");
    }
}

/// Makes the data directory and what belongs into it, for its owner alone.
///
/// # Errors
/// When a directory can't be made.
pub fn make_directories(data: &Path) -> Result<(), StartError> {
    for directory in [data.to_owned(), data.join("messages"), data.join("recordings")] {
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

fn audio_gauge(pool: &RtpPool) -> AudioGauge {
    let pool = pool.clone();
    Box::new(move || {
        let counters = pool.counters();
        (counters.sent, counters.late)
    })
}

fn http_state(sources: metrics::Sources, journal: &Journal, carrier: &Arc<Carrier>) -> Arc<http::State> {
    let (journal, carrier) = (journal.clone(), Arc::clone(carrier));
    http::State::new(move || metrics::render(sources.clone()), move || stop::trouble(&journal, &carrier))
}

async fn serve_http(
    listener: TcpListener,
    state: Arc<http::State>,
    api: axum::Router,
    stop: watch::Receiver<bool>,
) {
    if let Err(error) = http::serve(listener, state, api, stop).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

/// How long calls wait for the records of an earlier process to be put in order.
const RECOVERY: Duration = Duration::from_secs(2);
/// How long the journal and the store may hold up the end of the process.
const CLOSING: Duration = Duration::from_secs(10);
