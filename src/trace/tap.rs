//! Where the task that owns the SIP endpoint leaves a copy of every message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use sip::endpoint::flow::{Flow, Transport};
use tokio::sync::Notify;

use super::Way;

/// Messages handed over at a time, at most.
const BATCH: usize = 256;
/// Messages that wait for the collector; those beyond are dropped and counted.
const WAITING: usize = 16_384;

/// A message as it passes by.
#[derive(Debug)]
pub(super) struct Seen {
    pub at: u64,
    pub way: Way,
    pub transport: Transport,
    pub peer: SocketAddr,
    /// Unspecified where a socket listens on every address and the message says nothing else.
    pub local: SocketAddr,
    pub bytes: Bytes,
}

/// The tap. When nobody listens it costs a branch.
#[derive(Debug)]
pub struct Tap {
    listening: Arc<AtomicBool>,
    pending: Vec<Seen>,
    basket: Arc<Basket>,
    dropped: Arc<AtomicU64>,
}

impl Tap {
    /// A tap that nobody listens to.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(Arc::default(), Arc::default(), Arc::default())
    }

    pub(super) fn new(listening: Arc<AtomicBool>, basket: Arc<Basket>, dropped: Arc<AtomicU64>) -> Self {
        Self { listening, pending: Vec::new(), basket, dropped }
    }

    /// A message came.
    #[inline]
    pub fn received(&mut self, flow: &Flow, bytes: &Bytes) {
        if self.listening.load(Ordering::Relaxed) {
            self.keep(Way::In, flow.transport, flow.peer, flow.local, bytes);
        }
    }

    /// A message goes.
    #[inline]
    pub fn sent(&mut self, transport: Transport, local: SocketAddr, peer: SocketAddr, bytes: &Bytes) {
        if self.listening.load(Ordering::Relaxed) {
            self.keep(Way::Out, transport, peer, local, bytes);
        }
    }

    /// Hands over what was kept; to be called once a turn.
    #[inline]
    pub fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.hand_over();
        }
    }

    fn keep(&mut self, way: Way, transport: Transport, peer: SocketAddr, local: SocketAddr, bytes: &Bytes) {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let at = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        self.pending.push(Seen { at, way, transport, peer, local, bytes: bytes.clone() });
        if self.pending.len() >= BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let beyond = self.basket.put(&mut self.pending);
        if beyond > 0 {
            self.dropped.fetch_add(beyond, Ordering::Relaxed);
        }
    }
}

/// Where messages wait for the collector. It is woken for the first only: it empties the basket,
/// works, and looks again before it sleeps.
#[derive(Debug, Default)]
pub(super) struct Basket {
    waiting: Mutex<Vec<Seen>>,
    asleep: AtomicBool,
    filled: Notify,
}

impl Basket {
    /// Takes in what there is room for; gives how many that left out. Empties the list.
    fn put(&self, seen: &mut Vec<Seen>) -> u64 {
        let mut waiting = self.lock();
        let room = WAITING.saturating_sub(waiting.len()).min(seen.len());
        waiting.extend(seen.drain(..room));
        drop(waiting);
        let beyond = u64::try_from(seen.len()).unwrap_or(u64::MAX);
        seen.clear();
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.filled.notify_one();
        }
        beyond
    }

    /// What waits; perhaps nothing.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.lock())
    }

    /// What waits, once there is something. May be dropped at any moment without a loss.
    pub(super) async fn next(&self) -> Vec<Seen> {
        loop {
            self.asleep.store(true, Ordering::SeqCst);
            let seen = self.take();
            if !seen.is_empty() {
                self.asleep.store(false, Ordering::SeqCst);
                return seen;
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        // Whoever panicked with the lock left whole messages behind.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let address = "127.0.0.1:5060".parse().unwrap();
        Flow { transport: Transport::Udp, peer: address, local: address, connection: None }
    }

    #[test]
    fn nothing_is_kept_while_nobody_listens() {
        let mut tap = Tap::closed();
        tap.received(&flow(), &Bytes::from_static(b"x"));
        assert!(tap.pending.is_empty());
    }

    fn tap() -> (Tap, Arc<Basket>) {
        let basket = Arc::new(Basket::default());
        (Tap::new(Arc::new(AtomicBool::new(true)), Arc::clone(&basket), Arc::default()), basket)
    }

    #[test]
    fn a_collector_that_is_behind_costs_messages_and_no_time() {
        let (mut tap, basket) = tap();
        for _ in 0..WAITING + 2 {
            tap.received(&flow(), &Bytes::from_static(b"x"));
            tap.flush();
        }
        assert_eq!(tap.dropped.load(Ordering::Relaxed), 2);
        assert_eq!((basket.take().len(), basket.take().len()), (WAITING, 0));
    }

    #[test]
    fn a_long_turn_is_handed_over_in_parts() {
        let (mut tap, basket) = tap();
        for _ in 0..=BATCH {
            tap.sent(Transport::Tcp, flow().local, flow().peer, &Bytes::from_static(b"x"));
        }
        assert_eq!(basket.take().len(), BATCH);
        tap.flush();
        assert_eq!(basket.take().len(), 1);
    }

    #[tokio::test]
    async fn a_collector_that_sleeps_is_woken() {
        let (mut tap, basket) = tap();
        let sleeping = tokio::spawn(async move { basket.next().await.len() });
        tokio::task::yield_now().await;
        tap.received(&flow(), &Bytes::from_static(b"x"));
        tap.flush();
        assert_eq!(sleeping.await.unwrap(), 1);
    }
}
