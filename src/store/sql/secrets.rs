//! Sealed secrets.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::error::asking;
use super::tenant::OneTenant;
use super::{Backend, Db, bounded};
use crate::ids::TenantId;
use crate::store::sql::unreadable;
use crate::store::{Answer, OwnedSecret, Sealed, SecretStore, StoreError};

/// `name, updated_at`
type NameColumns = (String, i64);
/// `tenant_id, name, key_id, sealed`
type OwnedColumns = (String, String, String, Vec<u8>);

const KEEP: &str = "INSERT INTO tenant_secrets (tenant_id, name, key_id, sealed, updated_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, name) DO UPDATE SET key_id = excluded.key_id, \
     sealed = excluded.sealed, updated_at = excluded.updated_at";

const KEEP_OPERATORS: &str = "INSERT INTO operator_secrets (name, key_id, sealed, updated_at) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id, \
     sealed = excluded.sealed, updated_at = excluded.updated_at";

/// The operator's count as those of a tenant without a name, which is the first.
const AFTER: &str = "SELECT owner, name, key_id, sealed FROM ( \
     SELECT '' AS owner, name, key_id, sealed FROM operator_secrets \
     UNION ALL SELECT tenant_id AS owner, name, key_id, sealed FROM tenant_secrets) AS every \
     WHERE (owner > $1 OR (owner = $1 AND name > $2)) ORDER BY owner, name LIMIT $3";

impl SecretStore for OneTenant<'_> {
    fn secret<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Sealed>> {
        bounded(async move {
            let row = sqlx::query_as(
                "SELECT key_id, sealed FROM tenant_secrets WHERE tenant_id = $1 AND name = $2",
            )
            .bind(self.id.as_str())
            .bind(name)
            .fetch_optional(self.store.reading())
            .await
            .map_err(asking)?;
            Ok(row.map(|(key_id, bytes)| Sealed { key_id, bytes }))
        })
    }

    fn keep_secret<'a>(&'a self, name: &'a str, sealed: &'a Sealed) -> Answer<'a, ()> {
        bounded(async move {
            let mut transaction = self.store.write().await?;
            sqlx::query(KEEP)
                .bind(self.id.as_str())
                .bind(name)
                .bind(sealed.key_id.as_str())
                .bind(sealed.bytes.as_slice())
                .bind(Utc::now().timestamp_micros())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)
        })
    }

    fn remove_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        bounded(async move {
            let mut transaction = self.store.write().await?;
            let removed = sqlx::query("DELETE FROM tenant_secrets WHERE tenant_id = $1 AND name = $2")
                .bind(self.id.as_str())
                .bind(name)
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)?;
            Ok(removed.rows_affected() > 0)
        })
    }

    fn secret_names(&self) -> Answer<'_, Vec<(String, DateTime<Utc>)>> {
        bounded(async move {
            let rows: Vec<NameColumns> = sqlx::query_as(
                "SELECT name, updated_at FROM tenant_secrets WHERE tenant_id = $1 ORDER BY name",
            )
            .bind(self.id.as_str())
            .fetch_all(self.store.reading())
            .await
            .map_err(asking)?;
            rows.into_iter().map(named).collect()
        })
    }
}

/// The operator's.
impl SecretStore for Backend {
    fn secret<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Sealed>> {
        bounded(async move {
            let row = sqlx::query_as("SELECT key_id, sealed FROM operator_secrets WHERE name = $1")
                .bind(name)
                .fetch_optional(self.reading())
                .await
                .map_err(asking)?;
            Ok(row.map(|(key_id, bytes)| Sealed { key_id, bytes }))
        })
    }

    fn keep_secret<'a>(&'a self, name: &'a str, sealed: &'a Sealed) -> Answer<'a, ()> {
        bounded(async move {
            let mut transaction = self.write().await?;
            sqlx::query(KEEP_OPERATORS)
                .bind(name)
                .bind(sealed.key_id.as_str())
                .bind(sealed.bytes.as_slice())
                .bind(Utc::now().timestamp_micros())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)
        })
    }

    fn remove_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        bounded(async move {
            let mut transaction = self.write().await?;
            let removed = sqlx::query("DELETE FROM operator_secrets WHERE name = $1")
                .bind(name)
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)?;
            Ok(removed.rows_affected() > 0)
        })
    }

    fn secret_names(&self) -> Answer<'_, Vec<(String, DateTime<Utc>)>> {
        bounded(async move {
            let rows: Vec<NameColumns> =
                sqlx::query_as("SELECT name, updated_at FROM operator_secrets ORDER BY name")
                    .fetch_all(self.reading())
                    .await
                    .map_err(asking)?;
            rows.into_iter().map(named).collect()
        })
    }
}

/// Everybody's, for rotation.
pub(super) async fn after(
    store: &Backend,
    after: Option<&(Option<TenantId>, String)>,
    limit: u32,
) -> Result<Vec<OwnedSecret>, StoreError> {
    let owner = after.and_then(|(owner, _)| owner.as_ref()).map_or("", TenantId::as_str);
    let rows: Vec<OwnedColumns> = sqlx::query_as(AFTER)
        .bind(owner)
        .bind(after.map_or("", |(_, name)| name.as_str()))
        .bind(i64::from(limit))
        .fetch_all(store.reading())
        .await
        .map_err(asking)?;
    let owned = |(owner, name, key_id, bytes): OwnedColumns| {
        let owner = (!owner.is_empty()).then(|| TenantId::new(&owner)).transpose();
        let owner = owner.map_err(|error| unreadable("tenant id", error))?;
        Ok(OwnedSecret { owner, name, sealed: Sealed { key_id, bytes } })
    };
    rows.into_iter().map(owned).collect()
}

/// Puts one seal in the place of another.
pub(super) async fn reseal(
    store: &Backend,
    owner: Option<&TenantId>,
    name: &str,
    old: &Sealed,
    new: &Sealed,
) -> Result<bool, StoreError> {
    let mut update: QueryBuilder<Db> = QueryBuilder::new(match owner {
        Some(_) => "UPDATE tenant_secrets SET key_id = ",
        None => "UPDATE operator_secrets SET key_id = ",
    });
    update.push_bind(new.key_id.as_str()).push(", sealed = ").push_bind(new.bytes.as_slice());
    update.push(" WHERE name = ").push_bind(name);
    update.push(" AND sealed = ").push_bind(old.bytes.as_slice());
    if let Some(tenant) = owner {
        update.push(" AND tenant_id = ").push_bind(tenant.as_str());
    }
    let mut transaction = store.write().await?;
    let changed = update.build().execute(&mut *transaction).await.map_err(asking)?;
    transaction.commit().await.map_err(asking)?;
    Ok(changed.rows_affected() > 0)
}

fn named((name, at): NameColumns) -> Result<(String, DateTime<Utc>), StoreError> {
    let at = DateTime::from_timestamp_micros(at);
    at.map(|at| (name, at)).ok_or_else(|| unreadable("time", "it is beyond what a date can hold"))
}
