//! The journal: a local append-only log of call events that survives `kill -9`.
//!
//! An event is in the hands of the operating system (`write`) before its append is answered, and
//! on the disk (`fdatasync`) at most about [`JournalOptions::sync_interval`] later. Two threads
//! own the files, so that a slow disk never holds up a task: one writes, at once when little comes
//! in and in groups of two milliseconds under load; one syncs.
//!
//! When the queue is full the caller gets [`JournalError::Full`] at once and nothing is taken.
//! When the disk refuses (full, input/output error), the callers get [`JournalError::Held`], and
//! the events are kept in memory and tried again until they are written.

mod disk;
mod error;
mod frame;
mod segment;
mod syncer;
mod tail;
mod writer;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::call::record::{CallEvent, CallRecord};

use disk::{Disk, RealDisk};
use writer::{Command, Writer};

pub use error::JournalError;
pub use segment::Damage;
pub use tail::{Batch, JournalTail, Position, RawEvent};

/// Where the journal lives and how much it holds back.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Its directory; created where it is missing.
    pub directory: PathBuf,
    /// A segment longer than this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// The shortest time from one `fdatasync` to the next.
    pub sync_interval: Duration,
    /// The most events waiting for the writing thread.
    pub queue_events: usize,
    /// The most bytes of events not yet written, held ones included.
    pub queue_bytes: usize,
}

impl JournalOptions {
    /// The defaults: 16 MiB, 100 ms, 8,192 events, 32 MiB.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            segment_bytes: 16 * 1024 * 1024,
            sync_interval: Duration::from_millis(100),
            queue_events: 8192,
            queue_bytes: 32 * 1024 * 1024,
        }
    }
}

/// How the journal is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalHealth {
    /// Bytes taken and not yet written.
    pub waiting_bytes: usize,
    /// For how long the oldest of them has been waiting, if the disk doesn't answer or refuses.
    pub stalled_for: Option<Duration>,
    /// What the disk said last, while it refuses to write or to sync.
    pub refusal: Option<String>,
}

/// The writing end. Clones share one journal.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    commands: SyncSender<Command>,
    state: Arc<State>,
    queue_bytes: usize,
    closed: AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads tell those who ask.
#[derive(Default)]
struct State {
    waiting_bytes: AtomicUsize,
    /// When the write that is under way or refused was first tried.
    stalled: Mutex<Option<Instant>>,
    write_refusal: Mutex<Option<String>>,
    sync_refusal: Mutex<Option<String>>,
}

/// The answer to an append: resolves once the event is written, or synced where that was asked.
#[derive(Debug)]
#[must_use = "the event isn't durable before this resolves"]
pub struct Written(oneshot::Receiver<Result<(), JournalError>>);

impl Future for Written {
    type Output = Result<(), JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(JournalError::Closed)))
    }
}

impl Journal {
    /// Opens the journal, creating its directory where it is missing, and starts its threads.
    /// Gives the writing end and the end that the carrier reads. What earlier processes left is
    /// not touched: writing goes to a new segment.
    ///
    /// # Errors
    /// When the directory can't be created or written, or another process has it open.
    pub fn open(options: JournalOptions) -> Result<(Self, JournalTail), JournalError> {
        Self::open_on(Arc::new(RealDisk), options)
    }

    fn open_on(disk: Arc<dyn Disk>, options: JournalOptions) -> Result<(Self, JournalTail), JournalError> {
        let (commands, receiver) = sync_channel(options.queue_events.max(1));
        let queue_bytes = options.queue_bytes;
        let state = Arc::new(State::default());
        let (writer, tail) = Writer::open(disk, options, Arc::clone(&state))?;
        let thread = std::thread::Builder::new()
            .name("journal-write".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(JournalError::Thread)?;
        let shared = Shared {
            commands,
            state,
            queue_bytes,
            closed: AtomicBool::new(false),
            writer: Mutex::new(Some(thread)),
        };
        Ok((Self { shared: Arc::new(shared) }, tail))
    }

    /// Queues an event; what is given back resolves once `write` has taken it, from when on it
    /// survives the death of the process.
    ///
    /// # Errors
    /// At once, with nothing taken: [`JournalError::Full`], [`JournalError::TooLarge`],
    /// [`JournalError::Closed`]. From the future: [`JournalError::Held`].
    pub fn append(&self, event: &CallEvent) -> Result<Written, JournalError> {
        self.queue(event, false)
    }

    /// As [`Journal::append`], but resolves only after `fdatasync`, from when on the event
    /// survives the death of the machine.
    ///
    /// # Errors
    /// As [`Journal::append`], and [`JournalError::NotSynced`] from the future.
    pub fn append_synced(&self, event: &CallEvent) -> Result<Written, JournalError> {
        self.queue(event, true)
    }

    /// How the journal is doing now.
    #[must_use]
    pub fn health(&self) -> JournalHealth {
        let state = &self.shared.state;
        let refusal = get(&state.write_refusal).or_else(|| get(&state.sync_refusal));
        JournalHealth {
            waiting_bytes: state.waiting_bytes.load(Ordering::Relaxed),
            stalled_for: get(&state.stalled).map(|since| since.elapsed()),
            refusal,
        }
    }

    /// Writes and syncs what has been taken, then stops the threads. Later appends get
    /// [`JournalError::Closed`]. Returns when that is done; with a disk that doesn't answer that
    /// can be never, so give it a deadline.
    pub async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let shared = Arc::clone(&self.shared);
        let joined = tokio::task::spawn_blocking(move || {
            // An error means that the thread has ended already.
            let _ = shared.commands.send(Command::Close);
            let thread = shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("the journal's thread died");
            }
        });
        if joined.await.is_err() {
            tracing::error!("the journal could not be closed");
        }
    }

    fn queue(&self, event: &CallEvent, synced: bool) -> Result<Written, JournalError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(JournalError::Closed);
        }
        let frame = encode(event)?;
        let bytes = frame.len();
        self.reserve(bytes)?;
        let (answer, written) = oneshot::channel();
        let sent = self.shared.commands.try_send(Command::Append { frame, synced, answer });
        sent.map_err(|refused| {
            self.shared.state.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => JournalError::Full,
                TrySendError::Disconnected(_) => JournalError::Closed,
            }
        })?;
        Ok(Written(written))
    }

    fn reserve(&self, bytes: usize) -> Result<(), JournalError> {
        let before = self.shared.state.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.shared.queue_bytes {
            return Ok(());
        }
        self.shared.state.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(JournalError::Full)
    }
}

/// The frame of an event; a record beyond the bound goes in abridged.
fn encode(event: &CallEvent) -> Result<Vec<u8>, JournalError> {
    let kind = match event {
        CallEvent::Started(_) => 1,
        CallEvent::Updated(_) => 2,
        CallEvent::Ended(_) => 3,
    };
    match encode_record(kind, event.record())? {
        Some(frame) => Ok(frame),
        None => {
            let mut record = event.record().clone();
            record.abridge();
            encode_record(kind, &record)?.ok_or(JournalError::TooLarge)
        }
    }
}

fn encode_record(kind: u8, record: &CallRecord) -> Result<Option<Vec<u8>>, JournalError> {
    let mut frame = frame::begin();
    frame.push(kind);
    frame.extend_from_slice(&record.call_id.as_u128().to_be_bytes());
    serde_json::to_writer(&mut frame, record).map_err(JournalError::Encode)?;
    Ok(frame::seal(frame))
}

fn get<T: Clone>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set<T>(slot: &Mutex<Option<T>>, value: Option<T>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

#[cfg(test)]
pub(crate) mod tests;
