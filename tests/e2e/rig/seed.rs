//! Tenants of our own in the database, whether a service runs on it or not.

use offhook::app::DATABASE;
use offhook::store::sqlite::SqliteStore;
use offhook::store::{NewNumber, NewTenant, Store};
use offhook::tenant::Status;
use offhook::tenant::file::TenantFile;

use super::{Home, root};

/// Puts a tenant of `sipp-scenarios/tenants` into the database; gives its first number.
pub fn scenario(home: &Home, name: &str) -> String {
    let path = root().join("sipp-scenarios/tenants").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    tenant(home, &text)
}

/// Puts a tenant with its numbers into the database; gives its first number.
pub fn tenant(home: &Home, json: &str) -> String {
    let file = TenantFile::from_json(json.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(save(home, &file)).unwrap();
    file.numbers[0].phone_number.as_str().to_owned()
}

async fn save(home: &Home, file: &TenantFile) -> Result<(), offhook::store::StoreError> {
    let store = SqliteStore::open(&home.path().join(DATABASE)).await?;
    let tenant = &file.tenant;
    let document = NewTenant {
        tenant_id: tenant.tenant_id.clone(),
        client_id: tenant.client_id.clone(),
        display_name: tenant.display_name.clone(),
        slug: tenant.slug.as_ref().map(|slug| slug.as_str().to_owned()),
        active: tenant.status == Status::Active,
        json: tenant.to_json().to_owned(),
    };
    store.tenant(&tenant.tenant_id).save(&document).await?;
    for mapping in &file.numbers {
        let number = NewNumber {
            phone_number: mapping.phone_number.clone(),
            active: mapping.is_active,
            json: mapping.to_json().to_owned(),
        };
        store.tenant(&tenant.tenant_id).save_number(&number).await?;
    }
    store.close().await;
    Ok(())
}
