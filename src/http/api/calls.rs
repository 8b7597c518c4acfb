//! Calls that were recorded.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::{Caller, Changer};
use super::extract::{Body, Query, Segments};
use super::problem::{ApiError, Refusals};
use crate::call::outbound::{LONGEST_RING, Originate, OriginateError};
use crate::call::record::CallStatus;
use crate::ids::{CallId, E164, TenantId, TrunkName};
use crate::store::{CallFilter, PageRequest};
use crate::tenant::DocumentErrors;

/// Which calls; what is left out doesn't narrow.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only this tenant's. With a tenant's key there are no others.
    tenant_id: Option<String>,
    /// Started then or later (RFC 3339).
    #[param(format = "date-time")]
    since: Option<String>,
    /// Started before then (RFC 3339).
    #[param(format = "date-time")]
    until: Option<String>,
    /// How they stand, e.g. `in_progress` or `completed`.
    status: Option<String>,
    /// To this number.
    number: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Calls, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Calls {
    /// The records.
    calls: Vec<Value>,
    /// To be given as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists calls.
#[utoipa::path(get, path = "/api/v1/calls", tag = "calls", params(Wanted),
    responses((status = 200, description = "A page of calls", body = Calls), Refusals))]
pub(super) async fn list(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Calls>, ApiError> {
    let (filter, page) = (filter(&wanted)?, page(&wanted)?);
    let named = wanted.tenant_id.as_deref().map(TenantId::new).transpose();
    let named = named.map_err(|error| malformed("tenant_id", error))?;
    let only = caller.only().cloned();
    if only.is_some() && named.is_some() && only != named {
        return Err(ApiError::Forbidden("this key is another tenant's"));
    }
    let found = match only.or(named) {
        Some(tenant) => api.store.tenant(&tenant).calls(&filter, &page).await?,
        None => api.store.operator().calls(&filter, &page).await?,
    };
    let calls = found.records.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    Ok(Json(Calls {
        calls: calls.map_err(|_| ApiError::Internal)?,
        next: found.next.map(|next| next.to_string()),
    }))
}

/// Gives the record of one call.
#[utoipa::path(get, path = "/api/v1/calls/{call_id}", tag = "calls",
    params(("call_id" = String, Path, description = "The call", format = "uuid")),
    responses((status = 200, description = "The record", body = Object), Refusals))]
pub(super) async fn read(
    caller: Caller,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<Json<Value>, ApiError> {
    let id: CallId = path.get("call_id").parse().map_err(|_| ApiError::NotFound("call"))?;
    let found = match caller.only() {
        Some(tenant) => api.store.tenant(tenant).call(id).await?,
        None => api.store.operator().call(id).await?,
    };
    let record = found.ok_or(ApiError::NotFound("call"))?;
    serde_json::to_value(record).map(Json).map_err(|_| ApiError::Internal)
}

fn filter(wanted: &Wanted) -> Result<CallFilter, ApiError> {
    let time = |name, text: &Option<String>| text.as_deref().map(|text| instant(name, text)).transpose();
    let status = wanted.status.as_deref().map(|word| {
        serde_json::from_value::<CallStatus>(Value::from(word)).map_err(|error| malformed("status", error))
    });
    let dialed = wanted.number.as_deref().map(E164::new);
    Ok(CallFilter {
        since: time("since", &wanted.since)?,
        until: time("until", &wanted.until)?,
        status: status.transpose()?,
        dialed: dialed.transpose().map_err(|error| malformed("number", error))?,
    })
}

fn page(wanted: &Wanted) -> Result<PageRequest, ApiError> {
    let after = wanted.cursor.as_deref().map(str::parse).transpose();
    Ok(PageRequest {
        limit: wanted.limit.unwrap_or(100),
        after: after.map_err(|error| malformed("cursor", error))?,
    })
}

/// An instant in RFC 3339.
pub(super) fn instant(name: &str, text: &str) -> Result<DateTime<Utc>, ApiError> {
    let read = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    read.map_err(|_| malformed(name, "write an instant such as 2026-11-20T09:00:00Z"))
}

/// A parameter that can't be read.
pub(super) fn malformed(name: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::Malformed { status: StatusCode::BAD_REQUEST, detail: format!("{name}: {why}") }
}

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 200;

/// A call to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCall {
    /// Who calls. With a tenant's key it can be left out.
    #[serde(default)]
    tenant_id: Option<String>,
    /// Whom: a number as a person writes it. The tenant's `limits.outbound_allowed_prefixes` must hold it.
    to_number: String,
    /// Over which trunk; the first that is up, if it is left out.
    #[serde(default)]
    trunk: Option<String>,
    /// How long it may ring.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 180)]
    ring_seconds: Option<u64>,
}

/// A call that is being made. Its record tells what becomes of it.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeCall {
    #[schema(format = "uuid")]
    call_id: String,
    sip_call_id: String,
    status: &'static str,
}

/// Lets a tenant's agent call somebody.
///
/// Asked again with the same `Idempotency-Key` within a day, no second call is made.
#[utoipa::path(post, path = "/api/v1/calls", tag = "calls", request_body = NewCall,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to ask again")),
    responses((status = 201, description = "It is being made", body = MadeCall), Refusals))]
pub(super) async fn create(
    Changer(caller): Changer,
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Body(wanted): Body<NewCall>,
) -> Result<(StatusCode, Json<MadeCall>), ApiError> {
    let wrong = |field: &str, why: String| DocumentErrors::one(&format!("$.{field}"), why);
    let named = wanted.tenant_id.as_deref().map(TenantId::new).transpose();
    let named = named.map_err(|error| wrong("tenant_id", error.to_string()))?;
    let tenant = named.or_else(|| caller.only().cloned());
    let tenant = tenant.ok_or_else(|| wrong("tenant_id", "write who calls".to_owned()))?;
    if !caller.may_change(&tenant) {
        return Err(ApiError::Forbidden("this key isn't for that"));
    }
    let trunk = wanted.trunk.as_deref().map(TrunkName::new).transpose();
    let ring = wanted.ring_seconds.map(Duration::from_secs);
    if ring.is_some_and(|ring| ring.is_zero() || ring > LONGEST_RING) {
        return Err(wrong("ring_seconds", "write a number from 1 to 180".to_owned()).into());
    }
    let originate = Originate {
        tenant: tenant.clone(),
        to_number: wanted.to_number,
        trunk: trunk.map_err(|error| wrong("trunk", error.to_string()))?,
        ring,
        idempotency_key: idempotency_key(&headers)?,
    };
    let outbound = api.outbound.as_ref().ok_or(ApiError::Away)?;
    caller.note(&api, Some(&tenant), "call.create", &crate::ids::masked(&originate.to_number)).await?;
    let made = outbound.originate(originate).await.map_err(refused)?;
    let made = MadeCall {
        call_id: made.call_id.to_string(),
        sip_call_id: made.sip_call_id,
        status: CallStatus::InProgress.as_str(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| malformed("Idempotency-Key", "write 1 to 200 visible characters"))
}

fn refused(error: OriginateError) -> ApiError {
    let said = error.to_string();
    match error {
        OriginateError::UnknownTenant(_) => ApiError::NotFound("tenant"),
        OriginateError::Number(_) => DocumentErrors::one("$.to_number", said).into(),
        OriginateError::UnknownTrunk(_) | OriginateError::OneWay(_) => {
            DocumentErrors::one("$.trunk", said).into()
        }
        OriginateError::TenantDisabled(_)
        | OriginateError::Underway
        | OriginateError::NoTrunk
        | OriginateError::NoWay { .. } => ApiError::Conflict(said),
        OriginateError::Limit(_) | OriginateError::TooFast(_) => ApiError::TooMany(5),
        OriginateError::Store(_) | OriginateError::NoPort(_) => {
            tracing::warn!(error = said, "a call can't be made");
            ApiError::Away
        }
    }
}
