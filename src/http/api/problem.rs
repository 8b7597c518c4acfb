//! What goes wrong with a request, as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;
use crate::tenant::DocumentErrors;
use crate::tenant::import::ImportErrors;

/// Why a request isn't answered as it was wished.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody known asks.
    #[error("send a key or a token: Authorization: Bearer …")]
    Unauthorized,
    /// Somebody known asks for what isn't theirs.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such thing, or none that the asker may know of.
    #[error("there is no {0} here")]
    NotFound(&'static str),
    /// The path is right, the method isn't.
    #[error("this address doesn't know this method")]
    Method,
    /// The request can't be read.
    #[error("{detail}")]
    Malformed {
        /// Which kind of unreadable.
        status: StatusCode,
        /// What is wrong with it.
        detail: String,
    },
    /// A document is wrong.
    #[error("the document is wrong: see `errors`")]
    Document(DocumentErrors),
    /// Documents in bulk are wrong.
    #[error("nothing was taken in: see `errors`")]
    Import(ImportErrors),
    /// A change of something without saying of which version.
    #[error("send If-Match with the ETag that you read, so that nobody's change is lost")]
    Precondition,
    /// It was changed meanwhile.
    #[error("it was changed meanwhile: read it again, and send its new ETag in If-Match")]
    Stale,
    /// It is taken.
    #[error("{0}")]
    Conflict(String),
    /// Too many requests.
    #[error("too many requests: wait {0} s")]
    TooMany(u64),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// The store can't be asked now.
    #[error("the store can't be asked at the moment: try again")]
    Away,
    /// A fault of ours.
    #[error("a fault of the service; its log tells more")]
    Internal,
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale { .. } => Self::Stale,
            StoreError::Conflict { .. } => Self::Conflict(error.to_string()),
            StoreError::Refused { .. } => Self::Conflict("it doesn't fit what is stored".to_owned()),
            StoreError::Unreadable { .. } | StoreError::Query(_) | StoreError::NotEmpty => {
                tracing::error!(%error, "a request failed");
                Self::Internal
            }
            other => {
                tracing::warn!(error = %other, "a request can't be answered");
                Self::Away
            }
        }
    }
}

impl From<DocumentErrors> for ApiError {
    fn from(errors: DocumentErrors) -> Self {
        Self::Document(errors)
    }
}

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says the kind.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, and what to do.
    detail: String,
    /// Every fault of a document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// One fault of a document.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fault {
    /// Where: a JSON path.
    path: String,
    /// What is wrong, and what to write instead.
    message: String,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Malformed { status, .. } => *status,
            Self::Document(_) | Self::Import(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Precondition => StatusCode::PRECONDITION_REQUIRED,
            Self::Stale => StatusCode::PRECONDITION_FAILED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout | Self::Away => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let errors = match &self {
            Self::Document(errors) => errors
                .problems()
                .iter()
                .map(|problem| Fault { path: problem.path.clone(), message: problem.message.clone() })
                .collect(),
            Self::Import(errors) => errors
                .faults()
                .iter()
                .map(|fault| Fault {
                    path: format!("{}: {}", fault.place, fault.path),
                    message: fault.message.clone(),
                })
                .collect(),
            _ => Vec::new(),
        };
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            errors,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooMany(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::Timeout | Self::Away => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}

/// The refusals that any address may answer with, for the OpenAPI document.
pub(super) struct Refusals;

impl utoipa::IntoResponses for Refusals {
    fn responses()
    -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
        use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
        const KINDS: [(&str, &str); 14] = [
            ("400", "The request can't be read"),
            ("401", "No key, or an unknown one"),
            ("403", "Not this key's"),
            ("404", "There is no such thing"),
            ("405", "The method isn't known here"),
            ("409", "It is taken, or doesn't fit what is there"),
            ("412", "It was changed meanwhile"),
            ("413", "The body is too large"),
            ("415", "The body isn't JSON"),
            ("422", "The document is wrong"),
            ("428", "If-Match is missing"),
            ("429", "Too many requests"),
            ("500", "A fault of the service"),
            ("503", "The store can't be asked at the moment"),
        ];
        let problem =
            || ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))).build();
        KINDS
            .into_iter()
            .map(|(status, what)| {
                let response =
                    ResponseBuilder::new().description(what).content("application/problem+json", problem());
                (status.to_owned(), RefOr::T(response.build()))
            })
            .collect()
    }
}
