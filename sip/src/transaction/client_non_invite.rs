//! The non-INVITE client transaction (RFC 3261 §17.1.2).

use std::time::Duration;

use super::timer::{Settings, Timer, backed_off};
use super::{Action, Actions, Class};

/// The states of RFC 3261 Figure 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientNonInvite {
    /// The request is out.
    Trying {
        /// Timer E's current interval.
        interval: Duration,
    },
    /// A provisional response has come; the request is still repeated, every T2.
    Proceeding,
    /// A final response has come; repeated ones are absorbed.
    Completed,
    /// Nothing more happens.
    Terminated,
}

impl ClientNonInvite {
    /// Sends the request.
    #[must_use]
    pub fn start(settings: &Settings, reliable: bool) -> (Self, Actions) {
        let mut actions = Actions::new();
        actions.push(Action::Send);
        if !reliable {
            actions.push(Action::Start(Timer::E, Timer::E.first(settings, reliable)));
        }
        actions.push(Action::Start(Timer::F, Timer::F.first(settings, reliable)));
        (Self::Trying { interval: settings.t1 }, actions)
    }

    /// A timer of this transaction ran out.
    #[must_use]
    pub fn on_timer(self, timer: Timer, settings: &Settings, actions: &mut Actions) -> Self {
        match (self, timer) {
            (Self::Trying { interval }, Timer::E) => {
                let interval = backed_off(interval, Some(settings.t2));
                actions.push(Action::Send);
                actions.push(Action::Start(Timer::E, interval));
                Self::Trying { interval }
            }
            (Self::Proceeding, Timer::E) => {
                actions.push(Action::Send);
                actions.push(Action::Start(Timer::E, settings.t2));
                Self::Proceeding
            }
            (Self::Trying { .. } | Self::Proceeding, Timer::F) => {
                actions.push(Action::TimedOut);
                actions.push(Action::Destroy);
                Self::Terminated
            }
            (Self::Completed, Timer::K) => {
                actions.push(Action::Destroy);
                Self::Terminated
            }
            (state, _) => state,
        }
    }

    /// A response came.
    #[must_use]
    pub fn on_response(
        self,
        class: Class,
        settings: &Settings,
        reliable: bool,
        actions: &mut Actions,
    ) -> Self {
        match (self, class) {
            (Self::Trying { .. } | Self::Proceeding, Class::Provisional) => {
                actions.push(Action::Deliver);
                Self::Proceeding
            }
            (Self::Trying { .. } | Self::Proceeding, Class::Success | Class::Failure) => {
                actions.push(Action::Stop(Timer::E));
                actions.push(Action::Stop(Timer::F));
                actions.push(Action::Deliver);
                if reliable {
                    actions.push(Action::Destroy);
                    return Self::Terminated;
                }
                actions.push(Action::Start(Timer::K, Timer::K.first(settings, reliable)));
                Self::Completed
            }
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(from: ClientNonInvite, timer: Timer) -> (ClientNonInvite, Actions) {
        let mut actions = Actions::new();
        let next = from.on_timer(timer, &Settings::default(), &mut actions);
        (next, actions)
    }

    #[test]
    fn the_request_is_repeated_at_intervals_that_double_up_to_t2() {
        let (mut state, _) = ClientNonInvite::start(&Settings::default(), false);
        let mut intervals = Vec::new();
        for _ in 0..5 {
            let (next, actions) = timer(state, Timer::E);
            let Some(Action::Start(Timer::E, interval)) = actions.last() else { panic!("{actions:?}") };
            intervals.push(interval.as_millis());
            state = next;
        }
        assert_eq!(intervals, [1_000, 2_000, 4_000, 4_000, 4_000]);
    }

    #[test]
    fn a_provisional_response_slows_the_repetition_to_t2_and_keeps_the_timeout() {
        let mut actions = Actions::new();
        let (state, _) = ClientNonInvite::start(&Settings::default(), false);
        let state = state.on_response(Class::Provisional, &Settings::default(), false, &mut actions);
        let (_, actions) = timer(state, Timer::E);
        assert_eq!(actions.last(), Some(&Action::Start(Timer::E, Duration::from_secs(4))));
        let (state, actions) = timer(state, Timer::F);
        assert_eq!(state, ClientNonInvite::Terminated);
        assert_eq!(actions.first(), Some(&Action::TimedOut));
    }

    #[test]
    fn a_final_response_is_told_once_and_its_repetitions_absorbed_until_timer_k() {
        let settings = Settings::default();
        let (state, _) = ClientNonInvite::start(&settings, false);
        let mut actions = Actions::new();
        let state = state.on_response(Class::Success, &settings, false, &mut actions);
        assert!(actions.contains(&Action::Deliver));
        actions.clear();
        let state = state.on_response(Class::Success, &settings, false, &mut actions);
        assert!(actions.is_empty());
        assert_eq!(timer(state, Timer::K).0, ClientNonInvite::Terminated);
    }

    #[test]
    fn timer_k_is_zero_on_a_reliable_transport() {
        let settings = Settings::default();
        let (state, _) = ClientNonInvite::start(&settings, true);
        let mut actions = Actions::new();
        let state = state.on_response(Class::Failure, &settings, true, &mut actions);
        assert_eq!(state, ClientNonInvite::Terminated);
        assert_eq!(actions.last(), Some(&Action::Destroy));
    }
}
