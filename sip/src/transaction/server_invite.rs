//! The INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1).

use std::time::Duration;

use super::timer::{Settings, Timer, backed_off};
use super::{Action, Actions, Class};

/// The states of RFC 3261 Figure 7, with `Accepted` of RFC 6026 Figure 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerInvite {
    /// The request has come; only provisional responses have gone out.
    Proceeding,
    /// A non-2xx final response has gone out and is repeated until the ACK.
    Completed {
        /// Timer G's current interval.
        interval: Duration,
    },
    /// The ACK of a non-2xx response has come.
    Confirmed,
    /// A 2xx has gone out. Repeated INVITEs are absorbed here; the 2xx itself is repeated by the
    /// UAS core.
    Accepted,
    /// Nothing more happens.
    Terminated,
}

impl ServerInvite {
    /// The transaction user answers.
    #[must_use]
    pub fn respond(self, class: Class, settings: &Settings, reliable: bool, actions: &mut Actions) -> Self {
        match (self, class) {
            (Self::Proceeding, Class::Provisional) => {
                actions.push(Action::Send);
                Self::Proceeding
            }
            (Self::Proceeding, Class::Success) => {
                actions.push(Action::Send);
                actions.push(Action::Start(Timer::L, Timer::L.first(settings, reliable)));
                Self::Accepted
            }
            (Self::Proceeding, Class::Failure) => {
                actions.push(Action::Send);
                if !reliable {
                    actions.push(Action::Start(Timer::G, Timer::G.first(settings, reliable)));
                }
                actions.push(Action::Start(Timer::H, Timer::H.first(settings, reliable)));
                Self::Completed { interval: settings.t1 }
            }
            (Self::Accepted, Class::Success) => {
                actions.push(Action::Send);
                Self::Accepted
            }
            (state, _) => state,
        }
    }

    /// The same INVITE came again.
    #[must_use]
    pub fn on_retransmission(self, actions: &mut Actions) -> Self {
        if matches!(self, Self::Proceeding | Self::Completed { .. }) {
            actions.push(Action::Send);
        }
        self
    }

    /// The ACK that belongs to this transaction came.
    #[must_use]
    pub fn on_ack(self, settings: &Settings, reliable: bool, actions: &mut Actions) -> Self {
        match self {
            Self::Completed { .. } => {
                actions.push(Action::Stop(Timer::G));
                actions.push(Action::Stop(Timer::H));
                if reliable {
                    actions.push(Action::Destroy);
                    return Self::Terminated;
                }
                actions.push(Action::Start(Timer::I, Timer::I.first(settings, reliable)));
                Self::Confirmed
            }
            state => state,
        }
    }

    /// A timer of this transaction ran out.
    #[must_use]
    pub fn on_timer(self, timer: Timer, settings: &Settings, actions: &mut Actions) -> Self {
        match (self, timer) {
            (Self::Completed { interval }, Timer::G) => {
                let interval = backed_off(interval, Some(settings.t2));
                actions.push(Action::Send);
                actions.push(Action::Start(Timer::G, interval));
                Self::Completed { interval }
            }
            (Self::Completed { .. }, Timer::H) => {
                actions.push(Action::TimedOut);
                actions.push(Action::Destroy);
                Self::Terminated
            }
            (Self::Confirmed, Timer::I) | (Self::Accepted, Timer::L) => {
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

    fn respond(from: ServerInvite, class: Class, reliable: bool) -> (ServerInvite, Actions) {
        let mut actions = Actions::new();
        let next = from.respond(class, &Settings::default(), reliable, &mut actions);
        (next, actions)
    }

    fn timer(from: ServerInvite, timer: Timer) -> (ServerInvite, Actions) {
        let mut actions = Actions::new();
        let next = from.on_timer(timer, &Settings::default(), &mut actions);
        (next, actions)
    }

    #[test]
    fn a_refusal_is_repeated_up_to_t2_until_the_ack_and_gives_up_at_timer_h() {
        let (mut state, actions) = respond(ServerInvite::Proceeding, Class::Failure, false);
        assert_eq!(actions.first(), Some(&Action::Send));
        let mut intervals = Vec::new();
        for _ in 0..4 {
            let (next, actions) = timer(state, Timer::G);
            let Some(Action::Start(Timer::G, interval)) = actions.last() else { panic!("{actions:?}") };
            intervals.push(interval.as_millis());
            state = next;
        }
        assert_eq!(intervals, [1_000, 2_000, 4_000, 4_000]);
        assert_eq!(timer(state, Timer::H).1.as_slice(), [Action::TimedOut, Action::Destroy]);
    }

    #[test]
    fn a_refusal_over_tcp_waits_for_the_ack_without_repeating() {
        let (_, actions) = respond(ServerInvite::Proceeding, Class::Failure, true);
        assert!(!actions.iter().any(|a| matches!(a, Action::Start(Timer::G, _))));
        assert!(actions.iter().any(|a| matches!(a, Action::Start(Timer::H, _))));
    }

    #[test]
    fn the_ack_of_a_refusal_stops_the_repetition_and_its_copies_are_absorbed() {
        let mut actions = Actions::new();
        let settings = Settings::default();
        let state = ServerInvite::Completed { interval: settings.t1 }.on_ack(&settings, false, &mut actions);
        assert_eq!(state, ServerInvite::Confirmed);
        actions.clear();
        assert_eq!(state.on_ack(&settings, false, &mut actions), ServerInvite::Confirmed);
        assert_eq!(state.on_retransmission(&mut actions), ServerInvite::Confirmed);
        assert!(actions.is_empty());
        assert_eq!(timer(state, Timer::I).0, ServerInvite::Terminated);
    }

    #[test]
    fn a_repeated_invite_gets_the_last_response_until_the_2xx_and_nothing_after() {
        let mut actions = Actions::new();
        let _ = ServerInvite::Proceeding.on_retransmission(&mut actions);
        assert_eq!(actions.as_slice(), [Action::Send]);
        let (state, _) = respond(ServerInvite::Proceeding, Class::Success, false);
        actions.clear();
        let state = state.on_retransmission(&mut actions);
        assert!(actions.is_empty());
        assert_eq!(timer(state, Timer::L).0, ServerInvite::Terminated);
    }

    #[test]
    fn after_a_final_response_no_other_answer_goes_out() {
        let (state, actions) = respond(ServerInvite::Accepted, Class::Failure, false);
        assert_eq!((state, actions.len()), (ServerInvite::Accepted, 0));
        let settings = Settings::default();
        let completed = ServerInvite::Completed { interval: settings.t1 };
        assert_eq!(respond(completed, Class::Success, false).1.len(), 0);
    }
}
