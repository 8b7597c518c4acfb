//! When new calls are turned away: the wait of messages, of calls, and of audio decides.
//!
//! Two queues can build up: messages that wait for the endpoint's task, and calls that wait for
//! their own tasks to get a processor. Of each the *least* wait within an interval is looked at:
//! a burst has somebody who waited little, a standing queue hasn't (as in RFC 8289, CoDel). While
//! messages stand in a queue, a few calls are let in each turn, and those that waited too long are
//! turned away, oldest first, which costs a tenth of a call. While calls or audio wait, the number of calls that may wait shrinks by a
//! third an interval, and grows again by a quarter once they don't, so that what is let in settles
//! at what the machine does.

use std::time::{Duration, Instant};

use crate::config;

/// How long the least wait is looked for.
const INTERVAL: Duration = Duration::from_millis(100);
/// Calls that may always wait: the next one of a quiet line is never turned away.
const FLOOR: usize = 16;
/// What share of the delay has to have passed for a call to be turned away, while there is a
/// queue: the sender repeats an INVITE after 500 ms (RFC 3261 §17.1.1.2, T1).
const LATE_SHARE: u32 = 2;
/// A call that waited longer isn't let in any more: its refusal is due.
const LATEST: Duration = Duration::from_millis(400);
/// Packets that come late, in a hundred, that show that audio suffers.
const LATE_AUDIO: u64 = 10;
/// Fewer packets than these in an interval tell nothing.
const AUDIO_SAMPLE: u64 = 50;

/// Why a call is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shed {
    /// Its INVITE waited in a queue of messages.
    Late,
    /// Calls, or audio, wait for a processor.
    Busy,
    /// As many calls as may be are being set up.
    Full,
}

impl Shed {
    /// All of them, in the order of [`OverloadCounters::shed`].
    pub const ALL: [Self; 3] = [Self::Late, Self::Busy, Self::Full];

    /// The word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Busy => "busy",
            Self::Full => "full",
        }
    }
}

/// What was counted and how things stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OverloadCounters {
    /// Calls turned away, by [`Shed`].
    pub shed: [u64; 3],
    /// Whether new calls are being turned away for a wait.
    pub overloaded: bool,
    /// The least wait of messages in the last interval that had any, in microseconds.
    pub message_wait_us: u64,
    /// The least wait of calls for their tasks in the last interval that had any, in microseconds.
    pub call_wait_us: u64,
    /// Calls that are being set up.
    pub setting_up: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Overload {
    settings: config::Overload,
    interval: Interval,
    /// Whether messages stand in a queue.
    queued: bool,
    /// Calls that may wait for their tasks at a time.
    window: usize,
    /// Calls whose tasks have done nothing yet.
    waiting: usize,
    /// Calls without an answer.
    setting_up: usize,
    audio: (u64, u64),
    counters: OverloadCounters,
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    began: Instant,
    least_message: Option<Duration>,
    least_call: Option<Duration>,
    audio_late: bool,
}

impl Interval {
    fn new(began: Instant) -> Self {
        Self { began, least_message: None, least_call: None, audio_late: false }
    }
}

fn least(so_far: Option<Duration>, wait: Duration) -> Option<Duration> {
    Some(so_far.map_or(wait, |least| least.min(wait)))
}

fn micros(wait: Duration) -> u64 {
    u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)
}

impl Overload {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(settings: config::Overload, now: Instant) -> Self {
        let mut overload = Self {
            settings,
            interval: Interval::new(now),
            queued: false,
            window: 0,
            waiting: 0,
            setting_up: 0,
            audio: (0, 0),
            counters: OverloadCounters::default(),
        };
        overload.window = overload.most();
        overload
    }

    /// Other settings from now on.
    pub fn set(&mut self, settings: config::Overload) {
        self.settings = settings;
        self.window = self.most();
        self.queued = false;
    }

    /// A new call is there, `waited` after its INVITE arrived. Whether it may go on. The first few
    /// of a turn are `favoured`: however many are to be turned away, these are let in, so that a
    /// flood can't use up all the time for refusals.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&mut self, waited: Duration, favoured: bool, now: Instant) -> Result<(), Shed> {
        self.interval.least_message = least(self.interval.least_message, waited);
        self.roll(now);
        let shed = if self.setting_up >= self.most() {
            Some(Shed::Full)
        } else if self.settings.delay.is_zero() {
            None
        } else if self.queued && waited >= if favoured { LATEST } else { self.settings.delay / LATE_SHARE } {
            Some(Shed::Late)
        } else if self.waiting >= self.window {
            Some(Shed::Busy)
        } else {
            None
        };
        let Some(shed) = shed else { return Ok(()) };
        if let Some(count) = self.counters.shed.get_mut(shed as usize) {
            *count += 1;
        }
        Err(shed)
    }

    /// A call was handed to its task.
    pub fn handed_over(&mut self) {
        self.waiting += 1;
        self.setting_up += 1;
    }

    /// Its task did something for the first time, so long after.
    pub fn begun(&mut self, waited: Duration, now: Instant) {
        self.waiting = self.waiting.saturating_sub(1);
        self.interval.least_call = least(self.interval.least_call, waited);
        self.roll(now);
    }

    /// It was answered or turned away.
    pub fn settled(&mut self) {
        self.setting_up = self.setting_up.saturating_sub(1);
    }

    /// Packets of audio sent so far, and how many of them late.
    pub fn audio(&mut self, sent: u64, late: u64) {
        let (sent_before, late_before) = std::mem::replace(&mut self.audio, (sent, late));
        let (sent, late) = (sent.saturating_sub(sent_before), late.saturating_sub(late_before));
        self.interval.audio_late |= sent >= AUDIO_SAMPLE && late * 100 > sent * LATE_AUDIO;
    }

    /// How things stand.
    #[must_use]
    pub fn counters(&self) -> OverloadCounters {
        OverloadCounters {
            overloaded: self.is_overloaded(),
            setting_up: self.setting_up as u64,
            ..self.counters
        }
    }

    /// Whether new calls are being turned away for a wait.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.queued || self.window < self.most()
    }

    fn most(&self) -> usize {
        usize::try_from(self.settings.calls_setting_up).unwrap_or(usize::MAX)
    }

    /// Draws the conclusions of an interval that is over.
    fn roll(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.interval.began);
        if elapsed < INTERVAL {
            return;
        }
        let over = std::mem::replace(&mut self.interval, Interval::new(now));
        if let Some(wait) = over.least_message {
            self.counters.message_wait_us = micros(wait);
        }
        if let Some(wait) = over.least_call {
            self.counters.call_wait_us = micros(wait);
        }
        if self.settings.delay.is_zero() {
            return;
        }
        // After a pause there is no queue, whatever was before.
        let fresh = elapsed < INTERVAL * 3;
        self.queued = match over.least_message {
            Some(wait) if fresh => {
                let limit = if self.queued { self.settings.delay / 10 } else { self.settings.delay };
                wait >= limit
            }
            _ => false,
        };
        let stalled = over.least_call.is_none() && self.waiting >= FLOOR;
        let slow = over.least_call.is_some_and(|wait| wait >= self.settings.delay);
        if fresh && (stalled || slow || over.audio_late) {
            self.window = (self.window.min(self.waiting.max(FLOOR)) * 2 / 3).max(FLOOR);
        } else {
            // As many steps as intervals have passed.
            let steps = (elapsed.as_millis() / INTERVAL.as_millis()).min(32);
            for _ in 0..steps {
                self.window = (self.window + (self.window / 4).max(FLOOR)).min(self.most());
            }
        }
    }
}

#[cfg(test)]
#[path = "overload_tests.rs"]
mod tests;
