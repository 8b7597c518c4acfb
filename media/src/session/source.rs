//! Where media may come from, and where ours goes.
//!
//! Anybody can send datagrams to an open port ("RTPBleed", CVE-2017-14099). A stream from elsewhere must never reach
//! the agent, also not before the real one has started; so the source is checked against SDP and trunk first, and
//! locked then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

/// Packets in sequence that make a source stable at the SDP's address, where only the port is another.
const STABLE_PACKETS: u8 = 3;
/// The same under `latch`, where any address of the trunk's may speak.
const STABLE_LATCH_PACKETS: u8 = 6;
/// Sources watched at the same time before the lock.
const CANDIDATES: usize = 4;
/// Steps in sequence number still taken for one stream.
const SEQUENCE_STEPS: std::ops::RangeInclusive<u16> = 1..=5;

/// Where media may come from: a setting of the trunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SourcePolicy {
    /// Exactly the address and port of the SDP.
    Exact,
    /// The address of the SDP, any port; locks on the first stable source.
    #[default]
    Address,
    /// Any address within the trunk's media prefixes; locks on the first stable source. For peers behind NAT.
    Latch(Vec<Prefix>),
}

/// A network prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The network's address; bits beyond `bits` don't matter.
    pub network: IpAddr,
    /// Leading bits that must match; more than the address has means all.
    pub bits: u8,
}

impl Prefix {
    /// Whether an address lies within.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let shift = |width: u32| width.saturating_sub(u32::from(self.bits));
        match (self.network.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What to do with a packet from some source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the peer's.
    Accept,
    /// It may become the peer's; its content isn't used.
    Wait,
    /// It isn't.
    Refuse,
}

/// The guard of one session.
#[derive(Debug)]
pub struct SourceFilter {
    policy: SourcePolicy,
    sdp: SocketAddr,
    expected: SocketAddr,
    locked: Option<SocketAddr>,
    candidates: SmallVec<[Candidate; CANDIDATES]>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    packets: u8,
}

impl SourceFilter {
    /// `sdp` is the RTP address of the peer's SDP, `signalling` where its signalling comes from.
    #[must_use]
    pub fn new(policy: SourcePolicy, sdp: SocketAddr, signalling: Option<IpAddr>) -> Self {
        Self { policy, sdp, expected: stand_in(sdp, signalling), locked: None, candidates: SmallVec::new() }
    }

    /// A re-INVITE told an address: the lock stays unless it is another one.
    pub fn update(&mut self, sdp: SocketAddr, signalling: Option<IpAddr>) {
        // `c=0.0.0.0` is hold (RFC 2543 §B.5), not a move; a new port is one.
        let held = sdp.ip().is_unspecified() && sdp.port() == self.sdp.port();
        if sdp != self.sdp && !held {
            *self = Self::new(std::mem::take(&mut self.policy), sdp, signalling);
        }
    }

    /// Whether a source may speak at all; the first and cheapest check.
    #[must_use]
    pub fn permits(&self, source: SocketAddr) -> bool {
        let source = canonical(source);
        if let Some(locked) = self.locked {
            return source == locked;
        }
        match &self.policy {
            SourcePolicy::Exact => source == self.expected,
            SourcePolicy::Address => source.ip() == self.expected.ip(),
            SourcePolicy::Latch(prefixes) => prefixes.iter().any(|prefix| prefix.contains(source.ip())),
        }
    }

    /// Judges a well-formed packet, and locks on its source when it has proved stable.
    pub fn judge(&mut self, source: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        if !self.permits(source) {
            return Verdict::Refuse;
        }
        if self.locked.is_some() {
            return Verdict::Accept;
        }
        let source = canonical(source);
        if source != self.expected && !self.is_stable(source, ssrc, sequence) {
            return Verdict::Wait;
        }
        self.locked = Some(source);
        self.candidates.clear();
        Verdict::Accept
    }

    /// The source that the session is locked on.
    #[must_use]
    pub fn locked(&self) -> Option<SocketAddr> {
        self.locked
    }

    /// Where to send: the SDP's address, or the locked source where NAT makes that one meaningless (RFC 4961).
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        let behind_nat =
            matches!(self.policy, SourcePolicy::Latch(_)) || self.expected.ip() != canonical(self.sdp).ip();
        let destination = match self.locked {
            Some(locked) if behind_nat => locked,
            _ => self.expected,
        };
        (!destination.ip().is_unspecified() && destination.port() != 0).then_some(destination)
    }

    /// Whether RTCP may come from there: RTP's address, any port, as the peer's RTCP port is a claim like any other.
    #[must_use]
    pub fn permits_reports(&self, source: SocketAddr) -> bool {
        let address = canonical(source).ip();
        match (self.locked, &self.policy) {
            (Some(locked), _) => address == locked.ip(),
            (None, SourcePolicy::Exact | SourcePolicy::Address) => address == self.expected.ip(),
            // Nobody has proved anything yet.
            (None, SourcePolicy::Latch(_)) => false,
        }
    }

    fn is_stable(&mut self, source: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        let needed = match self.policy {
            SourcePolicy::Latch(_) => STABLE_LATCH_PACKETS,
            SourcePolicy::Exact | SourcePolicy::Address => STABLE_PACKETS,
        };
        let known =
            self.candidates.iter_mut().find(|candidate| candidate.source == source && candidate.ssrc == ssrc);
        if let Some(candidate) = known {
            let step = sequence.wrapping_sub(candidate.sequence);
            candidate.packets = if SEQUENCE_STEPS.contains(&step) { candidate.packets + 1 } else { 1 };
            candidate.sequence = sequence;
            return candidate.packets >= needed;
        }
        // A flood of invented sources pushes out only others that are no further than it.
        if self.candidates.len() == CANDIDATES {
            let weakest = self.candidates.iter().position(|candidate| candidate.packets == 1).unwrap_or(0);
            self.candidates.remove(weakest);
        }
        self.candidates.push(Candidate { source, ssrc, sequence, packets: 1 });
        false
    }
}

/// The address to expect: an unspecified one in the SDP stands for the signalling source, and so does one that can't be
/// reached from where the peer signals: a private one behind a public one, its own loopback behind any other.
#[must_use]
pub fn stand_in(sdp: SocketAddr, signalling: Option<IpAddr>) -> SocketAddr {
    let sdp = canonical(sdp);
    let Some(signalling) = signalling.map(|address| address.to_canonical()) else { return sdp };
    let said = sdp.ip();
    let unreachable = said.is_unspecified()
        || !is_public(said) && is_public(signalling)
        || said.is_loopback() && !signalling.is_loopback();
    if unreachable && said.is_ipv4() == signalling.is_ipv4() {
        SocketAddr::new(signalling, sdp.port())
    } else {
        sdp
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = Prefix { network: IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), bits: 10 };
            let local = v4.is_unspecified() || v4.is_loopback() || v4.is_private() || v4.is_link_local();
            !(local || shared.contains(address))
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_loopback() || is_local(v6)),
    }
}

/// fc00::/7 and fe80::/10.
fn is_local(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn filter(policy: SourcePolicy, sdp: &str, signalling: Option<&str>) -> SourceFilter {
        SourceFilter::new(policy, address(sdp), signalling.map(|text| text.parse().unwrap()))
    }

    fn prefixes() -> SourcePolicy {
        SourcePolicy::Latch(vec![Prefix { network: "198.51.100.0".parse().unwrap(), bits: 24 }])
    }

    #[test]
    fn exact_takes_only_the_address_and_port_of_the_sdp() {
        let mut filter = filter(SourcePolicy::Exact, "192.0.2.1:4000", None);
        assert_eq!(filter.judge(address("192.0.2.1:4002"), 1, 1), Verdict::Refuse);
        assert_eq!(filter.judge(address("192.0.2.2:4000"), 1, 1), Verdict::Refuse);
        assert_eq!(filter.judge(address("192.0.2.1:4000"), 1, 1), Verdict::Accept);
    }

    #[test]
    fn address_locks_at_once_on_the_sdp_port_and_later_on_another() {
        let mut at_once = filter(SourcePolicy::Address, "192.0.2.1:4000", None);
        assert_eq!(at_once.judge(address("192.0.2.1:4000"), 1, 1), Verdict::Accept);
        assert_eq!(at_once.judge(address("192.0.2.1:4002"), 1, 2), Verdict::Refuse);
        let mut later = filter(SourcePolicy::Address, "192.0.2.1:4000", None);
        let verdicts: Vec<_> = (1..4).map(|n| later.judge(address("192.0.2.1:9000"), 1, n)).collect();
        assert_eq!(verdicts, [Verdict::Wait, Verdict::Wait, Verdict::Accept]);
        assert_eq!(later.judge(address("192.0.2.1:4000"), 1, 4), Verdict::Refuse, "locked stays locked");
        assert_eq!(
            later.destination(),
            Some(address("192.0.2.1:4000")),
            "asymmetric RTP goes where the SDP says"
        );
    }

    #[test]
    fn an_injected_stream_does_not_win_before_the_first_packet() {
        let mut filter = filter(SourcePolicy::Address, "192.0.2.1:4000", None);
        for sequence in 0..100 {
            assert_eq!(filter.judge(address("203.0.113.9:4000"), 7, sequence), Verdict::Refuse);
        }
        assert_eq!(filter.judge(address("192.0.2.1:4000"), 1, 1), Verdict::Accept);
    }

    #[test]
    fn random_numbers_are_no_stable_source() {
        let mut filter = filter(SourcePolicy::Address, "192.0.2.1:4000", None);
        for n in 0..200u16 {
            assert_eq!(filter.judge(address("192.0.2.1:9000"), 7, n.wrapping_mul(31_337)), Verdict::Wait);
        }
    }

    #[test]
    fn latch_takes_the_trunks_prefix_and_sends_back_there() {
        let mut filter = filter(prefixes(), "10.0.0.5:4000", Some("198.51.100.7"));
        assert_eq!(filter.judge(address("203.0.113.9:4000"), 1, 1), Verdict::Refuse);
        for sequence in 1..6 {
            assert_eq!(filter.judge(address("198.51.100.20:31000"), 1, sequence), Verdict::Wait);
        }
        assert_eq!(filter.judge(address("198.51.100.20:31000"), 1, 6), Verdict::Accept);
        assert_eq!(
            filter.judge(address("198.51.100.66:31000"), 1, 7),
            Verdict::Refuse,
            "locked on an address, too"
        );
        assert_eq!(filter.locked(), Some(address("198.51.100.20:31000")));
        assert_eq!(filter.destination(), filter.locked());
    }

    #[test]
    fn a_flood_of_sources_does_not_keep_the_real_one_from_locking() {
        let mut filter = filter(prefixes(), "10.0.0.5:4000", None);
        let mut flood = 0u16;
        for sequence in 1..=6 {
            filter.judge(address("198.51.100.20:31000"), 1, sequence);
            for _ in 0..if sequence == 1 { 2 } else { 50 } {
                flood += 1;
                filter.judge(SocketAddr::new("198.51.100.66".parse().unwrap(), 10_000 + flood), 9, 0);
            }
        }
        assert_eq!(filter.locked(), Some(address("198.51.100.20:31000")));
    }

    #[test]
    fn a_private_or_unspecified_address_stands_for_a_public_signalling_source() {
        for sdp in ["10.1.2.3:4000", "192.168.1.1:4000", "172.16.0.1:4000", "100.64.9.9:4000", "0.0.0.0:4000"]
        {
            let mut filter = filter(SourcePolicy::Address, sdp, Some("198.51.100.7"));
            assert_eq!(filter.destination(), Some(address("198.51.100.7:4000")), "{sdp}");
            assert!(!filter.permits(address(sdp)));
            for sequence in 1..4 {
                filter.judge(address("198.51.100.7:61000"), 1, sequence);
            }
            assert_eq!(
                filter.destination(),
                Some(address("198.51.100.7:61000")),
                "behind NAT the source is the way back"
            );
        }
        let inside = filter(SourcePolicy::Address, "10.1.2.3:4000", Some("10.9.9.9"));
        assert_eq!(inside.destination(), Some(address("10.1.2.3:4000")));
        for (sdp, signalling) in [("0.0.0.0:4000", "10.9.9.9"), ("127.0.0.1:4000", "10.9.9.9")] {
            let filter = filter(SourcePolicy::Address, sdp, Some(signalling));
            assert_eq!(filter.destination(), Some(address("10.9.9.9:4000")), "{sdp}");
        }
        let local = filter(SourcePolicy::Address, "0.0.0.0:4000", Some("127.0.0.1"));
        assert_eq!(local.destination(), Some(address("127.0.0.1:4000")));
        let other = filter(SourcePolicy::Address, "0.0.0.0:4000", Some("2001:db8::1"));
        assert_eq!(other.destination(), None, "our socket can't send there");
    }

    #[test]
    fn a_reinvite_keeps_the_lock_unless_the_address_changed() {
        let mut filter = filter(SourcePolicy::Address, "192.0.2.1:4000", None);
        filter.judge(address("192.0.2.1:4000"), 1, 1);
        filter.update(address("192.0.2.1:4000"), None);
        filter.update(address("0.0.0.0:4000"), None);
        assert_eq!(filter.judge(address("192.0.2.1:4002"), 1, 2), Verdict::Refuse);
        let mut unnamed = super::tests::filter(SourcePolicy::Address, "0.0.0.0:4000", Some("192.0.2.1"));
        assert_eq!(unnamed.judge(address("192.0.2.1:4000"), 1, 1), Verdict::Accept);
        unnamed.update(address("0.0.0.0:5000"), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(unnamed.judge(address("192.0.2.1:4000"), 1, 2), Verdict::Wait, "a new port is a move");
        assert_eq!(unnamed.judge(address("192.0.2.1:5000"), 1, 2), Verdict::Accept);
        filter.update(address("192.0.2.50:5000"), None);
        assert_eq!(filter.judge(address("192.0.2.1:4000"), 1, 3), Verdict::Refuse);
        assert_eq!(filter.judge(address("192.0.2.50:5000"), 1, 3), Verdict::Accept);
    }

    #[test]
    fn reports_come_from_the_address_of_the_audio() {
        let mut filter = filter(SourcePolicy::Address, "192.0.2.1:4000", None);
        assert!(filter.permits_reports(address("192.0.2.1:4001")));
        assert!(!filter.permits_reports(address("192.0.2.2:4001")));
        filter.judge(address("192.0.2.1:4000"), 1, 1);
        assert!(
            filter.permits_reports(address("192.0.2.1:9"))
                && !filter.permits_reports(address("192.0.2.2:4001"))
        );
        assert!(
            !super::tests::filter(prefixes(), "198.51.100.9:4000", None)
                .permits_reports(address("198.51.100.9:4001"))
        );
    }

    #[test]
    fn mapped_addresses_are_the_addresses_that_they_map() {
        let mut filter = filter(SourcePolicy::Exact, "192.0.2.1:4000", None);
        assert_eq!(filter.judge(address("[::ffff:192.0.2.1]:4000"), 1, 1), Verdict::Accept);
        let all = Prefix { network: "0.0.0.0".parse().unwrap(), bits: 0 };
        assert!(all.contains("203.0.113.1".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
    }
}
