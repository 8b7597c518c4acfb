//! What the HTTP API works on.

use std::sync::Arc;

use super::StartError;
use crate::call::outbound::Outbound;
use crate::config::Config;
use crate::http::api::{ApiSources, MasterKey};
use crate::routing::Directory;
use crate::store::Store;
use crate::vault::Vault;

/// The file of the operator's master key in the data directory.
const MASTER_KEY: &str = "master.key";
/// The file of the vault's keys in the data directory.
const VAULT_KEY: &str = "vault.key";

pub(super) fn sources(
    config: &Config,
    store: &Arc<dyn Store>,
    directory: Arc<Directory>,
    outbound: &Arc<Outbound>,
) -> Result<ApiSources, StartError> {
    Ok(ApiSources {
        store: Arc::clone(store),
        directory,
        master: master(config)?,
        vault: Arc::new(vault(config, store)?),
        outbound: Some(Arc::clone(outbound)),
        stats: Arc::clone(&outbound.services.stats),
    })
}

/// The operator's key: made at the first start, unless a file of it is named.
fn master(config: &Config) -> Result<MasterKey, StartError> {
    let named = config.api.master_key_file.clone();
    let make = named.is_none();
    let path = named.unwrap_or_else(|| config.service.data.join(MASTER_KEY));
    MasterKey::from_file(&path, make).map_err(|error| StartError::MasterKey { path, error })
}

/// Sealed secrets, with the keys of a file that is made at the first start.
fn vault(config: &Config, store: &Arc<dyn Store>) -> Result<Vault, StartError> {
    let named = config.api.vault_key_file.clone();
    let path = named.unwrap_or_else(|| config.service.data.join(VAULT_KEY));
    Ok(Vault::open(Arc::clone(store), path)?)
}
