//! The thread that keeps the calls' time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use super::call::{Bench, Call, PACKET_SIZE};
use super::handle::{Command, Control};
use super::orders::Inbox;
use super::quality::{self, Quality};
use super::recorder::Job;
use super::tape::Spares;
use super::wheel::Wheel;
use super::{Returned, RtpCounters};
use crate::net::batch::{self, Precedence, ReceiveArena};

/// Turns, then commands, taken before the other kind is looked at again.
const TURNS_IN_A_ROW: usize = 256;
const COMMANDS_IN_A_ROW: usize = 64;
/// A turn later than this is counted as late.
const LATE: Duration = Duration::from_millis(5);

pub(super) struct Worker {
    wheel: Wheel,
    calls: Vec<Option<Box<Call>>>,
    free: Vec<u32>,
    /// Only for commands; turns go by place.
    places: HashMap<u64, u32>,
    bench: Bench,
    inbox: Inbox,
    returns: SyncSender<Returned>,
    totals: Arc<Totals>,
    late: u64,
    latest_us: u64,
}

/// What a worker tells of itself, stored once in each of its rounds.
#[derive(Default)]
pub(super) struct Totals {
    calls: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    send_failed: AtomicU64,
    late: AtomicU64,
    latest_us: AtomicU64,
    quality: quality::Shared,
}

impl Totals {
    pub(super) fn read(&self) -> RtpCounters {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        RtpCounters {
            calls: get(&self.calls),
            received: get(&self.received),
            sent: get(&self.sent),
            send_failed: get(&self.send_failed),
            late: get(&self.late),
            latest_us: get(&self.latest_us),
            quality: self.quality.read(),
            recordings_failed: 0,
        }
    }
}

impl Worker {
    pub(super) fn new(
        epoch: Instant,
        inbox: Inbox,
        returns: SyncSender<Returned>,
        jobs: SyncSender<Job>,
        totals: Arc<Totals>,
    ) -> Self {
        Self {
            wheel: Wheel::new(epoch),
            calls: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            bench: Bench {
                arena: ReceiveArena::new(PACKET_SIZE),
                packet: [0; PACKET_SIZE],
                jobs,
                received: 0,
                sent: 0,
                send_failed: 0,
                quality: Quality::default(),
                spares: Spares::new(),
            },
            inbox,
            returns,
            totals,
            late: 0,
            latest_us: 0,
        }
    }

    /// Runs until told to shut down, or until nobody is left to give orders.
    pub(super) fn run(mut self) {
        match batch::prefer_this_thread() {
            Precedence::RealTime => {}
            precedence => tracing::info!(
                ?precedence,
                "RTP runs without real-time priority: CAP_SYS_NICE or LimitRTPRIO=1 would steady its pace"
            ),
        }
        loop {
            for _ in 0..TURNS_IN_A_ROW {
                let now = Instant::now();
                let Some(place) = self.wheel.pop(now) else { break };
                self.turn(place, now);
            }
            self.publish();
            if !self.take_commands() {
                break;
            }
        }
        self.close_all();
    }

    /// Waits for a command until the next turn is due, and takes those that wait. `false` when
    /// the worker shall end.
    fn take_commands(&mut self) -> bool {
        let Ok(mut next) = self.inbox.wait(self.wheel.next_due()) else { return false };
        for taken in 1..=COMMANDS_IN_A_ROW {
            match next {
                Some(Command::Attach(call)) => self.attach(call),
                Some(Command::Control(id, control)) => self.control(id, control),
                Some(Command::Shutdown) => return false,
                None => break,
            }
            // What is taken out is carried out: the last of a row is left in the inbox.
            next = if taken < COMMANDS_IN_A_ROW { self.inbox.take().unwrap_or_default() } else { None };
        }
        true
    }

    /// Completes what runs at the end of the process.
    fn close_all(&mut self) {
        for place in 0..u32::try_from(self.calls.len()).unwrap_or(u32::MAX) {
            if let Some(Some(call)) = self.calls.get_mut(place as usize) {
                call.close(&self.bench.jobs);
            }
            self.end(place);
        }
    }

    /// Takes a call in and makes its first turn at once.
    fn attach(&mut self, call: Box<Call>) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            // A process has far fewer descriptors than this type has values.
            u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX)
        });
        self.places.insert(call.id, place);
        let Some(entry) = self.calls.get_mut(place as usize) else { return };
        let call = entry.insert(call);
        let now = Instant::now();
        let open = call.turn(&mut self.bench, now);
        call.due = call.next_due();
        call.shift = self.wheel.join(call.due);
        call.due += call.shift;
        self.wheel.schedule(place, call.due);
        if !open {
            // It leaves at its next turn, as any other.
            tracing::trace!("a call was closed before its media began");
        }
    }

    fn control(&mut self, id: u64, control: Control) {
        let Some(place) = self.places.get(&id) else { return };
        if let Some(Some(call)) = self.calls.get_mut(*place as usize) {
            call.control(control, &self.bench.jobs, Instant::now());
        }
    }

    /// One call's turn.
    fn turn(&mut self, place: u32, now: Instant) {
        let Some(Some(call)) = self.calls.get_mut(place as usize) else { return };
        let delay = now.saturating_duration_since(call.due);
        if delay > LATE {
            self.late += 1;
        }
        self.latest_us = self.latest_us.max(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
        if call.turn(&mut self.bench, now) {
            call.due = call.next_due();
            self.wheel.schedule(place, call.due);
        } else {
            self.end(place);
        }
    }

    /// Hands an ended call, with its sockets and memory, to the porter.
    fn end(&mut self, place: u32) {
        let Some(mut call) = self.calls.get_mut(place as usize).and_then(Option::take) else { return };
        call.count_out(&mut self.bench);
        self.wheel.leave(call.due);
        self.places.remove(&call.id);
        self.free.push(place);
        if let Err(TrySendError::Full(_)) = self.returns.try_send(Returned::Call(call)) {
            // The sockets are closed here; the port stays unused until the next start.
            tracing::warn!("the RTP porter is behind: a port was lost");
        }
    }

    fn publish(&self) {
        let set = |total: &AtomicU64, value: u64| total.store(value, Ordering::Relaxed);
        set(&self.totals.calls, self.places.len() as u64);
        set(&self.totals.received, self.bench.received);
        set(&self.totals.sent, self.bench.sent);
        set(&self.totals.send_failed, self.bench.send_failed);
        set(&self.totals.late, self.late);
        set(&self.totals.latest_us, self.latest_us);
        self.totals.quality.store(self.bench.quality);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::net::rtp::orders::orders;

    #[test]
    fn every_order_that_waits_is_carried_out_however_many_there_are() {
        let (orders, inbox) = orders(1_000);
        let (returns, _returned) = sync_channel(1);
        let (jobs, _jobs) = sync_channel(1);
        let mut worker = Worker::new(Instant::now(), inbox, returns, jobs, Arc::default());
        // The last stands behind one row, and behind two.
        for before in [COMMANDS_IN_A_ROW, 2 * COMMANDS_IN_A_ROW] {
            for _ in 0..before {
                assert!(orders.try_send(Command::Control(1, Control::Clear)).is_ok());
            }
            orders.shut_down();
            let rows = std::iter::from_fn(|| worker.take_commands().then_some(())).take(10).count();
            assert_eq!(rows, before / COMMANDS_IN_A_ROW);
        }
    }
}
