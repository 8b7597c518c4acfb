//! What happened on a transport's connections.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happened on a transport's listeners and connections since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused because of a limit.
    pub refused: u64,
    /// Connections without a message yet that were closed to make room for another.
    pub evicted: u64,
    /// Connections opened by us.
    pub opened: u64,
    /// Connections that couldn't be opened.
    pub unreachable: u64,
    /// Accepted connections whose handshake failed.
    pub handshakes_failed: u64,
    /// Messages received.
    pub messages: u64,
    /// Streams that ended within a message.
    pub cut: u64,
    /// Streams that were no SIP.
    pub unframed: u64,
    /// Connections closed because something didn't come in time.
    pub timed_out: u64,
    /// Messages refused because a queue was full.
    pub queue_full: u64,
    /// Connections open now.
    pub open: u64,
}

#[derive(Default)]
pub(super) struct Totals {
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) unreachable: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) messages: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) unframed: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) queue_full: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Totals {
    pub(super) fn read(&self, open: u64) -> StreamCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StreamCounters {
            accepted: get(&self.accepted),
            refused: get(&self.refused),
            evicted: get(&self.evicted),
            opened: get(&self.opened),
            unreachable: get(&self.unreachable),
            handshakes_failed: get(&self.handshakes_failed),
            messages: get(&self.messages),
            cut: get(&self.cut),
            unframed: get(&self.unframed),
            timed_out: get(&self.timed_out),
            queue_full: get(&self.queue_full),
            open,
        }
    }
}
