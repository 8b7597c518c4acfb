//! Providers end sessions at 30 or 60 minutes. Long before that, in a pause of the conversation,
//! another is opened with what was said so far, and takes the place of the first when nothing was
//! said meanwhile.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::connection::Socket;
use super::{Caller, Link, ProviderError, Session};

/// The age at which a session is replaced.
const AGE: Duration = Duration::from_secs(20 * 60);
/// How soon it is tried again when it didn't work out.
const AGAIN: Duration = Duration::from_secs(15);
/// How long the opening may take.
const OPENING: Duration = Duration::from_secs(5);

/// The session that is to take over.
pub(super) struct Renewal {
    due: Instant,
    opening: Option<BoxFuture<'static, Result<Box<Socket>, ProviderError>>>,
    /// What had been said when it was begun.
    remembered: u64,
}

impl Renewal {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now + AGE, opening: None, remembered: 0 }
    }

    /// When the next is to be opened.
    pub(super) fn due(&self) -> Option<Instant> {
        self.opening.is_none().then_some(self.due)
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Box<Socket>, ProviderError>> {
        match &mut self.opening {
            Some(opening) => opening.poll_unpin(context),
            None => Poll::Pending,
        }
    }
}

impl Session {
    pub(super) fn renew(&mut self) {
        let (connector, settings) = (Arc::clone(&self.connector), Arc::clone(&self.settings));
        let before = self.talk.history();
        self.renewal.remembered = self.talk.remembered();
        self.renewal.opening = Some(connector.open(settings, before, OPENING).boxed());
    }

    pub(super) fn renewed(&mut self, result: Result<Box<Socket>, ProviderError>) {
        self.renewal.opening = None;
        self.renewal.due = Instant::now() + AGAIN;
        let still = self.is_idle()
            && self.caller != Caller::Away
            && !self.turns.caller_speaks()
            && self.talk.remembered() == self.renewal.remembered;
        match result {
            Ok(socket) if still => {
                tracing::info!(call = %self.call, "a new realtime session takes the place of an old one");
                self.link = Link::Up(socket);
                self.unflushed = true;
                self.renewal = Renewal::new(Instant::now());
            }
            Ok(_) => {}
            Err(error) => tracing::info!(call = %self.call, %error, "no new realtime session yet"),
        }
    }
}
