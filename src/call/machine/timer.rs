//! The timers of a call: one enum, and which of them run.

use std::time::{Duration, Instant};

/// The timers of a call. Each runs at most once at a time; starting it again replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKind {
    /// Whom we call must have answered by now.
    NoAnswer,
    /// The agent has this long to get ready before the call is answered without it.
    AgentReady,
    /// And this long after the answer, until the call is given up.
    AgentLate,
    /// A sentence of ours must have been played by now.
    Speech,
    /// A sign of life to a REFER: its answer, and then the first NOTIFY.
    FirstNotify,
    /// The destination may ring this long.
    Ringing,
    /// The peer's BYE after a transfer that succeeded.
    PeerBye,
    /// The recording must have ended by now.
    Recording,
    /// Time for the agent to wrap up.
    WrapUp,
    /// Time for the spoken notice.
    Notice,
    /// The longest call that the tenant allows.
    MaxDuration,
    /// The service stops.
    Drain,
    /// The BYE must have been answered, or the ACK that it waits for have come.
    Bye,
    /// The record couldn't be written; once more.
    JournalRetry,
}

/// How long the 200 waits for the agent.
pub const AGENT_READY: Duration = Duration::from_millis(1500);
/// How long a caller hears nothing after an answer without an agent.
pub const AGENT_LATE: Duration = Duration::from_millis(3500);
/// The longest sentence of ours; a report of its end that got lost can't hold the call longer.
pub const SPEECH: Duration = Duration::from_secs(20);
/// When a part of a sentence couldn't be spoken, the rest of it is in playout by then or there
/// is none.
pub const SPEECH_IN_DOUBT: Duration = Duration::from_secs(1);
/// From the REFER to its answer, and from the answer to the first NOTIFY.
pub const FIRST_NOTIFY: Duration = Duration::from_secs(15);
/// How long a destination rings, from the first NOTIFY on.
pub const RINGING: Duration = Duration::from_secs(30);
/// How long the peer has for its own BYE after a transfer that succeeded.
pub const PEER_BYE: Duration = Duration::from_secs(2);
/// The longest message.
pub const MESSAGE: Duration = Duration::from_secs(180);
/// The silence that ends a message.
pub const MESSAGE_SILENCE: Duration = Duration::from_secs(5);
/// A recording shorter than this holds no message.
pub const SHORTEST_MESSAGE: Duration = Duration::from_secs(1);
/// What a recording is given beyond its own limit to be closed.
pub const RECORDING_GRACE: Duration = Duration::from_secs(3);
/// The agent is told to wrap up this long before the end.
pub const WRAP_UP_LEFT: Duration = Duration::from_secs(120);
/// The caller is told this long before the end.
pub const NOTICE_LEFT: Duration = Duration::from_secs(30);
/// A limit that falls into a transfer or a message is looked at again after this long.
pub const SPARED: Duration = Duration::from_secs(5);
/// Timers F and H are 64*T1 = 32 s (RFC 3261 §17.1.2.2, §17.2.1); this is a little beyond.
pub const BYE: Duration = Duration::from_secs(33);
/// Between two attempts to write the record.
pub const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// Which timers run, and until when.
#[derive(Debug, Default)]
pub(super) struct Timers {
    running: Vec<(TimerKind, Instant)>,
}

impl Timers {
    /// Notes a timer as running until `until`.
    pub(super) fn start(&mut self, kind: TimerKind, until: Instant) {
        self.running.retain(|(known, _)| *known != kind);
        self.running.push((kind, until));
    }

    /// Whether it ran; it doesn't any more.
    pub(super) fn stop(&mut self, kind: TimerKind) -> bool {
        let before = self.running.len();
        self.running.retain(|(known, _)| *known != kind);
        self.running.len() < before
    }

    /// Whether the timer is due at `now`. One that was stopped or started again while its
    /// expiry was on the way isn't.
    pub(super) fn expire(&mut self, kind: TimerKind, now: Instant) -> bool {
        let due = self.running.iter().any(|(known, until)| *known == kind && *until <= now);
        due && self.stop(kind)
    }

    /// Those that run, in the order in which they were started.
    pub(super) fn running(&self) -> impl Iterator<Item = TimerKind> + '_ {
        self.running.iter().map(|(kind, _)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_overtaken_by_a_new_start_is_not_due() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.start(TimerKind::Speech, now + SPEECH);
        timers.start(TimerKind::Speech, now + SPEECH + SPEECH);
        assert!(!timers.expire(TimerKind::Speech, now + SPEECH));
        assert!(timers.expire(TimerKind::Speech, now + SPEECH + SPEECH));
        assert!(!timers.expire(TimerKind::Speech, now + SPEECH + SPEECH));
    }

    #[test]
    fn the_limits_are_those_of_the_specification() {
        assert_eq!(AGENT_READY.as_millis(), 1500);
        assert_eq!(FIRST_NOTIFY.as_secs(), 15);
        assert_eq!(RINGING.as_secs(), 30);
        assert_eq!(PEER_BYE.as_secs(), 2);
        assert_eq!(MESSAGE.as_secs(), 180);
        assert_eq!(MESSAGE_SILENCE.as_secs(), 5);
        assert_eq!(WRAP_UP_LEFT.as_secs(), 120);
        assert_eq!(NOTICE_LEFT.as_secs(), 30);
        assert!(BYE.as_secs() > 32);
    }
}
