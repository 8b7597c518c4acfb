//! The connection of a session, and what happens when it is lost: it is opened anew with the
//! conversation so far, at most three times and within four seconds; then the call goes to its
//! fallback.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::connection::{Said, Socket, dropped};
use super::super::talk::Purpose;
use super::renewal::Renewal;
use super::{
    AgentEvent, Caller, ClientEvent, Next, PlayoutCommand, ProviderError, Response, Session, Sink, Stream,
};
use crate::agent::phrases::{self, Phrase};
use crate::agent::turn::Input as Turn;

/// How long a server that was lost may take to be back.
const RECOVERY: Duration = Duration::from_secs(4);
/// How often it is tried.
const ATTEMPTS: u32 = 3;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(2_500);
/// Silence before the caller is told that it takes a moment.
pub(super) const REASSURE: Duration = Duration::from_millis(1_500);
/// How long a server that was asked to speak may give no sign of life at all.
pub(super) const HUNG: Duration = Duration::from_millis(3_500);
/// How long a server that is at it may be silent.
pub(super) const STALLED: Duration = Duration::from_secs(8);

/// The connection.
pub(super) enum Link {
    Up(Box<Socket>),
    Opening(BoxFuture<'static, Result<Box<Socket>, ProviderError>>),
    Down,
}

/// The time since the server was lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    since: Instant,
    attempts: u32,
    /// The caller was waiting for an answer.
    owed: bool,
    /// The caller was told to wait.
    pub(super) reassured: bool,
}

impl Outage {
    /// When the caller is told to wait.
    pub(super) fn reassure_at(&self) -> Option<Instant> {
        (!self.reassured).then_some(self.since + REASSURE)
    }
}

impl Link {
    /// Writes what waits to be written, and gives what comes first.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, unflushed: &mut bool) -> Poll<Next> {
        match self {
            Self::Up(socket) => {
                if *unflushed && let Poll::Ready(result) = Pin::new(&mut **socket).poll_flush(context) {
                    *unflushed = false;
                    if let Err(error) = result {
                        return Poll::Ready(Next::Message(Some(Err(error))));
                    }
                }
                Pin::new(&mut **socket).poll_next(context).map(Next::Message)
            }
            Self::Opening(opening) => opening.poll_unpin(context).map(Next::Opened),
            Self::Down => Poll::Pending,
        }
    }
}

impl Session {
    /// The server is lost. What has come from it is played; then it is tried again.
    pub(super) fn lose(&mut self, error: ProviderError) {
        tracing::warn!(call = %self.call, %error, "the realtime server is lost");
        let again = !matches!(
            error,
            ProviderError::QuotaExhausted { .. }
                | ProviderError::Refused { .. }
                | ProviderError::KeyMissing { .. }
        );
        self.tell(AgentEvent::Fault(error));
        let owed = self.unfinished();
        self.abandon_response();
        self.renewal = Renewal::new(Instant::now());
        self.link = Link::Down;
        let now = Instant::now();
        let outage = self.outage.get_or_insert(Outage { since: now, attempts: 0, owed, reassured: false });
        outage.owed |= owed;
        if again { self.try_again(now) } else { self.give_up() }
    }

    fn try_again(&mut self, now: Instant) {
        let Some(outage) = &mut self.outage else { return };
        outage.attempts += 1;
        let left = (outage.since + RECOVERY).saturating_duration_since(now);
        let wait = self.shared.pace.claim(now, left);
        let (Some(wait), true) = (wait, outage.attempts <= ATTEMPTS && !left.is_zero()) else {
            return self.give_up();
        };
        let (connector, settings) = (Arc::clone(&self.connector), Arc::clone(&self.settings));
        let mut before = self.talk.history();
        before.push(Said::Note(
            "The connection was interrupted for a moment; the conversation goes on where it was.".to_owned(),
        ));
        let within = ATTEMPT.min(left.saturating_sub(wait));
        self.link = Link::Opening(
            async move {
                tokio::time::sleep(wait).await;
                connector.open(settings, before, within).await
            }
            .boxed(),
        );
    }

    fn give_up(&mut self) {
        self.shared.counters.given_up.fetch_add(1, Ordering::Relaxed);
        self.link = Link::Down;
        self.over = true;
    }

    pub(super) fn opened_anew(&mut self, result: Result<Box<Socket>, ProviderError>) {
        match result {
            Err(error) => self.lose(error),
            Ok(socket) => {
                self.shared.counters.reconnected.fetch_add(1, Ordering::Relaxed);
                self.link = Link::Up(socket);
                self.unflushed = true;
                self.audio.skip();
                let owed = self.outage.take().is_some_and(|outage| outage.owed);
                self.next_in_queue();
                if owed && self.caller == Caller::Here {
                    self.ask(Purpose::Reply);
                }
            }
        }
    }

    /// What was asked for and not heard is asked for again, in the next session. Whether it is an
    /// answer to the caller.
    fn unfinished(&mut self) -> bool {
        let (purpose, audible) = match &self.response {
            Response::Asked { purpose, cancelled: false, .. } => (purpose.clone(), false),
            Response::Running { purpose, cancelled: false, audible, .. } => (purpose.clone(), *audible),
            _ => return false,
        };
        match purpose {
            Purpose::Reply => return true,
            Purpose::Filler => {}
            Purpose::Goodbye => self.queue.push_front(Purpose::Goodbye),
            other if !audible => self.queue.push_front(other),
            _ => {}
        }
        false
    }

    /// A response that nobody will continue: what has come of it is all there is.
    pub(super) fn abandon_response(&mut self) {
        self.response = Response::None;
        let open: Vec<_> = self
            .talk
            .under_way()
            .filter(|one| !one.ended && one.item.is_some())
            .collect::<Vec<_>>()
            .into_iter()
            .map(|one| {
                one.ended = true;
                one.id
            })
            .collect();
        for utterance in open {
            self.play(PlayoutCommand::End { utterance });
            self.tell(AgentEvent::Spoken { utterance });
        }
    }

    /// Nothing is heard for too long: the caller is told, in our own voice.
    pub(super) fn reassure(&mut self) {
        if self.local.is_none() && self.talk.is_quiet() && self.caller == Caller::Here {
            let text = phrases::text(&self.locale, Phrase::OneMoment);
            self.say_locally(Purpose::Filler, text);
        }
    }

    /// The connection is up, and says nothing.
    pub(super) fn hung(&mut self, after: Duration) {
        let error = ProviderError::TimedOut { provider: super::NAME, after };
        self.lose(error);
    }

    /// What a close frame means.
    pub(super) fn closed_by_server(&mut self, code: Option<u16>) {
        // 1001 is how the server ends a session that is too old; a new one is no fault.
        if self.outage.is_none() && code == Some(1001) {
            tracing::info!(call = %self.call, "the realtime session has reached its age; another is opened");
        }
        self.lose(dropped(code));
    }

    pub(super) fn tell_turns(&mut self, input: Turn<'_>) {
        let now = Instant::now();
        let mut orders = std::mem::take(&mut self.orders);
        self.turns.handle(input, now, &mut orders);
        for order in orders.drain(..) {
            self.follow(order, now);
        }
        self.orders = orders;
    }

    pub(super) fn forget(&mut self, event: &ClientEvent<'_>) {
        self.send(event);
    }
}
