//! All running timers in one heap. Those that were cancelled or replaced stay in it until their
//! time and are then passed over, so that cancelling costs nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

/// The heap.
#[derive(Debug, Default)]
pub(crate) struct TimerQueue {
    heap: BinaryHeap<Reverse<Entry>>,
    serial: u64,
}

impl TimerQueue {
    /// Sets a timer; one of the same letter in `timers` is replaced.
    pub fn start(&mut self, timers: &mut Timers, owner: Owner, timer: Timer, at: Instant) {
        self.serial += 1;
        timers.stop(timer);
        timers.0.push((timer, self.serial));
        self.heap.push(Reverse(Entry { at, serial: self.serial, owner, timer }));
    }

    /// When to look again.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next timer whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<(Owner, Timer, u64)> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        // What a burst of calls took is given back once it is over.
        if self.heap.len() * 8 < self.heap.capacity() {
            self.heap.shrink_to(self.heap.len() * 2);
        }
        Some((entry.owner, entry.timer, entry.serial))
    }
}

#[cfg(test)]
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
}
