//! The INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2).

use std::time::Duration;

use super::timer::{Settings, Timer, backed_off};
use super::{Action, Actions, Class};

/// The states of RFC 3261 Figure 5, with `Accepted` of RFC 6026 Figure 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientInvite {
    /// The request is out, nothing has come back; `interval` is that of the next retransmission.
    Calling {
        /// Timer A's current interval.
        interval: Duration,
    },
    /// A provisional response has come.
    Proceeding,
    /// A non-2xx final response has come and been acknowledged.
    Completed,
    /// A 2xx has come; its retransmissions go to the transaction user, who acknowledges them.
    Accepted,
    /// Nothing more happens.
    Terminated,
}

impl ClientInvite {
    /// Sends the request.
    #[must_use]
    pub fn start(settings: &Settings, reliable: bool) -> (Self, Actions) {
        let mut actions = Actions::new();
        actions.push(Action::Send);
        if !reliable {
            actions.push(Action::Start(Timer::A, Timer::A.first(settings, reliable)));
        }
        actions.push(Action::Start(Timer::B, Timer::B.first(settings, reliable)));
        (Self::Calling { interval: settings.t1 }, actions)
    }

    /// A timer of this transaction ran out.
    #[must_use]
    pub fn on_timer(self, timer: Timer, actions: &mut Actions) -> Self {
        match (self, timer) {
            (Self::Calling { interval }, Timer::A) => {
                let interval = backed_off(interval, None);
                actions.push(Action::Send);
                actions.push(Action::Start(Timer::A, interval));
                Self::Calling { interval }
            }
            (Self::Calling { .. }, Timer::B)
            | (Self::Calling { .. } | Self::Proceeding, Timer::Cancelled) => {
                actions.push(Action::TimedOut);
                actions.push(Action::Destroy);
                Self::Terminated
            }
            (Self::Completed, Timer::D) | (Self::Accepted, Timer::M) => {
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
            (Self::Calling { .. } | Self::Proceeding, Class::Provisional) => {
                actions.push(Action::Stop(Timer::A));
                actions.push(Action::Stop(Timer::B));
                actions.push(Action::Deliver);
                Self::Proceeding
            }
            (Self::Calling { .. } | Self::Proceeding, Class::Success) => {
                actions.push(Action::Stop(Timer::A));
                actions.push(Action::Stop(Timer::B));
                actions.push(Action::Deliver);
                actions.push(Action::Start(Timer::M, Timer::M.first(settings, reliable)));
                Self::Accepted
            }
            (Self::Calling { .. } | Self::Proceeding, Class::Failure) => {
                actions.push(Action::Stop(Timer::A));
                actions.push(Action::Stop(Timer::B));
                actions.push(Action::Acknowledge);
                actions.push(Action::Deliver);
                if reliable {
                    actions.push(Action::Destroy);
                    return Self::Terminated;
                }
                actions.push(Action::Start(Timer::D, Timer::D.first(settings, reliable)));
                Self::Completed
            }
            (Self::Completed, Class::Failure) => {
                actions.push(Action::Acknowledge);
                Self::Completed
            }
            (Self::Accepted, Class::Success) => {
                actions.push(Action::Deliver);
                Self::Accepted
            }
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: bool = false;
    const TCP: bool = true;

    fn response(from: ClientInvite, class: Class, reliable: bool) -> (ClientInvite, Actions) {
        let mut actions = Actions::new();
        let next = from.on_response(class, &Settings::default(), reliable, &mut actions);
        (next, actions)
    }

    fn timer(from: ClientInvite, timer: Timer) -> (ClientInvite, Actions) {
        let mut actions = Actions::new();
        let next = from.on_timer(timer, &mut actions);
        (next, actions)
    }

    #[test]
    fn the_request_is_repeated_at_doubling_intervals_without_a_cap() {
        let (mut state, actions) = ClientInvite::start(&Settings::default(), UDP);
        assert_eq!(actions.first(), Some(&Action::Send));
        let mut intervals = Vec::new();
        for _ in 0..6 {
            let (next, actions) = timer(state, Timer::A);
            let Some(Action::Start(Timer::A, interval)) = actions.last() else { panic!("{actions:?}") };
            intervals.push(interval.as_millis());
            state = next;
        }
        assert_eq!(intervals, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
    }

    #[test]
    fn a_reliable_transport_has_no_retransmission_timer() {
        let (_, actions) = ClientInvite::start(&Settings::default(), TCP);
        assert!(!actions.iter().any(|a| matches!(a, Action::Start(Timer::A, _))));
    }

    #[test]
    fn silence_until_timer_b_is_a_timeout() {
        let (state, _) = ClientInvite::start(&Settings::default(), UDP);
        let (state, actions) = timer(state, Timer::B);
        assert_eq!(state, ClientInvite::Terminated);
        assert_eq!(actions.as_slice(), [Action::TimedOut, Action::Destroy]);
    }

    #[test]
    fn a_provisional_response_ends_both_timers_for_good() {
        let (state, _) = ClientInvite::start(&Settings::default(), UDP);
        let (state, actions) = response(state, Class::Provisional, UDP);
        assert!(actions.contains(&Action::Stop(Timer::A)) && actions.contains(&Action::Stop(Timer::B)));
        assert_eq!(timer(state, Timer::B).0, ClientInvite::Proceeding);
    }

    #[test]
    fn a_cancelled_invite_without_a_final_response_times_out() {
        let (state, actions) = timer(ClientInvite::Proceeding, Timer::Cancelled);
        assert_eq!(state, ClientInvite::Terminated);
        assert_eq!(actions.as_slice(), [Action::TimedOut, Action::Destroy]);
        assert_eq!(timer(ClientInvite::Accepted, Timer::Cancelled).1.as_slice(), []);
    }

    #[test]
    fn a_refusal_is_acknowledged_each_time_and_told_once() {
        let (state, actions) = response(ClientInvite::Proceeding, Class::Failure, UDP);
        assert!(actions.contains(&Action::Acknowledge) && actions.contains(&Action::Deliver));
        let (state, actions) = response(state, Class::Failure, UDP);
        assert_eq!(actions.as_slice(), [Action::Acknowledge]);
        assert_eq!(timer(state, Timer::D).0, ClientInvite::Terminated);
    }

    #[test]
    fn a_repeated_success_reaches_the_user_until_timer_m() {
        let (state, _) = response(ClientInvite::Proceeding, Class::Success, UDP);
        let (state, actions) = response(state, Class::Success, UDP);
        assert_eq!(actions.as_slice(), [Action::Deliver]);
        assert_eq!(response(state, Class::Failure, UDP).1.as_slice(), []);
        assert_eq!(timer(state, Timer::M).0, ClientInvite::Terminated);
    }

    #[test]
    fn a_refusal_over_a_reliable_transport_ends_at_once() {
        let (state, actions) = response(ClientInvite::Proceeding, Class::Failure, TCP);
        assert_eq!(state, ClientInvite::Terminated);
        assert_eq!(actions.last(), Some(&Action::Destroy));
    }
}
