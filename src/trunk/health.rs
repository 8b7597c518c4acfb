//! Which of a peer's addresses answer: three pings without an answer and one is down, one answer
//! and it is up again.

use std::net::{IpAddr, SocketAddr};

/// How one address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing has been heard yet.
    Unknown { failures: u32 },
    /// It answered last, apart from so many failures.
    Up { failures: u32 },
    /// It failed too often.
    Down,
}

/// What an answer, or none, changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It answers, for the first time or again.
    Up,
    /// It has failed too often.
    Down,
}

/// The addresses in the order they are to be tried, and how each stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    addresses: Vec<(SocketAddr, Standing)>,
    failures_to_down: u32,
}

impl Health {
    /// Nothing known; an address is down after so many failures in a row.
    #[must_use]
    pub fn new(failures_to_down: u32) -> Self {
        Self { addresses: Vec::new(), failures_to_down: failures_to_down.max(1) }
    }

    /// The addresses of now, the first to be tried first. What is known of those that stay is kept.
    pub fn set_addresses(&mut self, addresses: &[SocketAddr]) {
        let known = |address| {
            let found = self.addresses.iter().find(|(known, _)| *known == address);
            found.map_or(Standing::Unknown { failures: 0 }, |(_, standing)| *standing)
        };
        self.addresses = addresses.iter().map(|address| (*address, known(*address))).collect();
    }

    /// The address answered.
    pub fn answered(&mut self, address: SocketAddr) -> Option<Change> {
        let standing = self.standing_mut(address)?;
        let was = std::mem::replace(standing, Standing::Up { failures: 0 });
        (!matches!(was, Standing::Up { .. })).then_some(Change::Up)
    }

    /// The address didn't answer, or said that it can't serve.
    pub fn failed(&mut self, address: SocketAddr) -> Option<Change> {
        let limit = self.failures_to_down;
        let standing = self.standing_mut(address)?;
        let next = match *standing {
            Standing::Down => return None,
            Standing::Unknown { failures } | Standing::Up { failures } if failures + 1 >= limit => {
                Standing::Down
            }
            Standing::Unknown { failures } => Standing::Unknown { failures: failures + 1 },
            Standing::Up { failures } => Standing::Up { failures: failures + 1 },
        };
        *standing = next;
        (next == Standing::Down).then_some(Change::Down)
    }

    /// Whether any address answers, or hasn't been found not to. Without an address: no.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.addresses.iter().any(|(_, standing)| *standing != Standing::Down)
    }

    /// Whether anything was heard of any address.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.addresses.iter().any(|(_, standing)| !matches!(standing, Standing::Unknown { .. }))
    }

    /// The addresses to try, in order: those that are down come last, but they come, since a
    /// call is a better try than none.
    #[must_use]
    pub fn in_order(&self) -> Vec<SocketAddr> {
        let (down, up): (Vec<_>, Vec<_>) =
            self.addresses.iter().partition(|(_, standing)| *standing == Standing::Down);
        up.into_iter().chain(down).map(|(address, _)| address).collect()
    }

    /// Whether it is one of them, whatever its port.
    #[must_use]
    pub fn holds(&self, source: IpAddr) -> bool {
        self.addresses.iter().any(|(address, _)| address.ip().to_canonical() == source)
    }

    /// Those that are down.
    #[must_use]
    pub fn down(&self) -> Vec<SocketAddr> {
        let down = self.addresses.iter().filter(|(_, standing)| *standing == Standing::Down);
        down.map(|(address, _)| *address).collect()
    }

    fn standing_mut(&mut self, address: SocketAddr) -> Option<&mut Standing> {
        self.addresses.iter_mut().find(|(known, _)| *known == address).map(|(_, standing)| standing)
    }
}

/// Whether a final response to a ping shows that calls would be taken: everything does but 408,
/// which a proxy gives in the name of whoever is behind it, and 503.
#[must_use]
pub fn is_alive(status: u16) -> bool {
    !matches!(status, 408 | 503)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 5060))
    }

    fn health(addresses: &[u8]) -> Health {
        let mut health = Health::new(3);
        health.set_addresses(&addresses.iter().map(|n| address(*n)).collect::<Vec<_>>());
        health
    }

    #[test]
    fn down_after_three_failures_up_at_the_first_answer() {
        let mut health = health(&[1]);
        assert!(health.is_up() && !health.is_known());
        assert_eq!(health.answered(address(1)), Some(Change::Up));
        assert_eq!(health.answered(address(1)), None);
        let failed: Vec<_> = (0..4).map(|_| health.failed(address(1))).collect();
        assert_eq!(failed, [None, None, Some(Change::Down), None]);
        assert!(!health.is_up());
        assert_eq!(health.answered(address(1)), Some(Change::Up));
        assert!(health.is_up());
    }

    #[test]
    fn an_answer_between_two_failures_starts_the_count_anew() {
        let mut health = health(&[1]);
        for _ in 0..5 {
            assert_eq!((health.failed(address(1)), health.failed(address(1))), (None, None));
            health.answered(address(1));
        }
        assert!(health.is_up());
    }

    #[test]
    fn an_address_that_is_down_comes_last_and_its_trunk_is_up_while_another_answers() {
        let mut health = health(&[1, 2, 3]);
        (0..3).for_each(|_| _ = health.failed(address(1)));
        assert_eq!(health.in_order(), [address(2), address(3), address(1)]);
        assert!(health.is_up());
        for n in [2, 3] {
            (0..3).for_each(|_| _ = health.failed(address(n)));
        }
        assert!(!health.is_up());
        assert_eq!(health.in_order(), [address(1), address(2), address(3)]);
        assert_eq!(health.down().len(), 3);
    }

    #[test]
    fn a_look_up_keeps_what_is_known_and_forgets_what_is_gone() {
        let mut health = health(&[1, 2]);
        (0..3).for_each(|_| _ = health.failed(address(2)));
        health.set_addresses(&[address(2), address(4)]);
        assert_eq!(health.in_order(), [address(4), address(2)]);
        assert_eq!(health.failed(address(1)), None, "nobody's answer");
        health.set_addresses(&[]);
        assert!(!health.is_up());
    }

    #[test]
    fn any_answer_but_two_shows_life() {
        for (status, alive) in [(200, true), (401, true), (404, true), (405, true), (500, true), (603, true)]
        {
            assert_eq!(is_alive(status), alive, "{status}");
        }
        assert!(!is_alive(408) && !is_alive(503));
    }
}
