//! Keys across tenants, and the audit log.

use chrono::DateTime;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::error::asking;
use super::tenant::access_key;
use super::{Backend, Db, bounded};
use crate::ids::TenantId;
use crate::store::sql::{plain, unreadable};
use crate::store::{AccessKey, AccessStore, Answer, AuditEntry, StoreError};
use crate::tenant::access::KeyHash;

const NOTE: &str = "INSERT INTO audit (entry_id, at, actor, tenant_id, action, target, source) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// `entry_id, at, actor, tenant_id, action, target, source`
type AuditColumns = (Vec<u8>, i64, String, Option<String>, String, String, String);

impl AccessStore for Backend {
    fn find_key<'a>(&'a self, hash: &'a KeyHash) -> Answer<'a, Option<AccessKey>> {
        bounded(async move {
            let row = sqlx::query_as(
                "SELECT key_id, tenant_id, role, label, created_at FROM access_keys WHERE hash = $1",
            )
            .bind(hash.as_bytes())
            .fetch_optional(self.reading())
            .await
            .map_err(asking)?;
            row.map(access_key).transpose()
        })
    }

    fn note<'a>(&'a self, entry: &'a AuditEntry) -> Answer<'a, ()> {
        bounded(async move {
            let mut transaction = self.write().await?;
            sqlx::query(NOTE)
                .bind(entry.entry_id.as_bytes().to_vec())
                .bind(entry.at.timestamp_micros())
                .bind(entry.actor.as_str())
                .bind(entry.tenant_id.as_ref().map(TenantId::as_str))
                .bind(entry.action.as_str())
                .bind(plain(&entry.target))
                .bind(entry.source.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)
        })
    }

    fn audit<'a>(
        &'a self,
        tenant: Option<&'a TenantId>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Answer<'a, Vec<AuditEntry>> {
        bounded(async move {
            let mut query: QueryBuilder<Db> = QueryBuilder::new(
                "SELECT entry_id, at, actor, tenant_id, action, target, source FROM audit WHERE true",
            );
            if let Some(tenant) = tenant {
                query.push(" AND tenant_id = ").push_bind(tenant.as_str());
            }
            if let Some(before) = before {
                query.push(" AND entry_id < ").push_bind(before.as_bytes().to_vec());
            }
            query.push(" ORDER BY entry_id DESC LIMIT ").push_bind(i64::from(limit));
            let rows: Vec<AuditColumns> =
                query.build_query_as().fetch_all(self.reading()).await.map_err(asking)?;
            rows.into_iter().map(entry).collect()
        })
    }
}

fn entry((id, at, actor, tenant, action, target, source): AuditColumns) -> Result<AuditEntry, StoreError> {
    let tenant_id = tenant.map(|tenant| TenantId::new(&tenant)).transpose();
    Ok(AuditEntry {
        entry_id: Uuid::from_slice(&id).map_err(|error| unreadable("identifier", error))?,
        at: DateTime::from_timestamp_micros(at)
            .ok_or_else(|| unreadable("time", "it is beyond what a date can hold"))?,
        actor,
        tenant_id: tenant_id.map_err(|error| unreadable("tenant id", error))?,
        action,
        target,
        source,
    })
}
