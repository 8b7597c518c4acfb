//! What the owner knows of those who send: whether anybody listens to them at all, and what is
//! agreed with whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Endpoint;
use crate::ua::digest::Credentials;

/// A peer whose messages are taken: a trunk, in the words of the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u32);

/// What the owner knows of where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody known. Of its messages only those are taken that belong to something under way and
    /// come from where that came from; everything else gets no answer and is counted.
    Unlisted,
    /// One of the addresses of this peer.
    Listed(PolicyId),
}

impl Standing {
    /// The peer, if it is one.
    #[must_use]
    pub fn policy(self) -> Option<PolicyId> {
        match self {
            Self::Unlisted => None,
            Self::Listed(policy) => Some(policy),
        }
    }
}

/// How sessions with a peer are kept from outliving it (RFC 4028).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionTimer {
    /// The extension isn't spoken; `Require: timer` is refused with 420.
    #[default]
    Off,
    /// Sessions run out where the peer wants it so.
    Accept {
        /// The shortest interval taken, 90 s at least (§5); a shorter one is refused with 422.
        min_se: Duration,
    },
    /// Sessions run out always. A peer that doesn't speak the extension is asked all the same, by
    /// refreshes of ours.
    Request {
        /// The interval asked for; 1800 s is the RFC's advice (§4).
        expires: Duration,
        /// As in [`SessionTimer::Accept`].
        min_se: Duration,
    },
}

/// Who may send requests outside dialogs, by digest (RFC 3261 §22).
#[derive(Debug, Clone)]
pub struct Authentication {
    /// The realm that is challenged for.
    pub realm: String,
    /// Who may. Their own `realm` is not looked at.
    pub users: Vec<Credentials>,
}

/// What is agreed with a peer. The default: its address is enough, sessions never run out,
/// provisional responses are repeated only for those who demand it, no call takes the place of
/// another.
#[derive(Debug, Clone, Default)]
pub struct PeerPolicy {
    /// Session timers.
    pub session_timer: SessionTimer,
    /// Whether provisional responses go reliably (RFC 3262) where the caller can take them so;
    /// where it demands that they do.
    pub reliable_provisional: bool,
    /// Whether its requests outside dialogs must bear credentials.
    pub authentication: Option<Authentication>,
    /// Whether an INVITE of its may take the place of one of its dialogs (RFC 3891).
    pub accept_replaces: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    known: BTreeMap<PolicyId, Arc<PeerPolicy>>,
    default: Arc<PeerPolicy>,
}

impl Policies {
    pub fn get(&self, id: PolicyId) -> &Arc<PeerPolicy> {
        self.known.get(&id).unwrap_or(&self.default)
    }

    /// Whether somebody is asked for credentials of this realm.
    pub fn know_realm(&self, realm: &str) -> bool {
        self.known.values().any(|policy| policy.authentication.as_ref().is_some_and(|a| a.realm == realm))
    }
}

impl Endpoint {
    /// Says what is agreed with a peer, from its next request on. Dialogs keep the session
    /// interval that they have until it is negotiated again.
    pub fn set_policy(&mut self, id: PolicyId, policy: PeerPolicy) {
        self.policies.known.insert(id, Arc::new(policy));
        self.forget_unused_realms();
    }

    /// Forgets a peer. Whatever of it is still under way goes on with the default.
    pub fn remove_policy(&mut self, id: PolicyId) {
        self.policies.known.remove(&id);
        self.forget_unused_realms();
    }

    pub(crate) fn policy(&self, id: PolicyId) -> Arc<PeerPolicy> {
        Arc::clone(self.policies.get(id))
    }
}

/// What we understand, in `Supported` (RFC 3261 §20.37).
pub(crate) fn supported(policy: &PeerPolicy) -> &'static str {
    match (policy.session_timer != SessionTimer::Off, policy.accept_replaces) {
        (false, false) => "100rel",
        (true, false) => "100rel, timer",
        (false, true) => "100rel, replaces",
        (true, true) => "100rel, timer, replaces",
    }
}

/// Whether an extension that a request demands is among [`supported`].
pub(crate) fn supports(policy: &PeerPolicy, tag: &[u8]) -> bool {
    supported(policy).split(", ").any(|known| known.as_bytes().eq_ignore_ascii_case(tag))
}
