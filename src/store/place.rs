//! Where the store is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::postgres::PostgresStore;
use super::sqlite::SqliteStore;
use super::{Store, StoreError};

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres {
        /// Its address.
        url: PostgresUrl,
        /// The most connections to it, from 2 on.
        connections: u32,
    },
}

/// The address of a PostgreSQL server and database, password included: printed without it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// Takes the address. `None` when it doesn't begin as one.
    #[must_use]
    pub fn new(url: &str) -> Option<Self> {
        let known = url.starts_with("postgres://") || url.starts_with("postgresql://");
        known.then(|| Self(url.to_owned()))
    }

    /// The address itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let user = self.authority().rsplit_once('@').map_or("", |(user, _)| user);
        user.contains(':') || self.0.contains("password=")
    }

    fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default()
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.authority();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        write!(f, "postgres://{host}/{}", path.split('?').next().unwrap_or_default())
    }
}

/// Opens a store for reading and writing, and brings its schema up to date.
///
/// # Errors
/// When it can't be opened, is damaged, or of a later version.
pub async fn open(place: &Place) -> Result<Arc<dyn Store>, StoreError> {
    match place {
        Place::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path).await?)),
        Place::Postgres { url, connections } => Ok(Arc::new(PostgresStore::open(url, *connections).await?)),
    }
}

/// Opens a store that is there for reading only; a service may be running on it.
///
/// # Errors
/// As [`open`].
pub async fn open_for_reading(place: &Place) -> Result<Arc<dyn Store>, StoreError> {
    match place {
        Place::Sqlite(path) => Ok(Arc::new(SqliteStore::open_for_reading(path).await?)),
        Place::Postgres { url, .. } => Ok(Arc::new(PostgresStore::open_for_reading(url).await?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_without_user_and_password() {
        let url = PostgresUrl::new("postgres://u:p%40s@db.example.com:5433/offhook?sslmode=require").unwrap();
        assert_eq!(format!("{url} {url:?}"), "postgres://db.example.com:5433/offhook ".repeat(2).trim_end());
        assert!(url.has_password());
        assert!(!PostgresUrl::new("postgresql://u@db/offhook").unwrap().has_password());
        assert!(PostgresUrl::new("postgres:///x?host=/run&password=s").unwrap().has_password());
        assert_eq!(PostgresUrl::new("mysql://db/x"), None);
    }
}
