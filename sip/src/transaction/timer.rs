//! The timers of RFC 3261 (§17, Table 4, and the UAS core's of §13) and RFC 6026, in the
//! letters that the RFCs give them, and their values.

use std::time::Duration;

/// The three values from which every transaction timer is computed (RFC 3261 §17.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Estimate of the round-trip time; 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions of a non-INVITE request or a response; 4 s.
    pub t2: Duration,
    /// How long a message can stay in the network; 5 s.
    pub t4: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Settings {
    /// 64 × T1: how long anything is tried before it counts as failed.
    #[must_use]
    pub fn t1_64(&self) -> Duration {
        self.t1 * 64
    }
}

/// Every timer that the core sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// INVITE request retransmission on unreliable transports (§17.1.1.2).
    A,
    /// INVITE client transaction time-out (§17.1.1.2).
    B,
    /// Wait for retransmitted final responses to INVITE (§17.1.1.2).
    D,
    /// Non-INVITE request retransmission on unreliable transports (§17.1.2.2).
    E,
    /// Non-INVITE client transaction time-out (§17.1.2.2).
    F,
    /// Retransmission of a non-2xx final response to INVITE (§17.2.1).
    G,
    /// Wait for the ACK of a non-2xx final response (§17.2.1).
    H,
    /// Wait for retransmitted ACKs (§17.2.1).
    I,
    /// Wait for retransmitted non-INVITE requests (§17.2.2).
    J,
    /// Wait for retransmitted non-INVITE responses (§17.1.2.2).
    K,
    /// Wait for retransmitted INVITEs after a 2xx (RFC 6026 §7.1).
    L,
    /// Wait for retransmitted 2xx responses (RFC 6026 §7.2).
    M,
    /// Retransmission of a 2xx to INVITE by the UAS core (§13.3.1.4).
    Success,
    /// Wait for the ACK of a 2xx by the UAS core (§13.3.1.4).
    Ack,
    /// Wait for the final response to an INVITE that has been cancelled (§9.1).
    Cancelled,
    /// Renewal of a provisional response once a minute (§13.3.1.1).
    Provisional,
    /// The caller's `Expires` on an INVITE (§13.3.1).
    Expires,
    /// Retransmission of a reliable provisional response (RFC 3262 §3).
    Reliable,
    /// Wait for the PRACK of a reliable provisional response (RFC 3262 §3).
    Prack,
    /// A session's next refresh or its end (RFC 4028 §10). Both are far away, and most calls end
    /// before: the timer runs in steps of a minute, so that little of it is left in the queue when
    /// a call is over.
    Session,
    /// Wait for any response at all before the next address is tried (RFC 3263 §4.3).
    Attempt,
    /// The owner's own limit to a request.
    Patience,
    /// Wait for the final response to a re-INVITE of ours that has had a provisional one.
    Offer,
    /// Wait after a 491, by which of two colliding offers one goes first (§14.1).
    Glare,
}

impl Timer {
    /// How long the timer runs when it is first set. `reliable` is whether the transport is.
    ///
    /// [`Timer::Provisional`], [`Timer::Expires`], [`Timer::Session`], [`Timer::Attempt`] and
    /// [`Timer::Glare`] don't depend on the transaction settings. `Expires` and `Session` are given
    /// by the request, `Attempt` by the endpoint's settings and `Glare` drawn by chance, with the
    /// upper bounds or defaults here.
    #[must_use]
    pub fn first(self, settings: &Settings, reliable: bool) -> Duration {
        match self {
            Self::A | Self::E | Self::G | Self::Success | Self::Reliable => settings.t1,
            Self::B | Self::F | Self::H | Self::L | Self::M => settings.t1_64(),
            Self::Ack | Self::Cancelled | Self::Prack | Self::Patience | Self::Offer => settings.t1_64(),
            Self::D if reliable => Duration::ZERO,
            Self::D => Duration::from_secs(32).max(settings.t1_64()),
            Self::I | Self::K if reliable => Duration::ZERO,
            Self::I | Self::K => settings.t4,
            Self::J if reliable => Duration::ZERO,
            Self::J => settings.t1_64(),
            Self::Provisional | Self::Session => Duration::from_secs(60),
            Self::Expires => Duration::from_secs(180),
            Self::Attempt | Self::Glare => Duration::from_secs(4),
        }
    }
}

/// Doubles a retransmission interval up to a cap (`T2` where the RFC has one).
#[must_use]
pub fn backed_off(interval: Duration, cap: Option<Duration>) -> Duration {
    let doubled = interval.saturating_mul(2);
    cap.map_or(doubled, |cap| doubled.min(cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_the_value_of_its_rfc() {
        let settings = Settings::default();
        let ms = Duration::from_millis;
        for (timer, unreliable, reliable) in [
            (Timer::A, 500, 500),
            (Timer::B, 32_000, 32_000),
            (Timer::D, 32_000, 0),
            (Timer::E, 500, 500),
            (Timer::F, 32_000, 32_000),
            (Timer::G, 500, 500),
            (Timer::H, 32_000, 32_000),
            (Timer::I, 5_000, 0),
            (Timer::J, 32_000, 0),
            (Timer::K, 5_000, 0),
            (Timer::L, 32_000, 32_000),
            (Timer::M, 32_000, 32_000),
            (Timer::Success, 500, 500),
            (Timer::Ack, 32_000, 32_000),
            (Timer::Cancelled, 32_000, 32_000),
            (Timer::Provisional, 60_000, 60_000),
            (Timer::Expires, 180_000, 180_000),
            (Timer::Reliable, 500, 500),
            (Timer::Prack, 32_000, 32_000),
            (Timer::Session, 60_000, 60_000),
            (Timer::Attempt, 4_000, 4_000),
            (Timer::Patience, 32_000, 32_000),
            (Timer::Offer, 32_000, 32_000),
            (Timer::Glare, 4_000, 4_000),
        ] {
            assert_eq!(timer.first(&settings, false), ms(unreliable), "{timer:?} over UDP");
            assert_eq!(timer.first(&settings, true), ms(reliable), "{timer:?} over TCP");
        }
    }

    #[test]
    fn retransmission_intervals_double_up_to_their_cap() {
        let settings = Settings::default();
        assert_eq!(backed_off(settings.t1, Some(settings.t2)), Duration::from_secs(1));
        assert_eq!(backed_off(settings.t2, Some(settings.t2)), settings.t2);
        assert_eq!(backed_off(settings.t2, None), Duration::from_secs(8));
    }
}
