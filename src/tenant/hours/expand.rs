//! The days of a rule, by the `rrule` crate, in bounded work.
//!
//! The crate's iterator never seeks, walks on to year 10,000 when a rule has no further
//! occurrence, and has surprises of its own around clock changes. So it is asked for one thing
//! only, which it does well: the calendar days that the BY parts of a rule name, with INTERVAL
//! and COUNT taken out, in a calendar without clock changes, from the start of a period near the
//! time in question. INTERVAL, COUNT, BYSETPOS, UNTIL, the times of day, and the zone are applied
//! here. Each ask ends quickly because of two facts:
//!
//! - a rule that names no day at all is found out when it is read: the Gregorian calendar has only
//!   fourteen kinds of years, all of which occur from 9973 to 10,000, the crate's last year; so
//!   28 steps decide it;
//! - one that names some day names one within 40 years (the longest wait is for a 29 February of
//!   a given weekday across a century year), which is 480 months for the crate to step through.

use std::collections::VecDeque;
use std::iter::Peekable;

use chrono::{Datelike, Days, Month, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Weekday};
use rrule::{Frequency, NWeekday, RRule, RRuleSet, RRuleSetIter, Tz as RuleTz, Unvalidated};

use super::rule::{Freq, HoursError, Rule};

/// Skipping a pause of more than this many days by asking the crate anew is cheaper than
/// letting it walk through.
const WALK_DAYS: u64 = 62;

/// A rule ready to be asked for its days.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expansion {
    /// What the crate walks. Several when BYDAY mixes `MO` and `1TU`, which the crate would
    /// intersect although RFC 5545 §3.3.10 unites them. Empty: the rule never occurs.
    rules: Vec<RRule>,
    walks_years: bool,
    freq: Freq,
    interval: i64,
    week_start: Weekday,
    start: NaiveDateTime,
    times: Vec<NaiveTime>,
    positions: Vec<i32>,
}

/// How much was done for an answer, in units whose cost the benchmarks give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Days that the crate named.
    pub(crate) days: usize,
    /// Times the crate was asked anew.
    pub(crate) asks: usize,
    /// Occurrences looked at.
    pub(crate) occurrences: usize,
}

/// The most days one walk looks at; beyond it there are no further occurrences.
pub(crate) const MAX_DAYS: usize = 2_000;

impl Expansion {
    /// # Errors
    /// When the crate refuses the rule.
    pub(crate) fn new(rule: &Rule, start: NaiveDateTime) -> Result<Self, HoursError> {
        let numbered = |day: &NWeekday| matches!(day, NWeekday::Nth(..));
        let (nth, every): (Vec<_>, Vec<_>) = rule.days.iter().partition(|day| numbered(day));
        let groups =
            if nth.is_empty() || every.is_empty() { vec![rule.days.clone()] } else { vec![nth, every] };
        let mut rules = Vec::new();
        for days in groups {
            let walked = walked_rule(rule, days, start.date())
                .validate(midnight(start.date()))
                .map_err(|_| HoursError::Combination("the rule's BY parts can't be used together"))?;
            if names_a_day(&walked) {
                rules.push(walked);
            }
        }
        Ok(Self {
            rules,
            walks_years: walked_frequency(rule) == Frequency::Yearly,
            freq: rule.freq,
            interval: rule.interval.into(),
            week_start: rule.week_start,
            start,
            times: rule.times(start.time()),
            positions: rule.positions.clone(),
        })
    }

    /// Whether no day is ever named, e.g. 30 February.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Wall-clock starts from `first` on (some may be before it), in order, up to `last`.
    pub(crate) fn starts(&self, first: NaiveDate, last: NaiveDate, max_days: usize) -> Starts<'_> {
        let first = first.max(self.start.date());
        let mut starts = Starts {
            expansion: self,
            days: None,
            ready: VecDeque::new(),
            last,
            max_days,
            work: Work::default(),
        };
        if !self.is_empty() && first <= last {
            starts.ask_from(self.period_start(self.period(first)).unwrap_or(first));
        }
        starts
    }

    /// The number of the period that holds the day, in steps of FREQ.
    fn period(&self, day: NaiveDate) -> i64 {
        let days = i64::from(day.num_days_from_ce());
        match self.freq {
            Freq::Daily => days,
            Freq::Weekly => (days - self.week_shift()).div_euclid(7),
            Freq::Monthly => i64::from(day.year()) * 12 + i64::from(day.month0()),
            Freq::Yearly => day.year().into(),
        }
    }

    fn period_start(&self, period: i64) -> Option<NaiveDate> {
        let from_days = |days: i64| NaiveDate::from_num_days_from_ce_opt(i32::try_from(days).ok()?);
        match self.freq {
            Freq::Daily => from_days(period),
            Freq::Weekly => from_days(period * 7 + self.week_shift()),
            Freq::Monthly => {
                let month = u32::try_from(period.rem_euclid(12)).ok()? + 1;
                NaiveDate::from_ymd_opt(i32::try_from(period.div_euclid(12)).ok()?, month, 1)
            }
            Freq::Yearly => NaiveDate::from_ymd_opt(i32::try_from(period).ok()?, 1, 1),
        }
    }

    /// Day 1 of the common era was a Monday.
    fn week_shift(&self) -> i64 {
        i64::from(self.week_start.num_days_from_monday()) + 1
    }

    /// The period itself when INTERVAL lets it be, else the next that it does. Counted from the
    /// start's period, so that a walk may begin anywhere without shifting the pattern.
    fn on_grid(&self, period: i64) -> i64 {
        let from = self.period(self.start.date());
        let past = (period - from).rem_euclid(self.interval);
        if past == 0 { period } else { period + self.interval - past }
    }

    /// The starts within one period, whose days are all in `days`: all of them, or those that
    /// BYSETPOS picks from days × times of day.
    fn pick(&self, days: &[NaiveDate], into: &mut VecDeque<NaiveDateTime>) {
        if self.positions.is_empty() {
            into.extend(days.iter().flat_map(|day| self.times.iter().map(|time| day.and_time(*time))));
            return;
        }
        let count = days.len() * self.times.len();
        let mut picked: Vec<usize> = self
            .positions
            .iter()
            .filter_map(|position| {
                let distance = usize::try_from(position.unsigned_abs()).ok()?;
                if *position > 0 { distance.checked_sub(1) } else { count.checked_sub(distance) }
            })
            .filter(|at| *at < count)
            .collect();
        picked.sort_unstable();
        picked.dedup();
        into.extend(picked.iter().filter_map(|at| {
            let day = days.get(at / self.times.len())?;
            Some(day.and_time(*self.times.get(at % self.times.len())?))
        }));
    }
}

/// An ordered walk over wall-clock starts.
#[derive(Debug)]
pub(crate) struct Starts<'a> {
    expansion: &'a Expansion,
    days: Option<Peekable<RRuleSetIter>>,
    ready: VecDeque<NaiveDateTime>,
    last: NaiveDate,
    max_days: usize,
    work: Work,
}

impl Starts<'_> {
    /// What the walk has cost so far.
    pub(crate) fn work(&self) -> Work {
        self.work
    }

    /// Whether the walk ended because of its limit rather than for want of occurrences.
    pub(crate) fn hit_limit(&self) -> bool {
        self.work.days >= self.max_days
    }

    fn ask_from(&mut self, day: NaiveDate) {
        self.work.asks += 1;
        // Whole months and years: from their middle, the crate's walk would miss days.
        let from = if self.expansion.walks_years { day.with_ordinal(1) } else { day.with_day(1) };
        let set = RRuleSet::new(midnight(from.unwrap_or(day))).set_rrules(self.expansion.rules.clone());
        let mut days = set.into_iter().peekable();
        while days.next_if(|at| at.date_naive() < day).is_some() {
            self.work.days += 1;
        }
        self.days = Some(days);
    }

    fn next_day_if(&mut self, take: impl Fn(NaiveDate) -> bool) -> Option<NaiveDate> {
        if self.work.days >= self.max_days {
            return None;
        }
        let day = self.days.as_mut()?.next_if(|at| take(at.date_naive()))?.date_naive();
        self.work.days += 1;
        Some(day)
    }

    /// Fills `ready` from the next day, or the next period when positions are chosen in it.
    /// `None` at the end.
    fn fill(&mut self) -> Option<()> {
        let last = self.last;
        let day = self.next_day_if(|day| day <= last)?;
        let period = self.expansion.period(day);
        let next = self.expansion.on_grid(period);
        if next != period {
            let resume = self.expansion.period_start(next)?;
            if resume > self.last {
                return None;
            }
            if resume > day + Days::new(WALK_DAYS) {
                self.ask_from(resume);
            }
            return Some(());
        }
        let mut days = vec![day];
        if !self.expansion.positions.is_empty() {
            let expansion = self.expansion;
            while let Some(more) = self.next_day_if(|other| expansion.period(other) == period) {
                days.push(more);
            }
        }
        days.dedup();
        self.expansion.pick(&days, &mut self.ready);
        // Two walked rules may both name the day.
        while self.next_day_if(|other| other == day).is_some() {}
        Some(())
    }
}

impl Iterator for Starts<'_> {
    type Item = NaiveDateTime;

    fn next(&mut self) -> Option<NaiveDateTime> {
        loop {
            while let Some(start) = self.ready.pop_front() {
                self.work.occurrences += 1;
                // RFC 5545 §3.8.2.4: DTSTART is the first instance.
                if start >= self.expansion.start {
                    return Some(start);
                }
            }
            self.fill()?;
        }
    }
}

fn midnight(day: NaiveDate) -> chrono::DateTime<RuleTz> {
    RuleTz::UTC.from_utc_datetime(&day.and_time(NaiveTime::MIN))
}

/// The rule as the crate walks it: every period, days only. DAILY and WEEKLY rules name days by
/// limits alone, so that walking months names the same days in thirty times fewer steps.
fn walked_rule(rule: &Rule, days: Vec<NWeekday>, start: NaiveDate) -> RRule<Unvalidated> {
    let (mut days, mut month_days, mut months) = (days, rule.month_days.clone(), rule.months.clone());
    let start_day = i8::try_from(start.day()).unwrap_or(1);
    match rule.freq {
        Freq::Daily if days.is_empty() && month_days.is_empty() => days = every_day(),
        Freq::Weekly if days.is_empty() => days = vec![NWeekday::Every(start.weekday())],
        Freq::Monthly if days.is_empty() && month_days.is_empty() => month_days = vec![start_day],
        Freq::Yearly
            if days.is_empty()
                && month_days.is_empty()
                && rule.weeks.is_empty()
                && rule.year_days.is_empty() =>
        {
            month_days = vec![start_day];
            if months.is_empty() {
                months.extend(u8::try_from(start.month()));
            }
        }
        _ => {}
    }
    let frequency = walked_frequency(rule);
    if rule.freq == Freq::Monthly && frequency == Frequency::Yearly && months.is_empty() {
        months.extend(1..=12);
    }
    let months: Vec<Month> = months.iter().filter_map(|month| Month::try_from(*month).ok()).collect();
    RRule::new(frequency)
        .week_start(rule.week_start)
        .by_month(&months)
        .by_month_day(month_days)
        .by_year_day(rule.year_days.clone())
        .by_week_no(rule.weeks.clone())
        .by_weekday(days)
        .by_hour(vec![0])
        .by_minute(vec![0])
        .by_second(vec![0])
}

/// The crate refuses `-5MO` within a month, but takes it for the months of a year, where
/// BYMONTH gives the number the same meaning.
fn walked_frequency(rule: &Rule) -> Frequency {
    let numbered = rule.days.iter().any(|day| matches!(day, NWeekday::Nth(..)));
    match rule.freq {
        Freq::Yearly => Frequency::Yearly,
        Freq::Monthly if numbered => Frequency::Yearly,
        _ => Frequency::Monthly,
    }
}

fn every_day() -> Vec<NWeekday> {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    [Mon, Tue, Wed, Thu, Fri, Sat, Sun].map(NWeekday::Every).to_vec()
}

fn names_a_day(rule: &RRule) -> bool {
    NaiveDate::from_ymd_opt(9973, 1, 1)
        .is_some_and(|day| RRuleSet::new(midnight(day)).rrule(rule.clone()).into_iter().next().is_some())
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
