//! Is there room for one more call: for the service, the trunk, and the tenant.
//!
//! A call that is admitted holds a [`Permit`]; dropping it gives all its places back, however
//! the call ends.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::ids::{TenantId, TrunkName};
use crate::tenant::limits::Limits;

/// What callers beyond a limit of ours are asked to wait, as `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// The window of calls-per-minute limits.
const WINDOW: Duration = Duration::from_secs(60);

/// Why a call isn't admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The service is about to stop.
    #[error("the service is draining")]
    Draining,
    /// The service has as many calls as it takes.
    #[error("the service is full")]
    ServiceFull,
    /// The trunk has as many calls as it takes.
    #[error("the trunk is full")]
    TrunkFull,
    /// The tenant has as many calls as it takes.
    #[error("the tenant is at its limit of concurrent calls")]
    TenantFull,
    /// The tenant got as many calls in the last minute as it takes.
    #[error("the tenant is at its limit of calls per minute")]
    TenantRate,
}

impl Refusal {
    /// The SIP status: 486 when the tenant is busy, 503 when we are.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Draining | Self::ServiceFull | Self::TrunkFull => 503,
            Self::TenantFull | Self::TenantRate => 486,
        }
    }

    /// For `Retry-After`, in whole seconds; only with 503.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        (self.status() == 503).then_some(RETRY_AFTER)
    }
}

/// Counts calls against their limits.
#[derive(Debug)]
pub struct Admission {
    draining: AtomicBool,
    service: Arc<Gate>,
    service_limit: Option<u32>,
    trunks: Gates<TrunkName>,
    tenants: Gates<TenantId>,
}

/// A place taken in the service, on a trunk and with a tenant. Given back when dropped.
#[derive(Debug)]
#[must_use = "dropping the permit gives its place back"]
pub struct Permit {
    _service: Place,
    _trunk: Place,
    _tenant: Place,
}

impl Admission {
    /// `service_limit`: calls at the same time over all tenants; `None`: no cap.
    #[must_use]
    pub fn new(service_limit: Option<u32>) -> Self {
        Self {
            draining: AtomicBool::new(false),
            service: Arc::default(),
            service_limit,
            trunks: Gates::default(),
            tenants: Gates::default(),
        }
    }

    /// Takes a place for one call. The limits are the caller's to give, so that a changed
    /// document counts from the next call on. `now` is any steady clock.
    ///
    /// # Errors
    /// The first limit that is reached; nothing is taken then.
    pub fn admit(
        &self,
        tenant: &TenantId,
        limits: &Limits,
        trunk: &TrunkName,
        trunk_limit: Option<u32>,
        now: Instant,
    ) -> Result<Permit, Refusal> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Refusal::Draining);
        }
        let service = self.service.take(self.service_limit).ok_or(Refusal::ServiceFull)?;
        let trunk = self.trunks.gate(trunk).take(trunk_limit).ok_or(Refusal::TrunkFull)?;
        let gate = self.tenants.gate(tenant);
        let place = gate.take(limits.max_concurrent_calls).ok_or(Refusal::TenantFull)?;
        // Last, so that calls refused for another reason don't count.
        if !gate.within_rate(limits.calls_per_minute, now) {
            return Err(Refusal::TenantRate);
        }
        Ok(Permit { _service: service, _trunk: trunk, _tenant: place })
    }

    /// Refuses every further call.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Calls that hold a permit.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.service.calls.load(Ordering::Relaxed)
    }

    /// Calls of a tenant that hold a permit.
    #[must_use]
    pub fn calls_of_tenant(&self, tenant: &TenantId) -> u32 {
        self.tenants.calls(tenant)
    }

    /// Calls on a trunk that hold a permit.
    #[must_use]
    pub fn calls_on_trunk(&self, trunk: &TrunkName) -> u32 {
        self.trunks.calls(trunk)
    }
}

/// A count of calls, and when the latest came.
#[derive(Debug, Default)]
struct Gate {
    calls: AtomicU32,
    /// Arrivals of the last minute, at most as many as the limit.
    arrivals: Mutex<VecDeque<Instant>>,
}

impl Gate {
    fn take(self: &Arc<Self>, limit: Option<u32>) -> Option<Place> {
        let limit = limit.unwrap_or(u32::MAX);
        let more = |calls| (calls < limit).then_some(calls + 1);
        self.calls.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Place(Arc::clone(self)))
    }

    fn within_rate(&self, limit: Option<u32>, now: Instant) -> bool {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            return true;
        };
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        while arrivals.front().is_some_and(|first| now.saturating_duration_since(*first) >= WINDOW) {
            arrivals.pop_front();
        }
        let room = arrivals.len() < limit;
        if room {
            arrivals.push_back(now);
        }
        room
    }
}

/// One place taken at a gate.
#[derive(Debug)]
struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One gate per trunk or tenant that ever had a call. They are small and as few as those.
#[derive(Debug)]
struct Gates<K>(RwLock<HashMap<K, Arc<Gate>>>);

impl<K> Default for Gates<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Hash + Eq + Clone> Gates<K> {
    fn gate(&self, key: &K) -> Arc<Gate> {
        if let Some(gate) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Arc::clone(gate);
        }
        let mut gates = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(key.clone()).or_default())
    }

    fn calls(&self, key: &K) -> u32 {
        let gates = self.0.read().unwrap_or_else(PoisonError::into_inner);
        gates.get(key).map_or(0, |gate| gate.calls.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::new("tenant-a").unwrap()
    }

    fn trunk() -> TrunkName {
        TrunkName::new("demo").unwrap()
    }

    fn limits(concurrent: Option<u32>, per_minute: Option<u32>) -> Limits {
        Limits { max_concurrent_calls: concurrent, calls_per_minute: per_minute, ..Limits::default() }
    }

    #[test]
    fn a_tenant_at_its_limit_is_busy_until_a_call_ends() {
        let admission = Admission::new(None);
        let (now, limits) = (Instant::now(), limits(Some(2), None));
        let admit = || admission.admit(&tenant(), &limits, &trunk(), None, now);
        let first = admit().unwrap();
        let _second = admit().unwrap();
        assert_eq!(admit().unwrap_err(), Refusal::TenantFull);
        assert_eq!((Refusal::TenantFull.status(), Refusal::TenantFull.retry_after()), (486, None));
        drop(first);
        assert!(admit().is_ok());
    }

    #[test]
    fn a_refused_call_takes_no_place_anywhere() {
        let admission = Admission::new(Some(10));
        let refused = admission.admit(&tenant(), &limits(Some(0), None), &trunk(), Some(5), Instant::now());
        assert_eq!(refused.unwrap_err(), Refusal::TenantFull);
        assert_eq!(
            (admission.calls(), admission.calls_on_trunk(&trunk()), admission.calls_of_tenant(&tenant())),
            (0, 0, 0)
        );
    }

    #[test]
    fn service_and_trunk_limits_are_503_with_retry_after() {
        let admission = Admission::new(Some(2));
        let now = Instant::now();
        let admit = |trunk_limit| admission.admit(&tenant(), &Limits::default(), &trunk(), trunk_limit, now);
        let _one = admit(Some(1)).unwrap();
        assert_eq!(admit(Some(1)).unwrap_err(), Refusal::TrunkFull);
        let _two = admit(None).unwrap();
        let refusal = admit(None).unwrap_err();
        assert_eq!((refusal, refusal.status()), (Refusal::ServiceFull, 503));
        assert!(refusal.retry_after().is_some());
    }

    #[test]
    fn calls_per_minute_count_a_sliding_minute() {
        let admission = Admission::new(None);
        let (start, limits) = (Instant::now(), limits(None, Some(2)));
        let at = |seconds| {
            admission
                .admit(&tenant(), &limits, &trunk(), None, start + Duration::from_secs(seconds))
                .map(drop)
        };
        assert_eq!((at(0), at(30)), (Ok(()), Ok(())));
        assert_eq!(at(59), Err(Refusal::TenantRate));
        assert_eq!((at(60), at(61)), (Ok(()), Err(Refusal::TenantRate)));
        assert_eq!(at(90), Ok(()));
    }

    #[test]
    fn a_draining_service_takes_no_call() {
        let admission = Admission::new(None);
        admission.drain();
        let refused = admission.admit(&tenant(), &Limits::default(), &trunk(), None, Instant::now());
        assert_eq!(refused.unwrap_err(), Refusal::Draining);
    }

    #[test]
    fn the_limit_holds_when_many_threads_ask_at_once() {
        let admission = Admission::new(None);
        let limits = limits(Some(50), None);
        let held: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let admit =
                            |_| admission.admit(&tenant(), &limits, &trunk(), None, Instant::now()).ok();
                        (0..100).filter_map(admit).collect::<Vec<_>>()
                    })
                })
                .collect();
            // Permits live until all have asked.
            let permits: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            permits.iter().map(Vec::len).sum()
        });
        assert_eq!(held, 50);
        assert_eq!(admission.calls(), 0);
    }
}
