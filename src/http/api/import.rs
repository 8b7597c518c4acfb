//! Documents in bulk.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::access::{Operator, Reader};
use super::extract::Document;
use super::problem::{ApiError, Refusals};
use crate::store::{ImportRows, export};
use crate::tenant::import;

/// The largest import, in bytes. Larger ones are for `offhook tenant import`.
pub(super) const MAX_IMPORT: usize = 16 << 20;

/// What was taken in.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    tenants: usize,
    numbers: usize,
    prompts: usize,
}

/// Takes in documents, all or nothing.
///
/// One document, a list, or one a line: tenants with their numbers and prompts as an export gives
/// them, tenants' documents, numbers' mappings and prompts alone, MongoDB's extended JSON included.
/// What is there already is replaced.
#[utoipa::path(post, path = "/api/v1/import", tag = "tenants",
    request_body(content = Object, description = "The documents"),
    responses((status = 200, description = "What was taken in", body = Imported), Refusals))]
pub(super) async fn take(
    Operator(caller): Operator,
    State(api): State<Arc<Api>>,
    Document(body): Document,
) -> Result<(StatusCode, Json<Imported>), ApiError> {
    let import = import::read([("body", body.as_ref())]).map_err(ApiError::Import)?;
    let imported = Imported {
        tenants: import.tenants.len(),
        numbers: import.numbers.len(),
        prompts: import.prompts.len(),
    };
    let target = format!("{} tenant(s), {} number(s)", imported.tenants, imported.numbers);
    caller.note(&api, None, "import", &target).await?;
    api.store.operator().import(&ImportRows::new(&import, caller.name(), Utc::now())).await?;
    Ok((StatusCode::OK, Json(imported)))
}

/// Gives a tenant with its numbers and the prompts in use, as an import takes it.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/export", tag = "tenants",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$")),
    responses((status = 200, description = "The tenant", body = Object), Refusals))]
pub(super) async fn give(reader: Reader, State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    export(reader.store(&api).as_ref()).await?.map(Json).ok_or(ApiError::NotFound("tenant"))
}
