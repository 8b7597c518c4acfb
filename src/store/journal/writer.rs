//! The thread that writes events, in groups.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::disk::{Disk, SegmentFile, create_directory, write_all_at};
use super::frame::{HEADER_BYTES, Header};
use super::syncer::{Syncer, Waiter};
use super::{JournalError, JournalOptions, JournalTail, Position, State, segment, set};

/// The most bytes gathered for one write; what waits longer goes into the next.
const GROUP_BYTES: usize = 1024 * 1024;
/// Groups that follow each other faster than this, [`STREAK`] of them in a row, are a load.
const CLOSE: Duration = Duration::from_millis(3);
/// How many such groups make a load: a few events of one call do not.
const STREAK: u32 = 16;
/// How long events gather under load. To be woken for every one of thousands of events a second
/// costs both sides several times what writing it does.
const GATHER: Duration = Duration::from_millis(2);
/// How long after a refusal the disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// What the thread is asked to do.
pub(super) enum Command {
    /// Write a frame.
    Append {
        /// The whole frame.
        frame: Vec<u8>,
        /// Whether the answer is given after `fdatasync` only.
        synced: bool,
        /// Who waits.
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
    /// Write what is left and end.
    Close,
}

/// The state of the writing thread.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    options: JournalOptions,
    state: Arc<State>,
    syncer: Syncer,
    header: Header,
    file: Arc<dyn SegmentFile>,
    /// Where in the segment the group goes; nothing beyond it counts.
    offset: u64,
    /// Frames not yet written.
    group: Vec<u8>,
    waiters: Vec<(bool, Waiter)>,
    /// When the last group came.
    last_group: Option<Instant>,
    /// How many groups have come in close succession.
    streak: u32,
    /// When the disk may be tried again after a refusal.
    retry_at: Option<Instant>,
    written: watch::Sender<Position>,
    /// Held so that no second process opens the directory.
    _lock: File,
}

impl Writer {
    /// Opens the directory for writing and begins a new segment in it.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        state: Arc<State>,
    ) -> Result<(Self, JournalTail), JournalError> {
        let directory = options.directory.clone();
        let at = |path: &Path, source| JournalError::NotWritable { path: path.to_owned(), source };
        create_directory(&directory).map_err(|error| at(&directory, error))?;
        let lock = lock(&directory)?;
        let header = next_header(&directory).map_err(|error| at(&directory, error))?;
        let path = segment::path(&directory, header.segment);
        let file = begin(disk.as_ref(), &path, header).map_err(|error| at(&path, error))?;
        let syncer =
            Syncer::start(Arc::clone(&disk), directory.clone(), options.sync_interval, Arc::clone(&state))?;
        syncer.wrote(&file, []);
        syncer.created();
        let start = Position { segment: header.segment, offset: header_bytes() };
        let (written, watched) = watch::channel(start);
        let tail = JournalTail::new(directory, header, watched);
        let writer = Self {
            disk,
            options,
            state,
            syncer,
            header,
            file,
            offset: start.offset,
            group: Vec::new(),
            waiters: Vec::new(),
            last_group: None,
            streak: 0,
            retry_at: None,
            written,
            _lock: lock,
        };
        Ok((writer, tail))
    }

    /// Runs until it is told to close, or nobody is left who could append.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut open = true;
        while open {
            open = self.gather(commands);
            if self.group.is_empty() {
                continue;
            }
            if open && self.retry_at.is_some_and(|at| Instant::now() < at) {
                self.hold();
            } else {
                self.write();
            }
        }
        if !self.group.is_empty() {
            tracing::error!(
                bytes = self.group.len(),
                "call events are lost: the journal's disk refuses them"
            );
        }
    }

    /// Waits for an event, or for the time of the next try, and takes all that has come with it.
    /// Under load it lets some come first. Gives whether to go on.
    fn gather(&mut self, commands: &Receiver<Command>) -> bool {
        if self.streak >= STREAK && self.retry_at.is_none() {
            // Not waiting on the channel, so that those who send needn't wake anyone.
            std::thread::sleep(GATHER);
        }
        let mut next = match self.retry_at {
            None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => commands.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        loop {
            match next {
                Ok(Command::Append { frame, synced, answer }) => {
                    self.group.extend_from_slice(&frame);
                    self.waiters.push((synced, answer));
                }
                Ok(Command::Close) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
            }
            if self.retry_at.is_none() && self.group.len() >= GROUP_BYTES {
                return true;
            }
            next = match commands.try_recv() {
                Ok(command) => Ok(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
        }
    }

    /// Writes the group and answers those who wait. A refused group stays: the next try writes
    /// the same bytes to the same place, over whatever part of them went through.
    fn write(&mut self) {
        if self.retry_at.is_none() {
            set(&self.state.stalled, Some(Instant::now()));
        }
        let last = self.last_group.replace(Instant::now());
        let close = last.is_some_and(|last| last.elapsed() < CLOSE);
        self.streak = if close { self.streak.saturating_add(1) } else { 0 };
        self.rotate_if_full();
        match write_all_at(self.file.as_ref(), &self.group, self.offset) {
            Ok(()) => self.wrote(),
            Err(error) => {
                if self.retry_at.is_none() {
                    tracing::error!(%error, "the call journal can't be written; events are held in memory");
                }
                self.retry_at = Some(Instant::now() + RETRY);
                set(&self.state.write_refusal, Some(error.to_string()));
                self.hold();
            }
        }
    }

    fn wrote(&mut self) {
        self.offset = self.offset.saturating_add(as_u64(self.group.len()));
        self.written.send_replace(Position { segment: self.header.segment, offset: self.offset });
        if self.retry_at.take().is_some() {
            tracing::info!(bytes = self.group.len(), "the call journal is written again");
            set(&self.state.write_refusal, None);
        }
        set(&self.state.stalled, None);
        self.state.waiting_bytes.fetch_sub(self.group.len(), Ordering::Relaxed);
        self.group.clear();
        self.group.shrink_to(4 * GROUP_BYTES);
        let mut for_sync = Vec::new();
        for (synced, waiter) in self.waiters.drain(..) {
            if synced {
                for_sync.push(waiter);
            } else {
                // The one who asked may have gone.
                let _ = waiter.send(Ok(()));
            }
        }
        self.syncer.wrote(&self.file, for_sync);
    }

    /// Tells those who wait that their events are held.
    fn hold(&mut self) {
        let reason = super::get(&self.state.write_refusal).unwrap_or_default();
        for (_, waiter) in self.waiters.drain(..) {
            let _ = waiter.send(Err(JournalError::Held { reason: reason.clone() }));
        }
    }

    /// Goes on in a new segment when this one is long enough. Should that fail, this one grows.
    fn rotate_if_full(&mut self) {
        if self.offset < self.options.segment_bytes {
            return;
        }
        let header = Header { segment: self.header.segment.saturating_add(1), ..self.header };
        match begin(self.disk.as_ref(), &segment::path(&self.options.directory, header.segment), header) {
            Ok(file) => {
                self.header = header;
                self.file = file;
                self.offset = header_bytes();
                self.syncer.created();
            }
            Err(error) => tracing::warn!(%error, "no new journal segment could be made; this one goes on"),
        }
    }
}

fn lock(directory: &Path) -> Result<File, JournalError> {
    let path: PathBuf = directory.join("lock");
    let at = |source| JournalError::NotWritable { path: path.clone(), source };
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(at)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(at(error)),
    }
}

/// The header of the segment after the last; a directory without a readable one is a new journal.
fn next_header(directory: &Path) -> io::Result<Header> {
    let segments = segment::list(directory)?;
    let mut journal = None;
    for known in segments.iter().rev() {
        if let Ok(Some(header)) = segment::header(directory, *known) {
            journal = Some(header.journal);
            break;
        }
    }
    // Positive as a 64-bit signed integer, which is what databases have.
    let journal = journal.unwrap_or_else(|| rand::random::<u64>() >> 1);
    Ok(Header { journal, segment: segments.last().map_or(1, |last| last.saturating_add(1)) })
}

/// Makes a segment with its header. What a failure leaves behind would be in the way of the next
/// try, so it is removed.
fn begin(disk: &dyn Disk, path: &Path, header: Header) -> io::Result<Arc<dyn SegmentFile>> {
    let file = disk.create(path)?;
    match write_all_at(file.as_ref(), &header.encode(), 0) {
        Ok(()) => Ok(file),
        Err(error) => {
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

fn header_bytes() -> u64 {
    as_u64(HEADER_BYTES)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
