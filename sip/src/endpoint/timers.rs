//! All running timers in one queue. Those that were cancelled or replaced stay in it until their
//! time and are then passed over, so that cancelling costs nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use smallvec::SmallVec;

use crate::dialog::DialogId;
use crate::random::Key;
use crate::transaction::timer::Timer;

/// To whom a timer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Server(Key),
    Client(Key),
    Dialog(DialogId),
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Instant,
    serial: u64,
    owner: Owner,
    timer: Timer,
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

/// The timers that one owner has running.
#[derive(Debug, Default)]
pub(crate) struct Timers(SmallVec<[(Timer, u64); 3]>);

impl Timers {
    /// Cancels one.
    pub fn stop(&mut self, timer: Timer) {
        self.0.retain(|(running, _)| *running != timer);
    }

    /// Whether the timer set under this serial still counts; if so it is over now.
    pub fn fire(&mut self, timer: Timer, serial: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|running| *running != (timer, serial));
        self.0.len() < before
    }
}

/// All of them. Most timers of one letter run equally long, so that they come due in the order in
/// which they were set: each letter has a lane for those, and only the others need the heap.
#[derive(Debug, Default)]
pub(crate) struct TimerQueue {
    lanes: SmallVec<[(Timer, VecDeque<Entry>); 16]>,
    heap: BinaryHeap<Reverse<Entry>>,
    serial: u64,
}

impl TimerQueue {
    /// Sets a timer; one of the same letter in `timers` is replaced.
    pub fn start(&mut self, timers: &mut Timers, owner: Owner, timer: Timer, at: Instant) {
        self.serial += 1;
        timers.stop(timer);
        timers.0.push((timer, self.serial));
        let entry = Entry { at, serial: self.serial, owner, timer };
        let known = self.lanes.iter().position(|(letter, _)| *letter == timer);
        let index = known.unwrap_or_else(|| {
            self.lanes.push((timer, VecDeque::new()));
            self.lanes.len() - 1
        });
        match self.lanes.get_mut(index) {
            Some((_, lane)) if lane.back().is_none_or(|last| last.at <= at) => lane.push_back(entry),
            _ => self.heap.push(Reverse(entry)),
        }
    }

    /// When to look again.
    pub fn next_at(&self) -> Option<Instant> {
        self.next().map(|(_, entry)| entry.at)
    }

    /// The next timer whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<(Owner, Timer, u64)> {
        let (lane, entry) = self.next()?;
        if entry.at > now {
            return None;
        }
        let entry = match lane {
            Some(lane) => self.lanes.get_mut(lane).and_then(|(_, lane)| {
                // What a burst of calls took is given back once it is over.
                if lane.capacity() > SMALL && lane.len() * 8 < lane.capacity() {
                    lane.shrink_to(lane.len() * 2);
                }
                lane.pop_front()
            })?,
            None => {
                if self.heap.capacity() > SMALL && self.heap.len() * 8 < self.heap.capacity() {
                    self.heap.shrink_to(self.heap.len() * 2);
                }
                self.heap.pop()?.0
            }
        };
        Some((entry.owner, entry.timer, entry.serial))
    }

    /// The earliest, and in which lane it is, if in any.
    fn next(&self) -> Option<(Option<usize>, &Entry)> {
        let lanes = self.lanes.iter().enumerate();
        let fronts = lanes.filter_map(|(index, (_, lane))| Some((Some(index), lane.front()?)));
        let heap = self.heap.peek().map(|Reverse(entry)| (None, entry));
        fronts.chain(heap).min_by_key(|(_, entry)| (entry.at, entry.serial))
    }
}

/// Capacity that is never given back.
const SMALL: usize = 1_024;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a virtual clock has to start somewhere")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::random::{Keyer, Tokens};

    #[test]
    fn a_timer_set_again_fires_only_at_its_later_time() {
        let start = Instant::now();
        let owner = Owner::Server(Keyer::new(&mut Tokens::new([0; 32])).key(&[b"x"]));
        let (mut queue, mut timers) = (TimerQueue::default(), Timers::default());
        queue.start(&mut timers, owner, Timer::G, start + Duration::from_secs(1));
        queue.start(&mut timers, owner, Timer::G, start + Duration::from_secs(2));
        let mut fired = Vec::new();
        for second in 0..4 {
            while let Some((_, timer, serial)) = queue.pop(start + Duration::from_secs(second)) {
                if timers.fire(timer, serial) {
                    fired.push(second);
                }
            }
        }
        assert_eq!(fired, [2]);
    }

    #[test]
    fn timers_come_in_the_order_of_their_times_whatever_their_letters_and_the_order_they_were_set_in() {
        let start = Instant::now();
        let owner = Owner::Server(Keyer::new(&mut Tokens::new([0; 32])).key(&[b"x"]));
        let mut queue = TimerQueue::default();
        for (timer, second) in
            [(Timer::J, 5), (Timer::L, 3), (Timer::J, 1), (Timer::J, 6), (Timer::G, 2), (Timer::L, 4)]
        {
            queue.start(&mut Timers::default(), owner, timer, start + Duration::from_secs(second));
        }
        let mut order = Vec::new();
        while let Some(at) = queue.next_at() {
            order.push((at - start).as_secs());
            assert_eq!(queue.pop(at - Duration::from_millis(1)), None);
            assert!(queue.pop(at).is_some());
        }
        assert_eq!(order, [1, 2, 3, 4, 5, 6]);
    }
}
