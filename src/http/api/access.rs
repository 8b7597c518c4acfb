//! Who asks. Each handler names in its arguments what a request must be allowed to do; there is no
//! other way to a tenant's data than through them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Api;
use super::problem::ApiError;
use super::token::TOKEN_PREFIX;
use crate::ids::TenantId;
use crate::store::{AccessKey, AuditEntry, TenantStore};
use crate::tenant::access::{KEY_PREFIX, KeyHash, Role};

/// Somebody known: the operator, or whoever has a tenant's key.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) who: Who,
    /// The address that it comes from, for the audit log.
    source: String,
}

/// Who it is.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// The operator, until then.
    Operator(DateTime<Utc>),
    /// A tenant's key.
    Key(AccessKey),
}

/// The operator.
pub(super) struct Operator(pub(super) Caller);

/// Somebody who may change something, whatever it is.
pub(super) struct Changer(pub(super) Caller);

/// Somebody who may read the tenant that the path names.
pub(super) struct Reader(Scope);

/// Somebody who may change the tenant that the path names.
pub(super) struct Admin(Scope);

/// A tenant that somebody may do something with.
pub(super) struct Scope {
    caller: Caller,
    tenant: TenantId,
}

impl Caller {
    async fn of(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let source = source(parts);
        let now = Instant::now();
        let Some(who) = known(parts, api).await? else {
            // Only the wrong ones are counted: many may share an address, behind a proxy.
            api.failures.take(&source, now).map_err(ApiError::TooMany)?;
            return Err(ApiError::Unauthorized);
        };
        let caller = Self { who, source };
        api.rates.take(caller.name(), now).map_err(ApiError::TooMany)?;
        Ok(caller)
    }

    /// The operator, who has just shown the master key.
    pub(super) fn signing_in(until: DateTime<Utc>, source: String) -> Self {
        Self { who: Who::Operator(until), source }
    }

    /// What the audit log calls it.
    pub(super) fn name(&self) -> &str {
        match &self.who {
            Who::Operator(_) => "operator",
            Who::Key(key) => &key.key_id,
        }
    }

    /// The only tenant that it may know of; `None` for the operator, who may know of all.
    pub(super) fn only(&self) -> Option<&TenantId> {
        match &self.who {
            Who::Operator(_) => None,
            Who::Key(key) => Some(&key.tenant_id),
        }
    }

    pub(super) fn is_operator(&self) -> bool {
        matches!(self.who, Who::Operator(_))
    }

    /// Whether it may change a tenant.
    pub(super) fn may_change(&self, tenant: &TenantId) -> bool {
        match &self.who {
            Who::Operator(_) => true,
            Who::Key(key) => key.role == Role::Admin && key.tenant_id == *tenant,
        }
    }

    /// Notes in the audit log what is about to be done. What can't be noted isn't done.
    pub(super) async fn note(
        &self,
        api: &Api,
        tenant: Option<&TenantId>,
        action: &str,
        target: &str,
    ) -> Result<(), ApiError> {
        let entry = AuditEntry {
            entry_id: Uuid::now_v7(),
            at: Utc::now(),
            actor: self.name().to_owned(),
            tenant_id: tenant.cloned(),
            action: action.to_owned(),
            target: target.to_owned(),
            source: self.source.clone(),
        };
        api.store.access().note(&entry).await.map_err(ApiError::from)
    }
}

/// The address that a request comes from.
pub(super) fn source(parts: &Parts) -> String {
    let known = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    known.map_or_else(|| "unknown".to_owned(), |ConnectInfo(from)| from.ip().to_canonical().to_string())
}

/// Who the Authorization header speaks of.
async fn known(parts: &Parts, api: &Api) -> Result<Option<Who>, ApiError> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|header| {
        // RFC 9110 §11.1: the scheme's letters may be of any case.
        let (scheme, rest) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    });
    match bearer {
        Some(token) if token.starts_with(TOKEN_PREFIX) => {
            Ok(api.master.check(token, Utc::now()).map(Who::Operator))
        }
        Some(key) if key.starts_with(KEY_PREFIX) => {
            Ok(api.store.access().find_key(&KeyHash::of(key)).await?.map(Who::Key))
        }
        _ => Ok(None),
    }
}

impl Scope {
    async fn of(
        parts: &mut Parts,
        api: &Arc<Api>,
        allowed: impl Fn(&Caller, &TenantId) -> bool,
    ) -> Result<Self, ApiError> {
        let caller = Caller::of(parts, api).await?;
        let path =
            RawPathParams::from_request_parts(parts, api).await.map_err(|_| ApiError::NotFound("tenant"))?;
        let named =
            path.iter().find(|(name, _)| *name == "tenant_id").and_then(|(_, id)| TenantId::new(id).ok());
        // Another's and none look the same to those who may see neither.
        match named {
            Some(tenant) if allowed(&caller, &tenant) => Ok(Self { caller, tenant }),
            None if caller.is_operator() => Err(ApiError::NotFound("tenant")),
            _ => Err(ApiError::Forbidden("this key isn't for that")),
        }
    }

    /// The tenant's data.
    pub(super) fn store<'a>(&'a self, api: &'a Api) -> Box<dyn TenantStore + 'a> {
        api.store.tenant(&self.tenant)
    }

    /// The tenant.
    pub(super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Who asks.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Notes in the audit log what is about to be done to the tenant.
    pub(super) async fn note(&self, api: &Api, action: &str, target: &str) -> Result<(), ApiError> {
        self.caller.note(api, Some(&self.tenant), action, target).await
    }
}

impl std::ops::Deref for Reader {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.0
    }
}

impl std::ops::Deref for Admin {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.0
    }
}

/// The address that a request comes from, for those that nobody has to be known for.
pub(super) struct Source(pub(super) String);

impl FromRequestParts<Arc<Api>> for Source {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        Ok(Self(source(parts)))
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        Self::of(parts, api).await
    }
}

impl FromRequestParts<Arc<Api>> for Changer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = Caller::of(parts, api).await?;
        match &caller.who {
            Who::Key(key) if key.role != Role::Admin => Err(ApiError::Forbidden("this key only reads")),
            _ => Ok(Self(caller)),
        }
    }
}

impl FromRequestParts<Arc<Api>> for Operator {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = Caller::of(parts, api).await?;
        if caller.is_operator() {
            Ok(Self(caller))
        } else {
            Err(ApiError::Forbidden("this is the operator's"))
        }
    }
}

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let may_read = |caller: &Caller, tenant: &TenantId| caller.only().is_none_or(|only| only == tenant);
        Scope::of(parts, api, may_read).await.map(Self)
    }
}

impl FromRequestParts<Arc<Api>> for Admin {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        Scope::of(parts, api, Caller::may_change).await.map(Self)
    }
}
