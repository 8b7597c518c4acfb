//! Reading calls.

use sqlx::{Pool, QueryBuilder};

use super::Db;
use super::error::asking;
use crate::call::record::CallRecord;
use crate::ids::{CallId, E164, TenantId};
use crate::store::sql::unreadable;
use crate::store::{CallFilter, CallPage, Cursor, PageRequest, StoreError};

/// Whose calls are read.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// One tenant's.
    Tenant(&'a TenantId),
    /// All: the operator asks.
    Everyone,
}

/// A call's identifier as the database holds it.
pub(super) fn id_bytes(id: CallId) -> Vec<u8> {
    id.as_u128().to_be_bytes().to_vec()
}

/// One page of calls, newest first.
pub(super) async fn list(
    pool: &Pool<Db>,
    scope: Scope<'_>,
    filter: &CallFilter,
    page: &PageRequest,
) -> Result<CallPage, StoreError> {
    let size = page.size();
    // One row more says whether there is another page.
    let rows: Vec<(i64, Vec<u8>, String)> =
        query(scope, filter, page.after, size + 1).build_query_as().fetch_all(pool).await.map_err(asking)?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    let mut answer = CallPage::default();
    let mut last = None;
    for (started_at, id, json) in rows.into_iter().take(size) {
        last = call_id(&id).map(|call_id| Cursor { started_at, call_id });
        match serde_json::from_str(&json) {
            Ok(record) => answer.records.push(record),
            Err(error) => {
                tracing::error!(%error, "a stored call record can't be read");
                answer.unreadable += 1;
            }
        }
    }
    answer.next = last.filter(|_| more);
    Ok(answer)
}

/// One call.
pub(super) async fn one(
    pool: &Pool<Db>,
    scope: Scope<'_>,
    id: CallId,
) -> Result<Option<CallRecord>, StoreError> {
    let mut query: QueryBuilder<Db> = QueryBuilder::new("SELECT record FROM calls WHERE call_id = ");
    query.push_bind(id_bytes(id));
    if let Scope::Tenant(tenant) = scope {
        query.push(" AND tenant_id = ").push_bind(tenant.as_str());
    }
    let json: Option<String> = query.build_query_scalar().fetch_optional(pool).await.map_err(asking)?;
    json.map(|json| serde_json::from_str(&json).map_err(|error| unreadable("call record", error))).transpose()
}

fn query(scope: Scope<'_>, filter: &CallFilter, after: Option<Cursor>, limit: u32) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new("SELECT started_at, call_id, record FROM calls WHERE true");
    if let Scope::Tenant(tenant) = scope {
        query.push(" AND tenant_id = ").push_bind(tenant.as_str());
    }
    if let Some(since) = filter.since {
        query.push(" AND started_at >= ").push_bind(since.timestamp_micros());
    }
    if let Some(until) = filter.until {
        query.push(" AND started_at < ").push_bind(until.timestamp_micros());
    }
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(dialed) = filter.dialed.as_ref().map(E164::as_str) {
        query.push(" AND dialed = ").push_bind(dialed);
    }
    if let Some(Cursor { started_at, call_id }) = after {
        query.push(" AND (started_at, call_id) < (").push_bind(started_at);
        query.push(", ").push_bind(id_bytes(call_id)).push(")");
    }
    query.push(" ORDER BY started_at DESC, call_id DESC LIMIT ").push_bind(i64::from(limit));
    query
}

/// The identifier in a row. Its text form is the way in that identifiers have.
fn call_id(bytes: &[u8]) -> Option<CallId> {
    uuid::Uuid::from_slice(bytes).ok()?.to_string().parse().ok()
}
