//! The trunks as the running service knows them: which one a call came in on, where it is to be
//! reached, and how it stands.

mod health;
mod identity;
mod policy;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use serde::Serialize;
use sip::endpoint::flow::Hop;

pub use self::health::{Change, Health, is_alive};
pub use self::identity::{Caller, IdentityHeaders, identity_headers};
pub use self::policy::peer_policy;
pub use self::table::{Changes, Origin, Trunks};
use crate::config;

/// Names a trunk towards the endpoint: the same for the same name for as long as the process
/// lives, reloads included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrunkId(pub u32);

/// One trunk. Its settings are those it was made with; what happens to it is shared with the
/// trunk that takes its place when settings are loaded anew.
pub struct Trunk {
    /// What the endpoint calls it.
    pub id: TrunkId,
    /// What is configured.
    pub config: config::Trunk,
    state: Arc<State>,
}

/// What changes while the service runs.
struct State {
    health: Mutex<Health>,
    hops: ArcSwap<Vec<Hop>>,
    registered: ArcSwapOption<Registered>,
    status: ArcSwap<Status>,
    second: Mutex<(Option<Instant>, u32)>,
    refused: Refused,
    /// Counts up whenever an address of any trunk changes.
    generation: Arc<AtomicU64>,
}

/// Calls that the trunk's own limits turned away.
#[derive(Debug, Default)]
pub struct Refused {
    /// By `max_calls`.
    pub full: AtomicU64,
    /// By `max_calls_per_second`.
    pub too_fast: AtomicU64,
}

/// A registration in force, as far as requests of ours need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The route that requests of ours take, topmost first (RFC 3608 §5).
    pub service_route: Vec<Bytes>,
    /// The proxies that requests to us pass (RFC 3327).
    pub path: Vec<Bytes>,
    /// The `Contact` that is bound.
    pub contact: String,
    /// Our own address towards the registrar.
    pub local: SocketAddr,
}

/// How a trunk stands, for people and monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `registered`, `registering`, `failed`…; `up`, `down`, `ready` for trunks that don't register.
    pub state: &'static str,
    /// What there is to say about it.
    pub detail: String,
    /// Whether calls can go over it, as far as is known.
    pub up: bool,
}

/// A trunk as `offhook trunks` shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    name: String,
    mode: &'static str,
    transport: String,
    peer: String,
    state: &'static str,
    up: bool,
    detail: String,
    addresses: Vec<SocketAddr>,
    calls: u32,
}

/// `max_calls_per_second` have come this second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trunk has as many new calls a second as it may")]
pub struct TooFast;

impl Trunk {
    /// Says how it stands from now on.
    pub fn set_status(&self, status: Status) {
        self.state.status.store(Arc::new(status));
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.state.status.load_full()
    }

    /// Whether calls can go over it, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.status().up
    }

    /// Whether the address is one of the trunk's.
    #[must_use]
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.closeness(address.to_canonical()).is_some()
    }

    /// Says where it is from now on, the address to be tried first at the beginning.
    pub fn set_hops(&self, hops: &[Hop]) {
        let mut addresses: Vec<SocketAddr> = Vec::with_capacity(hops.len());
        for hop in hops {
            if !addresses.contains(&hop.address) {
                addresses.push(hop.address);
            }
        }
        self.health(|health| health.set_addresses(&addresses));
        self.state.hops.store(Arc::new(hops.to_vec()));
        self.state.generation.fetch_add(1, Ordering::Release);
    }

    /// Where a request of ours goes, in the order of trying: addresses found down last.
    #[must_use]
    pub fn hops(&self) -> Vec<Hop> {
        let hops = self.state.hops.load();
        let down = self.health(|health| health.down());
        let (last, first): (Vec<Hop>, Vec<Hop>) = hops.iter().partition(|hop| down.contains(&hop.address));
        first.into_iter().chain(last).collect()
    }

    /// Reads or changes what is known of its addresses.
    pub fn health<T>(&self, work: impl FnOnce(&mut Health) -> T) -> T {
        work(&mut self.state.health.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says what the registrar holds for us; `None` when nothing.
    pub fn set_registered(&self, registered: Option<Registered>) {
        self.state.registered.store(registered.map(Arc::new));
    }

    /// The registration in force.
    #[must_use]
    pub fn registered(&self) -> Option<Arc<Registered>> {
        self.state.registered.load_full()
    }

    /// What its limits turned away.
    #[must_use]
    pub fn refused(&self) -> &Refused {
        &self.state.refused
    }

    /// Counts a new call.
    ///
    /// # Errors
    /// When this second has had as many as the trunk may.
    pub fn admit(&self, now: Instant) -> Result<(), TooFast> {
        match self.config.admission.max_calls_per_second {
            Some(limit) => self.count_this_second(now, limit.get()),
            None => Ok(()),
        }
    }

    fn count_this_second(&self, now: Instant, limit: u32) -> Result<(), TooFast> {
        let mut second = self.state.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = &mut *second;
        if began.is_none_or(|began| now.saturating_duration_since(began).as_secs() >= 1) {
            (*began, *count) = (Some(now), 0);
        }
        if *count >= limit {
            self.state.refused.too_fast.fetch_add(1, Ordering::Relaxed);
            return Err(TooFast);
        }
        *count += 1;
        Ok(())
    }

    /// How closely it names an address: the bits of the narrowest network of it that holds the
    /// address.
    fn closeness(&self, source: IpAddr) -> Option<u8> {
        match &self.config.admission.sources {
            config::Sources::Resolved => {
                let width = if source.is_ipv4() { 32 } else { 128 };
                let known = self.health(|health| health.holds(source));
                known.then_some(width)
            }
            listed => listed.closeness(source),
        }
    }

    fn shown(&self, calls: u32) -> Shown {
        let status = self.status();
        Shown {
            name: self.config.name.to_string(),
            mode: self.config.mode.as_str(),
            transport: self.config.transport.as_str().to_owned(),
            peer: self.config.mode.next_hop().map_or_else(|| "-".to_owned(), ToString::to_string),
            state: status.state,
            up: status.up,
            detail: status.detail.clone(),
            addresses: self.health(|health| health.in_order()),
            calls,
        }
    }
}
