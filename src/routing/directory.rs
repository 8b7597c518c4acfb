//! Number → tenant, from memory where possible and from the store otherwise.
//!
//! Whoever changes a number or a tenant in the store calls the `invalidate_…` function for it, on
//! every node; from then on no new call sees the old state. Running calls keep the
//! [`TenantSnapshot`] that they started with.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::cache::Cache;
use crate::ids::{E164, TenantId};
use crate::tenant::document::Status;
use crate::tenant::number::NumberKind;
use crate::tenant::{DocumentErrors, NumberMapping, Tenant};

/// Where numbers and tenants come from when they aren't in memory: the store.
pub trait DirectorySource: Send + Sync + 'static {
    /// The mapping of a number, `None` when there is none.
    fn find_number<'a>(
        &'a self,
        number: &'a E164,
    ) -> BoxFuture<'a, Result<Option<NumberMapping>, SourceError>>;

    /// A tenant's document, `None` when there is none.
    fn load_tenant<'a>(&'a self, id: &'a TenantId)
    -> BoxFuture<'a, Result<Option<Arc<Tenant>>, SourceError>>;
}

/// Why the source has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// It can't be asked.
    #[error("the store can't be asked: {0}")]
    Unavailable(Arc<str>),
    /// It didn't answer in time.
    #[error("the store didn't answer within {0:?}")]
    Timeout(Duration),
    /// What it holds can't be read, e.g. because a newer program wrote it.
    #[error("the stored document can't be used: {0}")]
    Document(DocumentErrors),
}

/// A tenant as one call sees it from its beginning to its end.
#[derive(Debug, Clone)]
pub struct TenantSnapshot {
    /// The tenant, its voice as it is on the dialed number.
    pub tenant: Arc<Tenant>,
    /// The dialed number. For a fallback tenant: the unknown number, with defaults.
    pub mapping: Arc<NumberMapping>,
    /// Whether the tenant stands in for an unknown number.
    pub is_fallback: bool,
}

impl TenantSnapshot {
    /// A tenant on a number of its own.
    #[must_use]
    pub fn new(tenant: Arc<Tenant>, mapping: Arc<NumberMapping>) -> Self {
        let voice = match mapping.voice(&tenant) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(voice) => Some(voice),
        };
        let tenant = match voice {
            None => tenant,
            Some(voice) => Arc::new(tenant.with_voice(voice)),
        };
        Self { tenant, mapping, is_fallback: false }
    }

    /// The language of the call (BCP 47): the number's, else the voice's, else the tenant's
    /// locale, else `en-US`.
    #[must_use]
    pub fn locale(&self) -> &str {
        let voice = &self.tenant.voice;
        let own = self.mapping.language.as_deref().or(voice.language.as_deref());
        own.or(self.tenant.locale.as_deref()).unwrap_or_else(|| voice.language())
    }
}

/// What became of a dialed number.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// This tenant answers.
    Found(Arc<TenantSnapshot>),
    /// Nobody's number.
    UnknownNumber,
    /// The number's tenant is disabled, or doesn't answer calls.
    Disabled(TenantId),
    /// It can't be known now.
    StoreUnavailable(SourceError),
}

impl Resolution {
    /// The SIP status that refuses the call; `None` when it goes on.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Found(_) => None,
            Self::UnknownNumber => Some(404),
            Self::Disabled(_) => Some(480),
            Self::StoreUnavailable(_) => Some(503),
        }
    }
}

/// Settings of a [`Directory`].
#[derive(Debug, Clone)]
pub struct DirectoryOptions {
    /// How many numbers are kept in memory.
    pub max_numbers: usize,
    /// How many tenants are kept in memory.
    pub max_tenants: usize,
    /// How many numbers are remembered as nobody's. Apart from the others, so that a scan of
    /// numbers can't push them out.
    pub max_unknown: usize,
    /// Who answers unknown numbers.
    pub fallback_tenant_id: Option<TenantId>,
    /// How long the source may take.
    pub source_timeout: Duration,
}

impl Default for DirectoryOptions {
    fn default() -> Self {
        Self {
            max_numbers: 200_000,
            max_tenants: 20_000,
            max_unknown: 10_000,
            fallback_tenant_id: None,
            source_timeout: Duration::from_secs(2),
        }
    }
}

/// How much a directory holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectorySize {
    /// Numbers.
    pub numbers: usize,
    /// Tenants.
    pub tenants: usize,
    /// Numbers known to be nobody's.
    pub unknown: usize,
}

/// The resolver. Share it behind an `Arc`.
pub struct Directory {
    inner: Arc<Inner>,
    number_flights: Flights<E164, Option<Arc<NumberMapping>>>,
    tenant_flights: Flights<TenantId, Option<Arc<Tenant>>>,
}

struct Inner {
    source: Arc<dyn DirectorySource>,
    options: DirectoryOptions,
    numbers: Cache<E164, Arc<NumberMapping>>,
    unknown: Cache<E164, ()>,
    tenants: Cache<TenantId, Arc<Tenant>>,
    /// Counts invalidations. What was asked of the source before the latest one isn't kept.
    epoch: AtomicU64,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl Directory {
    /// A directory with nothing in memory yet.
    #[must_use]
    pub fn new(source: Arc<dyn DirectorySource>, options: DirectoryOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                numbers: Cache::new(options.max_numbers),
                unknown: Cache::new(options.max_unknown),
                tenants: Cache::new(options.max_tenants),
                epoch: AtomicU64::new(0),
                source,
                options,
            }),
            number_flights: Flights::default(),
            tenant_flights: Flights::default(),
        }
    }

    /// Who answers a number. Doesn't wait when number and tenant are in memory.
    pub async fn resolve(&self, number: &E164) -> Resolution {
        self.resolve_first(std::iter::once(number.clone())).await
    }

    /// Who answers the first of these numbers that is anybody's; else the fallback tenant.
    pub async fn resolve_first(&self, numbers: impl IntoIterator<Item = E164>) -> Resolution {
        let mut first = None;
        for number in numbers {
            match self.mapping(&number).await {
                Ok(Some(mapping)) => return self.tenant_of(mapping, false).await,
                Ok(None) => {}
                Err(error) => return Resolution::StoreUnavailable(error),
            }
            first.get_or_insert(number);
        }
        match (first, &self.inner.options.fallback_tenant_id) {
            (Some(number), Some(id)) => self.fallback(number, id).await,
            _ => Resolution::UnknownNumber,
        }
    }

    async fn fallback(&self, number: E164, id: &TenantId) -> Resolution {
        let client_id = match self.tenant(id).await {
            Ok(Some(tenant)) => tenant.client_id.clone(),
            Ok(None) => return Resolution::UnknownNumber,
            Err(error) => return Resolution::StoreUnavailable(error),
        };
        self.tenant_of(Arc::new(NumberMapping::new(number, id.clone(), &client_id)), true).await
    }

    async fn tenant_of(&self, mapping: Arc<NumberMapping>, is_fallback: bool) -> Resolution {
        // A number that is switched off, or isn't for calls, is nobody's for a caller; it was
        // switched off on purpose, so the fallback tenant doesn't take it either.
        if !mapping.is_active || mapping.kind != NumberKind::Voice {
            return Resolution::UnknownNumber;
        }
        match self.tenant(&mapping.tenant_id).await {
            Ok(Some(tenant)) if tenant.status == Status::Active && tenant.voice.enabled => {
                let snapshot = TenantSnapshot { is_fallback, ..TenantSnapshot::new(tenant, mapping) };
                Resolution::Found(Arc::new(snapshot))
            }
            Ok(Some(tenant)) => Resolution::Disabled(tenant.tenant_id.clone()),
            Ok(None) => Resolution::UnknownNumber,
            Err(error) => Resolution::StoreUnavailable(error),
        }
    }

    async fn mapping(&self, number: &E164) -> Result<Option<Arc<NumberMapping>>, SourceError> {
        if let Some(mapping) = self.inner.numbers.get(number) {
            return Ok(Some(mapping));
        }
        if self.inner.unknown.get(number).is_some() {
            return Ok(None);
        }
        let inner = Arc::clone(&self.inner);
        self.number_flights
            .join(number, self.inner.now(), |number, epoch| inner.fetch_number(number, epoch))
            .await
    }

    /// A tenant's document, from memory where it is there.
    ///
    /// # Errors
    /// When the source has no answer.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<Arc<Tenant>>, SourceError> {
        if let Some(tenant) = self.inner.tenants.get(id) {
            return Ok(Some(tenant));
        }
        let inner = Arc::clone(&self.inner);
        self.tenant_flights.join(id, self.inner.now(), |id, epoch| inner.fetch_tenant(id, epoch)).await
    }

    /// A tenant's document has changed.
    pub fn invalidate_tenant(&self, id: &TenantId) {
        self.inner.next_epoch();
        self.inner.tenants.remove(id);
    }

    /// A number's mapping was added, changed or removed.
    pub fn invalidate_number(&self, number: &E164) {
        self.inner.next_epoch();
        self.inner.numbers.remove(number);
        self.inner.unknown.remove(number);
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        self.inner.next_epoch();
        self.inner.numbers.clear();
        self.inner.unknown.clear();
        self.inner.tenants.clear();
    }

    /// How much is in memory.
    #[must_use]
    pub fn size(&self) -> DirectorySize {
        DirectorySize {
            numbers: self.inner.numbers.len(),
            tenants: self.inner.tenants.len(),
            unknown: self.inner.unknown.len(),
        }
    }
}

impl Inner {
    fn now(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    async fn fetch_number(self: Arc<Self>, number: E164, epoch: u64) -> Found<Option<Arc<NumberMapping>>> {
        let asked = self.source.find_number(&number);
        let found = self.in_time(asked).await?.map(Arc::new);
        match &found {
            Some(mapping) => self.numbers.insert_if(number, Arc::clone(mapping), || self.now() == epoch),
            None => self.unknown.insert_if(number, (), || self.now() == epoch),
        }
        Ok(found)
    }

    async fn fetch_tenant(self: Arc<Self>, id: TenantId, epoch: u64) -> Found<Option<Arc<Tenant>>> {
        let asked = self.source.load_tenant(&id);
        let found = self.in_time(asked).await?;
        if let Some(tenant) = &found {
            self.tenants.insert_if(id, Arc::clone(tenant), || self.now() == epoch);
        }
        Ok(found)
    }

    async fn in_time<T>(&self, asked: BoxFuture<'_, Found<T>>) -> Found<T> {
        let limit = self.options.source_timeout;
        tokio::time::timeout(limit, asked).await.unwrap_or(Err(SourceError::Timeout(limit)))
    }
}

type Found<T> = Result<T, SourceError>;
type Flight<T> = Shared<BoxFuture<'static, Found<T>>>;
type WeakFlight<T> = WeakShared<BoxFuture<'static, Found<T>>>;

/// What is being asked of the source right now, so that a thousand calls to one number that
/// isn't in memory ask once.
struct Flights<K, T>(Arc<Mutex<HashMap<K, Asked<T>>>>);

/// Since which epoch, and by whom. Held weakly: when every call that waits has gone, so has the
/// question.
struct Asked<T> {
    epoch: u64,
    flight: WeakFlight<T>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> Flights<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the question about `key` that is under way, or starts it. One from before the
    /// latest invalidation isn't joined: its answer may be old.
    fn join<F>(&self, key: &K, epoch: u64, ask: impl FnOnce(K, u64) -> F) -> Flight<T>
    where
        F: Future<Output = Found<T>> + Send + 'static,
    {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way =
            asked.get(key).filter(|asked| asked.epoch == epoch).and_then(|asked| asked.flight.upgrade());
        if let Some(flight) = under_way {
            return flight;
        }
        let landing = Landing { flights: Arc::clone(&self.0), key: key.clone(), epoch };
        let question = ask(key.clone(), epoch);
        let flight = async move {
            let _landing = landing;
            question.await
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            asked.insert(key.clone(), Asked { epoch, flight: weak });
        }
        flight
    }
}

/// Takes a question out of the list when it is answered or given up.
struct Landing<K: Hash + Eq, T> {
    flights: Arc<Mutex<HashMap<K, Asked<T>>>>,
    key: K,
    epoch: u64,
}

impl<K: Hash + Eq, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut asked = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.get(&self.key).is_some_and(|asked| asked.epoch == self.epoch) {
            asked.remove(&self.key);
        }
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
