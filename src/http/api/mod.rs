//! The HTTP API under `/api/v1`.
//!
//! The router is made from the handlers' own descriptions, and so is the OpenAPI document: what
//! isn't in the one isn't in the other.

mod access;
mod audit;
mod calls;
mod extract;
mod import;
mod keys;
mod numbers;
mod problem;
mod prompts;
mod rate;
mod route;
mod secrets;
mod session;
mod tenants;
mod token;
mod voice;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use self::problem::ApiError;
use self::rate::Rates;
use crate::agent::turn::VoiceStats;
use crate::call::outbound::Outbound;
use crate::config::ApiConfig;
use crate::routing::Directory;
use crate::store::Store;
use crate::tenant::document::MAX_DOCUMENT_BYTES;
use crate::vault::Vault;

pub use self::token::MasterKey;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest body: a document, and some room.
const MAX_BODY: usize = MAX_DOCUMENT_BYTES + 4_096;
/// Where the OpenAPI document is.
pub const OPENAPI: &str = "/api/v1/openapi.json";

/// What the API works on.
#[derive(Clone)]
pub struct ApiSources {
    /// Everything kept.
    pub store: Arc<dyn Store>,
    /// Numbers and tenants as calls see them.
    pub directory: Arc<Directory>,
    /// The operator's key.
    pub master: MasterKey,
    /// Keys of providers and other systems.
    pub vault: Arc<Vault>,
    /// Who makes calls.
    pub outbound: Option<Arc<Outbound>>,
    /// How quickly agents answer.
    pub stats: Arc<VoiceStats>,
}

/// What handlers work with.
pub(super) struct Api {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    master: MasterKey,
    vault: Arc<Vault>,
    outbound: Option<Arc<Outbound>>,
    stats: Arc<VoiceStats>,
    token_for: Duration,
    rates: Rates,
    failures: Rates,
}

/// The API's addresses.
pub fn router(sources: ApiSources, config: &ApiConfig) -> Router {
    let api = Arc::new(Api {
        store: sources.store,
        directory: sources.directory,
        master: sources.master,
        vault: sources.vault,
        outbound: sources.outbound,
        stats: sources.stats,
        token_for: config.token_for,
        rates: Rates::new(config.requests_per_minute),
        failures: Rates::new(config.failures_per_minute),
    });
    let (router, document) = described();
    let text: Arc<str> = document.to_json().unwrap_or_default().into();
    let openapi = move || async move {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.to_string())
    };
    router
        .route(OPENAPI, routing::get(openapi))
        .fallback(async || ApiError::NotFound("such address"))
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(in_time))
        .with_state(api)
}

/// The addresses and their description.
fn described() -> (Router<Arc<Api>>, OpenApi) {
    let (router, mut document) = OpenApiRouter::new()
        .routes(routes!(session::login))
        .routes(routes!(session::session))
        .routes(routes!(import::take).layer(DefaultBodyLimit::max(import::MAX_IMPORT)))
        .routes(routes!(import::give))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::read, tenants::replace, tenants::delete))
        .routes(routes!(numbers::list))
        .routes(routes!(numbers::read, numbers::replace, numbers::delete))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::regenerate))
        .routes(routes!(keys::delete))
        .routes(routes!(prompts::variables))
        .routes(routes!(prompts::list, prompts::create))
        .routes(routes!(prompts::read))
        .routes(routes!(prompts::difference))
        .routes(routes!(prompts::pointer, prompts::point))
        .routes(routes!(prompts::roll_back))
        .routes(routes!(prompts::preview))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::replace, secrets::delete))
        .routes(routes!(secrets::list_operators))
        .routes(routes!(secrets::replace_operators, secrets::delete_operators))
        .routes(routes!(secrets::rotate))
        .routes(routes!(calls::list, calls::create))
        .routes(routes!(calls::read))
        .routes(routes!(voice::stats))
        .routes(routes!(route::route))
        .routes(routes!(audit::list))
        .split_for_parts();
    describe(&mut document);
    (router, document)
}

fn describe(document: &mut OpenApi) {
    use utoipa::PartialSchema;
    document.info.title = "offhook".to_owned();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description =
        Some("Tenants, their numbers and keys, and the calls they had. Errors are problem+json.".to_owned());
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An operator's token (POST /api/v1/login), or a tenant's key"))
        .build();
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert("bearer".to_owned(), RefOr::T(SecurityScheme::Http(scheme)));
    components.schemas.insert("Problem".to_owned(), problem::Problem::schema());
    components.schemas.insert("Fault".to_owned(), problem::Fault::schema());
    document.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
}

/// Ends what takes too long, and keeps answers out of caches: they are for one asker.
async fn in_time(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(PATIENCE, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| ApiError::Timeout.into_response());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
