//! How the endpoint deals with a peer that its owner knows.

use std::sync::Arc;
use std::time::Duration;

use super::Endpoint;

/// Names the policy of one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u32);

/// What is done about session timers (RFC 4028).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionTimer {
    /// Nothing.
    #[default]
    Off,
    /// One that the far end asks for is run.
    Accept {
        /// The shortest interval taken.
        min_se: Duration,
    },
    /// One is asked for.
    Request {
        /// The interval.
        expires: Duration,
        /// The shortest interval taken.
        min_se: Duration,
    },
}

/// The policy of one peer.
#[derive(Debug, Clone, Default)]
pub struct PeerPolicy {
    /// Session timers.
    pub session_timer: SessionTimer,
    /// Whether provisional responses may be made reliable (RFC 3262).
    pub reliable_provisional: bool,
}

impl Endpoint {
    /// Sets or replaces a policy.
    pub fn set_policy(&mut self, id: PolicyId, policy: PeerPolicy) {
        self.policies.insert(id, Arc::new(policy));
    }

    /// The policy of this number; the default one where none was set.
    pub(crate) fn policy(&self, id: PolicyId) -> Arc<PeerPolicy> {
        self.policies.get(&id).map(Arc::clone).unwrap_or_default()
    }
}
