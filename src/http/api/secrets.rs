//! Keys of providers and other systems: written, listed by name, taken away, and never shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::{Admin, Operator};
use super::extract::{Body, Segments};
use super::problem::{ApiError, Refusals};
use crate::ids::TenantId;
use crate::tenant::DocumentErrors;
use crate::vault::VaultError;

/// The most secrets of one owner.
const MOST: usize = 100;

/// A secret to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSecret {
    /// The secret itself. It is sealed, and never given out again.
    #[schema(min_length = 1, max_length = 16384)]
    value: String,
}

/// Secrets, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct Secrets {
    secrets: Vec<Named>,
}

/// A secret without itself.
#[derive(Serialize, ToSchema)]
pub(super) struct Named {
    name: String,
    /// When it was last written (RFC 3339).
    #[schema(format = "date-time")]
    updated_at: String,
}

fn told(error: VaultError) -> ApiError {
    match error {
        VaultError::Name => ApiError::NotFound("name of that form"),
        VaultError::Length => DocumentErrors::one("$.value", error.to_string()).into(),
        VaultError::Store(error) => error.into(),
        other => {
            tracing::error!(error = %other, "the vault");
            ApiError::Internal
        }
    }
}

fn listed(found: Vec<(String, DateTime<Utc>)>) -> Json<Secrets> {
    let named = |(name, at): (String, DateTime<Utc>)| Named { name, updated_at: at.to_rfc3339() };
    Json(Secrets { secrets: found.into_iter().map(named).collect() })
}

async fn keep(api: &Api, owner: Option<&TenantId>, name: &str, value: &str) -> Result<StatusCode, ApiError> {
    let names = match owner {
        Some(tenant) => api.store.tenant(tenant).secret_names().await?,
        None => api.store.operator().secret_names().await?,
    };
    if names.len() >= MOST && !names.iter().any(|(own, _)| own == name) {
        return Err(ApiError::Conflict(format!("there are {MOST} secrets already: delete some")));
    }
    api.vault.keep(owner, name, value).await.map_err(told)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the names of a tenant's secrets.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/secrets", tag = "secrets",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$")),
    responses((status = 200, description = "The names", body = Secrets), Refusals))]
pub(super) async fn list(admin: Admin, State(api): State<Arc<Api>>) -> Result<Json<Secrets>, ApiError> {
    Ok(listed(admin.store(&api).secret_names().await?))
}

/// Keeps a tenant's secret. The next call uses it.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant_id}/secrets/{name}", tag = "secrets",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("name" = String, Path, description = "What it is for, e.g. `openai`", pattern = "^[a-z0-9_-]{1,64}$")),
    request_body = NewSecret,
    responses((status = 204, description = "It is kept"), Refusals))]
pub(super) async fn replace(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
    Body(wanted): Body<NewSecret>,
) -> Result<StatusCode, ApiError> {
    if admin.store(&api).document().await?.is_none() {
        return Err(ApiError::NotFound("tenant"));
    }
    admin.note(&api, "secret.save", path.get("name")).await?;
    keep(&api, Some(admin.tenant()), path.get("name"), &wanted.value).await
}

/// Takes a tenant's secret away; the operator's of the same name stands in, if there is one.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant_id}/secrets/{name}", tag = "secrets",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("name" = String, Path, description = "What it is for", pattern = "^[a-z0-9_-]{1,64}$")),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(super) async fn delete(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<StatusCode, ApiError> {
    admin.note(&api, "secret.delete", path.get("name")).await?;
    let removed = admin.store(&api).remove_secret(path.get("name")).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::NotFound("secret")) }
}

/// Lists the names of the operator's secrets.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets",
    responses((status = 200, description = "The names", body = Secrets), Refusals))]
pub(super) async fn list_operators(
    _: Operator,
    State(api): State<Arc<Api>>,
) -> Result<Json<Secrets>, ApiError> {
    Ok(listed(api.store.operator().secret_names().await?))
}

/// Keeps a secret of the operator, for tenants that have none of that name.
#[utoipa::path(put, path = "/api/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path, description = "What it is for, e.g. `openai`", pattern = "^[a-z0-9_-]{1,64}$")),
    request_body = NewSecret,
    responses((status = 204, description = "It is kept"), Refusals))]
pub(super) async fn replace_operators(
    Operator(caller): Operator,
    State(api): State<Arc<Api>>,
    path: Segments,
    Body(wanted): Body<NewSecret>,
) -> Result<StatusCode, ApiError> {
    caller.note(&api, None, "secret.save", path.get("name")).await?;
    keep(&api, None, path.get("name"), &wanted.value).await
}

/// Takes a secret of the operator away.
#[utoipa::path(delete, path = "/api/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path, description = "What it is for", pattern = "^[a-z0-9_-]{1,64}$")),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(super) async fn delete_operators(
    Operator(caller): Operator,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<StatusCode, ApiError> {
    caller.note(&api, None, "secret.delete", path.get("name")).await?;
    let removed = api.store.operator().remove_secret(path.get("name")).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::NotFound("secret")) }
}

/// What came of a rotation.
#[derive(Serialize, ToSchema)]
pub(super) struct Rotated {
    /// How many secrets were sealed anew.
    sealed: u64,
}

/// Makes a new key of the vault, and seals every secret with it.
#[utoipa::path(post, path = "/api/v1/vault/rotate", tag = "secrets",
    responses((status = 200, description = "Everything is sealed with the new key", body = Rotated), Refusals))]
pub(super) async fn rotate(
    Operator(caller): Operator,
    State(api): State<Arc<Api>>,
) -> Result<Json<Rotated>, ApiError> {
    caller.note(&api, None, "vault.rotate", "").await?;
    Ok(Json(Rotated { sealed: api.vault.rotate().await.map_err(told)? }))
}
