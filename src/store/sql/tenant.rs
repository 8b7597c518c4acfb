//! One tenant's data.

use chrono::{DateTime, Utc};
use sqlx::Database;

use super::calls::{self, Scope};
use super::change::DirectoryChange;
use super::directory::number_row;
use super::error::asking;
use super::{Backend, Db, bounded};
use crate::call::record::CallRecord;
use crate::ids::{CallId, E164, TenantId};
use crate::store::sql::{plain, unreadable, unsigned};
use crate::store::{
    AccessKey, Answer, CallFilter, CallPage, Change, DirectoryStore, Expected, NewAccessKey, NewNumber,
    NewTenant, NumberRow, PageRequest, StoreError, TenantDocument, TenantStore,
};
use crate::tenant::access::Role;

/// One tenant's data.
pub(super) struct OneTenant<'a> {
    pub(super) store: &'a Backend,
    pub(super) id: &'a TenantId,
}

impl TenantStore for OneTenant<'_> {
    fn document(&self) -> Answer<'_, Option<TenantDocument>> {
        self.store.load_tenant(self.id)
    }

    fn save<'a>(&'a self, tenant: &'a NewTenant) -> Answer<'a, u64> {
        self.save_if(tenant, Expected::Anything)
    }

    fn save_if<'a>(&'a self, tenant: &'a NewTenant, expected: Expected) -> Answer<'a, u64> {
        bounded(async move {
            if tenant.tenant_id != *self.id {
                return Err(StoreError::Refused { reason: "the document names another tenant".to_owned() });
            }
            let mut change = DirectoryChange::begin(self.store).await?;
            let version: Option<i64> = sqlx::query_scalar("SELECT version FROM tenants WHERE tenant_id = $1")
                .bind(self.id.as_str())
                .fetch_optional(&mut *change.transaction)
                .await
                .map_err(asking)?;
            expected.check(version.map(unsigned).transpose()?)?;
            let version = save_tenant(&mut change.transaction, tenant).await?;
            change.commit(Change::Tenant(self.id.clone())).await?;
            Ok(version)
        })
    }

    fn delete(&self) -> Answer<'_, bool> {
        bounded(async move {
            let mut change = DirectoryChange::begin(self.store).await?;
            let deleted = sqlx::query("DELETE FROM tenants WHERE tenant_id = $1")
                .bind(self.id.as_str())
                .execute(&mut *change.transaction)
                .await
                .map_err(asking)?;
            // Its numbers go with it.
            change.commit(Change::All).await?;
            Ok(deleted.rows_affected() > 0)
        })
    }

    fn numbers(&self) -> Answer<'_, Vec<NumberRow>> {
        bounded(async move {
            let rows = sqlx::query_as(NUMBERS_OF_TENANT)
                .bind(self.id.as_str())
                .fetch_all(self.store.reading())
                .await
                .map_err(asking)?;
            rows.into_iter().map(number_row).collect()
        })
    }

    fn save_number<'a>(&'a self, number: &'a NewNumber) -> Answer<'a, ()> {
        bounded(async move { self.save_number_if(number, Expected::Anything).await.map(drop) })
    }

    fn save_number_if<'a>(&'a self, number: &'a NewNumber, expected: Expected) -> Answer<'a, u64> {
        bounded(async move {
            let mut change = DirectoryChange::begin(self.store).await?;
            let version = self.put_number(&mut change, number, expected).await?;
            change.commit(Change::Number(number.phone_number.clone())).await?;
            Ok(version)
        })
    }

    fn number<'a>(&'a self, number: &'a E164) -> Answer<'a, Option<(NumberRow, u64)>> {
        bounded(async move {
            let row: Option<(String, String, bool, String, i64)> = sqlx::query_as(
                "SELECT phone_number, tenant_id, active, document, version FROM numbers \
                 WHERE phone_number = $1 AND tenant_id = $2",
            )
            .bind(number.as_str())
            .bind(self.id.as_str())
            .fetch_optional(self.store.reading())
            .await
            .map_err(asking)?;
            let Some((number, tenant, active, json, version)) = row else { return Ok(None) };
            Ok(Some((number_row((number, tenant, active, json))?, unsigned(version)?)))
        })
    }

    fn remove_number<'a>(&'a self, number: &'a E164) -> Answer<'a, bool> {
        bounded(async move {
            let mut change = DirectoryChange::begin(self.store).await?;
            let removed = sqlx::query("DELETE FROM numbers WHERE phone_number = $1 AND tenant_id = $2")
                .bind(number.as_str())
                .bind(self.id.as_str())
                .execute(&mut *change.transaction)
                .await
                .map_err(asking)?;
            change.commit(Change::Number(number.clone())).await?;
            Ok(removed.rows_affected() > 0)
        })
    }

    fn calls<'a>(&'a self, filter: &'a CallFilter, page: &'a PageRequest) -> Answer<'a, CallPage> {
        bounded(calls::list(self.store.reading(), Scope::Tenant(self.id), filter, page))
    }

    fn call(&self, id: CallId) -> Answer<'_, Option<CallRecord>> {
        bounded(calls::one(self.store.reading(), Scope::Tenant(self.id), id))
    }

    fn access_keys(&self) -> Answer<'_, Vec<AccessKey>> {
        bounded(async move {
            let rows: Vec<KeyColumns> = sqlx::query_as(
                "SELECT key_id, tenant_id, role, label, created_at FROM access_keys \
                 WHERE tenant_id = $1 ORDER BY created_at, key_id",
            )
            .bind(self.id.as_str())
            .fetch_all(self.store.reading())
            .await
            .map_err(asking)?;
            rows.into_iter().map(access_key).collect()
        })
    }

    fn add_access_key<'a>(&'a self, key: &'a NewAccessKey, replaced: Option<&'a str>) -> Answer<'a, bool> {
        bounded(async move {
            if key.shown.tenant_id != *self.id {
                return Err(StoreError::Refused { reason: "the key is another tenant's".to_owned() });
            }
            let mut transaction = self.store.write().await?;
            if let Some(replaced) = replaced {
                let removed = remove_key(&mut transaction, self.id, replaced).await?;
                if !removed {
                    return Ok(false);
                }
            }
            sqlx::query(ADD_KEY)
                .bind(key.shown.key_id.as_str())
                .bind(self.id.as_str())
                .bind(key.shown.role.as_str())
                .bind(plain(&key.shown.label))
                .bind(key.hash.as_bytes().to_vec())
                .bind(key.shown.created_at.timestamp_micros())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)?;
            Ok(true)
        })
    }

    fn remove_access_key<'a>(&'a self, key_id: &'a str) -> Answer<'a, bool> {
        bounded(async move {
            let mut transaction = self.store.write().await?;
            let removed = remove_key(&mut transaction, self.id, key_id).await?;
            transaction.commit().await.map_err(asking)?;
            Ok(removed)
        })
    }
}

impl OneTenant<'_> {
    /// Writes a mapping; gives its version.
    pub(super) async fn put_number(
        &self,
        change: &mut DirectoryChange<'_>,
        number: &NewNumber,
        expected: Expected,
    ) -> Result<u64, StoreError> {
        let found: Option<(String, i64)> =
            sqlx::query_as("SELECT tenant_id, version FROM numbers WHERE phone_number = $1")
                .bind(number.phone_number.as_str())
                .fetch_optional(&mut *change.transaction)
                .await
                .map_err(asking)?;
        let version = match found {
            Some((tenant, _)) if tenant != self.id.as_str() => {
                return Err(StoreError::Conflict { what: "the number" });
            }
            found => found.map(|(_, version)| unsigned(version)).transpose()?,
        };
        expected.check(version)?;
        let version: i64 = sqlx::query_scalar(SAVE_NUMBER)
            .bind(number.phone_number.as_str())
            .bind(self.id.as_str())
            .bind(number.active)
            .bind(number.json.as_str())
            .fetch_one(&mut *change.transaction)
            .await
            .map_err(asking)?;
        unsigned(version)
    }
}

const NUMBERS_OF_TENANT: &str = "SELECT phone_number, tenant_id, active, document FROM numbers WHERE tenant_id = $1 ORDER BY phone_number";

const SAVE_NUMBER: &str = "INSERT INTO numbers (phone_number, tenant_id, active, document) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (phone_number) DO UPDATE SET active = excluded.active, document = excluded.document, \
     version = numbers.version + 1 RETURNING version";

const ADD_KEY: &str = "INSERT INTO access_keys (key_id, tenant_id, role, label, hash, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";

/// `key_id, tenant_id, role, label, created_at`
pub(super) type KeyColumns = (String, String, String, String, i64);

const SAVE_TENANT: &str = "INSERT INTO tenants \
     (tenant_id, client_id, display_name, slug, active, version, document, updated_at) \
     VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (tenant_id) DO UPDATE SET \
     client_id = excluded.client_id, display_name = excluded.display_name, slug = excluded.slug, \
     active = excluded.active, version = tenants.version + 1, document = excluded.document, \
     updated_at = excluded.updated_at RETURNING version";

/// Writes a tenant's document; gives its version.
pub(super) async fn save_tenant(
    connection: &mut <Db as Database>::Connection,
    tenant: &NewTenant,
) -> Result<u64, StoreError> {
    let version: i64 = sqlx::query_scalar(SAVE_TENANT)
        .bind(tenant.tenant_id.as_str())
        .bind(plain(&tenant.client_id))
        .bind(plain(&tenant.display_name))
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
    unsigned(version)
}

async fn remove_key(
    connection: &mut <Db as Database>::Connection,
    tenant: &TenantId,
    key_id: &str,
) -> Result<bool, StoreError> {
    let removed = sqlx::query("DELETE FROM access_keys WHERE key_id = $1 AND tenant_id = $2")
        .bind(key_id)
        .bind(tenant.as_str())
        .execute(connection)
        .await
        .map_err(asking)?;
    Ok(removed.rows_affected() > 0)
}

pub(super) fn access_key(
    (key_id, tenant, role, label, created_at): KeyColumns,
) -> Result<AccessKey, StoreError> {
    Ok(AccessKey {
        key_id,
        tenant_id: TenantId::new(&tenant).map_err(|error| unreadable("tenant id", error))?,
        role: Role::from_word(&role).ok_or_else(|| unreadable("role", "it is of a later version"))?,
        label,
        created_at: DateTime::from_timestamp_micros(created_at)
            .ok_or_else(|| unreadable("time", "it is beyond what a date can hold"))?,
    })
}
