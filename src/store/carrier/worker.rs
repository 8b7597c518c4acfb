//! The carrier's task.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::{CarrierOptions, Status};
use crate::call::record::{CallRecord, EndReason, EndSide};
use crate::store::journal::{Batch, Damage, JournalTail, Position, RawEvent};
use crate::store::{CallWrite, Checkpoint, Store, StoreError};

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: the store's return is noticed within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row to read a segment before it is passed over.
const READ_FAILURES: u32 = 3;
/// The task's state.
pub(super) struct Worker {
    pub(super) store: Arc<dyn Store>,
    pub(super) tail: Box<JournalTail>,
    pub(super) options: CarrierOptions,
    pub(super) status: Arc<Status>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) recovering: watch::Sender<bool>,
    pub(super) last_event_at: DateTime<Utc>,
    pub(super) removed_before: u64,
    /// The place that the store knows of.
    pub(super) carried_to: Position,
}

/// Why the task can't go on.
#[derive(Debug, thiserror::Error)]
#[error("the thread that reads the journal died")]
pub(super) struct ReaderDied;

/// What one reading gave, ready for the store.
#[derive(Default)]
struct Prepared {
    events: usize,
    records: Vec<CallWrite>,
    unreadable: Vec<Vec<u8>>,
    damages: Vec<Damage>,
}

impl Worker {
    /// Runs until the journal is closed, or it is time to stop, and all is carried.
    pub(super) async fn run(mut self) -> Result<(), ReaderDied> {
        self.status.behind();
        if let Some(checkpoint) = self.checkpoint().await {
            self.last_event_at = checkpoint.last_event_at;
            self.tail.resume(checkpoint.journal, checkpoint.position);
        }
        self.carried_to = self.tail.position();
        while !self.tail.reached_own() {
            self = self.step().await?.0;
        }
        self.close_open_calls().await;
        self.status.change(|health| health.recovered = true);
        self.recovering.send_replace(true);
        self.follow().await
    }

    /// Carries what comes.
    async fn follow(mut self) -> Result<(), ReaderDied> {
        loop {
            if self.tail.caught_up() {
                self.status.caught_up();
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
            // One after the other, and the new place last: a process that is killed meanwhile reads
            // all of them again.
            let before = Checkpoint { position: self.carried_to, ..checkpoint.clone() };
            for record in records {
                let one = std::slice::from_ref(record);
                if let Err(error) = self.persist(one, &before).await {
                    self.set_aside(&error.to_string(), record.json.as_bytes().to_vec()).await;
                }
            }
            if let Err(error) = self.persist(&[], &checkpoint).await {
                self.fail("the store doesn't take the place in the journal", &error);
            }
        }
        self.carried_to = checkpoint.position;
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

/// The last state of each call, in the order in which they first came. Earlier states aren't even
/// looked at.
fn prepare(batch: Batch) -> Prepared {
    let mut prepared = Prepared { events: batch.events.len(), damages: batch.damages, ..Prepared::default() };
    let mut places: HashMap<[u8; 16], usize> = HashMap::with_capacity(batch.events.len());
    let mut last: Vec<RawEvent> = Vec::with_capacity(batch.events.len());
    for event in batch.events {
        let place = *places.entry(event.call).or_insert(last.len());
        match last.get_mut(place) {
            Some(earlier) => *earlier = event,
            None => last.push(event),
        }
    }
    for event in last {
        match CallWrite::from_json(&event.json) {
            Ok(record) => prepared.records.push(record),
            Err(_) => prepared.unreadable.push(event.json),
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
