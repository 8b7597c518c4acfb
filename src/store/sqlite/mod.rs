//! The store on SQLite: one writing connection, several reading ones, write-ahead log.

#[path = "../sql/access.rs"]
mod access;
#[path = "../sql/calls.rs"]
mod calls;
#[path = "../sql/change.rs"]
mod change;
#[path = "../sql/directory.rs"]
mod directory;
mod error;
#[path = "../sql/meta.rs"]
mod meta;
#[path = "../sql/operator.rs"]
mod operator;
#[path = "../sql/prompts.rs"]
mod prompts;
#[path = "../sql/records.rs"]
mod records;
#[path = "../sql/secrets.rs"]
mod secrets;
#[path = "../sql/tenant.rs"]
mod tenant;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};
use tokio::sync::watch;

use super::{
    AccessStore, Answer, DirectoryStore, MetaStore, OperatorStore, RecordStore, Store, StoreError,
    TenantStore,
};
use crate::ids::TenantId;

/// What the statements are compiled against: see [`super::sql`].
type Backend = SqliteStore;
type Db = Sqlite;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// How long SQLite waits for a lock that another connection holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a question waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Reading connections.
const READERS: u32 = 4;
/// A database up to this size is checked at every opening: about a quarter of a second.
const CHECKED_BYTES: u64 = 128 * 1024 * 1024;

/// The store on SQLite. Clones share the connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    path: PathBuf,
    readers: SqlitePool,
    /// Absent in a store opened for reading.
    writer: Option<SqlitePool>,
    /// Counts the changes of the directory by this process.
    changed: watch::Sender<u64>,
}

impl SqliteStore {
    /// Opens a database for reading and writing, making it where it is missing, checks it and
    /// brings its schema up to date. A large database isn't checked: see
    /// [`SqliteStore::quick_check`].
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`], [`StoreError::Corrupt`], [`StoreError::NewerSchema`],
    /// [`StoreError::Busy`] when another process holds a lock for longer than two seconds.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create(path)?;
        let writing = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit is on the disk before the journal's segment is removed.
            .synchronous(SqliteSynchronous::Full)
            // 16 MiB between checkpoints of the log: fewer, larger ones cost less.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864");
        let opened = |error| error::opening(path, error);
        let writer = pool(1).connect_with(writing).await.map_err(opened)?;
        let store = Self {
            path: path.to_owned(),
            readers: readers(path).await?,
            writer: Some(writer.clone()),
            changed: watch::Sender::default(),
        };
        if std::fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES) {
            store.quick_check().await?;
        }
        MIGRATIONS.run(&writer).await.map_err(migration)?;
        Ok(store)
    }

    /// Opens a database that is there, for reading only; a service may be running on it. Writes
    /// get [`StoreError::ReadOnly`].
    ///
    /// # Errors
    /// [`StoreError::Missing`], and as [`SqliteStore::open`].
    pub async fn open_for_reading(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let store = Self {
            path: path.to_owned(),
            readers: readers(path).await?,
            writer: None,
            changed: watch::Sender::default(),
        };
        store.refuse_other_schema().await?;
        Ok(store)
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for damage. Takes about two seconds for a gigabyte; calls go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with what was found.
    pub async fn quick_check(&self) -> Result<(), StoreError> {
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&self.readers)
            .await
            .map_err(error::asking)?;
        if found == "ok" { Ok(()) } else { Err(StoreError::Corrupt { reason: found }) }
    }

    /// The connections that questions are asked on.
    fn reading(&self) -> &SqlitePool {
        &self.readers
    }

    /// A transaction that holds the write lock from its start, so that it can't fail half-way for
    /// want of it.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        let writer = self.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        let begun = match writer.begin_with(BEGIN).await {
            // After some failures (disk full, input/output error) SQLite rolls back by itself;
            // sqlx then counts the transaction as open for ever. Only a new connection helps.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                writer.acquire().await.map_err(error::asking)?.close().await.map_err(error::asking)?;
                writer.begin_with(BEGIN).await
            }
            other => other,
        };
        begun.map_err(error::asking)
    }

    async fn refuse_other_schema(&self) -> Result<(), StoreError> {
        let applied: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(&self.readers)
                .await
                .map_err(error::asking)?;
        match applied.into_iter().find(|version| !MIGRATIONS.version_exists(*version)) {
            Some(version) => Err(StoreError::NewerSchema { version }),
            None => Ok(()),
        }
    }
}

impl Store for SqliteStore {
    fn tenant<'a>(&'a self, id: &'a TenantId) -> Box<dyn TenantStore + 'a> {
        Box::new(tenant::OneTenant { store: self, id })
    }

    fn directory(&self) -> &dyn DirectoryStore {
        self
    }

    fn operator(&self) -> &dyn OperatorStore {
        self
    }

    fn records(&self) -> &dyn RecordStore {
        self
    }

    fn meta(&self) -> &dyn MetaStore {
        self
    }

    fn access(&self) -> &dyn AccessStore {
        self
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.readers.close().await;
            if let Some(writer) = &self.writer {
                writer.close().await;
            }
        }
        .boxed()
    }
}

/// SQLite's own limits hold: how long it waits for a lock, and for a connection.
fn bounded<'a, T>(asked: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> Answer<'a, T> {
    asked.boxed()
}

/// Other processes find out by asking: SQLite tells nobody.
async fn announce(_: &mut sqlx::SqliteConnection, _: i64) -> Result<(), StoreError> {
    Ok(())
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // 16 MiB of pages for each connection.
        .pragma("cache_size", "-16384")
        .pragma("temp_store", "memory")
}

fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A file doesn't hang up.
        .test_before_acquire(false)
}

async fn readers(path: &Path) -> Result<SqlitePool, StoreError> {
    let reading = options(path).read_only(true);
    pool(READERS).connect_with(reading).await.map_err(|error| error::opening(path, error))
}

/// Makes the file, readable to this user only; SQLite gives its log the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    let cannot =
        |error: std::io::Error| StoreError::CannotOpen { path: path.to_owned(), reason: error.to_string() };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(cannot)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    file.map(drop).map_err(cannot)
}

fn migration(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::NewerSchema { version },
        MigrateError::Execute(error) => error::asking(error),
        other => StoreError::Migration(Box::new(other)),
    }
}

#[cfg(test)]
mod tests;
