//! Signing in, and who one is.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::{Caller, Source, Who};
use super::extract::Body;
use super::problem::{ApiError, Refusals};
use super::token::end;

/// The operator's master key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// As it stands in `master.key` in the data directory.
    master_key: String,
}

/// A short-lived token.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    /// To be sent as `Authorization: Bearer …`.
    token: String,
    /// When it runs out (RFC 3339).
    #[schema(format = "date-time")]
    expires_at: String,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// `operator`, `admin` or `read_only`.
    role: &'static str,
    /// The tenant that a key belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    /// The key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// When the operator's token runs out (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// Exchanges the operator's master key for a token.
#[utoipa::path(post, path = "/api/v1/login", tag = "access", request_body = Login, security(()),
    responses((status = 200, description = "A token", body = Token), Refusals))]
pub(super) async fn login(
    State(api): State<Arc<Api>>,
    Source(source): Source,
    Body(login): Body<Login>,
) -> Result<Json<Token>, ApiError> {
    let now = Instant::now();
    // The right key is never braked: others behind the same proxy may have wrong ones.
    if !api.master.is(login.master_key.trim()) {
        api.failures.check(&source, now).map_err(ApiError::TooMany)?;
        api.failures.take(&source, now).map_err(ApiError::TooMany)?;
        tracing::warn!(source, "a wrong master key");
        return Err(ApiError::Unauthorized);
    }
    let until = end(Utc::now(), api.token_for);
    let caller = Caller::signing_in(until, source);
    caller.note(&api, None, "operator.login", "").await?;
    Ok(Json(Token { token: api.master.token(until), expires_at: until.to_rfc3339() }))
}

/// Says who the key or token belongs to.
#[utoipa::path(get, path = "/api/v1/session", tag = "access",
    responses((status = 200, description = "Who asks", body = Session), Refusals))]
pub(super) async fn session(caller: Caller) -> Json<Session> {
    Json(match caller.who {
        Who::Operator(until) => {
            Session { role: "operator", tenant_id: None, key_id: None, expires_at: Some(until.to_rfc3339()) }
        }
        Who::Key(key) => Session {
            role: key.role.as_str(),
            tenant_id: Some(key.tenant_id.as_str().to_owned()),
            key_id: Some(key.key_id),
            expires_at: None,
        },
    })
}
