//! Bodies, queries and paths, whose faults are told as problems like all others.

use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use super::problem::ApiError;
use crate::store::Expected;

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

/// A document as it was sent; read elsewhere.
pub(super) struct Document(pub(super) Bytes);

/// The query.
pub(super) struct Query<T>(pub(super) T);

/// One part of the path, by name.
pub(super) struct Segments(Vec<(String, String)>);

impl Segments {
    /// The part of this name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body: Result<axum::Json<T>, JsonRejection> = axum::Json::from_request(request, state).await;
        match body {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => {
                Err(ApiError::Malformed { status: rejection.status(), detail: rejection.body_text() })
            }
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|rejection| ApiError::Malformed {
            status: rejection.status(),
            detail: rejection.body_text(),
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<axum::extract::Query<T>, QueryRejection> =
            axum::extract::Query::from_request_parts(parts, state).await;
        match query {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                Err(ApiError::Malformed { status: StatusCode::BAD_REQUEST, detail: rejection.body_text() })
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| ApiError::NotFound("such thing"))?;
        Ok(Self(path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

/// A version as an ETag.
pub(super) fn etag(version: u64) -> (axum::http::HeaderName, HeaderValue) {
    let value = HeaderValue::from_str(&format!("\"{version}\""));
    (ETAG, value.unwrap_or_else(|_| HeaderValue::from_static("\"0\"")))
}

/// What a request expects to find: `If-Match: "7"`, or `If-None-Match: *` for something new.
///
/// # Errors
/// [`ApiError::Precondition`] when it says neither.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, ApiError> {
    if headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == b"*") {
        return Ok(Expected::New);
    }
    let Some(tag) = headers.get(IF_MATCH) else { return Err(ApiError::Precondition) };
    let tag = tag.to_str().unwrap_or_default().trim();
    let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    // A tag that we never gave matches nothing (RFC 9110 §13.1.1).
    version.and_then(|version| version.parse().ok()).map(Expected::Version).ok_or(ApiError::Stale)
}
