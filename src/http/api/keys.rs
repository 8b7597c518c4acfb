//! A tenant's access keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Admin;
use super::extract::{Body, Segments};
use super::problem::{ApiError, Refusals};
use crate::store::{AccessKey, NewAccessKey};
use crate::tenant::DocumentErrors;
use crate::tenant::access::{KeySecret, Role, key_id};

/// The most keys of one tenant.
const MOST: usize = 100;
/// The longest label, in characters.
const LONGEST_LABEL: usize = 200;

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    role: Role,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 200)]
    label: String,
}

/// A key, without itself.
#[derive(Serialize, ToSchema)]
pub(super) struct Shown {
    /// What it is called.
    key_id: String,
    role: Role,
    label: String,
    /// When it was made (RFC 3339).
    #[schema(format = "date-time")]
    created_at: String,
}

/// A new key.
#[derive(Serialize, ToSchema)]
pub(super) struct Made {
    /// The key itself. It is shown this once and kept nowhere: only its SHA-256 is.
    key: String,
    #[serde(flatten)]
    shown: Shown,
}

/// A tenant's keys, in the order in which they were made.
#[derive(Serialize, ToSchema)]
pub(super) struct Keys {
    keys: Vec<Shown>,
}

impl From<AccessKey> for Shown {
    fn from(key: AccessKey) -> Self {
        Self { key_id: key.key_id, role: key.role, label: key.label, created_at: key.created_at.to_rfc3339() }
    }
}

/// Lists a tenant's keys.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/keys", tag = "access",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$")),
    responses((status = 200, description = "The keys", body = Keys), Refusals))]
pub(super) async fn list(admin: Admin, State(api): State<Arc<Api>>) -> Result<Json<Keys>, ApiError> {
    let keys = admin.store(&api).access_keys().await?;
    Ok(Json(Keys { keys: keys.into_iter().map(Shown::from).collect() }))
}

/// Makes a key.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant_id}/keys", tag = "access", request_body = NewKey,
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$")),
    responses((status = 201, description = "The key, shown this once", body = Made), Refusals))]
pub(super) async fn create(
    admin: Admin,
    State(api): State<Arc<Api>>,
    Body(wanted): Body<NewKey>,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    if wanted.label.chars().count() > LONGEST_LABEL {
        return Err(DocumentErrors::one("$.label", "is too long: 200 characters at most").into());
    }
    let scope = admin.store(&api);
    if scope.document().await?.is_none() {
        return Err(ApiError::NotFound("tenant"));
    }
    if scope.access_keys().await?.len() >= MOST {
        return Err(ApiError::Conflict(format!("there are {MOST} keys already: delete some")));
    }
    let (secret, key) = new_key(&admin, wanted.role, wanted.label);
    admin.note(&api, "key.create", &key.shown.key_id).await?;
    scope.add_access_key(&key, None).await?;
    Ok((StatusCode::CREATED, Json(Made { key: secret.reveal().to_owned(), shown: key.shown.into() })))
}

/// Makes a key in the place of another, which holds no more from then on.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant_id}/keys/{key_id}/regenerate", tag = "access",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("key_id" = String, Path, description = "The key that is replaced")),
    responses((status = 201, description = "The new key, shown this once", body = Made), Refusals))]
pub(super) async fn regenerate(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    let scope = admin.store(&api);
    let keys = scope.access_keys().await?;
    let old = keys.into_iter().find(|key| key.key_id == path.get("key_id"));
    let old = old.ok_or(ApiError::NotFound("key"))?;
    let (secret, key) = new_key(&admin, old.role, old.label);
    admin.note(&api, "key.regenerate", &old.key_id).await?;
    if !scope.add_access_key(&key, Some(&old.key_id)).await? {
        return Err(ApiError::NotFound("key"));
    }
    Ok((StatusCode::CREATED, Json(Made { key: secret.reveal().to_owned(), shown: key.shown.into() })))
}

/// Takes a key away. It holds no more from then on.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant_id}/keys/{key_id}", tag = "access",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("key_id" = String, Path, description = "The key")),
    responses((status = 204, description = "It holds no more"), Refusals))]
pub(super) async fn delete(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<StatusCode, ApiError> {
    let key = path.get("key_id");
    admin.note(&api, "key.delete", key).await?;
    let removed = admin.store(&api).remove_access_key(key).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::NotFound("key")) }
}

fn new_key(admin: &Admin, role: Role, label: String) -> (KeySecret, NewAccessKey) {
    let secret = KeySecret::generate();
    let shown = AccessKey {
        key_id: key_id(),
        tenant_id: admin.tenant().clone(),
        role,
        label,
        created_at: Utc::now(),
    };
    let hash = secret.hash();
    (secret, NewAccessKey { shown, hash })
}
