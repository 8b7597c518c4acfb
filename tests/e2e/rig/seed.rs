//! Tenants of our own in the database, whether a service runs on it or not.

use offhook::app::{DATABASE, tenant_rows};
use offhook::store::Store;
use offhook::store::sqlite::SqliteStore;
use offhook::tenant::file::TenantFile;

use super::{Home, root};

/// Puts a tenant of `sipp-scenarios/tenants` into the database; gives its first number.
pub fn scenario(home: &Home, name: &str) -> String {
    let path = root().join("sipp-scenarios/tenants").join(name);
    let json = std::fs::read(path).unwrap();
    let file = TenantFile::from_json(&json).unwrap_or_else(|errors| panic!("{name}: {errors}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(save(home, &file)).unwrap();
    file.numbers[0].phone_number.as_str().to_owned()
}

async fn save(home: &Home, file: &TenantFile) -> Result<(), offhook::store::StoreError> {
    let store = SqliteStore::open(&home.path().join(DATABASE)).await?;
    let (document, numbers) = tenant_rows(file);
    store.tenant(&document.tenant_id).save(&document).await?;
    for row in &numbers {
        store.tenant(&row.tenant_id).save_number(&row.number).await?;
    }
    store.close().await;
    Ok(())
}
