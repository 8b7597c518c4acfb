//! The demo tenants: loaded into an empty database, and only there.

use super::StartError;
use crate::store::{NewTenant, NumberRow, Store, StoreError};
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

pub(super) async fn load(store: &dyn Store) -> Result<(), StartError> {
    if !store.operator().is_empty().await? {
        return Ok(());
    }
    let (documents, numbers): (Vec<_>, Vec<_>) = tenants()?.iter().map(rows).unzip();
    let numbers = numbers.concat();
    match store.operator().import_into_empty(&documents, &numbers).await {
        // Another process on the same database was quicker.
        Ok(()) | Err(StoreError::NotEmpty) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A tenant and its numbers as the store takes them.
#[must_use]
pub fn rows(file: &TenantFile) -> (NewTenant, Vec<NumberRow>) {
    (NewTenant::from(&file.tenant), file.numbers.iter().map(NumberRow::from).collect())
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
