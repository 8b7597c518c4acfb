//! `Subscription-State` (RFC 6665 §8.2.3).

use bytes::Bytes;

use super::event::params_after;
use super::{HeaderError, HeaderName, Headers, delta_seconds, lex};
use crate::message::params::Params;

/// What a NOTIFY says about its subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// The state.
    pub status: SubscriptionStatus,
    /// `reason`, `expires`, `retry-after` and others.
    pub params: Params,
}

/// The state of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// It stands.
    Active,
    /// It waits for a decision.
    Pending,
    /// It is over.
    Terminated,
    /// A state of some extension, to be treated as active (RFC 6665 §4.1.3 names only the three).
    Other,
}

impl SubscriptionState {
    fn read(value: Bytes) -> Option<SubscriptionState> {
        let (state, params) = lex::split_outside(&value, b';');
        let params = params_after(&value, params);
        let status = if state.eq_ignore_ascii_case(b"active") {
            SubscriptionStatus::Active
        } else if state.eq_ignore_ascii_case(b"pending") {
            SubscriptionStatus::Pending
        } else if state.eq_ignore_ascii_case(b"terminated") {
            SubscriptionStatus::Terminated
        } else if lex::is_token(state) {
            SubscriptionStatus::Other
        } else {
            return None;
        };
        params.is_well_formed().then_some(SubscriptionState { status, params })
    }

    /// Why it ended: `noresource`, `timeout`, `rejected`, …
    pub fn reason(&self) -> Option<&[u8]> {
        self.params.value("reason")
    }

    /// Seconds it has left.
    pub fn expires(&self) -> Option<u32> {
        self.params.value("expires").and_then(delta_seconds)
    }

    /// Seconds to wait before subscribing again.
    pub fn retry_after(&self) -> Option<u32> {
        self.params.value("retry-after").and_then(delta_seconds)
    }
}

impl Headers {
    /// The state of the subscription.
    ///
    /// # Errors
    /// Malformed.
    pub fn subscription_state(&self) -> Result<Option<SubscriptionState>, HeaderError> {
        self.optional_shared(HeaderName::SubscriptionState, SubscriptionState::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_parameters_are_read() {
        let read = |text: &'static str| SubscriptionState::read(Bytes::from_static(text.as_bytes()));
        let state = read("Terminated;reason=noresource").unwrap();
        assert_eq!(
            (state.status, state.reason()),
            (SubscriptionStatus::Terminated, Some(&b"noresource"[..]))
        );
        assert_eq!(read("active;expires=60").unwrap().expires(), Some(60));
        assert_eq!(read("frozen").unwrap().status, SubscriptionStatus::Other);
        assert!(read(";x").is_none());
    }
}
