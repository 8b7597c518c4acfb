//! Stopping in order: no new calls, running ones to their end, records complete.

use std::time::Duration;

use sip::endpoint::Admission;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{CLOSING, Running, registrar};
use crate::call::actor::Stop;
use crate::http::Readiness;
use crate::store::carrier::Carrier;
use crate::store::journal::Journal;

/// What a call is given beyond the drain period to say goodbye and hang up.
const GOODBYE: Duration = Duration::from_secs(45);
/// How long calls have to end when there is no time left: their BYE goes out at once.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Resolves once the flag is up, or whoever could raise it is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The signals that stop the service. One that comes while it starts is kept until it has started.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl Running {
    pub(super) async fn until_stopped(mut self, mut signals: Signals) {
        signals.next().await;
        self.drain(&mut signals).await;
        self.close().await;
    }

    async fn drain(&mut self, signals: &mut Signals) {
        self.http.set(Readiness::Draining);
        self.signalling.admit(Admission::Closed);
        self.admission.drain();
        self.trunks_stop.send_replace(true);
        let (calls, within) = (self.registry.count(), self.config.service.drain);
        if calls > 0 {
            tracing::warn!(
                calls,
                seconds = within.as_secs(),
                "stopping; calls may go on for so long; signal again to end them now"
            );
        }
        self.registry.stop_all(Stop::Within(within));
        let mut at_once = false;
        tokio::select! {
            () = self.registry.wait_until_empty() => {}
            () = signals.next() => at_once = true,
            () = tokio::time::sleep(within + GOODBYE) => at_once = true,
        }
        if at_once {
            self.registry.stop_all(Stop::Now);
            if timeout(AT_ONCE, self.registry.wait_until_empty()).await.is_err() {
                tracing::error!(
                    calls = self.registry.count(),
                    "calls didn't end in time; their records are closed at the next start"
                );
            }
        }
        let unregister = async { while self.trunk_tasks.join_next().await.is_some() {} };
        if timeout(registrar::GOODBYE + Duration::from_secs(1), unregister).await.is_err() {
            tracing::warn!("a registrar doesn't answer; its registration runs out by itself");
        }
    }

    async fn close(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(CLOSING, ended).await.is_err() {
            tracing::warn!("a task didn't end in time");
        }
        drop(self.pool);
        if timeout(CLOSING, self.journal.close()).await.is_err() {
            tracing::error!("the journal could not be closed in time");
        }
        drop(self.http);
        self.carrier.stop(CLOSING).await;
        if timeout(CLOSING, self.store.close()).await.is_err() {
            tracing::warn!("the database could not be closed in time");
        }
    }
}

/// What is wrong with the service though it takes calls.
pub(super) fn trouble(journal: &Journal, carrier: &Carrier) -> Option<String> {
    let journal = journal.health();
    if let Some(refusal) = journal.refusal {
        return Some(format!("the journal can't be written: {refusal}"));
    }
    if let Some(stalled) = journal.stalled_for.filter(|stalled| stalled.as_secs() >= 2) {
        return Some(format!("the journal's disk hasn't answered for {} s", stalled.as_secs()));
    }
    let carrier = carrier.health();
    carrier.is_degraded().then(|| match carrier.failing {
        Some(failing) => format!("call records wait in the journal: {failing}"),
        None => "call records wait in the journal".to_owned(),
    })
}
