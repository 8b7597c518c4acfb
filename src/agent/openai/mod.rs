//! The provider `openai`: OpenAI's Realtime API over WebSocket, or any server that speaks it.
//!
//! [`wire`] is the protocol without IO, `connection` the way there, `talk` what was said and how
//! far it was heard, `session` the task of one call. G.711 passes through untouched in both
//! directions. The server's own ear ends turns, but neither answers nor interrupts by itself:
//! [`crate::agent::turn`] decides.

mod connection;
mod instructions;
mod pace;
mod session;
mod talk;
pub mod wire;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use self::connection::BadEndpoint;
use self::connection::Connector;
use self::pace::Pace;
pub use self::wire::Dialect;
use super::caller_audio::Beat;
use super::provider::{AgentSession, AudioFormat, Capabilities, Provider, ProviderError, SessionSpec};
use super::speech::Speech;

/// Its name in documents, records and metrics.
pub const NAME: &str = "openai";

/// How long a first connection may take.
const CONNECT: Duration = Duration::from_millis(2_800);
/// Models that connectors are kept for; tenants choose theirs.
const MAX_CONNECTORS: usize = 64;

/// What the operator sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiConfig {
    /// `wss://host/v1`, or `ws://` on this machine.
    pub base_url: String,
    /// The key; a server of one's own may want none.
    pub key: Option<ApiKey>,
    /// The model of tenants that name none.
    pub model: String,
    /// The voice of tenants that name none.
    pub voice: Option<String>,
    /// What transcribes the caller; `None`: nothing does.
    pub transcription: Option<String>,
    /// Which names are written.
    pub dialect: Dialect,
    /// Frames of 20 ms in a message; `None`: one, and up to three while there are many sessions.
    pub frames: Option<usize>,
}

/// A key. `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes the key.
    #[must_use]
    pub fn new(key: String) -> Self {
        Self(key)
    }

    fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// What happened since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions open now.
    pub sessions: AtomicUsize,
    /// Sessions opened.
    pub opened: AtomicU64,
    /// Sessions that were opened anew in the middle of a call.
    pub reconnected: AtomicU64,
    /// Sessions given up: the call went to its fallback.
    pub given_up: AtomicU64,
    /// Messages that weren't what the protocol says.
    pub garbled: AtomicU64,
    /// Frames of callers that were dropped because the connection was behind.
    pub frames_dropped: AtomicU64,
    /// Interruptions.
    pub interruptions: AtomicU64,
}

/// The provider.
#[derive(Clone)]
pub struct OpenAi {
    shared: Arc<Shared>,
    runtime: Handle,
}

/// What all sessions use.
struct Shared {
    config: OpenAiConfig,
    connectors: Mutex<HashMap<String, Arc<Connector>>>,
    speech: Speech,
    pace: Pace,
    beat: Beat,
    counters: Arc<Counters>,
}

impl OpenAi {
    /// Sessions run on `runtime`; `speech` is what is left to speak with while the server is away.
    ///
    /// # Errors
    /// When the base URL or the key can't be used.
    pub fn new(config: OpenAiConfig, speech: Speech, runtime: Handle) -> Result<Self, BadEndpoint> {
        let connector = Arc::new(Connector::new(&config, &config.model)?);
        let connectors = Mutex::new(HashMap::from([(config.model.clone(), connector)]));
        let counters = Arc::default();
        let (pace, beat) = (Pace::default(), Beat::default());
        let shared = Arc::new(Shared { config, connectors, speech, pace, beat, counters });
        let beating = Arc::clone(&shared);
        // Ends with the runtime.
        runtime.spawn(async move { beating.beat.run().await });
        Ok(Self { shared, runtime })
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

impl Shared {
    /// The way to a model.
    fn connector(&self, model: &str) -> Result<Arc<Connector>, ProviderError> {
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = connectors.get(model) {
            return Ok(Arc::clone(connector));
        }
        let connector = Connector::new(&self.config, model).map_err(|error| {
            tracing::warn!(%error, "a tenant's model can't be used");
            ProviderError::Refused { provider: NAME, status: 404 }
        })?;
        let connector = Arc::new(connector);
        if connectors.len() >= MAX_CONNECTORS {
            connectors.clear();
        }
        connectors.insert(model.to_owned(), Arc::clone(&connector));
        Ok(connector)
    }

    /// Frames in a message: writing is what costs, so the busier we are the more go together.
    fn frames(&self) -> usize {
        self.config.frames.unwrap_or_else(|| match self.counters.sessions.load(Ordering::Relaxed) {
            0..=200 => 1,
            201..=500 => 2,
            _ => 3,
        })
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            hears: &[AudioFormat::Pcmu, AudioFormat::Pcma],
            speaks: &[AudioFormat::Pcmu, AudioFormat::Pcma],
            server_vad: true,
            truncation: true,
        }
    }

    fn connect(&self, spec: SessionSpec) -> BoxFuture<'static, Result<AgentSession, ProviderError>> {
        let shared = Arc::clone(&self.shared);
        let (opened, result) = oneshot::channel();
        // Not on the caller's thread: signalling has that one to itself.
        let task = self.runtime.spawn(async move { session::run(shared, spec, CONNECT, opened).await });
        let guard = AbortOnDrop(Some(task));
        async move {
            let session = result.await.unwrap_or(Err(connection::dropped(None)));
            // From here on the session ends with its input.
            guard.release();
            session
        }
        .boxed()
    }
}

/// A caller who gives up while the session is being opened takes it along.
struct AbortOnDrop(Option<tokio::task::JoinHandle<()>>);

impl AbortOnDrop {
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
