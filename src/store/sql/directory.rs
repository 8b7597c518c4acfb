//! Numbers and configurations across tenants.

use chrono::DateTime;
use tokio::sync::watch;

use super::error::asking;
use super::{Backend, bounded};
use crate::ids::{E164, TenantId};
use crate::store::sql::{unreadable, unsigned};
use crate::store::{
    Answer, Change, Changed, Changes, DirectoryStore, NewNumber, NumberRow, StoreError, TenantDocument,
};

/// `phone_number, tenant_id, active, document`
pub(super) type NumberColumns = (String, String, bool, String);
/// `tenant_id, version, document, updated_at`
type TenantColumns = (String, i64, String, i64);

/// The most changes told one by one.
const MAX_CHANGES: usize = 1_000;

impl DirectoryStore for Backend {
    fn find_number<'a>(&'a self, number: &'a E164) -> Answer<'a, Option<NumberRow>> {
        bounded(async move {
            let row = sqlx::query_as(
                "SELECT phone_number, tenant_id, active, document FROM numbers WHERE phone_number = $1",
            )
            .bind(number.as_str())
            .fetch_optional(self.reading())
            .await
            .map_err(asking)?;
            row.map(number_row).transpose()
        })
    }

    fn load_tenant<'a>(&'a self, id: &'a TenantId) -> Answer<'a, Option<TenantDocument>> {
        bounded(async move {
            let row = sqlx::query_as(
                "SELECT tenant_id, version, document, updated_at FROM tenants WHERE tenant_id = $1",
            )
            .bind(id.as_str())
            .fetch_optional(self.reading())
            .await
            .map_err(asking)?;
            row.map(tenant_document).transpose()
        })
    }

    fn generation(&self) -> Answer<'_, u64> {
        bounded(async move {
            let value: i64 = sqlx::query_scalar("SELECT value FROM directory_generation")
                .fetch_one(self.reading())
                .await
                .map_err(asking)?;
            unsigned(value)
        })
    }

    fn changes(&self, since: u64) -> Answer<'_, Changes> {
        bounded(async move {
            let rows: Vec<(i64, String, String)> = sqlx::query_as(
                "SELECT generation, kind, name FROM directory_changes WHERE generation > $1 \
                 ORDER BY generation LIMIT 1001",
            )
            .bind(i64::try_from(since).unwrap_or(i64::MAX))
            .fetch_all(self.reading())
            .await
            .map_err(asking)?;
            if let Some(changes) = told(since, rows) {
                return Ok(changes);
            }
            // Asked after the changes, so that none before it is passed over.
            let generation = self.generation().await?;
            let none = Changed::These(Vec::new());
            let changed = if generation == since { none } else { Changed::Anything };
            Ok(Changes { generation, changed })
        })
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn numbers<'a>(&'a self, after: Option<&'a E164>, limit: u32) -> Answer<'a, Vec<NumberRow>> {
        bounded(async move {
            let rows = sqlx::query_as(
                "SELECT phone_number, tenant_id, active, document FROM numbers \
                 WHERE phone_number > $1 ORDER BY phone_number LIMIT $2",
            )
            .bind(after.map_or("", E164::as_str))
            .bind(i64::from(limit))
            .fetch_all(self.reading())
            .await
            .map_err(asking)?;
            rows.into_iter().map(number_row).collect()
        })
    }

    fn tenants<'a>(&'a self, after: Option<&'a TenantId>, limit: u32) -> Answer<'a, Vec<TenantDocument>> {
        bounded(async move {
            let rows = sqlx::query_as(
                "SELECT tenant_id, version, document, updated_at FROM tenants \
                 WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2",
            )
            .bind(after.map_or("", TenantId::as_str))
            .bind(i64::from(limit))
            .fetch_all(self.reading())
            .await
            .map_err(asking)?;
            rows.into_iter().map(tenant_document).collect()
        })
    }
}

/// The changes in these rows; `None` when some are missing, there are too many, or there is none.
fn told(since: u64, rows: Vec<(i64, String, String)>) -> Option<Changes> {
    let first = rows.first().and_then(|(generation, _, _)| u64::try_from(*generation).ok())?;
    let generation = rows.last().and_then(|(generation, _, _)| u64::try_from(*generation).ok())?;
    if first != since.checked_add(1)? || rows.len() > MAX_CHANGES {
        return None;
    }
    let changes: Vec<Change> = rows.iter().map(|(_, kind, name)| Change::from_words(kind, name)).collect();
    let changed = if changes.contains(&Change::All) { Changed::Anything } else { Changed::These(changes) };
    Some(Changes { generation, changed })
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
        version: unsigned(version)?,
        json,
        updated_at: DateTime::from_timestamp_micros(updated_at)
            .ok_or_else(|| unreadable("time", "it is beyond what a date can hold"))?,
    })
}
