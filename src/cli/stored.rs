//! The store, for commands that work on it beside the running service.

use std::sync::Arc;

use super::Common;
use crate::app::make_directories;
use crate::store::{self, Store};

/// Opens the store for reading and does something with it.
pub(crate) fn reading<T>(
    common: &Common,
    work: impl AsyncFnOnce(&dyn Store) -> Result<T, String>,
) -> Result<T, String> {
    let config = super::serve::configuration(common)?;
    let place = config.store.place(&config.service.data);
    run(async || {
        let store = store::open_for_reading(&place).await.map_err(|error| error.to_string())?;
        used(&store, work).await
    })
}

/// As [`reading`], for what shares the store.
pub(crate) fn reading_shared<T>(
    common: &Common,
    work: impl AsyncFnOnce(Arc<dyn Store>) -> Result<T, String>,
) -> Result<T, String> {
    let config = super::serve::configuration(common)?;
    let place = config.store.place(&config.service.data);
    run(async || {
        let store = store::open_for_reading(&place).await.map_err(|error| error.to_string())?;
        let result = work(Arc::clone(&store)).await;
        store.close().await;
        result
    })
}

/// Opens the store for reading and writing, making it where it is missing, and does something
/// with it. The running service follows within a second.
pub(crate) fn writing<T>(
    common: &Common,
    work: impl AsyncFnOnce(&dyn Store) -> Result<T, String>,
) -> Result<T, String> {
    let config = super::serve::configuration(common)?;
    make_directories(&config.service.data).map_err(|error| error.to_string())?;
    let place = config.store.place(&config.service.data);
    run(async || {
        let store = store::open(&place).await.map_err(|error| error.to_string())?;
        used(&store, work).await
    })
}

async fn used<T>(
    store: &Arc<dyn Store>,
    work: impl AsyncFnOnce(&dyn Store) -> Result<T, String>,
) -> Result<T, String> {
    let result = work(store.as_ref()).await;
    store.close().await;
    result
}

fn run<T>(work: impl AsyncFnOnce() -> Result<T, String>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(work())
}
