//! One tenant's data.

use chrono::Utc;
use futures_util::FutureExt;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::SqliteStore;
use super::calls::{self, Scope};
use super::directory::number_row;
use super::error::{asking, unreadable};
use crate::call::record::CallRecord;
use crate::ids::{CallId, E164, TenantId};
use crate::store::{
    Answer, CallFilter, CallPage, DirectoryStore, NewNumber, NewTenant, NumberRow, PageRequest, StoreError,
    TenantDocument, TenantStore,
};

/// One tenant's data.
pub(super) struct SqliteTenant<'a> {
    pub(super) store: &'a SqliteStore,
    pub(super) id: &'a TenantId,
}

impl TenantStore for SqliteTenant<'_> {
    fn document(&self) -> Answer<'_, Option<TenantDocument>> {
        self.store.load_tenant(self.id)
    }

    fn save<'a>(&'a self, tenant: &'a NewTenant) -> Answer<'a, u64> {
        async move {
            if tenant.tenant_id != *self.id {
                return Err(StoreError::Refused { reason: "the document names another tenant".to_owned() });
            }
            let mut transaction = self.store.write().await?;
            let version = save_tenant(&mut transaction, tenant).await?;
            finish(transaction).await?;
            Ok(version)
        }
        .boxed()
    }

    fn delete(&self) -> Answer<'_, bool> {
        async move {
            let mut transaction = self.store.write().await?;
            let deleted = sqlx::query("DELETE FROM tenants WHERE tenant_id = ?")
                .bind(self.id.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            finish(transaction).await?;
            Ok(deleted.rows_affected() > 0)
        }
        .boxed()
    }

    fn numbers(&self) -> Answer<'_, Vec<NumberRow>> {
        async move {
            let rows = sqlx::query_as(NUMBERS_OF_TENANT)
                .bind(self.id.as_str())
                .fetch_all(&self.store.readers)
                .await
                .map_err(asking)?;
            rows.into_iter().map(number_row).collect()
        }
        .boxed()
    }

    fn save_number<'a>(&'a self, number: &'a NewNumber) -> Answer<'a, ()> {
        async move {
            let mut transaction = self.store.write().await?;
            let saved = sqlx::query(SAVE_NUMBER)
                .bind(number.phone_number.as_str())
                .bind(self.id.as_str())
                .bind(number.active)
                .bind(number.json.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            if saved.rows_affected() == 0 {
                return Err(StoreError::Conflict { what: "the number" });
            }
            finish(transaction).await
        }
        .boxed()
    }

    fn remove_number<'a>(&'a self, number: &'a E164) -> Answer<'a, bool> {
        async move {
            let mut transaction = self.store.write().await?;
            let removed = sqlx::query("DELETE FROM numbers WHERE phone_number = ? AND tenant_id = ?")
                .bind(number.as_str())
                .bind(self.id.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            finish(transaction).await?;
            Ok(removed.rows_affected() > 0)
        }
        .boxed()
    }

    fn calls<'a>(&'a self, filter: &'a CallFilter, page: &'a PageRequest) -> Answer<'a, CallPage> {
        calls::list(&self.store.readers, Scope::Tenant(self.id), filter, page).boxed()
    }

    fn call(&self, id: CallId) -> Answer<'_, Option<CallRecord>> {
        calls::one(&self.store.readers, Scope::Tenant(self.id), id).boxed()
    }
}

const NUMBERS_OF_TENANT: &str =
    "SELECT phone_number, tenant_id, active, document FROM numbers WHERE tenant_id = ? ORDER BY phone_number";

const SAVE_NUMBER: &str = "INSERT INTO numbers (phone_number, tenant_id, active, document) VALUES (?, ?, ?, ?) \
     ON CONFLICT (phone_number) DO UPDATE SET active = excluded.active, document = excluded.document \
     WHERE numbers.tenant_id = excluded.tenant_id";

const SAVE_TENANT: &str = "INSERT INTO tenants \
     (tenant_id, client_id, display_name, slug, active, version, document, updated_at) \
     VALUES (?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (tenant_id) DO UPDATE SET \
     client_id = excluded.client_id, display_name = excluded.display_name, slug = excluded.slug, \
     active = excluded.active, version = tenants.version + 1, document = excluded.document, \
     updated_at = excluded.updated_at RETURNING version";

/// Writes a tenant's document; gives its version.
pub(super) async fn save_tenant(
    connection: &mut SqliteConnection,
    tenant: &NewTenant,
) -> Result<u64, StoreError> {
    let version: i64 = sqlx::query_scalar(SAVE_TENANT)
        .bind(tenant.tenant_id.as_str())
        .bind(tenant.client_id.as_str())
        .bind(tenant.display_name.as_str())
        .bind(tenant.slug.as_deref())
        .bind(tenant.active)
        .bind(tenant.json.as_str())
        .bind(Utc::now().timestamp_micros())
        .fetch_one(connection)
        .await
        .map_err(|error| match error {
            // The tenant's own id can't clash, so it is the slug.
            sqlx::Error::Database(ref database) if database.is_unique_violation() => {
                StoreError::Conflict { what: "the tenant's slug" }
            }
            other => asking(other),
        })?;
    u64::try_from(version).map_err(|error| unreadable("version", error))
}

/// Commits a change of a tenant or a number.
pub(super) async fn finish(mut transaction: Transaction<'_, Sqlite>) -> Result<(), StoreError> {
    sqlx::query("UPDATE directory_generation SET value = value + 1")
        .execute(&mut *transaction)
        .await
        .map_err(asking)?;
    transaction.commit().await.map_err(asking)
}
