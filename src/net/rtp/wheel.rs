//! When each call is due: a wheel of one-millisecond slots on an absolute clock.
//!
//! A call is in at most one slot. The slots are queues threaded through one table, so that
//! moving a call from slot to slot allocates nothing.

use std::time::{Duration, Instant};

/// Length of a slot.
const SLOT: Duration = Duration::from_millis(1);
/// More than the longest packet time in slots, and a power of two.
const SLOTS: usize = 64;
/// Calls with the usual packet time come back to the same one of so many slots.
const PHASES: usize = 20;
/// A new call's first interval may be longer by so many slots to even out the load.
const SHIFT: u64 = 4;
/// Calls that a slot has before another one is begun: waking up costs as much as several calls.
const GATHERED: u32 = 25;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Queue {
    first: u32,
    last: u32,
}

const EMPTY: Queue = Queue { first: NONE, last: NONE };

/// The wheel. Calls are small numbers, as a slab gives them.
pub(super) struct Wheel {
    epoch: Instant,
    /// The slot being worked off; all earlier ones are empty.
    cursor: u64,
    slots: [Queue; SLOTS],
    next: Vec<u32>,
    scheduled: usize,
    load: [u32; PHASES],
}

impl Wheel {
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, cursor: 0, slots: [EMPTY; SLOTS], next: Vec::new(), scheduled: 0, load: [0; PHASES] }
    }

    /// Enters a call, to be due at `at` or within the next millisecond. Times outside the
    /// wheel's 63 ms are moved to its ends: a call that comes early is simply entered again.
    /// A call must not be entered twice.
    pub(super) fn schedule(&mut self, call: u32, at: Instant) {
        let slot = self.slot(at).clamp(self.cursor + 1, self.cursor + SLOTS as u64 - 1);
        let index = call as usize;
        if self.next.len() <= index {
            self.next.resize(index + 1, NONE);
        }
        let Some(link) = self.next.get_mut(index) else { return };
        *link = NONE;
        let Some(queue) = self.slots.get_mut(place(slot, SLOTS)) else { return };
        let last = std::mem::replace(&mut queue.last, call);
        if last == NONE {
            queue.first = call;
        } else if let Some(link) = self.next.get_mut(last as usize) {
            *link = call;
        }
        self.scheduled += 1;
    }

    /// The next call that is due, which leaves the wheel; `None` when `now` is reached.
    pub(super) fn pop(&mut self, now: Instant) -> Option<u32> {
        let elapsed = now.saturating_duration_since(self.epoch);
        let present = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if self.scheduled == 0 {
            self.cursor = self.cursor.max(present);
            return None;
        }
        loop {
            let queue = self.slots.get_mut(place(self.cursor, SLOTS))?;
            if self.cursor <= present && queue.first != NONE {
                let call = queue.first;
                queue.first = self.next.get(call as usize).copied().unwrap_or(NONE);
                if queue.first == NONE {
                    queue.last = NONE;
                }
                self.scheduled -= 1;
                return Some(call);
            }
            if self.cursor >= present {
                return None;
            }
            self.cursor += 1;
        }
    }

    /// When the next call is due; `None` when there is none.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.scheduled == 0 {
            return None;
        }
        (self.cursor..self.cursor + SLOTS as u64)
            .find(|slot| self.slots.get(place(*slot, SLOTS)).is_some_and(|queue| queue.first != NONE))
            .map(|slot| self.epoch + Duration::from_millis(slot))
    }

    /// By how much a new call that is due at `at` should be put off, for good, so that few calls
    /// share few slots and many are spread over the packet time; at most 4 ms. Tell
    /// [`Wheel::leave`] the time so gained when it ends.
    pub(super) fn join(&mut self, at: Instant) -> Duration {
        let slot = self.slot(at);
        let load = |shift: u64| self.load.get(phase(slot + shift)).copied().unwrap_or(0);
        // The fullest that isn't full, the soonest of those; else the emptiest.
        let open = (0..=SHIFT).rev().filter(|shift| load(*shift) < GATHERED).max_by_key(|shift| load(*shift));
        let shift = open.or_else(|| (0..=SHIFT).min_by_key(|shift| load(*shift))).unwrap_or(0);
        if let Some(load) = self.load.get_mut(phase(slot + shift)) {
            *load += 1;
        }
        Duration::from_millis(shift)
    }

    /// A call that was due at `at` has ended.
    pub(super) fn leave(&mut self, at: Instant) {
        let slot = self.slot(at);
        if let Some(load) = self.load.get_mut(phase(slot)) {
            *load = load.saturating_sub(1);
        }
    }

    /// The first slot that begins at or after a time.
    fn slot(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(nanos.div_ceil(SLOT.as_nanos())).unwrap_or(u64::MAX / 2)
    }
}

fn phase(slot: u64) -> usize {
    place(slot, PHASES)
}

/// The place of a slot in a ring.
fn place(slot: u64, ring: usize) -> usize {
    usize::try_from(slot % ring as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: Instant, micros: u64) -> Instant {
        epoch + Duration::from_micros(micros)
    }

    #[test]
    fn calls_come_out_when_due_and_in_the_order_they_went_in() {
        let epoch = Instant::now();
        let mut wheel = Wheel::new(epoch);
        for call in 0..3 {
            wheel.schedule(call, at(epoch, 20_000));
        }
        wheel.schedule(3, at(epoch, 10_000));
        assert_eq!(wheel.next_due(), Some(at(epoch, 10_000)));
        assert_eq!(wheel.pop(at(epoch, 9_999)), None);
        assert_eq!(wheel.pop(at(epoch, 10_000)), Some(3));
        assert_eq!(wheel.pop(at(epoch, 19_999)), None);
        let due: Vec<_> = std::iter::from_fn(|| wheel.pop(at(epoch, 20_100))).collect();
        assert_eq!(due, [0, 1, 2]);
        assert_eq!(wheel.next_due(), None);
    }

    #[test]
    fn a_call_is_never_early_and_at_most_a_slot_late() {
        let epoch = Instant::now();
        let mut wheel = Wheel::new(epoch);
        wheel.schedule(0, at(epoch, 20_300));
        assert_eq!(wheel.next_due(), Some(at(epoch, 21_000)));
    }

    #[test]
    fn after_a_stall_calls_come_at_once_and_then_when_due_again() {
        let epoch = Instant::now();
        let mut wheel = Wheel::new(epoch);
        let now = at(epoch, 500_200);
        wheel.schedule(0, at(epoch, 5_000));
        let mut turns = 0;
        while wheel.pop(now).is_some() {
            turns += 1;
            wheel.schedule(0, at(epoch, 520_000));
        }
        // The wheel turns through the time it missed, so the call comes a few times early.
        assert!((1..=500 / 63 + 2).contains(&turns), "{turns}");
        let due = at(epoch, 520_000);
        assert!(wheel.next_due().is_some_and(|next| next > now && next <= due));
        assert_eq!(wheel.pop(due), Some(0));
    }

    #[test]
    fn an_empty_wheel_keeps_up_with_the_clock() {
        let epoch = Instant::now();
        let mut wheel = Wheel::new(epoch);
        assert_eq!(wheel.pop(epoch + Duration::from_secs(3600)), None);
        let due = epoch + Duration::from_secs(3600) + Duration::from_millis(20);
        wheel.schedule(7, due);
        assert_eq!(wheel.next_due(), Some(due));
        assert_eq!(wheel.pop(due), Some(7));
    }

    #[test]
    fn calls_that_start_together_share_slots_and_are_spread_when_these_are_full() {
        let epoch = Instant::now();
        let mut wheel = Wheel::new(epoch);
        let mut join = |calls: u32, shifts: &mut [u32; 5]| {
            for _ in 0..calls {
                shifts[wheel.join(at(epoch, 7_000)).as_millis() as usize] += 1;
            }
        };
        let mut shifts = [0; 5];
        join(2 * GATHERED, &mut shifts);
        assert_eq!(shifts, [GATHERED, GATHERED, 0, 0, 0]);
        join(3 * GATHERED + 50, &mut shifts);
        assert_eq!(shifts, [GATHERED + 10; 5]);
        wheel.leave(at(epoch, 9_000));
        assert_eq!(wheel.join(at(epoch, 7_000)), Duration::from_millis(2));
    }

    #[test]
    fn a_call_joins_one_that_is_due_soon() {
        let epoch = Instant::now();
        let mut wheel = Wheel::new(epoch);
        assert_eq!(wheel.join(at(epoch, 9_000)), Duration::ZERO);
        assert_eq!(
            wheel.join(at(epoch, 27_000)),
            Duration::from_millis(2),
            "a packet time later, 2 ms before it"
        );
        assert_eq!(wheel.join(at(epoch, 10_000)), Duration::ZERO, "nobody is sent early");
    }
}
