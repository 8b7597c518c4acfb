//! Carries call events from the journal into the store.
//!
//! On start it first carries what earlier processes left, then closes the calls that were open
//! when they died, then follows the journal. Whatever the store does meanwhile (locked, frozen,
//! away, full), events wait in the journal and the carrier tries again; nothing else waits for it.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::journal::{Damage, JournalTail};
use super::{CallWrite, Carried, Checkpoint, Store, StoreError};
use crate::call::record::{CallRecord, EndReason, EndSide};
use crate::ids::CallId;

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: the store's return is noticed within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row to read a segment before it is passed over.
const READ_FAILURES: u32 = 3;
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
    task: JoinHandle<()>,
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
        };
        let task = tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                tracing::error!(%error, "the carrier of call records ended");
            }
        });
        Self { status, stop, recovered, task }
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
    /// What isn't carried then is carried on the next start. Gives the last health.
    pub async fn stop(mut self, deadline: Duration) -> CarrierHealth {
        self.stop.send_replace(true);
        if timeout(deadline, &mut self.task).await.is_err() {
            tracing::warn!("call records are left in the journal; they are carried on the next start");
            self.task.abort();
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

    fn carried(&self, carried: Carried, caught_up: bool) {
        let (health, behind_since) = &mut *self.lock();
        health.carried += carried.records;
        health.orphans += carried.orphans;
        health.failing = None;
        *behind_since = (!caught_up).then(Instant::now);
    }
}

struct Worker {
    store: Arc<dyn Store>,
    tail: Box<JournalTail>,
    options: CarrierOptions,
    status: Arc<Status>,
    stopping: watch::Receiver<bool>,
    recovering: watch::Sender<bool>,
    last_event_at: DateTime<Utc>,
    removed_before: u64,
}

/// Why the task can't go on.
#[derive(Debug, thiserror::Error)]
#[error("the thread that reads the journal died")]
struct ReaderDied;

/// What one reading gave, ready for the store.
#[derive(Default)]
struct Prepared {
    events: usize,
    records: Vec<CallWrite>,
    unreadable: Vec<Vec<u8>>,
    damages: Vec<Damage>,
}

impl Worker {
    async fn run(mut self) -> Result<(), ReaderDied> {
        self.status.behind();
        if let Some(checkpoint) = self.checkpoint().await {
            self.last_event_at = checkpoint.last_event_at;
            self.tail.resume(checkpoint.journal, checkpoint.position);
        }
        while !self.tail.reached_own() {
            self = self.step().await?.0;
        }
        self.close_open_calls().await;
        self.status.change(|health| health.recovered = true);
        self.recovering.send_replace(true);
        self.follow().await
    }

    /// Carries what comes until the journal is closed, or it is time to stop, and all is carried.
    async fn follow(mut self) -> Result<(), ReaderDied> {
        loop {
            if self.tail.caught_up() {
                let mut stopping = self.stopping.clone();
                tokio::select! {
                    more = self.tail.more() => if !more { return Ok(()) },
                    _ = stopping.wait_for(|stop| *stop) => if self.tail.caught_up() { return Ok(()) },
                }
                self.status.behind();
                self.gather().await;
            }
            let (worker, events) = self.step().await?;
            self = worker;
            if events == 0 && !self.tail.caught_up() {
                // Nothing came though something is there: don't spin on it.
                sleep(FIRST_PAUSE).await;
            }
        }
    }

    /// Lets events gather, unless it is time to stop.
    async fn gather(&mut self) {
        let stopped = self.stopping.wait_for(|stop| *stop);
        // Either way it is time to carry.
        let _ = timeout(self.options.window, stopped).await;
    }

    /// Reads one batch and carries it. Gives how many events it held.
    async fn step(self) -> Result<(Self, usize), ReaderDied> {
        let (mut this, prepared) = self.read().await?;
        for damage in &prepared.damages {
            this.report(damage);
        }
        for json in prepared.unreadable {
            this.set_aside("not a call record", json).await;
        }
        let latest = prepared.records.iter().map(|record| record.updated_at).max();
        this.last_event_at = latest.map_or(this.last_event_at, |at| at.max(this.last_event_at));
        if prepared.events > 0 {
            this.carry(&prepared.records).await;
        }
        Ok((this, prepared.events))
    }

    /// Reads the next events, off the tasks' threads: the disk may take its time.
    async fn read(mut self) -> Result<(Self, Prepared), ReaderDied> {
        let mut failures = 0;
        loop {
            let most = self.options.batch.max(1);
            let (worker, result) = spawn_blocking(move || {
                let result = self.tail.read(most);
                (self, result.map(prepare))
            })
            .await
            .map_err(|_| ReaderDied)?;
            self = worker;
            match result {
                Ok(prepared) => return Ok((self, prepared)),
                Err(error) => {
                    failures += 1;
                    self.fail("the call journal can't be read", &error);
                    sleep(pause(failures)).await;
                }
            }
            if failures >= READ_FAILURES
                && let Some(damage) = self.tail.skip_segment()
            {
                self.report(&damage);
                failures = 0;
            }
        }
    }

    /// Puts records and the present place into the store, however long that takes.
    async fn carry(&mut self, records: &[CallWrite]) {
        let checkpoint = Checkpoint {
            node: self.options.node.clone(),
            journal: self.tail.journal(),
            position: self.tail.position(),
            last_event_at: self.last_event_at,
        };
        if self.persist(records, &checkpoint).await.is_err() {
            for record in records {
                let one = std::slice::from_ref(record);
                if let Err(error) = self.persist(one, &checkpoint).await {
                    self.set_aside(&error.to_string(), record.json.as_bytes().to_vec()).await;
                }
            }
        }
        self.remove_carried(checkpoint.position.segment).await;
    }

    /// Tries until the store takes the records.
    ///
    /// # Errors
    /// When trying again can't help: the store refuses one of them.
    async fn persist(&self, records: &[CallWrite], checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut failures = 0;
        loop {
            match self.store.records().carry(records, checkpoint).await {
                Ok(carried) => {
                    self.status.carried(carried, self.tail.caught_up());
                    return Ok(());
                }
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => {
                    failures += 1;
                    self.fail("the store doesn't take call records", &error);
                    sleep(pause(failures)).await;
                }
            }
        }
    }

    async fn checkpoint(&self) -> Option<Checkpoint> {
        let mut failures = 0;
        loop {
            match self.store.records().checkpoint(&self.options.node).await {
                Ok(checkpoint) => return checkpoint,
                Err(error) if !error.is_transient() => {
                    tracing::error!(%error, "the journal's checkpoint is lost; all of it is carried again");
                    return None;
                }
                Err(error) => {
                    failures += 1;
                    self.fail("the store doesn't answer", &error);
                    sleep(pause(failures)).await;
                }
            }
        }
    }

    /// Closes the calls that were open when the last process of this node died. They end with its
    /// last sign of life.
    async fn close_open_calls(&mut self) {
        let mut seen = HashSet::new();
        let mut failures = 0;
        loop {
            let open = match self.store.records().open_calls(&self.options.node, 500).await {
                Ok(open) => open,
                Err(error) => {
                    failures += 1;
                    self.fail("the store doesn't answer", &error);
                    sleep(pause(failures)).await;
                    continue;
                }
            };
            let fresh: Vec<CallRecord> = open.into_iter().filter(|call| seen.insert(call.call_id)).collect();
            let closed: Vec<CallWrite> =
                fresh.into_iter().filter_map(|call| interrupted(call, self.last_event_at)).collect();
            let count = u64::try_from(closed.len()).unwrap_or(u64::MAX);
            // Also with none left: the place reached is kept.
            self.carry(&closed).await;
            self.status.change(|health| health.interrupted += count);
            if count == 0 {
                return;
            }
        }
    }

    /// Removes the segments that are wholly in the store.
    async fn remove_carried(&mut self, segment: u64) {
        if segment <= self.removed_before {
            return;
        }
        self.removed_before = segment;
        let directory = self.tail.directory().to_owned();
        let removed = spawn_blocking(move || JournalTail::remove_before(&directory, segment)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "a carried journal segment can't be removed");
        }
    }

    async fn set_aside(&self, reason: &str, json: Vec<u8>) {
        tracing::error!(reason, "a call record is set aside beside the journal");
        self.status.change(|health| health.set_aside += 1);
        let path = self.tail.directory().join("set-aside.jsonl");
        let kept = spawn_blocking(move || append_line(&path, json)).await;
        if let Ok(Err(error)) = kept {
            tracing::error!(%error, "a call record can't even be set aside");
        }
    }

    fn fail(&self, what: &str, error: &dyn std::error::Error) {
        let text = error.to_string();
        self.status.behind();
        self.status.change(|health| {
            if health.failing.as_deref() != Some(text.as_str()) {
                tracing::warn!(error = text, "{what}; trying again");
            }
            health.failing = Some(text);
        });
    }

    fn report(&self, damage: &Damage) {
        let Damage { segment, offset, bytes, torn } = damage;
        tracing::error!(segment, offset, bytes, torn, "a part of the call journal can't be read");
        self.status.change(|health| health.damages += 1);
    }
}

/// The last state of each call, in the order in which they first came.
fn prepare(batch: super::journal::Batch) -> Prepared {
    let mut prepared = Prepared { events: batch.events.len(), damages: batch.damages, ..Prepared::default() };
    let mut places: HashMap<CallId, usize> = HashMap::with_capacity(batch.events.len());
    for event in batch.events {
        match CallWrite::from_json(&event.json) {
            Err(_) => prepared.unreadable.push(event.json),
            Ok(record) => {
                let place = *places.entry(record.call_id()).or_insert(prepared.records.len());
                match prepared.records.get_mut(place) {
                    Some(earlier) => *earlier = record,
                    None => prepared.records.push(record),
                }
            }
        }
    }
    prepared
}

fn interrupted(mut call: CallRecord, last_sign_of_life: DateTime<Utc>) -> Option<CallWrite> {
    let at = last_sign_of_life.max(call.updated_at);
    call.end(EndSide::Us, EndReason::Interrupted, at);
    let closed = call.ended(at);
    CallWrite::from_record(closed.record()).ok()
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_PAUSE)
}

fn append_line(path: &Path, mut json: Vec<u8>) -> io::Result<()> {
    json.push(b'\n');
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(&json)
}

#[cfg(test)]
mod tests;
