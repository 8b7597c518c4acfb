//! What can go wrong with the store.

use std::path::PathBuf;

/// What can go wrong with the store. What a person reads says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or the file can't be made, opened or written.
    #[error(
        "can't open the database {}: {reason}. Make its directory writable for this user, or name \
         another with --data", path.display()
    )]
    CannotOpen {
        /// The database.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There is no database yet.
    #[error("there is no database at {}: start the service once, or name its data directory with --data", path.display())]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// The database was written by a later version.
    #[error(
        "the database is of a newer offhook (its migration {version} is unknown here). Start that version, or restore a backup made before"
    )]
    NewerSchema {
        /// The first migration not known here.
        version: i64,
    },
    /// A migration failed.
    #[error("the database can't be brought up to date: {0}")]
    Migration(#[source] Box<sqlx::migrate::MigrateError>),
    /// The database is damaged.
    #[error(
        "the database is damaged ({reason}). Restore it from a backup; the call journal beside it is separate and stays valid"
    )]
    Corrupt {
        /// What was found.
        reason: String,
    },
    /// Locked by another connection, or no connection was free in time.
    #[error("the database is busy")]
    Busy,
    /// The disk is full.
    #[error("the database's disk is full")]
    DiskFull,
    /// The database can't be written.
    #[error("the database is read-only")]
    ReadOnly,
    /// The disk or the connection failed.
    #[error("the database doesn't answer: {0}")]
    Away(#[source] Box<sqlx::Error>),
    /// What was to be written breaks a rule of the schema.
    #[error("the database refused a value: {reason}")]
    Refused {
        /// Which rule.
        reason: String,
    },
    /// A unique value belongs to another row already.
    #[error("{what} is in use already")]
    Conflict {
        /// What is to be unique.
        what: &'static str,
    },
    /// A document isn't as it was expected to be.
    #[error("it was changed meanwhile{}", match .current { Some(version) => format!(": its version is {version} now"), None => " or isn't there".to_owned() })]
    Stale {
        /// The version it has; none when it isn't there.
        current: Option<u64>,
    },
    /// The database's address can't be used.
    #[error("the database's address won't do ({reason}): write postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Url {
        /// What is wrong with it, without the password.
        reason: String,
    },
    /// The database can't be reached at start.
    #[error("the database {place} can't be used ({reason}): see that it runs, and that it lets this user in")]
    Unreachable {
        /// Which, without the password.
        place: String,
        /// What was said.
        reason: String,
    },
    /// No answer came in time.
    #[error("the database doesn't answer in time")]
    NoAnswer,
    /// Demo data goes into an empty store only.
    #[error("the database isn't empty")]
    NotEmpty,
    /// A stored value has a form this version can't read.
    #[error("a stored {what} can't be read: {reason}")]
    Unreadable {
        /// What kind of value.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A query that this version gets wrong.
    #[error("the database didn't understand: {0}")]
    Query(#[source] Box<sqlx::Error>),
}

impl StoreError {
    /// Whether the same may succeed later, with nothing changed but the weather.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. }
                | Self::Conflict { .. }
                | Self::Stale { .. }
                | Self::NotEmpty
                | Self::Unreadable { .. }
        )
    }
}
