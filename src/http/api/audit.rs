//! The audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Api;
use super::access::Operator;
use super::calls::malformed;
use super::extract::Query;
use super::problem::{ApiError, Refusals};
use crate::ids::TenantId;
use crate::store::AuditEntry;

/// The most entries of one page.
const MOST: u32 = 500;

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only those about this tenant.
    tenant_id: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Entries, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Audit {
    entries: Vec<Entry>,
    /// To be given as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Something that was asked for by somebody who may.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    #[schema(format = "uuid")]
    entry_id: String,
    /// When (RFC 3339).
    #[schema(format = "date-time")]
    at: String,
    /// By whom: `operator`, or a key's id.
    actor: String,
    /// About which tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    /// What, e.g. `tenant.save`.
    action: String,
    /// Of what.
    target: String,
    /// From which address.
    source: String,
}

impl From<AuditEntry> for Entry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            entry_id: entry.entry_id.to_string(),
            at: entry.at.to_rfc3339(),
            actor: entry.actor,
            tenant_id: entry.tenant_id.map(|id| id.as_str().to_owned()),
            action: entry.action,
            target: entry.target,
            source: entry.source,
        }
    }
}

/// Lists administrative changes. An entry is written before its change is tried.
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", params(Wanted),
    responses((status = 200, description = "A page of entries", body = Audit), Refusals))]
pub(super) async fn list(
    _: Operator,
    State(api): State<Arc<Api>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Audit>, ApiError> {
    let tenant = wanted.tenant_id.as_deref().map(TenantId::new).transpose();
    let tenant = tenant.map_err(|error| malformed("tenant_id", error))?;
    let before = wanted.cursor.as_deref().map(Uuid::parse_str).transpose();
    let before = before.map_err(|error| malformed("cursor", error))?;
    let limit = wanted.limit.unwrap_or(100).clamp(1, MOST);
    let found = api.store.access().audit(tenant.as_ref(), before, limit).await?;
    let full = u32::try_from(found.len()).is_ok_and(|count| count == limit);
    let next = found.last().filter(|_| full).map(|last| last.entry_id.to_string());
    Ok(Json(Audit { entries: found.into_iter().map(Entry::from).collect(), next }))
}
