//! The states of a registration, each with what exists in it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::digest::DigestError;
use super::ATTEMPT_LIMIT;

/// What the registrar holds for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The expiry it granted.
    pub granted: Duration,
    /// When it ends unless refreshed.
    pub expires_at: Instant,
    /// The route it wants requests of this registration to take (RFC 3608 §5), topmost first.
    pub service_route: Vec<Bytes>,
    /// The proxies that requests to us pass (RFC 3327).
    pub path: Vec<Bytes>,
}

/// Where the registration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not started, or stopped.
    Idle,
    /// A REGISTER is out, or held back by the rate.
    Registering {
        /// The binding being refreshed.
        binding: Option<Binding>,
        /// The attempt.
        attempt: Attempt,
    },
    /// Bound.
    Registered {
        /// The binding.
        binding: Binding,
        /// When it is refreshed.
        refresh_at: Instant,
    },
    /// An attempt failed; another follows.
    Waiting {
        /// The binding that could not be refreshed, until it ends.
        binding: Option<Binding>,
        /// When the next attempt is made.
        retry_at: Instant,
        /// What went wrong.
        failure: Failure,
    },
    /// On the way out.
    Unregistering {
        /// The binding to take away, when known.
        binding: Option<Binding>,
        /// The request that is out or held back.
        pending: Pending,
        /// When it is left at that.
        give_up_at: Instant,
    },
}

/// One attempt: a REGISTER and those that its answers ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub(super) min_expires_taken: bool,
    pub(super) pending: Pending,
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// Held back by the rate.
    ToSend {
        /// When it may go.
        at: Instant,
    },
    /// Sent, not answered yet.
    Sent {
        /// Its CSeq number.
        cseq: u32,
        /// When it was sent.
        at: Instant,
        /// The seconds it asked for.
        expires: u32,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer, or no way to send.
    #[error("the registrar doesn't answer")]
    Silence,
    /// User name or password is wrong, as far as the registrar is concerned.
    #[error("the registrar refused user name or password")]
    Refused,
    /// It asks for credentials and none are configured.
    #[error("the registrar asks for credentials and none are configured")]
    NoCredentials,
    /// Its challenge can't be answered.
    #[error("the registrar's challenge can't be answered: {0}")]
    Challenge(DigestError),
    /// It accepted and granted an expiry of nothing.
    #[error("the registrar accepted the registration for 0 seconds")]
    NothingGranted,
    /// Another final status. Redirections are among them: they aren't followed.
    #[error("the registrar answered {0}")]
    Status(u16),
}

/// A state without its data, for display and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not started, or stopped.
    Idle,
    /// A first REGISTER is out.
    Registering,
    /// Bound.
    Registered,
    /// Bound, with a REGISTER out.
    Refreshing,
    /// Bound, though the refresh failed; tried again soon.
    RefreshFailed,
    /// Not bound; tried again later.
    Failed,
    /// On the way out.
    Unregistering,
}

impl Phase {
    /// Whether the registrar sends calls to us.
    #[must_use]
    pub fn is_bound(self) -> bool {
        matches!(self, Self::Registered | Self::Refreshing | Self::RefreshFailed)
    }

    /// The phase in one word, for tables and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Registering => "registering",
            Self::Registered => "registered",
            Self::Refreshing => "refreshing",
            Self::RefreshFailed => "refresh_failed",
            Self::Failed => "failed",
            Self::Unregistering => "unregistering",
        }
    }
}

impl State {
    /// The state's phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Idle => Phase::Idle,
            Self::Registering { binding: None, .. } => Phase::Registering,
            Self::Registering { binding: Some(_), .. } => Phase::Refreshing,
            Self::Registered { .. } => Phase::Registered,
            Self::Waiting { binding: None, .. } => Phase::Failed,
            Self::Waiting { binding: Some(_), .. } => Phase::RefreshFailed,
            Self::Unregistering { .. } => Phase::Unregistering,
        }
    }

    /// The binding that the registrar holds, as far as is known.
    #[must_use]
    pub fn binding(&self) -> Option<&Binding> {
        match self {
            Self::Registered { binding, .. } => Some(binding),
            Self::Registering { binding, .. }
            | Self::Waiting { binding, .. }
            | Self::Unregistering { binding, .. } => binding.as_ref(),
            Self::Idle => None,
        }
    }

    /// What went wrong last, while it does.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Waiting { failure, .. } => Some(failure),
            _ => None,
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let (binding, next) = match self {
            Self::Idle => return None,
            Self::Registered { refresh_at, .. } => return Some(*refresh_at),
            Self::Unregistering { pending: Pending::ToSend { at }, give_up_at, .. } => {
                return Some((*at).min(*give_up_at));
            }
            Self::Unregistering { give_up_at, .. } => return Some(*give_up_at),
            Self::Registering { binding, attempt } => (binding, attempt.pending.due()),
            Self::Waiting { binding, retry_at, .. } => (binding, *retry_at),
        };
        Some(binding.as_ref().map_or(next, |b| b.expires_at.min(next)))
    }
}

impl Pending {
    /// When something is to be done about it.
    pub(super) fn due(&self) -> Instant {
        match self {
            Self::ToSend { at } => *at,
            Self::Sent { at, .. } => *at + ATTEMPT_LIMIT,
        }
    }
}
