//! Prompts: versions, which one is used, what differs, what comes of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::{Admin, Caller, Reader, Scope};
use super::calls::{instant, malformed};
use super::extract::{Body, Query, Segments, etag, expected};
use super::problem::{ApiError, Refusals};
use crate::store::{Expected, StoreError};
use crate::tenant::prompt::diff::{self, Line};
use crate::tenant::prompt::variables::{CallContext, VARIABLES, Values};
use crate::tenant::prompt::{Candidate, NewPrompt, Pointer, PromptVersion, Purpose, Template};
use crate::tenant::{DocumentErrors, Tenant};

/// The most versions of one page.
const MOST: u32 = 100;
/// The longest note, in characters.
const LONGEST_NOTE: usize = 1_000;

/// Which versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Only versions older than this: `next` of the page before.
    before: Option<u64>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Two versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    /// The older.
    from: u64,
    /// The newer.
    to: u64,
}

/// A version.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    purpose: Purpose,
    version: u64,
    template: String,
    note: String,
    author: String,
    /// When it was made (RFC 3339).
    #[schema(format = "date-time")]
    created_at: String,
}

/// Versions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Versions {
    versions: Vec<Version>,
    /// To be given as `before` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A version to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewVersion {
    /// The text, with variables as `GET /api/v1/prompt-variables` lists them.
    #[schema(max_length = 65536)]
    template: String,
    /// What is different in it.
    #[serde(default)]
    #[schema(max_length = 1000)]
    note: String,
}

/// Where a purpose's pointer is to stand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// The version that is used.
    #[schema(minimum = 1)]
    active: u64,
    /// One that a part of the calls gets instead.
    #[serde(default)]
    candidate: Option<Candidate>,
}

/// A call to try a prompt with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// A text to try; without it a version.
    #[serde(default)]
    template: Option<String>,
    /// The version to try; without it the active one.
    #[serde(default)]
    version: Option<u64>,
    /// When the call is (RFC 3339); now, if it is left out.
    #[serde(default)]
    #[schema(format = "date-time")]
    at: Option<String>,
    #[serde(default)]
    caller_number: String,
    #[serde(default)]
    caller_name: String,
    /// The language of the call; the tenant's, if it is left out.
    #[serde(default)]
    language: Option<String>,
}

/// What comes of a prompt.
#[derive(Serialize, ToSchema)]
pub(super) struct Preview {
    prompt: String,
}

/// What differs.
#[derive(Serialize, ToSchema)]
pub(super) struct Difference {
    lines: Vec<Line>,
}

/// A variable of prompts.
#[derive(Serialize, ToSchema)]
pub(super) struct Variable {
    name: &'static str,
    /// What it holds.
    holds: &'static str,
}

impl From<PromptVersion> for Version {
    fn from(found: PromptVersion) -> Self {
        Self {
            purpose: found.purpose,
            version: found.version,
            template: found.template,
            note: found.note,
            author: found.author,
            created_at: found.created_at.to_rfc3339(),
        }
    }
}

fn purpose(path: &Segments) -> Result<Purpose, ApiError> {
    path.get("purpose").parse().map_err(|_| ApiError::NotFound("purpose"))
}

async fn version(
    scope: &Scope,
    api: &Api,
    purpose: Purpose,
    version: u64,
) -> Result<PromptVersion, ApiError> {
    scope.store(api).prompt(purpose, version).await?.ok_or(ApiError::NotFound("version"))
}

/// Lists the variables that prompts may use.
#[utoipa::path(get, path = "/api/v1/prompt-variables", tag = "prompts",
    responses((status = 200, description = "The variables", body = Vec<Variable>), Refusals))]
pub(super) async fn variables(_: Caller) -> Json<Vec<Variable>> {
    Json(VARIABLES.iter().map(|(name, holds)| Variable { name, holds }).collect())
}

/// Lists a purpose's versions.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/versions", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for"), Page),
    responses((status = 200, description = "A page of versions", body = Versions), Refusals))]
pub(super) async fn list(
    reader: Reader,
    State(api): State<Arc<Api>>,
    path: Segments,
    Query(page): Query<Page>,
) -> Result<Json<Versions>, ApiError> {
    let limit = page.limit.unwrap_or(20).clamp(1, MOST);
    let found = reader.store(&api).prompt_versions(purpose(&path)?, page.before, limit).await?;
    let next = found.last().map(|last| last.version).filter(|last| *last > 1);
    let full = u32::try_from(found.len()).is_ok_and(|count| count == limit);
    Ok(Json(Versions {
        versions: found.into_iter().map(Version::from).collect(),
        next: next.filter(|_| full),
    }))
}

/// Keeps a new version. The first of a purpose is used at once, others when the pointer is moved.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/versions", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for")),
    request_body = NewVersion,
    responses((status = 201, description = "The version", body = Version), Refusals))]
pub(super) async fn create(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
    Body(wanted): Body<NewVersion>,
) -> Result<(StatusCode, Json<Version>), ApiError> {
    let purpose = purpose(&path)?;
    let template = Template::new(&wanted.template).map_err(DocumentErrors::from)?;
    if wanted.note.chars().count() > LONGEST_NOTE {
        return Err(DocumentErrors::one("$.note", "is too long: 1000 characters at most").into());
    }
    let scope = admin.store(&api);
    if scope.document().await?.is_none() {
        return Err(ApiError::NotFound("tenant"));
    }
    let author = admin.caller().name().to_owned();
    let prompt = NewPrompt { purpose, template, note: wanted.note, author, created_at: Utc::now() };
    admin.note(&api, "prompt.create", purpose.as_str()).await?;
    let number = scope.add_prompt(&prompt).await?;
    let made = scope.prompt(purpose, number).await?.ok_or(ApiError::Internal)?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Gives a version.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/versions/{version}", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for"),
        ("version" = u64, Path, description = "The version", minimum = 1)),
    responses((status = 200, description = "The version", body = Version), Refusals))]
pub(super) async fn read(
    reader: Reader,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<Json<Version>, ApiError> {
    let number = path.get("version").parse().map_err(|_| ApiError::NotFound("version"))?;
    version(&reader, &api, purpose(&path)?, number).await.map(|found| Json(found.into()))
}

/// Says what differs between two versions, line by line.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/diff", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for"), Pair),
    responses((status = 200, description = "The lines of both", body = Difference), Refusals))]
pub(super) async fn difference(
    reader: Reader,
    State(api): State<Arc<Api>>,
    path: Segments,
    Query(pair): Query<Pair>,
) -> Result<Json<Difference>, ApiError> {
    let purpose = purpose(&path)?;
    let from = version(&reader, &api, purpose, pair.from).await?;
    let to = version(&reader, &api, purpose, pair.to).await?;
    Ok(Json(Difference { lines: diff::lines(&from.template, &to.template) }))
}

/// Says which version is used.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/pointer", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for")),
    responses((status = 200, description = "The pointer", body = Pointer,
        headers(("ETag" = String, description = "Its revision"))), Refusals))]
pub(super) async fn pointer(
    reader: Reader,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<Response, ApiError> {
    let found = reader.store(&api).prompt_pointer(purpose(&path)?).await?;
    let (pointer, revision) = found.ok_or(ApiError::NotFound("prompt"))?;
    Ok(([etag(revision)], Json(pointer)).into_response())
}

/// Moves the pointer: another version is used, or a candidate is tried on a part of the calls.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/pointer", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    request_body = Wish,
    responses((status = 200, description = "The pointer", body = Pointer,
        headers(("ETag" = String, description = "Its revision"))), Refusals))]
pub(super) async fn point(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
    headers: HeaderMap,
    Body(wish): Body<Wish>,
) -> Result<Response, ApiError> {
    let (purpose, expected) = (purpose(&path)?, expected(&headers)?);
    if wish.candidate.is_some_and(|candidate| !(1..=100).contains(&candidate.percent)) {
        return Err(DocumentErrors::one("$.candidate.percent", "write a number from 1 to 100").into());
    }
    let found = admin.store(&api).prompt_pointer(purpose).await?;
    let (pointer, _) = found.ok_or(ApiError::NotFound("prompt"))?;
    let pointer = Pointer { candidate: wish.candidate, ..pointer.moved(wish.active) };
    admin.note(&api, "prompt.point", purpose.as_str()).await?;
    moved(&admin, &api, purpose, pointer, expected).await
}

/// Goes back to the version that was active before. A trial is over.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/rollback", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for")),
    responses((status = 200, description = "The pointer", body = Pointer,
        headers(("ETag" = String, description = "Its revision"))), Refusals))]
pub(super) async fn roll_back(
    admin: Admin,
    State(api): State<Arc<Api>>,
    path: Segments,
) -> Result<Response, ApiError> {
    let purpose = purpose(&path)?;
    let found = admin.store(&api).prompt_pointer(purpose).await?;
    let (pointer, revision) = found.ok_or(ApiError::NotFound("prompt"))?;
    let nothing = || ApiError::Conflict("no version was active before".to_owned());
    let pointer = pointer.rolled_back().ok_or_else(nothing)?;
    admin.note(&api, "prompt.rollback", purpose.as_str()).await?;
    // As it was read a moment ago: two who roll back at once go back once.
    moved(&admin, &api, purpose, pointer, Expected::Version(revision)).await
}

async fn moved(
    admin: &Admin,
    api: &Api,
    purpose: Purpose,
    pointer: Pointer,
    expected: Expected,
) -> Result<Response, ApiError> {
    let set = admin.store(api).set_prompt_pointer(purpose, &pointer, expected).await;
    let revision = set.map_err(|error| match error {
        StoreError::Refused { .. } => ApiError::Conflict("there is no such version".to_owned()),
        other => other.into(),
    })?;
    Ok(([etag(revision)], Json(pointer)).into_response())
}

/// Shows the prompt that a call would get.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant_id}/prompts/{purpose}/preview", tag = "prompts",
    params(("tenant_id" = String, Path, description = "The tenant", pattern = "^[a-z0-9_-]{3,64}$"),
        ("purpose" = Purpose, Path, description = "What for")),
    request_body = Trial,
    responses((status = 200, description = "The prompt", body = Preview), Refusals))]
pub(super) async fn preview(
    reader: Reader,
    State(api): State<Arc<Api>>,
    path: Segments,
    Body(trial): Body<Trial>,
) -> Result<Json<Preview>, ApiError> {
    let purpose = purpose(&path)?;
    let scope = reader.store(&api);
    let stored = scope.document().await?.ok_or(ApiError::NotFound("tenant"))?;
    let tenant = Tenant::from_json(stored.json.as_bytes()).map_err(|_| ApiError::Internal)?;
    let text = match (trial.template, trial.version) {
        (Some(_), Some(_)) => return Err(malformed("template", "write it or a version, not both")),
        (Some(text), None) => text,
        (None, Some(number)) => version(&reader, &api, purpose, number).await?.template,
        (None, None) => {
            let (pointer, _) = scope.prompt_pointer(purpose).await?.ok_or(ApiError::NotFound("prompt"))?;
            version(&reader, &api, purpose, pointer.active).await?.template
        }
    };
    let at = trial.at.as_deref().map_or_else(|| Ok(Utc::now()), |at| instant("at", at))?;
    let call = CallContext {
        language: trial.language.unwrap_or_else(|| tenant.voice.language().to_owned()),
        caller_number: trial.caller_number,
        caller_name: trial.caller_name,
        lead: None,
    };
    let template = Template::new(&text).map_err(DocumentErrors::from)?;
    let prompt = template.render(&Values::of(&tenant, &call, at)).map_err(DocumentErrors::from)?;
    Ok(Json(Preview { prompt }))
}
