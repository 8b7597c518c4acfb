//! Orders for a worker, which sleeps between the turns of its calls.
//!
//! A worker that wakes within a millisecond anyway isn't woken for an order: under load that spares
//! a system call here and a change of threads there for every call.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::handle::Command;

/// How long an order may wait for a worker that wakes by itself.
const PATIENCE: Duration = Duration::from_millis(1);
/// How long a worker sleeps at a time when it has no calls, to see whether anybody is left.
const LONGEST: Duration = Duration::from_secs(1);

/// Makes both ends.
pub(super) fn orders(capacity: usize) -> (Orders, Inbox) {
    let (commands, received) = sync_channel(capacity);
    let bell = Arc::new(Bell {
        epoch: Instant::now(),
        asleep_until: AtomicU64::new(AWAKE),
        sleeper: OnceLock::new(),
    });
    (Orders { commands, bell: Arc::clone(&bell) }, Inbox { commands: received, bell })
}

/// The end that gives orders.
#[derive(Clone)]
pub(super) struct Orders {
    commands: SyncSender<Command>,
    bell: Arc<Bell>,
}

/// The worker's end.
pub(super) struct Inbox {
    commands: Receiver<Command>,
    bell: Arc<Bell>,
}

/// Nobody is left to give orders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Abandoned;

const AWAKE: u64 = 0;

struct Bell {
    epoch: Instant,
    /// In microseconds since the epoch; [`AWAKE`] while the worker works.
    asleep_until: AtomicU64,
    sleeper: OnceLock<Thread>,
}

impl Orders {
    /// Gives an order, or gives it back.
    pub(super) fn try_send(&self, command: Command) -> Result<(), TrySendError<Command>> {
        self.commands.try_send(command)?;
        self.bell.ring();
        Ok(())
    }

    /// Tells the worker to end. Waits for room. A worker that is gone has ended.
    pub(super) fn shut_down(&self) {
        let _ = self.commands.send(Command::Shutdown);
        self.bell.ring();
    }
}

impl Inbox {
    /// Sleeps until an order comes or `due` is reached.
    pub(super) fn wait(&self, due: Option<Instant>) -> Result<Option<Command>, Abandoned> {
        if let Some(command) = self.take()? {
            return Ok(Some(command));
        }
        self.bell.sleeper.get_or_init(std::thread::current);
        self.bell.asleep_until.store(due.map_or(u64::MAX, |due| self.bell.micros(due)), Ordering::SeqCst);
        // Whoever gives an order from here on sees that somebody sleeps.
        fence(Ordering::SeqCst);
        let missed = self.take();
        if let Ok(None) = missed {
            let left = due.map_or(LONGEST, |due| due.saturating_duration_since(Instant::now()));
            std::thread::park_timeout(left.min(LONGEST));
        }
        self.bell.asleep_until.store(AWAKE, Ordering::SeqCst);
        match missed {
            Ok(None) => self.take(),
            found => found,
        }
    }

    /// An order that waits.
    pub(super) fn take(&self) -> Result<Option<Command>, Abandoned> {
        match self.commands.try_recv() {
            Ok(command) => Ok(Some(command)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Abandoned),
        }
    }
}

impl Bell {
    fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        // Zero is taken.
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(AWAKE + 1)
    }

    fn ring(&self) {
        fence(Ordering::SeqCst);
        let until = self.asleep_until.load(Ordering::SeqCst);
        if until == AWAKE || until <= self.micros(Instant::now() + PATIENCE) {
            return;
        }
        // One of those who ring is enough.
        let first = self.asleep_until.compare_exchange(until, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
        if let (Ok(_), Some(sleeper)) = (first, self.sleeper.get()) {
            sleeper.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_calls_is_woken_by_an_order() {
        let (orders, inbox) = orders(1);
        let worker = std::thread::spawn(move || {
            let mut woken = Instant::now();
            // It may look around once a second meanwhile.
            while !matches!(inbox.wait(None), Ok(Some(Command::Shutdown))) {
                woken = Instant::now();
            }
            woken.elapsed()
        });
        while orders.bell.asleep_until.load(Ordering::SeqCst) == AWAKE {
            std::thread::yield_now();
        }
        orders.shut_down();
        assert!(worker.join().unwrap() < LONGEST);
    }

    #[test]
    fn no_order_is_lost_between_looking_and_sleeping() {
        let (orders, inbox) = orders(4);
        let worker = std::thread::spawn(move || {
            let (mut taken, begun) = (0, Instant::now());
            while taken < 20_000 {
                let due = Instant::now() + Duration::from_micros(taken % 3 * 700);
                taken += u64::from(inbox.wait(Some(due)).unwrap().is_some());
                assert!(begun.elapsed() < Duration::from_secs(60), "{taken}");
            }
        });
        for _ in 0..20_000 {
            while orders.try_send(Command::Shutdown).is_err() {
                std::thread::yield_now();
            }
        }
        worker.join().unwrap();
    }

    #[test]
    fn a_worker_that_nobody_gives_orders_to_ends() {
        let (orders, inbox) = orders(1);
        drop(orders);
        assert_eq!(inbox.wait(None).err(), Some(Abandoned));
    }
}
