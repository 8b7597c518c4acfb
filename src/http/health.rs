//! `GET /health` and `GET /ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Readiness;

/// 200 as soon as calls can be taken and for as long as they are (degraded or not, which the
/// body says); 503 before and while the service drains.
pub(super) async fn health(State(state): State<Arc<super::State>>) -> (StatusCode, Json<Value>) {
    answer(&state)
}

/// As `/health`: for orchestrators that ask under this name.
pub(super) async fn ready(State(state): State<Arc<super::State>>) -> (StatusCode, Json<Value>) {
    answer(&state)
}

fn answer(state: &super::State) -> (StatusCode, Json<Value>) {
    match state.readiness() {
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "starting"}))),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining"}))),
        Readiness::Ready => match (state.trouble)() {
            None => (StatusCode::OK, Json(json!({"status": "ok"}))),
            Some(trouble) => (StatusCode::OK, Json(json!({"status": "degraded", "detail": trouble}))),
        },
    }
}
