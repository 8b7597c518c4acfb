//! The HTTP side of the service: the API, health, counters.

pub mod api;
mod health;
mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::middleware;
use axum::response::Response;
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
    api: Router,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .with_state(state)
        .merge(api)
        .layer(middleware::map_response(guarded));
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            // An error means that the service is gone already.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
}

/// What a browser may do with an answer: nothing, unless the answer says otherwise itself. Texts
/// from outside stand in many of them.
pub(crate) async fn guarded(mut response: Response) -> Response {
    const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
