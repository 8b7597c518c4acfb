//! Calls of ours: one path for everybody who wants one made.
//!
//! Everything that can be refused is refused before anything is sent: the tenant, the number, the
//! trunk, the limits. What is left is a call like any other, whose INVITE goes the other way.

mod number;
mod repeats;
mod route;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

pub use self::number::{Allowed, Forbidden};
pub use self::repeats::Repeats;
use self::repeats::Seen;
pub use self::route::{Destination, Route};
use super::actor::{Actor, CallHandle, Line, MAILBOX, Media, Outgoing, ReferForm, Services, Start};
use super::inbound::{local_media, terms};
use super::machine::{CallSpec, Input};
use super::ports::{NoPort, Way, Ways};
use super::record::{CallRecord, Direction, Party, RawText};
use super::registry::Registry;
use super::transfer::ReferPolicy;
use crate::agent::Provider;
use crate::config;
use crate::ids::{CallId, TenantId, TrunkName};
use crate::routing::{Admission, Directory, Permit, Refusal};
use crate::tenant::Tenant;
use crate::tenant::document::Status;
use crate::trunk::{Trunk, Trunks};

/// How long a call rings unless its maker says otherwise.
pub const RING: Duration = Duration::from_secs(45);
/// The longest it may ring: proxies give up after three minutes (RFC 3261 §16.6, Timer C).
pub const LONGEST_RING: Duration = Duration::from_secs(180);

/// A call to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Originate {
    /// Who calls.
    pub tenant: TenantId,
    /// Whom: a number as a person writes it.
    pub to_number: String,
    /// Over which trunk; without one the first that is up.
    pub trunk: Option<TrunkName>,
    /// How long it may ring; without one [`RING`].
    pub ring: Option<Duration>,
    /// A repeated request with the same key makes no second call.
    pub idempotency_key: Option<String>,
}

/// A call that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Originated {
    /// Its name.
    pub call_id: CallId,
    /// Its Call-ID.
    pub sip_call_id: String,
}

/// Why no call is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginateError {
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    UnknownTenant(TenantId),
    /// The tenant is disabled, or its voice is.
    #[error("tenant {0} is disabled")]
    TenantDisabled(TenantId),
    /// The store doesn't tell.
    #[error("the tenant can't be looked up: {0}")]
    Store(String),
    /// The number isn't called.
    #[error(transparent)]
    Number(#[from] Forbidden),
    /// There is no such trunk.
    #[error("there is no trunk {0}: `offhook trunks` lists them")]
    UnknownTrunk(TrunkName),
    /// The trunk takes calls and makes none.
    #[error("trunk {0} is an open one: it takes calls and makes none")]
    OneWay(TrunkName),
    /// No trunk can make a call now.
    #[error("no trunk can make a call now: `offhook trunks` says how they stand")]
    NoTrunk,
    /// The trunk can't be found.
    #[error("trunk {trunk} can't be reached: {reason}")]
    NoWay {
        /// Which.
        trunk: TrunkName,
        /// Why.
        reason: String,
    },
    /// A limit is reached.
    #[error(transparent)]
    Limit(#[from] Refusal),
    /// The trunk has as many new calls a second as it may.
    #[error(transparent)]
    TooFast(#[from] crate::trunk::TooFast),
    /// No RTP port is free.
    #[error(transparent)]
    NoPort(#[from] NoPort),
    /// A call with the same key is being made this moment.
    #[error("a call with this idempotency key is being made: ask again in a moment")]
    Underway,
}

/// Makes calls.
pub struct Outbound {
    /// What every call uses.
    pub services: Arc<Services>,
    /// The trunks.
    pub trunks: Arc<Trunks>,
    /// The tenants.
    pub directory: Arc<Directory>,
    /// Limits.
    pub admission: Arc<Admission>,
    /// The agent that needs nothing but this process.
    pub builtin: Arc<dyn Provider>,
    /// Where the trunks are.
    pub ways: Arc<dyn Ways>,
    /// The address that peers are told to send media to, where it isn't the one we send from.
    pub advertised: Option<IpAddr>,
    /// The calls that are up.
    pub registry: Registry,
    /// The thread that calls run on.
    pub thread: Handle,
    /// The keys of requests that were made.
    pub repeats: Repeats,
}

/// A call that may be made, with all that it takes.
struct Prepared {
    tenant: Arc<Tenant>,
    trunk: Arc<Trunk>,
    way: Way,
    allowed: Allowed,
    number: crate::ids::E164,
    permit: Permit,
    ring: Duration,
}

impl Outbound {
    /// Makes a call, or says why not. What becomes of it is in its record.
    ///
    /// # Errors
    /// Why no call is made. Nothing was sent then.
    pub async fn originate(&self, wanted: Originate) -> Result<Originated, OriginateError> {
        let Some(key) = wanted.idempotency_key.clone() else { return self.make(wanted).await };
        let key = (wanted.tenant.clone(), key);
        match self.repeats.claim(&key, Instant::now()) {
            Seen::Made(made) => Ok(made),
            Seen::Underway => Err(OriginateError::Underway),
            Seen::New => {
                let claim = Claim { repeats: &self.repeats, key, made: None };
                self.make(wanted).await.inspect(|made| claim.settle(made))
            }
        }
    }

    async fn make(&self, wanted: Originate) -> Result<Originated, OriginateError> {
        let prepared = self.prepare(wanted).await?;
        self.start(prepared)
    }

    async fn prepare(&self, wanted: Originate) -> Result<Prepared, OriginateError> {
        let tenant = match self.directory.tenant(&wanted.tenant).await {
            Ok(Some(tenant)) => tenant,
            Ok(None) => return Err(OriginateError::UnknownTenant(wanted.tenant)),
            Err(error) => return Err(OriginateError::Store(error.to_string())),
        };
        if tenant.status != Status::Active || !tenant.voice.enabled {
            return Err(OriginateError::TenantDisabled(wanted.tenant));
        }
        let trunk = self.trunk(wanted.trunk.as_ref())?;
        let country = trunk.config.numbers.default_country.as_ref().and_then(|id| id.as_ref().parse().ok());
        let allowed = Allowed::new(tenant.limits.outbound_allowed_prefixes.clone(), country);
        let number = allowed.check(&wanted.to_number)?;
        let way = self
            .ways
            .to(&trunk)
            .await
            .map_err(|reason| OriginateError::NoWay { trunk: trunk.config.name.clone(), reason })?;
        let now = Instant::now();
        let limit = trunk.config.admission.max_calls.map(NonZeroU32::get);
        let name = &trunk.config.name;
        let permit = self.admission.admit(&tenant.tenant_id, &tenant.limits, name, limit, now)?;
        trunk.admit(now)?;
        let ring = wanted.ring.unwrap_or(RING).min(LONGEST_RING);
        Ok(Prepared { tenant, trunk, way, allowed, number, permit, ring })
    }

    /// The trunk that was asked for, or the first that is up.
    fn trunk(&self, wanted: Option<&TrunkName>) -> Result<Arc<Trunk>, OriginateError> {
        let calls = |trunk: &&Arc<Trunk>| trunk.config.mode != config::Mode::Open;
        let trunks = self.trunks.list();
        match wanted {
            Some(name) => {
                let trunk = trunks.iter().find(|trunk| trunk.config.name == *name);
                let trunk = trunk.ok_or_else(|| OriginateError::UnknownTrunk(name.clone()))?;
                Some(trunk).filter(calls).cloned().ok_or_else(|| OriginateError::OneWay(name.clone()))
            }
            None => {
                let mut able = trunks.iter().filter(calls);
                able.find(|trunk| trunk.is_up()).cloned().ok_or(OriginateError::NoTrunk)
            }
        }
    }

    fn start(&self, prepared: Prepared) -> Result<Originated, OriginateError> {
        let Prepared { tenant, trunk, way, allowed, number, permit, ring } = prepared;
        let media = self.media(&trunk.config, &way)?;
        let call_id = CallId::generate();
        // One name for both, so that a trace is found by either.
        let sip_call_id = call_id.to_string();
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let handle = CallHandle::new(call_id, sender);
        let refer_form = refer_form(&trunk.config, &way);
        let route = Route::new(Arc::clone(&trunk), way, allowed, number, sip_call_id.clone());
        let spec = self.spec(call_id, tenant, &trunk.config, &route);
        let start = Start {
            line: Line::Outbound(Box::new(Outgoing::new(route, ring))),
            provider: Arc::clone(&self.builtin),
            spec,
            media,
            refer_form,
            first: vec![Input::Admitted],
            permit: Box::new(permit),
            mailbox,
            handle: handle.clone(),
        };
        let listed = self.registry.list(handle);
        let services = Arc::clone(&self.services);
        self.thread.spawn(async move {
            Box::new(Actor::new(services, start)).run().await;
            drop(listed);
        });
        Ok(Originated { call_id, sip_call_id })
    }

    fn media(&self, trunk: &config::Trunk, way: &Way) -> Result<Media, OriginateError> {
        let port = self.services.media.open()?;
        let address = self.advertised.unwrap_or(way.local.ip());
        let local = local_media(address, port.local().port(), &trunk.media);
        let peer = way.hops.first().map_or(way.local.ip(), |hop| hop.address.ip());
        Ok(Media::offering(port, local, terms(&trunk.media, peer)))
    }

    fn spec(&self, call: CallId, tenant: Arc<Tenant>, trunk: &config::Trunk, route: &Route) -> CallSpec {
        let invite = route.invite(route.first());
        let now = (self.services.clock)();
        let sip_call_id = RawText::new(invite.call_id.as_bytes());
        self.services.trace.name(call, invite.call_id.as_bytes());
        let mut record =
            CallRecord::new(call, tenant.tenant_id.clone(), Direction::Outbound, sip_call_id, now);
        record.trunk = Some(trunk.name.clone());
        record.provider = Some(self.builtin.name().to_owned());
        record.from = Party::new(invite.from.trim_matches(['<', '>']).as_bytes());
        record.from.number =
            trunk.identity.caller_id.as_deref().and_then(|number| crate::ids::E164::new(number).ok());
        record.to = Party::new(invite.uri.as_bytes());
        record.to.number = Some(route.first().number.clone());
        let refer = match trunk.refer {
            config::ReferPolicy::BridgeOnly => ReferPolicy::TrunkForbids,
            config::ReferPolicy::Sip | config::ReferPolicy::Tel => ReferPolicy::Allowed,
        };
        let locale = tenant.locale.clone().unwrap_or_else(|| tenant.voice.language().to_owned());
        let max_duration = tenant.voice.max_call_duration;
        CallSpec { record, tenant, locale, refer, delayed_offer: false, max_duration }
    }
}

/// A key that was claimed; it is free again when no call came of it, however that happened.
struct Claim<'a> {
    repeats: &'a Repeats,
    key: (TenantId, String),
    made: Option<Originated>,
}

impl Claim<'_> {
    fn settle(mut self, made: &Originated) {
        self.made = Some(made.clone());
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.repeats.settle(&self.key, self.made.take());
    }
}

fn refer_form(trunk: &config::Trunk, way: &Way) -> ReferForm {
    match (trunk.refer, trunk.mode.home(), way.hops.first()) {
        (config::ReferPolicy::Sip, Some(home), _) => ReferForm::SipAt(home.to_string()),
        (config::ReferPolicy::Sip, None, Some(hop)) => ReferForm::SipAt(hop.address.to_string()),
        _ => ReferForm::AsIs,
    }
}
