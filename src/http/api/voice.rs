//! How quickly agents answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::Caller;
use super::calls::malformed;
use super::extract::Query;
use super::problem::{ApiError, Refusals};
use crate::agent::turn::{Latency, Turn};
use crate::ids::TenantId;

/// Whose turns.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The tenant. With a tenant's key there is no other; the operator names one.
    tenant_id: Option<String>,
}

/// The latency of a tenant's last turns, in milliseconds.
#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    /// Whose.
    tenant_id: String,
    /// The last turns, at most 500, oldest first: `at`, `provider`, and the parts `endpoint_ms`,
    /// `ask_ms`, `model_ms`, `playout_ms`, which add up to what the caller waited.
    turns: Vec<Value>,
    /// Of those turns: what half of the callers, and all but one in twenty, waited at most.
    total: Quantiles,
    /// The same of our own share: all but the caller's pause and the model.
    ours: Quantiles,
}

/// Milliseconds; null without any turn.
#[derive(Serialize, ToSchema)]
pub(super) struct Quantiles {
    /// Half of the turns took at most this.
    p50_ms: Option<u32>,
    /// 19 of 20 took at most this.
    p95_ms: Option<u32>,
}

/// Gives the latency of a tenant's last turns since this process started.
#[utoipa::path(get, path = "/api/v1/voice/stats", tag = "calls", params(Wanted),
    responses((status = 200, description = "The turns", body = Stats), Refusals))]
pub(super) async fn stats(
    caller: Caller,
    State(api): State<Arc<Api>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Stats>, ApiError> {
    let named = wanted.tenant_id.as_deref().map(TenantId::new).transpose();
    let named = named.map_err(|error| malformed("tenant_id", error))?;
    let tenant = match (caller.only().cloned(), named) {
        (Some(only), Some(named)) if only != named => {
            return Err(ApiError::Forbidden("this key is another tenant's"));
        }
        (Some(tenant), _) | (None, Some(tenant)) => tenant,
        (None, None) => return Err(malformed("tenant_id", "the operator has to name a tenant")),
    };
    let turns = api.stats.snapshot(&tenant);
    let shown = turns.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    Ok(Json(Stats {
        tenant_id: tenant.as_str().to_owned(),
        turns: shown.map_err(|_| ApiError::Internal)?,
        total: quantiles(&turns, |latency| latency.total_ms()),
        ours: quantiles(&turns, |latency| latency.ask_ms.saturating_add(latency.playout_ms)),
    }))
}

fn quantiles(turns: &[Turn], of: impl Fn(&Latency) -> u32) -> Quantiles {
    let mut all: Vec<u32> = turns.iter().map(|turn| of(&turn.latency)).collect();
    all.sort_unstable();
    let at = |percent: usize| all.get(all.len().saturating_sub(1) * percent / 100).copied();
    Quantiles { p50_ms: at(50), p95_ms: at(95) }
}
