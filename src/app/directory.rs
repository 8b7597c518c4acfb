//! Numbers and tenants from the store, and their changes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::stop::stopped;
use crate::ids::{E164, TenantId};
use crate::routing::{Directory, DirectorySource, SourceError};
use crate::store::{Change, Changed, Store, StoreError, TenantStore};
use crate::tenant::prompt::{Prompts, Template};
use crate::tenant::{NumberMapping, Tenant};

/// How often the store is asked whether something changed, when nobody says so: new calls see a
/// change within a second.
const FOLLOW: Duration = Duration::from_millis(500);

/// The store as the directory's source.
pub struct StoredDirectory(Arc<dyn Store>);

impl StoredDirectory {
    /// On this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
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
            let Some(document) = document else { return Ok(None) };
            let tenant = Tenant::from_json(document.json.as_bytes()).map_err(SourceError::Document)?;
            let prompts = prompts(self.0.tenant(id).as_ref()).await.map_err(unavailable)?;
            Ok(Some(Arc::new(tenant.with_prompts(prompts))))
        }
        .boxed()
    }
}

/// The prompts that calls use, each checked again: one that an older version took and this one
/// doesn't is left out, and said.
async fn prompts(scope: &dyn TenantStore) -> Result<Prompts, StoreError> {
    let mut prompts = Prompts::default();
    for (purpose, pointer) in scope.prompt_pointers().await? {
        let mut versions = Vec::new();
        for version in
            [Some(pointer.active), pointer.candidate.map(|trial| trial.version)].into_iter().flatten()
        {
            let Some(found) = scope.prompt(purpose, version).await? else { continue };
            match Template::new(&found.template) {
                Ok(template) => versions.push((version, template)),
                Err(error) => {
                    let (tenant, purpose) = (&found.tenant_id, purpose.as_str());
                    tracing::error!(%tenant, purpose, version, %error, "a stored prompt can't be used");
                }
            }
        }
        prompts.insert(purpose, pointer, versions);
    }
    Ok(prompts)
}

fn unavailable(error: StoreError) -> SourceError {
    SourceError::Unavailable(error.to_string().into())
}

/// Takes out of the directory's memory what was changed, by whichever process.
pub(super) async fn follow(
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    mut stop: watch::Receiver<bool>,
) {
    let mut heard = store.directory().watch();
    let mut known = None;
    loop {
        match forget(store.as_ref(), &directory, known).await {
            Ok(generation) => known = Some(generation),
            Err(error) => tracing::debug!(%error, "changes can't be followed at the moment"),
        }
        tokio::select! {
            // Its end is the store's; then the clock goes on alone.
            Ok(()) = heard.changed() => {}
            () = tokio::time::sleep(FOLLOW) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

/// Forgets what changed since the known generation; gives the present one.
async fn forget(store: &dyn Store, directory: &Directory, known: Option<u64>) -> Result<u64, StoreError> {
    let Some(known) = known else {
        // Nothing is in memory yet but what was asked a moment ago.
        let generation = store.directory().generation().await?;
        directory.invalidate_all();
        return Ok(generation);
    };
    let changes = store.directory().changes(known).await?;
    match changes.changed {
        Changed::Anything => directory.invalidate_all(),
        Changed::These(changes) => {
            for change in changes {
                match change {
                    Change::Tenant(id) => directory.invalidate_tenant(&id),
                    Change::Number(number) => directory.invalidate_number(&number),
                    Change::All => directory.invalidate_all(),
                }
            }
        }
    }
    Ok(changes.generation)
}
