//! The writing half of a connection, and what it knows of the far end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::registry::{Outbound, Outgoing};
use super::{CloseReason, StreamLimits};

/// Queued messages are joined into one write up to about this size.
const WRITE_SIZE: usize = 16_384;
/// What keeps an idle connection open (RFC 5626 §3.5.1).
const PING: &[u8] = b"\r\n\r\n";
/// Messages remembered of those that the far end may not have seen.
const UNCERTAIN: usize = 64;

/// What the reading half lets the writing half know. Both run in one task; the atomics are only
/// there because the task may move between threads.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    heard: AtomicBool,
    /// We wait for the answer to a keep-alive.
    pinged: AtomicBool,
    /// The far end has answered one.
    answers: AtomicBool,
    messages: AtomicU64,
}

impl Pulse {
    /// Anything at all came.
    pub(super) fn felt(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// A whole message came.
    pub(super) fn message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    /// What may be the answer to a keep-alive came. There are far ends that send the same of
    /// their own accord.
    pub(super) fn pong(&self) {
        if self.pinged.swap(false, Ordering::Relaxed) {
            self.answers.store(true, Ordering::Relaxed);
        }
    }
}

/// The tickets of what was written.
pub(super) struct Sent<T> {
    /// Of the messages being written.
    in_flight: Vec<T>,
    /// Of the messages written since the far end last sent one.
    uncertain: VecDeque<T>,
    /// How many messages the far end had sent by then.
    as_of: u64,
}

impl<T> Default for Sent<T> {
    fn default() -> Self {
        Self { in_flight: Vec::new(), uncertain: VecDeque::new(), as_of: 0 }
    }
}

impl<T> Sent<T> {
    /// Lets go of what was written before the far end sent its last message.
    pub(super) fn settle(&mut self, pulse: &Pulse) {
        let messages = pulse.messages.load(Ordering::Relaxed);
        if messages != self.as_of {
            self.as_of = messages;
            self.uncertain.clear();
        }
    }

    fn written(&mut self, pulse: &Pulse) {
        self.settle(pulse);
        self.uncertain.extend(self.in_flight.drain(..));
        let excess = self.uncertain.len().saturating_sub(UNCERTAIN);
        self.uncertain.drain(..excess);
    }

    /// What the far end can't be counted on to have seen, in order. The kernel takes what we
    /// write also when the far end is gone already, and tells only later.
    pub(super) fn undelivered(&mut self, reason: CloseReason) -> Vec<T> {
        let uncertain = std::mem::take(&mut self.uncertain);
        let mut tickets = match reason {
            CloseReason::Released | CloseReason::Unframed => Vec::new(),
            _ => Vec::from(uncertain),
        };
        tickets.append(&mut self.in_flight);
        tickets
    }
}

/// Writes what is queued until the connection is released or the far end is gone.
pub(super) async fn write<T, W: AsyncWrite + Unpin>(
    mut half: W,
    outbound: &mut Outbound<T>,
    sent: &mut Sent<T>,
    pulse: &Pulse,
    keep_alive: Option<Duration>,
    limits: &StreamLimits,
) -> CloseReason {
    let mut buffer = Vec::new();
    let mut pong_due: Option<Instant> = None;
    loop {
        buffer.clear();
        let next = match (pong_due, keep_alive) {
            (Some(due), _) => timeout_at(due, outbound.recv()).await,
            (None, Some(pause)) => timeout(pause, outbound.recv()).await,
            (None, None) => Ok(outbound.recv().await),
        };
        match next {
            Ok(Some(message)) => join(&mut buffer, &mut sent.in_flight, message),
            Ok(None) => break,
            Err(_) if pong_due.take().is_some() => {
                if pulse.heard.load(Ordering::Relaxed) {
                    continue;
                }
                return CloseReason::Silent;
            }
            Err(_) => {
                buffer.extend_from_slice(PING);
                pulse.heard.store(false, Ordering::Relaxed);
                pulse.pinged.store(true, Ordering::Relaxed);
                // Who never answers such a thing need not be gone.
                let answers = pulse.answers.load(Ordering::Relaxed);
                pong_due = answers.then(|| Instant::now() + limits.pong);
            }
        }
        while buffer.len() < WRITE_SIZE
            && let Ok(message) = outbound.try_recv()
        {
            join(&mut buffer, &mut sent.in_flight, message);
        }
        let writing = async {
            half.write_all(&buffer).await?;
            half.flush().await
        };
        match timeout(limits.write_stall, writing).await {
            Ok(Ok(())) => sent.written(pulse),
            Ok(Err(error)) => return CloseReason::Broken(error.kind()),
            Err(_) => return CloseReason::Stalled,
        }
        if buffer.capacity() > 4 * WRITE_SIZE {
            buffer = Vec::new();
        }
    }
    // The far end may be gone already, or not read: nothing is lost then.
    let _ = timeout(limits.write_stall, half.shutdown()).await;
    CloseReason::Released
}

fn join<T>(buffer: &mut Vec<u8>, in_flight: &mut Vec<T>, message: Outgoing<T>) {
    buffer.extend_from_slice(&message.bytes);
    in_flight.extend(message.ticket);
}
