//! The store on PostgreSQL: one pool of connections, which outlives restarts of the server, and a
//! listener that hears of every node's changes.

#[path = "../sql/access.rs"]
mod access;
#[path = "../sql/calls.rs"]
mod calls;
#[path = "../sql/change.rs"]
mod change;
#[path = "../sql/directory.rs"]
mod directory;
mod error;
mod listener;
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

use std::str::FromStr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{
    AccessStore, Answer, DirectoryStore, MetaStore, OperatorStore, PostgresUrl, RecordStore, Store,
    StoreError, TenantStore,
};
use crate::ids::TenantId;

/// What the statements are compiled against: see [`super::sql`].
type Backend = PostgresStore;
type Db = Postgres;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// How long a question waits for a free connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long any question may take in all. A server that hangs closes no connection, so that
/// nothing but the clock tells.
const PATIENCE: Duration = Duration::from_secs(12);
/// A connection that isn't used for so long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// Set on every connection. The server gives up before we do, and lets go of the locks of a node
/// that has died.
const SETTINGS: [(&str, &str); 3] =
    [("statement_timeout", "10s"), ("lock_timeout", "5s"), ("idle_in_transaction_session_timeout", "30s")];

/// The store on PostgreSQL. Clones share the connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    /// Counts what was heard of changes of the directory.
    changed: watch::Sender<u64>,
}

impl PostgresStore {
    /// Opens a database, and brings its schema up to date: by one node at a time, the others wait.
    /// `connections` is the most there may be, one of them for hearing of changes.
    ///
    /// # Errors
    /// [`StoreError::Url`], [`StoreError::Unreachable`], [`StoreError::NewerSchema`].
    pub async fn open(url: &PostgresUrl, connections: u32) -> Result<Self, StoreError> {
        let store = Self::connect(url, options(url)?, connections.max(2)).await?;
        MIGRATIONS.run(&store.pool).await.map_err(migration)?;
        tokio::spawn(listener::listen(store.pool.clone(), store.changed.clone()));
        Ok(store)
    }

    /// Opens a database that is there, for reading only; services may be running on it. Writes get
    /// [`StoreError::ReadOnly`].
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open_for_reading(url: &PostgresUrl) -> Result<Self, StoreError> {
        let options = options(url)?.options([("default_transaction_read_only", "on")]);
        let store = Self::connect(url, options, 2).await?;
        store.refuse_other_schema(url).await?;
        Ok(store)
    }

    async fn connect(
        url: &PostgresUrl,
        options: PgConnectOptions,
        connections: u32,
    ) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE)
            // A connection to a server that was restarted meanwhile is found out and replaced.
            .test_before_acquire(true)
            .connect_with(options)
            .await
            .map_err(|error| error::opening(url, &error))?;
        Ok(Self { pool, changed: watch::Sender::default() })
    }

    /// The connections that questions are asked on.
    fn reading(&self) -> &PgPool {
        &self.pool
    }

    async fn write(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.pool.begin().await.map_err(error::asking)
    }

    async fn refuse_other_schema(&self, url: &PostgresUrl) -> Result<(), StoreError> {
        let applied: Result<Vec<i64>, sqlx::Error> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(&self.pool)
                .await;
        let applied = applied.map_err(|error| error::opening(url, &error))?;
        match applied.into_iter().find(|version| !MIGRATIONS.version_exists(*version)) {
            Some(version) => Err(StoreError::NewerSchema { version }),
            None => Ok(()),
        }
    }
}

impl Store for PostgresStore {
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
        self.pool.close().boxed()
    }
}

fn options(url: &PostgresUrl) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url.reveal())
        .map_err(|error| StoreError::Url { reason: error.to_string() })?;
    Ok(options.application_name("offhook").options(SETTINGS))
}

/// Nothing is waited for longer than [`PATIENCE`].
fn bounded<'a, T: 'a>(asked: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> Answer<'a, T> {
    async move { timeout(PATIENCE, asked).await.unwrap_or(Err(StoreError::NoAnswer)) }.boxed()
}

/// Tells every node, this one included, once the transaction is committed.
async fn announce(connection: &mut sqlx::PgConnection, generation: i64) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(listener::CHANNEL)
        .bind(generation.to_string())
        .execute(connection)
        .await
        .map_err(error::asking)
        .map(drop)
}

fn migration(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::NewerSchema { version },
        MigrateError::Execute(error) => error::asking(error),
        other => StoreError::Migration(Box::new(other)),
    }
}

#[cfg(test)]
#[path = "../../../tests/support/cluster.rs"]
mod cluster;
#[cfg(test)]
mod tests;
