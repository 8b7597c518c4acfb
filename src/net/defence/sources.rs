//! What is kept of each source, in a table that can't outgrow its bound.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Who counts as one source: an IPv4 address, or the /64 of an IPv6 address, within which whoever
/// has one address has them all (RFC 4291 §2.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey(IpAddr);

impl SourceKey {
    /// The source that the address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address @ IpAddr::V4(_) => address,
        })
    }

    /// Its address; for IPv6 the first of its network.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// A table of sources in two generations: when the younger one has half of the room, the older
/// one goes, and what is still asked for moves over. Nothing is ever searched for the oldest.
#[derive(Debug)]
pub(super) struct Table<T> {
    young: HashMap<SourceKey, T>,
    old: HashMap<SourceKey, T>,
    half: usize,
}

impl<T> Table<T> {
    /// A table of at most `room` sources.
    pub fn new(room: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (room / 2).max(1) }
    }

    /// Another bound, from now on.
    pub fn set_room(&mut self, room: usize) {
        self.half = (room / 2).max(1);
    }

    /// What is kept of a source, made when there is nothing.
    pub fn entry(&mut self, key: SourceKey, make: impl FnOnce() -> T) -> &mut T {
        if !self.young.contains_key(&key) && self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        let Self { young, old, .. } = self;
        young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(make))
    }

    /// How many sources are kept.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: u32) -> SourceKey {
        SourceKey::of(IpAddr::V4(n.into()))
    }

    #[test]
    fn an_ipv6_source_is_its_network() {
        let of = |text: &str| SourceKey::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn however_many_sources_come_the_table_keeps_its_bound_and_the_recent_ones() {
        let mut table = Table::new(1_000);
        for n in 0..100_000 {
            *table.entry(v4(n), || 0) += 1;
            // One that is asked for all the time is never forgotten.
            *table.entry(v4(u32::MAX), || 0) += 1;
            assert!(table.len() <= 1_000, "{}", table.len());
        }
        assert_eq!(*table.entry(v4(u32::MAX), || 0), 100_000);
        assert_eq!(*table.entry(v4(99_999), || 0), 1);
        assert_eq!(*table.entry(v4(1), || 0), 0, "an old one is forgotten");
    }
}
