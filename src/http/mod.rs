//! The HTTP side of the service. For now its health and its counters.

mod health;
mod metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::routing::get;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the service is able to do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// Not yet: it is starting.
    Starting,
    /// Calls are taken.
    Ready,
    /// It is stopping: running calls go on, new ones are refused.
    Draining,
}

/// What requests are answered from.
pub struct State {
    readiness: AtomicU8,
    /// The counters in Prometheus' text format, made when asked.
    metrics: Box<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
    /// What is wrong with the service though it takes calls, if anything is.
    trouble: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl State {
    /// A state that says `Starting`.
    #[must_use]
    pub fn new<F: Future<Output = String> + Send + 'static>(
        metrics: impl Fn() -> F + Send + Sync + 'static,
        trouble: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            readiness: AtomicU8::new(Readiness::Starting as u8),
            metrics: Box::new(move || metrics().boxed()),
            trouble: Box::new(trouble),
        })
    }

    /// Says from now on what the service can do.
    pub fn set(&self, readiness: Readiness) {
        self.readiness.store(readiness as u8, Ordering::Relaxed);
    }

    fn readiness(&self) -> Readiness {
        match self.readiness.load(Ordering::Relaxed) {
            1 => Readiness::Ready,
            2 => Readiness::Draining,
            _ => Readiness::Starting,
        }
    }
}

/// Serves until `stop` turns true.
///
/// # Errors
/// What the listener says.
pub async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .with_state(state);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            // An error means that the service is gone already.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
}
