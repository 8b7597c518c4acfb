//! Numbers and whose they are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Api;
use super::access::{Admin, Operator, Reader, Scope};
use super::extract::{Document, Segments, expected};
use super::problem::{ApiError, Refusals};
use super::tenants::document;
use crate::ids::E164;
use crate::store::{Expected, NewNumber, StoreError};
use crate::tenant::{DocumentErrors, NumberMapping, Tenant};

/// A tenant's numbers, in order.
#[derive(Serialize, ToSchema)]
pub(super) struct Numbers {
    /// The mappings' documents.
    numbers: Vec<Value>,
}

fn number(path: &Segments) -> Result<E164, ApiError> {
    E164::new(path.get("number")).map_err(|_| ApiError::NotFound("number"))
}

/// Lists a tenant's numbers.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/numbers", tag = "numbers",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$")),
    responses((status = 200, description = "The numbers", body = Numbers), Refusals))]
pub(super) async fn list(reader: Reader, State(api): State<Arc<Api>>) -> Result<Json<Numbers>, ApiError> {
    let rows = reader.store(&api).numbers().await?;
    let read = |json: &str| serde_json::from_str(json).map_err(|_| ApiError::Internal);
    let numbers = rows.iter().map(|row| read(&row.number.json)).collect::<Result<_, _>>()?;
    Ok(Json(Numbers { numbers }))
}

/// Gives a number's mapping.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/numbers/{number}", tag = "numbers",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("number" = String, Path, description = "The number", pattern = r"^\+[1-9][0-9]{2,14}$")),
    responses((status = 200, description = "The mapping", body = Object,
        headers(("ETag" = String, description = "Its version"))), Refusals))]
pub(super) async fn read(
    reader: Reader,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<Response, ApiError> {
    let found = reader.store(&api).number(&number(&path)?).await?;
    let (row, version) = found.ok_or(ApiError::NotFound("number"))?;
    Ok(document(&row.number.json, version))
}

/// Maps a number to the tenant, or changes the mapping.
///
/// What the path says already (`phone_number`, `tenant_id`) and `client_id` may be left out. A new
/// number is mapped by the operator: nobody else can say whose it is.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant_id}/numbers/{number}", tag = "numbers",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("number" = String, Path, description = "The number", pattern = r"^\+[1-9][0-9]{2,14}$"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
        ("If-None-Match" = Option<String>, Header, description = "`*` to make a new one")),
    request_body(content = Object, description = "The mapping"),
    responses((status = 200, description = "The mapping as stored", body = Object,
        headers(("ETag" = String, description = "Its version"))), Refusals))]
pub(super) async fn replace(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, ApiError> {
    let (number, expected) = (number(&path)?, expected(&headers)?);
    if expected == Expected::New && !admin.caller().is_operator() {
        return Err(ApiError::Forbidden("a new number is mapped by the operator"));
    }
    let mapping = mapping(&admin, &api, &number, &body).await?;
    admin.note(&api, "number.save", number.as_str()).await?;
    let saved = admin.store(&api).save_number_if(&NewNumber::from(&mapping), expected).await;
    let version = saved.map_err(|error| match error {
        // Whether somebody else has it is for the operator to know.
        StoreError::Conflict { .. } if !admin.caller().is_operator() => ApiError::Stale,
        other => other.into(),
    })?;
    Ok(document(mapping.to_json(), version))
}

/// The mapping that the body means, filled up with what the path says.
async fn mapping(scope: &Scope, api: &Api, number: &E164, body: &[u8]) -> Result<NumberMapping, ApiError> {
    let stored = scope.store(api).document().await?.ok_or(ApiError::NotFound("tenant"))?;
    let tenant = Tenant::from_json(stored.json.as_bytes()).map_err(|_| ApiError::Internal)?;
    let mut value: Value = serde_json::from_slice(body)
        .map_err(|error| DocumentErrors::one("$", format!("is no JSON: {error}")))?;
    if let Some(object) = value.as_object_mut() {
        let known = [
            ("phone_number", number.as_str()),
            ("tenant_id", tenant.tenant_id.as_str()),
            ("client_id", tenant.client_id.as_str()),
        ];
        for (name, own) in known {
            object.entry(name).or_insert_with(|| json!(own));
        }
    }
    let mapping = NumberMapping::from_value(&value)?;
    if mapping.phone_number != *number {
        return Err(DocumentErrors::one("$.phone_number", "is another number than the path's").into());
    }
    if mapping.tenant_id != tenant.tenant_id {
        return Err(DocumentErrors::one("$.tenant_id", "is another tenant than the path's").into());
    }
    Ok(mapping)
}

/// Takes a number away from the tenant.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant_id}/numbers/{number}", tag = "numbers",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("number" = String, Path, description = "The number", pattern = r"^\+[1-9][0-9]{2,14}$")),
    responses((status = 204, description = "It is nobody's now"), Refusals))]
pub(super) async fn delete(
    Operator(caller): Operator,
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<StatusCode, ApiError> {
    let number = number(&path)?;
    caller.note(&api, Some(admin.tenant()), "number.delete", number.as_str()).await?;
    let removed = admin.store(&api).remove_number(&number).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::NotFound("number")) }
}
