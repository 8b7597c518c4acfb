//! The thread that makes written events durable against the death of the machine.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::disk::{Disk, SegmentFile};
use super::{JournalError, State, set};

/// Someone who waits for `fdatasync`.
pub(super) type Waiter = oneshot::Sender<Result<(), JournalError>>;

/// The writing thread's handle on the syncing thread.
pub(super) struct Syncer {
    work: Arc<Work>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Work {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    files: Vec<Arc<dyn SegmentFile>>,
    /// A segment was created: its name has to be synced too.
    names: bool,
    waiters: Vec<Waiter>,
    closing: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.names
    }
}

impl Syncer {
    /// Starts the thread.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        interval: Duration,
        state: Arc<State>,
    ) -> Result<Self, JournalError> {
        let work = Arc::new(Work::default());
        let loops = Loop { disk, directory, interval, state, work: Arc::clone(&work) };
        let thread = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn(move || loops.run())
            .map_err(JournalError::Thread)?;
        Ok(Self { work, thread: Some(thread) })
    }

    /// `file` has been written to; `waiters` want to know when that is durable.
    pub(super) fn wrote(&self, file: &Arc<dyn SegmentFile>, waiters: impl IntoIterator<Item = Waiter>) {
        self.add(|pending| {
            if !pending.files.last().is_some_and(|last| Arc::ptr_eq(last, file)) {
                pending.files.push(Arc::clone(file));
            }
            pending.waiters.extend(waiters);
        });
    }

    /// A file has been created.
    pub(super) fn created(&self) {
        self.add(|pending| pending.names = true);
    }

    fn add(&self, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.work.lock();
        let was_empty = pending.is_empty();
        change(&mut pending);
        drop(pending);
        // With work pending the thread is awake, or asleep until the interval is over.
        if was_empty {
            self.work.changed.notify_one();
        }
    }
}

impl Drop for Syncer {
    /// Syncs what is pending and ends the thread.
    fn drop(&mut self) {
        self.work.lock().closing = true;
        self.work.changed.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's syncing thread died");
        }
    }
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Loop {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    interval: Duration,
    state: Arc<State>,
    work: Arc<Work>,
}

impl Loop {
    fn run(&self) {
        let mut last: Option<Instant> = None;
        while let Some(mut pending) = self.next(last) {
            last = Some(Instant::now());
            let result = self.sync(&pending);
            let reason = result.err().map(|error| error.to_string());
            for waiter in pending.waiters.drain(..) {
                let answer = reason.clone().map_or(Ok(()), |reason| Err(JournalError::NotSynced { reason }));
                // The one who asked may have gone.
                let _ = waiter.send(answer);
            }
            if let Some(reason) = &reason {
                tracing::error!(reason, "the call journal can't be synced");
                self.put_back(pending);
            }
            set(&self.state.sync_refusal, reason);
        }
    }

    /// Waits for work and for the interval since `last`. `None` when it is time to end.
    fn next(&self, last: Option<Instant>) -> Option<Pending> {
        let mut pending = self.work.lock();
        loop {
            if pending.closing {
                let rest = std::mem::take(&mut *pending);
                pending.closing = true;
                return (!rest.is_empty()).then_some(rest);
            }
            let wait = last.map(|last| self.interval.saturating_sub(last.elapsed())).unwrap_or_default();
            pending = if pending.is_empty() {
                self.work.changed.wait(pending).unwrap_or_else(PoisonError::into_inner)
            } else if wait.is_zero() {
                return Some(std::mem::take(&mut *pending));
            } else {
                let waited = self.work.changed.wait_timeout(pending, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    fn sync(&self, pending: &Pending) -> std::io::Result<()> {
        pending.files.iter().try_for_each(|file| file.sync())?;
        if pending.names { self.disk.sync_directory(&self.directory) } else { Ok(()) }
    }

    /// Work that failed is tried again after the interval, unless it is time to end.
    fn put_back(&self, failed: Pending) {
        let mut pending = self.work.lock();
        if !pending.closing && !failed.closing {
            let newer = std::mem::replace(&mut pending.files, failed.files);
            for file in newer {
                if !pending.files.iter().any(|known| Arc::ptr_eq(known, &file)) {
                    pending.files.push(file);
                }
            }
            pending.names |= failed.names;
        }
    }
}
