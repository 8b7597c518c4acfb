//! Whoever follows every message for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::Message;

/// Messages that wait for a follower; beyond, they are dropped and counted.
const WAITING: usize = 4_096;
/// Followers at a time.
pub(super) const MAX_FOLLOWERS: usize = 4;

/// The collector's end.
#[derive(Debug)]
pub(super) struct Followed {
    messages: mpsc::Sender<Arc<Message>>,
    dropped: Arc<AtomicU64>,
}

/// The reader's end; dropping it ends the following.
#[derive(Debug)]
pub struct Follower {
    messages: mpsc::Receiver<Arc<Message>>,
    dropped: Arc<AtomicU64>,
}

pub(super) fn pair() -> (Followed, Follower) {
    let (sender, messages) = mpsc::channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    (Followed { messages: sender, dropped: Arc::clone(&dropped) }, Follower { messages, dropped })
}

impl Followed {
    /// Whether the follower is still there.
    pub fn is_there(&self) -> bool {
        !self.messages.is_closed()
    }

    pub fn tell(&self, message: &Arc<Message>) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.messages.try_send(Arc::clone(message)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Follower {
    /// The next message; `None` once the service stops.
    pub async fn next(&mut self) -> Option<Arc<Message>> {
        self.messages.recv().await
    }

    /// How many messages didn't fit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
