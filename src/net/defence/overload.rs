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
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn overload() -> (Overload, Instant) {
        let now = Instant::now();
        (Overload::new(config::Overload::default(), now), now)
    }

    /// A machine that takes `capacity` calls in a millisecond, and a queue before it. `offered`
    /// calls come each millisecond for so long. Gives accepted, shed, and the longest wait of a call
    /// that was shed.
    fn flood(
        overload: &mut Overload,
        mut now: Instant,
        offered: f64,
        millis: u32,
    ) -> (u32, u32, Duration, Instant) {
        let (mut queue, mut due) = (std::collections::VecDeque::new(), 0.0);
        let (mut accepted, mut shed, mut longest) = (0, 0, Duration::ZERO);
        for _ in 0..millis {
            now += ms(1);
            due += offered;
            while due >= 1.0 {
                due -= 1.0;
                queue.push_back(now);
            }
            // A call costs 500 µs, a refusal 50.
            let (mut budget, mut turn) = (1_000_i32, 0);
            while budget > 0
                && let Some(arrived) = queue.pop_front()
            {
                let waited = now.duration_since(arrived);
                turn += 1;
                if overload.admit(waited, turn == 1, now).is_ok() {
                    overload.handed_over();
                    overload.begun(ms(0), now);
                    overload.settled();
                    accepted += 1;
                    budget -= 500;
                } else {
                    shed += 1;
                    longest = longest.max(waited);
                    budget -= 50;
                }
            }
        }
        (accepted, shed, longest, now)
    }

    #[test]
    fn below_what_the_machine_does_nothing_is_turned_away() {
        let (mut overload, now) = overload();
        let (accepted, shed, _, _) = flood(&mut overload, now, 1.8, 5_000);
        assert_eq!((accepted, shed), (9_000, 0));
        assert!(!overload.is_overloaded());
    }

    #[test]
    fn at_twice_of_it_nearly_as_much_is_done_and_the_rest_is_told_soon() {
        let (mut overload, now) = overload();
        let (accepted, shed, longest, _) = flood(&mut overload, now, 4.0, 10_000);
        // What a refusal costs is missing: of 4,000 a second 1,778 can be taken when the others
        // are refused.
        assert!(accepted > 16_000, "{accepted} accepted, {shed} shed");
        assert!(longest < ms(300), "{longest:?}");
    }

    #[test]
    fn at_five_times_it_still_works_and_ends_with_the_flood() {
        let (mut overload, now) = overload();
        let (accepted, shed, longest, now) = flood(&mut overload, now, 10.0, 5_000);
        assert!(accepted > 4_000 && shed > 35_000, "{accepted} accepted, {shed} shed");
        assert!(longest < ms(400), "{longest:?}");
        assert!(overload.is_overloaded());
        let after = now + ms(300);
        assert_eq!(overload.admit(ms(0), false, after), Ok(()), "the first call after it");
        let (_, shed, _, _) = flood(&mut overload, after, 1.0, 1_000);
        assert_eq!(shed, 0);
        assert!(!overload.is_overloaded());
    }

    #[test]
    fn a_flood_of_which_not_even_all_can_be_refused_leaves_half_of_the_time_for_calls() {
        let (mut overload, now) = overload();
        let (accepted, _, _, _) = flood(&mut overload, now, 20.0, 400);
        assert!(accepted > 400, "{accepted} accepted");
    }

    #[test]
    fn a_hiccup_turns_nobody_away() {
        let (mut overload, now) = overload();
        flood(&mut overload, now, 1.0, 500);
        // Everything stood still for a second; fifty calls waited.
        let now = now + ms(1_500);
        for n in 0..50 {
            assert_eq!(overload.admit(ms(1_000 - n * 20), false, now), Ok(()));
        }
    }

    #[test]
    fn calls_that_get_no_processor_shrink_what_is_let_in_and_it_grows_again() {
        let (mut overload, mut now) = overload();
        let let_in = |overload: &mut Overload, now, tries: usize| {
            let admitted = (0..tries).filter(|_| overload.admit(ms(0), false, now).is_ok()).count();
            (0..admitted).for_each(|_| overload.handed_over());
            admitted
        };
        assert_eq!(let_in(&mut overload, now, 1_000), 1_000);
        // They are begun 200 ms later than they came, for a second.
        for _ in 0..10 {
            now += ms(100);
            (0..60).for_each(|_| overload.begun(ms(200), now));
            let_in(&mut overload, now, 200);
        }
        assert!(overload.is_overloaded());
        assert!(overload.waiting < 500, "{} wait", overload.waiting);
        // The rest is begun, and then all is well.
        while overload.waiting > 0 {
            overload.begun(ms(10), now);
        }
        for _ in 0..30 {
            now += ms(100);
            overload.admit(ms(0), false, now).unwrap();
            overload.handed_over();
            overload.begun(ms(1), now);
        }
        assert!(!overload.is_overloaded());
    }

    #[test]
    fn a_few_calls_that_hang_close_the_door_to_nobody() {
        let (mut overload, mut now) = overload();
        // A tenth of the calls wait for a database that doesn't answer.
        for n in 0..3_000_u32 {
            now += ms(1);
            assert_eq!(overload.admit(ms(0), false, now), Ok(()), "call {n}");
            overload.handed_over();
            if n % 10 > 0 {
                overload.begun(ms(2), now);
                overload.settled();
            }
        }
    }

    #[test]
    fn late_audio_closes_the_door_too() {
        let (mut overload, mut now) = overload();
        (0..100).for_each(|_| overload.handed_over());
        for n in 1..=20 {
            overload.audio(n * 500, n * 100);
            now += ms(100);
            overload.begun(ms(1), now);
        }
        assert!(overload.is_overloaded());
        assert_eq!(overload.admit(ms(0), false, now), Err(Shed::Busy));
    }

    #[test]
    fn the_number_of_calls_being_set_up_has_an_end() {
        let now = Instant::now();
        let mut overload =
            Overload::new(config::Overload { calls_setting_up: 20, ..config::Overload::default() }, now);
        for _ in 0..20 {
            overload.admit(ms(0), false, now).unwrap();
            overload.handed_over();
            overload.begun(ms(0), now);
        }
        assert_eq!(overload.admit(ms(0), false, now), Err(Shed::Full));
        overload.settled();
        assert_eq!(overload.admit(ms(0), false, now), Ok(()));
        assert_eq!(overload.counters().shed, [0, 0, 1]);
    }

    #[test]
    fn without_a_delay_only_the_number_counts() {
        let now = Instant::now();
        let settings = config::Overload { delay: Duration::ZERO, ..config::Overload::default() };
        let mut overload = Overload::new(settings, now);
        let (accepted, shed, _, _) = flood(&mut overload, now, 8.0, 1_000);
        assert_eq!(shed, 0);
        assert!(accepted > 1_900);
    }
}
