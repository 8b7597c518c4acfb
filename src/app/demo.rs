//! The demo tenants: loaded into an empty database, and only there.

use super::StartError;
use crate::store::sqlite::SqliteStore;
use crate::store::{NewNumber, NewTenant, NumberRow, Store};
use crate::tenant::Status;
use crate::tenant::file::TenantFile;

/// They ship inside the program, so that it works from any directory.
const FILES: [&str; 3] = [
    include_str!("../../config/tenants/0001-lumiere-services.json"),
    include_str!("../../config/tenants/0002-harbor-homes.json"),
    include_str!("../../config/tenants/0003-maple-clinic.json"),
];

/// The demo tenants as they ship.
///
/// # Errors
/// When a file of ours is wrong, which a test rules out.
pub fn tenants() -> Result<Vec<TenantFile>, StartError> {
    FILES
        .iter()
        .map(|file| {
            TenantFile::from_json(file.as_bytes()).map_err(|errors| StartError::Demo(errors.to_string()))
        })
        .collect()
}

pub(super) async fn load(store: &SqliteStore) -> Result<(), StartError> {
    if !store.operator().is_empty().await? {
        return Ok(());
    }
    let mut documents = Vec::new();
    let mut numbers = Vec::new();
    for file in tenants()? {
        let tenant = file.tenant;
        numbers.extend(file.numbers.iter().map(|mapping| NumberRow {
            tenant_id: mapping.tenant_id.clone(),
            number: NewNumber {
                phone_number: mapping.phone_number.clone(),
                active: mapping.is_active,
                json: mapping.to_json().to_owned(),
            },
        }));
        documents.push(NewTenant {
            tenant_id: tenant.tenant_id.clone(),
            client_id: tenant.client_id.clone(),
            display_name: tenant.display_name.clone(),
            slug: tenant.slug.as_ref().map(|slug| slug.as_str().to_owned()),
            active: tenant.status == Status::Active,
            json: tenant.to_json().to_owned(),
        });
    }
    store.operator().import_into_empty(&documents, &numbers).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_tenants_are_whole() {
        let numbers: Vec<String> = tenants()
            .unwrap()
            .iter()
            .flat_map(|file| file.numbers.iter().map(|mapping| mapping.phone_number.as_str().to_owned()))
            .collect();
        assert_eq!(numbers, ["+33199000001", "+12025550101", "+12025550102"]);
    }
}
