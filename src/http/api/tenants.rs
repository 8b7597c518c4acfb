//! Tenants' documents.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::{Admin, Operator, Reader};
use super::extract::{Document, Query, etag, expected};
use super::problem::{ApiError, Refusals};
use crate::ids::TenantId;
use crate::store::{Expected, NewTenant, StoreError, TenantDocument};
use crate::tenant::{DocumentErrors, Tenant};

/// The most tenants of one page.
const MOST: u32 = 500;
/// What only the operator may change: they bound what a tenant may cost and whom it may call.
const OPERATORS: [&str; 5] = ["limits", "status", "client_id", "slug", "schema_version"];

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The last tenant of the page before.
    after: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Tenants, in the order of their ids.
#[derive(Serialize, ToSchema)]
pub(super) struct Tenants {
    tenants: Vec<Listed>,
    /// To be given as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A tenant in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Listed {
    tenant_id: String,
    /// Counts up with every change.
    version: u64,
    /// When it was last changed (RFC 3339).
    #[schema(format = "date-time")]
    updated_at: String,
    /// As the document says.
    display_name: String,
    /// `active` or `disabled`.
    status: String,
}

/// Lists the tenants.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", params(Page),
    responses((status = 200, description = "A page of tenants", body = Tenants), Refusals))]
pub(super) async fn list(
    _: Operator,
    State(api): State<Arc<Api>>,
    Query(page): Query<Page>,
) -> Result<Json<Tenants>, ApiError> {
    let limit = page.limit.unwrap_or(100).clamp(1, MOST);
    let after = match page.after {
        Some(after) => Some(TenantId::new(&after).map_err(|error| ApiError::Malformed {
            status: StatusCode::BAD_REQUEST,
            detail: format!("after: {error}"),
        })?),
        None => None,
    };
    let mut found = api.store.directory().tenants(after.as_ref(), limit + 1).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > wanted;
    found.truncate(wanted);
    let next = found.last().filter(|_| more).map(|last| last.tenant_id.as_str().to_owned());
    Ok(Json(Tenants { tenants: found.iter().map(listed).collect(), next }))
}

fn listed(document: &TenantDocument) -> Listed {
    let value: Value = serde_json::from_str(&document.json).unwrap_or_default();
    let text =
        |name: &str, default: &str| value.get(name).and_then(Value::as_str).unwrap_or(default).to_owned();
    Listed {
        tenant_id: document.tenant_id.as_str().to_owned(),
        version: document.version,
        updated_at: document.updated_at.to_rfc3339(),
        display_name: text("display_name", ""),
        status: text("status", "active"),
    }
}

/// Makes a tenant.
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants",
    request_body(content = Object, description = "The tenant's document"),
    responses((status = 201, description = "The document as stored", body = Object,
        headers(("ETag" = String, description = "Its version"), ("Location" = String))), Refusals))]
pub(super) async fn create(
    Operator(caller): Operator,
    State(api): State<Arc<Api>>,
    Document(body): Document,
) -> Result<Response, ApiError> {
    let tenant = Tenant::from_json(&body)?;
    let id = tenant.tenant_id.clone();
    caller.note(&api, Some(&id), "tenant.create", id.as_str()).await?;
    let saved = api.store.tenant(&id).save_if(&NewTenant::from(&tenant), Expected::New).await;
    let version = saved.map_err(|error| match error {
        StoreError::Stale { .. } => ApiError::Conflict(format!("there is a tenant {id} already")),
        other => other.into(),
    })?;
    let place = HeaderValue::from_str(&format!("/api/v1/tenants/{id}"));
    let place = place.unwrap_or_else(|_| HeaderValue::from_static("/api/v1/tenants"));
    Ok((StatusCode::CREATED, [(LOCATION, place)], document(tenant.to_json(), version)).into_response())
}

/// Gives a tenant's document.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}", tag = "tenants",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$")),
    responses((status = 200, description = "The document", body = Object,
        headers(("ETag" = String, description = "Its version"))), Refusals))]
pub(super) async fn read(reader: Reader, State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let found = reader.store(&api).document().await?.ok_or(ApiError::NotFound("tenant"))?;
    Ok(document(&found.json, found.version))
}

/// Replaces a tenant's document, or makes it.
///
/// `If-Match` names the version that is replaced; `If-None-Match: *` makes a new one. A tenant's own
/// admin may not change `limits`, `status`, `client_id`, `slug` and `schema_version`.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant_id}", tag = "tenants",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
        ("If-None-Match" = Option<String>, Header, description = "`*` to make a new one")),
    request_body(content = Object, description = "The tenant's document"),
    responses((status = 200, description = "The document as stored", body = Object,
        headers(("ETag" = String, description = "Its version"))), Refusals))]
pub(super) async fn replace(
    admin: Admin,
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, ApiError> {
    let expected = expected(&headers)?;
    let tenant = Tenant::from_json(&body)?;
    if tenant.tenant_id != *admin.tenant() {
        return Err(DocumentErrors::one("$.tenant_id", "is another tenant's: the path names this one").into());
    }
    if !admin.caller().is_operator() {
        own_changes_only(&admin, &api, tenant.to_json()).await?;
    }
    admin.note(&api, "tenant.save", admin.tenant().as_str()).await?;
    let version = admin.store(&api).save_if(&NewTenant::from(&tenant), expected).await?;
    Ok(document(tenant.to_json(), version))
}

async fn own_changes_only(admin: &Admin, api: &Api, new: &str) -> Result<(), ApiError> {
    let found = admin.store(api).document().await?.ok_or(ApiError::NotFound("tenant"))?;
    let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| ApiError::Internal);
    let (old, new) = (read(&found.json)?, read(new)?);
    if OPERATORS.iter().all(|field| old.get(field) == new.get(field)) {
        return Ok(());
    }
    Err(ApiError::Forbidden("limits, status, client_id, slug and schema_version are changed by the operator"))
}

/// Deletes a tenant and all that belongs to it: numbers, calls, keys.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant_id}", tag = "tenants",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$")),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(super) async fn delete(
    Operator(caller): Operator,
    admin: Admin,
    State(api): State<Arc<Api>>,
) -> Result<StatusCode, ApiError> {
    caller.note(&api, Some(admin.tenant()), "tenant.delete", admin.tenant().as_str()).await?;
    if admin.store(&api).delete().await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound("tenant"))
    }
}

/// A document as it is stored, byte for byte.
pub(super) fn document(json: &str, version: u64) -> Response {
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([kind, etag(version)], json.to_owned()).into_response()
}
