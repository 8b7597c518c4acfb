//! All trunks, and which of them a message belongs to.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Health, Refused, Shown, State, Status, Trunk, TrunkId};
use crate::config;
use crate::ids::TrunkName;
use arc_swap::{ArcSwap, ArcSwapOption};

/// All trunks. They can be replaced while the service runs.
pub struct Trunks {
    table: ArcSwap<Vec<Arc<Trunk>>>,
    ids: Mutex<BTreeMap<TrunkName, TrunkId>>,
    generation: Arc<AtomicU64>,
}

/// What is known of a source address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// No trunk names it.
    Unlisted,
    /// A trunk names it and trusts it for that alone.
    Peer(TrunkId),
    /// A trunk names it and asks it for a password.
    Guest(TrunkId),
}

/// What a new configuration changes about the trunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Trunks that weren't there.
    pub added: Vec<TrunkName>,
    /// Trunks that aren't there any more.
    pub removed: Vec<TrunkName>,
    /// Trunks with other settings, their connection as before.
    pub changed: Vec<TrunkName>,
    /// Trunks that are connected anew.
    pub reconnected: Vec<TrunkName>,
}

impl Trunks {
    /// The configured trunks.
    #[must_use]
    pub fn new(configured: &[config::Trunk]) -> Self {
        let trunks = Self { table: ArcSwap::default(), ids: Mutex::default(), generation: Arc::default() };
        trunks.replace(configured);
        trunks
    }

    /// Every trunk, in the order of the configuration.
    #[must_use]
    pub fn list(&self) -> Arc<Vec<Arc<Trunk>>> {
        self.table.load_full()
    }

    /// Counts up whenever a source may belong to another trunk than before.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The trunk that a message belongs to: the one that names its source most closely.
    ///
    /// A softphone of this machine may send from the address of a network card to the loopback;
    /// the kernel lets nobody else do that. So what comes in on a loopback address is from this
    /// machine, whatever its source.
    #[must_use]
    pub fn of_message(&self, source: IpAddr, local: IpAddr) -> Option<Arc<Trunk>> {
        self.of_source(source).or_else(|| self.of_source(local).filter(|_| local.is_loopback()))
    }

    /// What is known of the source of a message.
    #[must_use]
    pub fn origin(&self, source: IpAddr, local: IpAddr) -> Origin {
        match self.of_message(source, local) {
            None => Origin::Unlisted,
            Some(trunk) if trunk.config.authentication.is_some() => Origin::Guest(trunk.id),
            Some(trunk) => Origin::Peer(trunk.id),
        }
    }

    fn of_source(&self, source: IpAddr) -> Option<Arc<Trunk>> {
        let source = source.to_canonical();
        let table = self.table.load();
        let closest = table
            .iter()
            .filter_map(|trunk| trunk.closeness(source).map(|bits| (bits, trunk)))
            // Of equals the first: `max_by_key` would take the last.
            .rev()
            .max_by_key(|(bits, _)| *bits);
        closest.map(|(_, trunk)| Arc::clone(trunk))
    }

    /// All trunks as they stand; `calls` tells how many each has.
    #[must_use]
    pub fn shown(&self, calls: impl Fn(&TrunkName) -> u32) -> Vec<Shown> {
        self.table.load().iter().map(|trunk| trunk.shown(calls(&trunk.config.name))).collect()
    }

    /// Takes a new configuration. A trunk whose connection stays keeps what is known of it; calls
    /// that run keep the settings they began with.
    pub fn replace(&self, configured: &[config::Trunk]) -> Changes {
        let before = self.table.load_full();
        let mut changes = Changes::default();
        let mut table = Vec::with_capacity(configured.len());
        for config in configured {
            let name = &config.name;
            let trunk = match before.iter().find(|trunk| trunk.config.name == *name) {
                Some(same) if same.config == *config => Arc::clone(same),
                Some(other) if other.config.connects_as(config) => {
                    changes.changed.push(name.clone());
                    let state = Arc::clone(&other.state);
                    Arc::new(Trunk { id: other.id, config: config.clone(), state })
                }
                Some(other) => {
                    changes.reconnected.push(name.clone());
                    Arc::new(self.make(other.id, config))
                }
                None => {
                    changes.added.push(name.clone());
                    Arc::new(self.make(self.id_of(name), config))
                }
            };
            table.push(trunk);
        }
        let gone = before.iter().filter(|trunk| !configured.iter().any(|c| c.name == trunk.config.name));
        changes.removed = gone.map(|trunk| trunk.config.name.clone()).collect();
        self.table.store(Arc::new(table));
        self.generation.fetch_add(1, Ordering::Release);
        changes
    }

    fn make(&self, id: TrunkId, config: &config::Trunk) -> Trunk {
        let (state, up) = match config.mode {
            config::Mode::Register(_) => ("idle", false),
            config::Mode::Peer { .. } | config::Mode::Open => ("ready", true),
        };
        let state = State {
            health: Mutex::new(Health::new(config.health.failures)),
            hops: ArcSwap::default(),
            registered: ArcSwapOption::empty(),
            status: ArcSwap::from_pointee(Status { state, detail: String::new(), up }),
            second: Mutex::default(),
            refused: Refused::default(),
            generation: Arc::clone(&self.generation),
        };
        Trunk { id, config: config.clone(), state: Arc::new(state) }
    }

    /// What the endpoint calls the trunk of this name, be it there or not.
    #[must_use]
    pub fn id_of(&self, name: &TrunkName) -> TrunkId {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let next = TrunkId(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        *ids.entry(name.clone()).or_insert(next)
    }
}

impl fmt::Debug for Trunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.table.load().iter().map(|trunk| &trunk.config.name)).finish()
    }
}

impl Changes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::{Config, Overrides};
    use crate::trunk::TooFast;
    use sip::endpoint::flow::{Hop, Transport};

    const CARD: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

    fn configured(toml: &str) -> Vec<config::Trunk> {
        let environment = |_: &str| Some("secret".to_owned());
        Config::from_toml(toml, None, &Overrides::default(), &environment).unwrap().config.trunks
    }

    fn trunks(toml: &str) -> Trunks {
        Trunks::new(&configured(toml))
    }

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn open(name: &str, source: &str, more: &str) -> String {
        format!("[[trunk]]\nname = \"{name}\"\nmode = \"open\"\nsources = [\"{source}\"]\n{more}\n")
    }

    #[test]
    fn without_configuration_this_machine_may_call_and_nobody_else() {
        let trunks = trunks("");
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert!(matches!(trunks.origin(loopback, loopback), Origin::Peer(_)));
        assert!(matches!(trunks.origin(v4(1), loopback), Origin::Peer(_)), "only this machine sends there");
        assert_eq!(trunks.origin(v4(1), CARD), Origin::Unlisted);
    }

    #[test]
    fn the_closest_network_wins_and_of_equals_the_first() {
        let trunks = trunks(
            &[
                open("wide", "192.0.2.0/24", ""),
                open("close", "192.0.2.7", ""),
                open("second", "192.0.2.7", ""),
            ]
            .concat(),
        );
        let name = |last| trunks.of_message(v4(last), CARD).map(|trunk| trunk.config.name.to_string());
        assert_eq!(name(7).as_deref(), Some("close"));
        assert_eq!(name(8).as_deref(), Some("wide"));
    }

    #[test]
    fn a_trunk_that_asks_for_a_password_has_guests() {
        let users = "[[trunk.auth_inbound]]\nusername = \"u\"\npassword_env = \"P\"\n";
        let trunks = trunks(&open("road", "0.0.0.0/0", users));
        assert!(matches!(trunks.origin(v4(1), CARD), Origin::Guest(_)));
    }

    #[test]
    fn the_rate_is_counted_by_the_second_and_refusals_too() {
        let trunks = trunks(&open("t", "192.0.2.7", "max_calls_per_second = 2"));
        let trunk = trunks.of_message(v4(7), CARD).unwrap();
        let now = Instant::now();
        assert!(trunk.admit(now).is_ok() && trunk.admit(now).is_ok());
        assert_eq!(trunk.admit(now).err(), Some(TooFast));
        assert!(trunk.admit(now + Duration::from_secs(1)).is_ok());
        assert_eq!(trunk.refused().too_fast.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn addresses_that_a_name_resolves_to_are_listed_from_then_on() {
        let trunks = trunks("[[trunk]]\nname = \"p\"\nmode = \"peer\"\npeer = \"sip.example.com\"\n");
        assert_eq!(trunks.origin(v4(1), CARD), Origin::Unlisted);
        let before = trunks.generation();
        let hop = |last| Hop::new(Transport::Tcp, SocketAddr::new(v4(last), 5070));
        trunks.list()[0].set_hops(&[hop(1), hop(2)]);
        assert!(trunks.generation() > before);
        assert!(matches!(trunks.origin(v4(1), CARD), Origin::Peer(_)));
        assert_eq!(trunks.list()[0].hops(), [hop(1), hop(2)]);
        (0..3).for_each(|_| _ = trunks.list()[0].health(|health| health.failed(hop(1).address)));
        assert_eq!(trunks.list()[0].hops(), [hop(2), hop(1)]);
        trunks.list()[0].set_hops(&[hop(3)]);
        assert_eq!(trunks.origin(v4(1), CARD), Origin::Unlisted);
    }

    #[test]
    fn a_reload_keeps_the_state_of_what_stays_and_the_id_of_every_name() {
        let peer =
            |more: &str| format!("[[trunk]]\nname = \"p\"\nmode = \"peer\"\npeer = \"192.0.2.1\"\n{more}");
        let trunks = trunks(&[peer(""), open("a", "192.0.2.7", "")].concat());
        let before = trunks.list();
        before[0].set_status(Status { state: "up", detail: String::new(), up: true });

        assert!(trunks.replace(&configured(&[peer(""), open("a", "192.0.2.7", "")].concat())).is_empty());
        assert!(Arc::ptr_eq(&trunks.list()[0], &before[0]));

        let changes = trunks.replace(&configured(&peer("max_calls = 3\n")));
        assert_eq!((changes.changed.len(), changes.removed.len()), (1, 1));
        let after = trunks.list();
        assert_eq!((after[0].status().state, after[0].id), ("up", before[0].id));
        assert!(before[0].config.admission.max_calls.is_none(), "running calls keep theirs");

        let changes = trunks
            .replace(&configured(&[peer("transport = \"tcp\"\n"), open("a", "192.0.2.8", "")].concat()));
        assert_eq!((changes.reconnected.len(), changes.added.len()), (1, 1));
        let after = trunks.list();
        assert_eq!((after[0].status().state, after[0].id), ("ready", before[0].id));
        assert_eq!(after[1].id, before[1].id, "the same name, the same id");
        assert_eq!(trunks.origin(v4(7), CARD), Origin::Unlisted);
        assert!(matches!(trunks.origin(v4(8), CARD), Origin::Peer(_)));
    }
}
