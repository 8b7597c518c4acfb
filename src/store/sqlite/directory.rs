//! Numbers and configurations across tenants.

use chrono::DateTime;
use futures_util::FutureExt;

use super::SqliteStore;
use super::error::{asking, unreadable};
use crate::ids::{E164, TenantId};
use crate::store::{Answer, DirectoryStore, NewNumber, NumberRow, StoreError, TenantDocument};

/// `phone_number, tenant_id, active, document`
pub(super) type NumberColumns = (String, String, bool, String);
/// `tenant_id, version, document, updated_at`
type TenantColumns = (String, i64, String, i64);

impl DirectoryStore for SqliteStore {
    fn find_number<'a>(&'a self, number: &'a E164) -> Answer<'a, Option<NumberRow>> {
        async move {
            let row = sqlx::query_as(
                "SELECT phone_number, tenant_id, active, document FROM numbers WHERE phone_number = ?",
            )
            .bind(number.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(asking)?;
            row.map(number_row).transpose()
        }
        .boxed()
    }

    fn load_tenant<'a>(&'a self, id: &'a TenantId) -> Answer<'a, Option<TenantDocument>> {
        async move {
            let row = sqlx::query_as(
                "SELECT tenant_id, version, document, updated_at FROM tenants WHERE tenant_id = ?",
            )
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(asking)?;
            row.map(tenant_document).transpose()
        }
        .boxed()
    }

    fn generation(&self) -> Answer<'_, u64> {
        async move {
            let value: i64 = sqlx::query_scalar("SELECT value FROM directory_generation")
                .fetch_one(&self.readers)
                .await
                .map_err(asking)?;
            u64::try_from(value).map_err(|error| unreadable("generation", error))
        }
        .boxed()
    }

    fn numbers<'a>(&'a self, after: Option<&'a E164>, limit: u32) -> Answer<'a, Vec<NumberRow>> {
        async move {
            let rows = sqlx::query_as(
                "SELECT phone_number, tenant_id, active, document FROM numbers \
                 WHERE phone_number > ? ORDER BY phone_number LIMIT ?",
            )
            .bind(after.map_or("", E164::as_str))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(asking)?;
            rows.into_iter().map(number_row).collect()
        }
        .boxed()
    }

    fn tenants<'a>(&'a self, after: Option<&'a TenantId>, limit: u32) -> Answer<'a, Vec<TenantDocument>> {
        async move {
            let rows = sqlx::query_as(
                "SELECT tenant_id, version, document, updated_at FROM tenants \
                 WHERE tenant_id > ? ORDER BY tenant_id LIMIT ?",
            )
            .bind(after.map_or("", TenantId::as_str))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(asking)?;
            rows.into_iter().map(tenant_document).collect()
        }
        .boxed()
    }
}

pub(super) fn number_row((number, tenant, active, json): NumberColumns) -> Result<NumberRow, StoreError> {
    Ok(NumberRow {
        tenant_id: TenantId::new(&tenant).map_err(|error| unreadable("tenant id", error))?,
        number: NewNumber {
            phone_number: E164::new(&number).map_err(|error| unreadable("number", error))?,
            active,
            json,
        },
    })
}

fn tenant_document((tenant, version, json, updated_at): TenantColumns) -> Result<TenantDocument, StoreError> {
    Ok(TenantDocument {
        tenant_id: TenantId::new(&tenant).map_err(|error| unreadable("tenant id", error))?,
        version: u64::try_from(version).map_err(|error| unreadable("version", error))?,
        json,
        updated_at: DateTime::from_timestamp_micros(updated_at)
            .ok_or_else(|| unreadable("time", "it is beyond what a date can hold"))?,
    })
}
