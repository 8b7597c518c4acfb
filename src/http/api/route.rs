//! Why a call to a number goes where it goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::Utc;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::Api;
use super::access::Caller;
use super::calls::{instant, malformed};
use super::extract::Query;
use super::problem::{ApiError, Refusals};
use crate::ids::E164;
use crate::routing::explain::explain;

/// Which call.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The number that is dialed.
    #[param(pattern = r"^\+[1-9][0-9]{2,14}$")]
    number: String,
    /// When (RFC 3339); now, if it is left out.
    #[param(format = "date-time")]
    at: Option<String>,
}

/// Explains which tenant answers a number at a time, whether it is open then, and where each of its
/// destinations leads.
#[utoipa::path(get, path = "/api/v1/route", tag = "calls", params(Wanted),
    responses((status = 200, description = "The explanation", body = Object), Refusals))]
pub(super) async fn route(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let number = E164::new(&wanted.number).map_err(|error| malformed("number", error))?;
    let at = wanted.at.as_deref().map_or_else(|| Ok(Utc::now()), |at| instant("at", at))?;
    let explained = explain(&api.directory, &number, at).await;
    // Whose a number is that isn't one's own is nobody's business.
    if let Some(only) = caller.only()
        && explained.tenant_id.as_ref() != Some(only)
    {
        return Err(ApiError::NotFound("such number of this tenant"));
    }
    if explained.is_unavailable() {
        return Err(ApiError::Away);
    }
    serde_json::to_value(explained).map(Json).map_err(|_| ApiError::Internal)
}
