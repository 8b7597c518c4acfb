//! How the calls went, as their signalling tells.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;

/// How a call ended. The order is that of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It lasted as long as it should, and our BYE was answered.
    Completed,
    /// It was given up because the run was stopped.
    Stopped,
    /// It was refused with this status.
    Refused(u16),
    /// Nobody answered it in time.
    TimedOut,
    /// It couldn't be delivered: nobody listens there, or there is no way there.
    Unreachable,
    /// It was answered with a session description that we can't use.
    Unusable,
    /// The far end hung up before its time, or knew the call no more.
    CutShort,
    /// Nobody answered our BYE.
    ByeUnanswered,
    /// This machine had no socket left for it.
    NoSocket,
}

impl End {
    /// Whether the call wasn't what it should have been.
    #[must_use]
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Completed | Self::Stopped)
    }

    /// As it is called in a report.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Completed => "completed".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::Refused(status) => format!("refused_{status}"),
            Self::TimedOut => "timed_out".to_owned(),
            Self::Unreachable => "unreachable".to_owned(),
            Self::Unusable => "unusable_answer".to_owned(),
            Self::CutShort => "cut_short".to_owned(),
            Self::ByeUnanswered => "bye_unanswered".to_owned(),
            Self::NoSocket => "no_socket".to_owned(),
        }
    }
}

/// All calls.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// INVITEs sent.
    pub placed: u32,
    /// Calls answered.
    pub answered: u32,
    /// Calls up now, and the most that ever were.
    pub up: u32,
    /// The most that ever were.
    pub most_up: u32,
    /// How calls ended.
    pub ends: BTreeMap<End, u32>,
    /// Time that answered calls were up, together.
    pub held: Duration,
    /// From INVITE to its first answer of any kind.
    pub first_response: Histogram,
    /// From INVITE to 200.
    pub setup: Histogram,
    /// From BYE to its 200.
    pub bye: Histogram,
    /// How much later than planned calls were placed.
    pub behind: Histogram,
}

impl Tally {
    /// A call is up.
    pub fn answer(&mut self, took: Duration) {
        self.answered += 1;
        self.up += 1;
        self.most_up = self.most_up.max(self.up);
        self.setup.record(took);
    }

    /// A call is up no more.
    pub fn hang_up(&mut self, held: Duration) {
        self.up = self.up.saturating_sub(1);
        self.held += held;
    }

    /// A call has ended.
    pub fn end(&mut self, end: End) {
        *self.ends.entry(end).or_default() += 1;
    }

    /// How many ended so.
    #[must_use]
    pub fn count(&self, end: End) -> u32 {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.ends.iter().filter(|(end, _)| end.is_failure()).map(|(_, count)| count).sum()
    }

    /// How many have ended.
    #[must_use]
    pub fn ended(&self) -> u32 {
        self.ends.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_how_they_ended() {
        let mut tally = Tally::default();
        for end in [End::Completed, End::Refused(486), End::Refused(486), End::Stopped, End::CutShort] {
            tally.end(end);
        }
        assert_eq!((tally.ended(), tally.failed(), tally.count(End::Refused(486))), (5, 3, 2));
        let names: Vec<_> = tally.ends.keys().map(|end| end.name()).collect();
        assert_eq!(names, ["completed", "stopped", "refused_486", "cut_short"]);
    }

    #[test]
    fn the_most_calls_at_a_time_are_remembered() {
        let mut tally = Tally::default();
        for _ in 0..3 {
            tally.answer(Duration::from_millis(1));
        }
        tally.hang_up(Duration::from_secs(2));
        tally.answer(Duration::from_millis(1));
        assert_eq!((tally.up, tally.most_up, tally.answered), (3, 3, 4));
        assert_eq!(tally.held, Duration::from_secs(2));
    }
}
