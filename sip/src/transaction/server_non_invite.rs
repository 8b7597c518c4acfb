//! The non-INVITE server transaction (RFC 3261 §17.2.2).

use super::timer::{Settings, Timer};
use super::{Action, Actions, Class};

/// The states of RFC 3261 Figure 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerNonInvite {
    /// The request has come.
    Trying,
    /// A provisional response has gone out.
    Proceeding,
    /// The final response has gone out and answers every repetition of the request.
    Completed,
    /// Nothing more happens.
    Terminated,
}

impl ServerNonInvite {
    /// The transaction user answers.
    #[must_use]
    pub fn respond(self, class: Class, settings: &Settings, reliable: bool, actions: &mut Actions) -> Self {
        match (self, class) {
            (Self::Trying | Self::Proceeding, Class::Provisional) => {
                actions.push(Action::Send);
                Self::Proceeding
            }
            (Self::Trying | Self::Proceeding, Class::Success | Class::Failure) => {
                actions.push(Action::Send);
                if reliable {
                    actions.push(Action::Destroy);
                    return Self::Terminated;
                }
                actions.push(Action::Start(Timer::J, Timer::J.first(settings, reliable)));
                Self::Completed
            }
            (state, _) => state,
        }
    }

    /// The same request came again.
    #[must_use]
    pub fn on_retransmission(self, actions: &mut Actions) -> Self {
        if matches!(self, Self::Proceeding | Self::Completed) {
            actions.push(Action::Send);
        }
        self
    }

    /// A timer of this transaction ran out.
    #[must_use]
    pub fn on_timer(self, timer: Timer, actions: &mut Actions) -> Self {
        match (self, timer) {
            (Self::Completed, Timer::J) => {
                actions.push(Action::Destroy);
                Self::Terminated
            }
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_request_gets_the_final_response_until_timer_j() {
        let settings = Settings::default();
        let mut actions = Actions::new();
        let state = ServerNonInvite::Trying.respond(Class::Success, &settings, false, &mut actions);
        assert_eq!(actions.first(), Some(&Action::Send));
        actions.clear();
        let state = state.on_retransmission(&mut actions);
        assert_eq!(actions.as_slice(), [Action::Send]);
        actions.clear();
        assert_eq!(state.on_timer(Timer::J, &mut actions), ServerNonInvite::Terminated);
        assert_eq!(actions.as_slice(), [Action::Destroy]);
    }

    #[test]
    fn a_request_not_yet_answered_absorbs_its_repetitions() {
        let mut actions = Actions::new();
        let _ = ServerNonInvite::Trying.on_retransmission(&mut actions);
        assert!(actions.is_empty());
    }

    #[test]
    fn timer_j_is_zero_on_a_reliable_transport() {
        let mut actions = Actions::new();
        let state = ServerNonInvite::Trying.respond(Class::Failure, &Settings::default(), true, &mut actions);
        assert_eq!(state, ServerNonInvite::Terminated);
        assert_eq!(actions.last(), Some(&Action::Destroy));
    }
}
