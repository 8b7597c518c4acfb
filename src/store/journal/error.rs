//! What can go wrong with the journal.

use std::io;
use std::path::PathBuf;

/// What can go wrong with the journal. What a person reads says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory or a file in it can't be made or written.
    #[error(
        "can't write the call journal in {}: {source}. Make the directory writable for this user, \
         or name another with --data", path.display()
    )]
    NotWritable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error(
        "the call journal in {} is in use by another offhook. Stop that one, or name another data \
         directory with --data", path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// No thread could be started.
    #[error("can't start the journal's thread: {0}")]
    Thread(io::Error),
    /// The queue holds as much as it may: the disk doesn't keep up. Nothing was taken.
    #[error("the call journal's queue is full")]
    Full,
    /// The event is too long, even abridged. Nothing was taken.
    #[error("the call record is too large for the journal")]
    TooLarge,
    /// The disk refused. The event is kept in memory and written as soon as the disk takes it; it
    /// is lost only if the process dies before.
    #[error("the call journal can't be written now ({reason}); the record is held in memory")]
    Held {
        /// What the system said.
        reason: String,
    },
    /// The event is written but not synced: it survives the process, not the machine.
    #[error("the call journal can't be synced now ({reason})")]
    NotSynced {
        /// What the system said.
        reason: String,
    },
    /// The journal has been closed.
    #[error("the call journal is closed")]
    Closed,
    /// The record can't be put into JSON.
    #[error("the call record can't be written as JSON: {0}")]
    Encode(serde_json::Error),
}
