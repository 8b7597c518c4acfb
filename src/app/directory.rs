//! Numbers and tenants from the store, and their changes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::stop::stopped;
use crate::ids::{E164, TenantId};
use crate::routing::{Directory, DirectorySource, SourceError};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::tenant::{NumberMapping, Tenant};

/// How often the store is asked whether something changed: new calls see a change within a
/// second.
const FOLLOW: Duration = Duration::from_millis(500);

/// The store as the directory's source.
pub(super) struct StoredDirectory(SqliteStore);

impl StoredDirectory {
    pub(super) fn new(store: SqliteStore) -> Self {
        Self(store)
    }
}

impl DirectorySource for StoredDirectory {
    fn find_number<'a>(
        &'a self,
        number: &'a E164,
    ) -> BoxFuture<'a, Result<Option<NumberMapping>, SourceError>> {
        async move {
            let row = self.0.directory().find_number(number).await.map_err(unavailable)?;
            row.map(|row| NumberMapping::from_json(row.number.json.as_bytes()).map_err(SourceError::Document))
                .transpose()
        }
        .boxed()
    }

    fn load_tenant<'a>(
        &'a self,
        id: &'a TenantId,
    ) -> BoxFuture<'a, Result<Option<Arc<Tenant>>, SourceError>> {
        async move {
            let document = self.0.directory().load_tenant(id).await.map_err(unavailable)?;
            document
                .map(|document| {
                    Tenant::from_json(document.json.as_bytes()).map(Arc::new).map_err(SourceError::Document)
                })
                .transpose()
        }
        .boxed()
    }
}

fn unavailable(error: StoreError) -> SourceError {
    SourceError::Unavailable(error.to_string().into())
}

/// Empties the directory's memory whenever a document or a number changed, by whichever process.
pub(super) async fn follow(store: SqliteStore, directory: Arc<Directory>, mut stop: watch::Receiver<bool>) {
    let mut known = None;
    loop {
        match store.directory().generation().await {
            Ok(generation) => {
                if known.is_some_and(|known| known != generation) {
                    directory.invalidate_all();
                }
                known = Some(generation);
            }
            Err(error) => tracing::debug!(%error, "changes can't be followed at the moment"),
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW) => {}
            () = stopped(&mut stop) => return,
        }
    }
}
