//! Where the task that owns the SIP endpoint leaves a copy of every message.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use sip::endpoint::flow::{Flow, Transport};
use tokio::sync::mpsc;

use super::Way;

/// Messages handed over at a time, at most.
const BATCH: usize = 256;
/// Batches that wait for the collector; beyond, messages are dropped and counted.
pub(super) const BATCHES: usize = 64;

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
    batches: Option<mpsc::Sender<Vec<Seen>>>,
    dropped: Arc<AtomicU64>,
}

impl Tap {
    /// A tap that nobody listens to.
    #[must_use]
    pub fn closed() -> Self {
        Self { listening: Arc::default(), pending: Vec::new(), batches: None, dropped: Arc::default() }
    }

    pub(super) fn new(
        listening: Arc<AtomicBool>,
        batches: mpsc::Sender<Vec<Seen>>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self { listening, pending: Vec::new(), batches: Some(batches), dropped }
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
        let batch = std::mem::take(&mut self.pending);
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let taken = self.batches.as_ref().is_some_and(|batches| batches.try_send(batch).is_ok());
        if !taken {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
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

    #[test]
    fn a_collector_that_is_behind_costs_messages_and_no_time() {
        let (sender, mut batches) = mpsc::channel(1);
        let (listening, dropped) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let mut tap = Tap::new(listening, sender, Arc::clone(&dropped));
        for _ in 0..3 {
            tap.received(&flow(), &Bytes::from_static(b"x"));
            tap.flush();
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert_eq!(batches.try_recv().unwrap().len(), 1);
    }

    #[test]
    fn a_long_turn_is_handed_over_in_parts() {
        let (sender, mut batches) = mpsc::channel(8);
        let mut tap = Tap::new(Arc::new(AtomicBool::new(true)), sender, Arc::default());
        for _ in 0..=BATCH {
            tap.sent(Transport::Tcp, flow().local, flow().peer, &Bytes::from_static(b"x"));
        }
        tap.flush();
        assert_eq!((batches.try_recv().unwrap().len(), batches.try_recv().unwrap().len()), (BATCH, 1));
    }
}
