//! Carries call events from the journal into the store.
//!
//! On start it first carries what earlier processes left, then closes the calls that were open
//! when they died, then follows the journal. Whatever the store does meanwhile (locked, frozen,
//! away, full), events wait in the journal and the carrier tries again; nothing else waits for it.

mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::journal::{JournalTail, Position};
use super::{Carried, Store};
use worker::Worker;

/// Events that wait longer than this are a sign that the store doesn't answer.
const DEGRADED_AFTER: Duration = Duration::from_secs(2);

/// How the carrier works.
#[derive(Debug, Clone)]
pub struct CarrierOptions {
    /// Names this installation among those that share a store. Calls left open by it, and only
    /// by it, are closed when it starts again.
    pub node: String,
    /// How long events are gathered for one transaction.
    pub window: Duration,
    /// The most events of one transaction.
    pub batch: usize,
}

impl Default for CarrierOptions {
    /// Node `main`, 100 ms, 500 events.
    fn default() -> Self {
        Self { node: "main".to_owned(), window: Duration::from_millis(100), batch: 500 }
    }
}

/// How the carrier is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarrierHealth {
    /// Whether what earlier processes left is in the store and their open calls are closed.
    pub recovered: bool,
    /// How long the oldest event not in the store has been waiting.
    pub behind_for: Option<Duration>,
    /// What the store or the disk said last, while it refuses.
    pub failing: Option<String>,
    /// Records put into the store since the start, every state of a call counted.
    pub carried: u64,
    /// Calls closed as interrupted on start.
    pub interrupted: u64,
    /// Records left out because their tenant is gone.
    pub orphans: u64,
    /// Records the store refuses, which lie in `set-aside.jsonl` beside the journal.
    pub set_aside: u64,
    /// Stretches of the journal that couldn't be read.
    pub damages: u64,
}

impl CarrierHealth {
    /// Whether records are late by more than two seconds.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.behind_for.is_some_and(|late| late > DEGRADED_AFTER)
    }
}

/// The carrier's handle. Dropping it leaves the task running; [`Carrier::stop`] ends it.
#[derive(Debug)]
pub struct Carrier {
    status: Arc<Status>,
    stop: watch::Sender<bool>,
    recovered: watch::Receiver<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Status {
    inner: Mutex<(CarrierHealth, Option<Instant>)>,
}

impl Carrier {
    /// Starts the task.
    #[must_use]
    pub fn spawn(store: Arc<dyn Store>, tail: JournalTail, options: CarrierOptions) -> Self {
        let status = Arc::new(Status::default());
        let (stop, stopping) = watch::channel(false);
        let (recovering, recovered) = watch::channel(false);
        let worker = Worker {
            store,
            tail: Box::new(tail),
            options,
            status: Arc::clone(&status),
            stopping,
            recovering,
            last_event_at: DateTime::UNIX_EPOCH,
            removed_before: 0,
            carried_to: Position { segment: 0, offset: 0 },
        };
        let task = tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                tracing::error!(%error, "the carrier of call records ended");
            }
        });
        Self { status, stop, recovered, task: Mutex::new(Some(task)) }
    }

    /// How it is doing now.
    #[must_use]
    pub fn health(&self) -> CarrierHealth {
        self.status.health()
    }

    /// Waits until what earlier processes left is in the store. Gives false if the task ended
    /// before.
    pub async fn recovered(&self) -> bool {
        self.recovered.clone().wait_for(|done| *done).await.is_ok()
    }

    /// Carries what is left, for `deadline` at most, and ends the task. Close the journal before.
    /// What isn't carried then is carried on the next start. Gives the last health; a second stop
    /// gives it at once.
    pub async fn stop(&self, deadline: Duration) -> CarrierHealth {
        self.stop.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && timeout(deadline, &mut task).await.is_err()
        {
            tracing::warn!("call records are left in the journal; they are carried on the next start");
            task.abort();
        }
        self.status.health()
    }
}

impl Status {
    fn lock(&self) -> MutexGuard<'_, (CarrierHealth, Option<Instant>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> CarrierHealth {
        let (health, behind_since) = &*self.lock();
        CarrierHealth { behind_for: behind_since.map(|since| since.elapsed()), ..health.clone() }
    }

    fn change(&self, change: impl FnOnce(&mut CarrierHealth)) {
        change(&mut self.lock().0);
    }

    /// Something is there to be carried.
    fn behind(&self) {
        self.lock().1.get_or_insert_with(Instant::now);
    }

    /// Nothing is left to be carried.
    fn caught_up(&self) {
        self.lock().1 = None;
    }

    fn carried(&self, carried: Carried, caught_up: bool) {
        let (health, behind_since) = &mut *self.lock();
        health.carried += carried.records;
        health.orphans += carried.orphans;
        health.failing = None;
        *behind_since = (!caught_up).then(Instant::now);
    }
}

#[cfg(test)]
mod tests;
