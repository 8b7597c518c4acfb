//! Which trunk a source belongs to, remembered until the trunks change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::trunk::{Origin, Trunks};

/// Sources remembered; when there are more, all are looked up anew.
const MOST: usize = 65_536;

/// The memory.
pub(super) struct Origins {
    trunks: Arc<Trunks>,
    generation: u64,
    known: HashMap<(IpAddr, Option<IpAddr>), Origin>,
}

impl Origins {
    pub fn new(trunks: Arc<Trunks>) -> Self {
        Self { generation: trunks.generation(), trunks, known: HashMap::new() }
    }

    /// What is known of the source of a message that came in on `local`.
    pub fn of(&mut self, source: IpAddr, local: IpAddr) -> Origin {
        // Read first: if the trunks change right after it, the next message sees it.
        let generation = self.trunks.generation();
        if generation != self.generation || self.known.len() >= MOST {
            self.known.clear();
            self.generation = generation;
        }
        let loopback = local.is_loopback().then_some(local);
        *self.known.entry((source, loopback)).or_insert_with(|| self.trunks.origin(source, local))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::{Config, Overrides};

    #[test]
    fn a_source_is_looked_up_again_when_the_trunks_change() {
        let load = |source: &str| {
            let text = format!("[[trunk]]\nname = \"t\"\nmode = \"open\"\nsources = [\"{source}\"]\n");
            Config::from_toml(&text, None, &Overrides::default(), &|_| None).unwrap().config.trunks
        };
        let trunks = Arc::new(Trunks::new(&load("192.0.2.1")));
        let mut origins = Origins::new(Arc::clone(&trunks));
        let local = IpAddr::from(Ipv4Addr::new(203, 0, 113, 1));
        let of = |origins: &mut Origins, last| origins.of(Ipv4Addr::new(192, 0, 2, last).into(), local);
        assert!(matches!(of(&mut origins, 1), Origin::Peer(_)));
        assert_eq!(of(&mut origins, 2), Origin::Unlisted);
        trunks.replace(&load("192.0.2.2"));
        assert_eq!(of(&mut origins, 1), Origin::Unlisted);
        assert!(matches!(of(&mut origins, 2), Origin::Peer(_)));
    }

    #[test]
    fn a_source_is_known_by_where_it_reached_us_too() {
        let trunks = Config::from_toml("", None, &Overrides::default(), &|_| None).unwrap().config.trunks;
        let mut origins = Origins::new(Arc::new(Trunks::new(&trunks)));
        let source = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(origins.of(source, Ipv4Addr::new(203, 0, 113, 1).into()), Origin::Unlisted);
        assert!(matches!(origins.of(source, Ipv4Addr::LOCALHOST.into()), Origin::Peer(_)));
        assert_eq!(origins.of(source, Ipv4Addr::new(203, 0, 113, 1).into()), Origin::Unlisted);
    }
}
