//! The trunks as the running service knows them: which one a call came in on, and how its
//! registration stands.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::config;
use crate::ids::TrunkName;

/// All trunks.
pub struct Trunks {
    trunks: Vec<Arc<Trunk>>,
}

/// One trunk.
pub struct Trunk {
    /// What is configured.
    pub config: config::Trunk,
    /// The addresses that its registrar, peer or proxy resolved to last.
    resolved: ArcSwap<Vec<IpAddr>>,
    status: ArcSwap<Status>,
    second: Mutex<(Option<Instant>, u32)>,
}

/// How a trunk stands, for people and monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `registered`, `registering`, `failed`…; `ready` for trunks that don't register.
    pub state: &'static str,
    /// What there is to say about it.
    pub detail: String,
}

/// A trunk as `offhook trunks` shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    name: String,
    mode: &'static str,
    transport: String,
    peer: String,
    state: &'static str,
    detail: String,
    calls: u32,
}

/// `max_calls_per_second` have come this second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trunk has as many new calls a second as it may")]
pub struct TooFast;

impl Trunks {
    /// The configured trunks.
    #[must_use]
    pub fn new(configured: &[config::Trunk]) -> Self {
        Self { trunks: configured.iter().map(|config| Arc::new(Trunk::new(config.clone()))).collect() }
    }

    /// Every trunk, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Trunk>> {
        self.trunks.iter()
    }

    /// The trunk that takes calls from this address: the one that names it most closely.
    #[must_use]
    pub fn of_source(&self, source: IpAddr) -> Option<&Arc<Trunk>> {
        let source = source.to_canonical();
        self.trunks
            .iter()
            .filter_map(|trunk| trunk.closeness(source).map(|bits| (bits, trunk)))
            // Of equals the first: `max_by_key` would take the last.
            .rev()
            .max_by_key(|(bits, _)| *bits)
            .map(|(_, trunk)| trunk)
    }

    /// All trunks as they stand; `calls` tells how many each has.
    #[must_use]
    pub fn shown(&self, calls: impl Fn(&TrunkName) -> u32) -> Vec<Shown> {
        self.trunks.iter().map(|trunk| trunk.shown(calls(&trunk.config.name))).collect()
    }
}

impl Trunk {
    fn new(config: config::Trunk) -> Self {
        let state = match config.mode {
            config::Mode::Register(_) => "idle",
            config::Mode::Peer { .. } | config::Mode::Open => "ready",
        };
        Self {
            config,
            resolved: ArcSwap::default(),
            status: ArcSwap::from_pointee(Status { state, detail: String::new() }),
            second: Mutex::default(),
        }
    }

    /// Says how it stands from now on.
    pub fn set_status(&self, status: Status) {
        self.status.store(Arc::new(status));
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Whether calls can go over it, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.status().state, "registered" | "refreshing" | "refresh_failed" | "ready")
    }

    /// Whether the address is one of the trunk's.
    #[must_use]
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.closeness(address.to_canonical()).is_some()
    }

    /// Says where it is from now on.
    pub fn set_resolved(&self, addresses: Vec<IpAddr>) {
        self.resolved.store(Arc::new(addresses));
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
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = &mut *second;
        if began.is_none_or(|began| now.saturating_duration_since(began).as_secs() >= 1) {
            (*began, *count) = (Some(now), 0);
        }
        if *count >= limit {
            return Err(TooFast);
        }
        *count += 1;
        Ok(())
    }

    fn closeness(&self, source: IpAddr) -> Option<u8> {
        match &self.config.admission.sources {
            config::Sources::Resolved => {
                let width = if source.is_ipv4() { 32 } else { 128 };
                self.resolved.load().contains(&source).then_some(width)
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
            detail: status.detail.clone(),
            calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Overrides};

    fn trunks(toml: &str) -> Trunks {
        let loaded = Config::from_toml(toml, None, &Overrides::default(), &|_| None).unwrap();
        Trunks::new(&loaded.config.trunks)
    }

    #[test]
    fn without_configuration_this_machine_may_call_and_nobody_else() {
        let trunks = trunks("");
        assert!(trunks.of_source(Ipv4Addr::LOCALHOST.into()).is_some());
        assert!(trunks.of_source(Ipv4Addr::new(192, 0, 2, 1).into()).is_none());
    }

    #[test]
    fn the_closest_network_wins() {
        let trunks = trunks(
            "[[trunk]]\nname = \"wide\"\nmode = \"open\"\nsources = [\"192.0.2.0/24\"]\n\
             [[trunk]]\nname = \"close\"\nmode = \"open\"\nsources = [\"192.0.2.7\"]\n",
        );
        let name = |last| {
            trunks.of_source(Ipv4Addr::new(192, 0, 2, last).into()).map(|trunk| trunk.config.name.to_string())
        };
        assert_eq!(name(7).as_deref(), Some("close"));
        assert_eq!(name(8).as_deref(), Some("wide"));
    }

    #[test]
    fn the_rate_is_counted_by_the_second() {
        let trunks = trunks(
            "[[trunk]]\nname = \"t\"\nmode = \"open\"\nsources = [\"192.0.2.7\"]\nmax_calls_per_second = 2\n",
        );
        let trunk = trunks.of_source(Ipv4Addr::new(192, 0, 2, 7).into()).unwrap();
        let now = Instant::now();
        assert!(trunk.admit(now).is_ok() && trunk.admit(now).is_ok());
        assert_eq!(trunk.admit(now).err(), Some(TooFast));
        assert!(trunk.admit(now + Duration::from_secs(1)).is_ok());
    }
}
