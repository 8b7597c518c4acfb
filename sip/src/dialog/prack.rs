//! Provisional responses that must arrive (RFC 3262), as the one who sends them: numbers, what
//! waits for its PRACK, and what waits until that has come.

use std::time::Duration;

use bytes::Bytes;

use crate::message::{Method, RAck, StatusCode};
use crate::transaction::timer::backed_off;

/// The reliable provisional responses of one INVITE.
#[derive(Debug)]
pub(crate) struct Reliable {
    last: u32,
    status: StatusCode,
    waiting: Option<Waiting>,
    queued: Option<(StatusCode, Option<Bytes>)>,
    accepted: Option<Bytes>,
}

/// A response without its PRACK.
#[derive(Debug)]
struct Waiting {
    /// `CSeq` of the INVITE.
    cseq: u32,
    /// Whether a session description of ours is in it.
    described: bool,
    interval: Duration,
}

impl Reliable {
    /// Numbers begin anywhere from 1 to 2³¹−1 (§3).
    pub fn new(random: u64) -> Self {
        let first = u32::try_from(random & 0x7fff_ffff).unwrap_or_default().max(1);
        Self { last: first - 1, status: StatusCode::RINGING, waiting: None, queued: None, accepted: None }
    }

    /// The number of a response that goes out now, repeated first after `interval`.
    pub fn send(&mut self, status: StatusCode, cseq: u32, described: bool, interval: Duration) -> u32 {
        // Beyond 2³² responses to one INVITE nothing is promised.
        self.last = self.last.wrapping_add(1);
        self.status = status;
        self.waiting = Some(Waiting { cseq, described, interval });
        self.last
    }

    /// Whether a response waits for its PRACK: until the first has come no second one goes out
    /// (§3), and for us none of the later ones either.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether a 2xx must wait: a session description of ours isn't acknowledged (§3).
    pub fn holds_success(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.described)
    }

    /// The status of the last one.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether a PRACK is for the response that waits for one.
    pub fn fits(&self, rack: &RAck) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| {
            rack.rseq == self.last && rack.cseq.number == waiting.cseq && rack.cseq.method == Method::Invite
        })
    }

    /// It came.
    pub fn acknowledge(&mut self) {
        self.waiting = None;
    }

    /// It is repeated now; gives when to repeat it again. The interval doubles without a cap (§3).
    pub fn back_off(&mut self) -> Option<Duration> {
        let waiting = self.waiting.as_mut()?;
        waiting.interval = backed_off(waiting.interval, None);
        Some(waiting.interval)
    }

    /// Sends another response after the PRACK. Of several the last counts, and no session
    /// description is lost.
    pub fn queue(&mut self, status: StatusCode, sdp: Option<Bytes>) {
        let earlier = self.queued.take().and_then(|(_, sdp)| sdp);
        self.queued = Some((status, sdp.or(earlier)));
    }

    /// What was queued.
    pub fn next(&mut self) -> Option<(StatusCode, Option<Bytes>)> {
        self.queued.take()
    }

    /// The owner has accepted, and the 200 waits.
    pub fn accept(&mut self, sdp: Bytes) {
        self.accepted = Some(sdp);
    }

    /// Whether it has.
    pub fn is_accepted(&self) -> bool {
        self.accepted.is_some()
    }

    /// What the 200 that waited has to say.
    pub fn take_accepted(&mut self) -> Option<Bytes> {
        self.accepted.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rack(text: &str) -> RAck {
        RAck::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_begin_within_the_rfcs_range_and_go_up_by_one() {
        for random in [0, 1, 0x7fff_ffff, 0x8000_0000, u64::MAX] {
            let mut reliable = Reliable::new(random);
            let first = reliable.send(StatusCode::RINGING, 1, false, Duration::ZERO);
            assert!((1..=0x7fff_ffff).contains(&first), "{first}");
            assert_eq!(reliable.send(StatusCode::RINGING, 1, false, Duration::ZERO), first + 1);
        }
    }

    #[test]
    fn only_the_number_method_and_cseq_that_were_sent_are_acknowledged_and_once() {
        let mut reliable = Reliable::new(7);
        assert_eq!(reliable.send(StatusCode::RINGING, 5, true, Duration::ZERO), 7);
        for wrong in ["6 5 INVITE", "8 5 INVITE", "7 4 INVITE", "7 5 UPDATE"] {
            assert!(!reliable.fits(&rack(wrong)), "{wrong}");
        }
        assert!(reliable.holds_success() && reliable.fits(&rack("7 5 INVITE")));
        reliable.acknowledge();
        assert!(!reliable.fits(&rack("7 5 INVITE")) && !reliable.is_waiting());
    }

    #[test]
    fn intervals_double_without_a_cap() {
        let mut reliable = Reliable::new(7);
        reliable.send(StatusCode::RINGING, 1, false, Duration::from_millis(500));
        let intervals: Vec<u128> = (0..5).map(|_| reliable.back_off().unwrap().as_millis()).collect();
        assert_eq!(intervals, [1_000, 2_000, 4_000, 8_000, 16_000]);
    }

    #[test]
    fn of_what_is_queued_the_last_status_and_the_last_description_count() {
        let mut reliable = Reliable::new(7);
        reliable.queue(StatusCode::SESSION_PROGRESS, Some(Bytes::from_static(b"v=0")));
        reliable.queue(StatusCode::RINGING, None);
        assert_eq!(reliable.next(), Some((StatusCode::RINGING, Some(Bytes::from_static(b"v=0")))));
        assert_eq!(reliable.next(), None);
    }
}
