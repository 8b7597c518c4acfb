//! Opening hours: recurrence rules (RFC 5545) with a duration, and the weekly table of a tenant.
//!
//! Something is **open** at an instant T when some occurrence O satisfies O ≤ T < O + duration;
//! the duration is elapsed time, whatever the clocks do meanwhile. Every answer costs a bounded
//! amount of work, whatever the rule: see [`expand`](self).

mod answer;
mod expand;
mod local_time;
mod rule;
mod text;
mod weekly;

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use self::answer::{HORIZON_DAYS, YEARS, judge};
use self::expand::{Expansion, MAX_DAYS, Work};
use self::local_time::{When, resolve};
use self::text::Exceptions;
use super::reader::Object;

pub use self::answer::{HoursAnswer, Occurrence};
pub use self::rule::HoursError;
pub use self::weekly::{AfterHoursAction, Hours, OpeningAnswer, WeekdayHours};

/// The zone of business hours that name none.
pub const DEFAULT_TZ: Tz = Tz::Europe__Paris;

/// How many days' worth of the rule are looked at to count out a COUNT.
const MAX_COUNTED_DAYS: usize = 20_000;

/// Business hours as a recurrence rule with a duration.
#[derive(Debug, Clone, PartialEq)]
pub struct BusinessHours {
    tz: Tz,
    rrule: String,
    duration_minutes: u16,
    dtstart: Option<NaiveDateTime>,
    expansion: Expansion,
    until: Option<DateTime<Utc>>,
    exceptions: Exceptions,
    /// All starts of a rule with COUNT.
    counted: Option<Vec<NaiveDateTime>>,
}

impl BusinessHours {
    /// Business hours from their parts: `rrule` as in RFC 5545, alone or with `DTSTART` and
    /// `EXDATE` lines; `duration_minutes` from 1 to 1440 of elapsed time; `dtstart` a local time.
    /// Without a start the rule starts at 00:00, and INTERVAL counts from Monday 1970-01-05.
    ///
    /// # Errors
    /// When the rule is wrong, finer than a day, or outside the bounds that keep answers quick.
    pub fn new(
        tz: Tz,
        rrule: &str,
        duration_minutes: i64,
        dtstart: Option<&str>,
    ) -> Result<Self, HoursError> {
        let text = text::parse(rrule, tz)?;
        let field = match dtstart {
            None => None,
            Some(start) => {
                let when =
                    When::parse(start).ok_or_else(|| HoursError::Start(start.chars().take(60).collect()))?;
                Some(when.local(tz))
            }
        };
        if field.is_some() && text.start.is_some() {
            return Err(HoursError::StartTwice);
        }
        let dtstart = field.or(text.start);
        if text.rule.count.is_some() && dtstart.is_none() {
            return Err(HoursError::Combination(
                "COUNT needs a dtstart to count from: add one, or use UNTIL",
            ));
        }
        let mut hours = Self {
            tz,
            rrule: rrule.to_owned(),
            duration_minutes: u16::try_from(duration_minutes)
                .ok()
                .filter(|minutes| (1..=1440).contains(minutes))
                .ok_or(HoursError::Duration(duration_minutes))?,
            dtstart,
            expansion: Expansion::new(&text.rule, dtstart.unwrap_or_else(default_start))?,
            until: text.rule.until.map(|until| until.upper_limit(tz)),
            exceptions: text.exceptions,
            counted: None,
        };
        if let Some(count) = text.rule.count {
            hours.counted = Some(hours.count_out(count)?);
        }
        Ok(hours)
    }

    /// Reads `business_hours` of a destination.
    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        let tz = read_tz(object);
        let rrule =
            object.field("rrule").required_text("a rule such as \"FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=9\"");
        let duration = object.field("duration_minutes");
        if !duration.is_present() {
            duration.missing("whole minutes from 1 to 1440");
        }
        let minutes = duration.whole(1..=1440_i64);
        let dtstart = object.field("dtstart").text();
        let exdates = object.field("exdate").texts();
        let (tz, rrule, minutes) = (tz?, rrule?, minutes?);
        let built = Self::new(tz, &rrule, minutes, dtstart.as_deref());
        let mut hours =
            built.map_err(|error| object.field(at_fault(&error)).problem(error.to_string())).ok()?;
        for text in &exdates {
            match When::parse(text) {
                Some(when) => hours.exceptions.add(when, tz),
                None => object.field("exdate").problem(HoursError::Exception(text.clone()).to_string()),
            }
        }
        let sorted = hours.exceptions.sort();
        sorted.map_err(|error| object.field("exdate").problem(error.to_string())).ok()?;
        Some(hours)
    }

    /// Leaves out everything that starts on these days.
    pub(crate) fn without(mut self, days: &[NaiveDate]) -> Result<Self, HoursError> {
        for day in days {
            self.exceptions.add(When::Date(*day), self.tz);
        }
        self.exceptions.sort()?;
        Ok(self)
    }

    /// The zone in which the rule is read.
    #[must_use]
    pub fn tz(&self) -> Tz {
        self.tz
    }

    /// The rule's text, as given.
    #[must_use]
    pub fn rrule(&self) -> &str {
        &self.rrule
    }

    /// How long each opening lasts, in minutes of elapsed time.
    #[must_use]
    pub fn duration_minutes(&self) -> u16 {
        self.duration_minutes
    }

    /// Whether it is open at an instant, why, and until when. Pure, and bounded in work.
    #[must_use]
    pub fn is_open(&self, at: DateTime<Utc>) -> HoursAnswer {
        self.is_open_counted(at).0
    }

    fn is_open_counted(&self, at: DateTime<Utc>) -> (HoursAnswer, Work) {
        if self.expansion.is_empty() {
            return (HoursAnswer::never_open(), Work::default());
        }
        if !YEARS.contains(&at.year()) {
            return (HoursAnswer::closed_until(None), Work::default());
        }
        let today = at.with_timezone(&self.tz).date_naive();
        // An opening lasts a day at most, and a start's date can be a further day off where a
        // zone once skipped one.
        let first = today.checked_sub_days(Days::new(2)).unwrap_or(today);
        let last = today.checked_add_days(Days::new(HORIZON_DAYS)).unwrap_or(today);
        if let Some(counted) = &self.counted {
            let from = counted.partition_point(|start| start.date() < first);
            let rest = counted.get(from..).unwrap_or_default();
            let answer = judge(rest.iter().filter_map(|start| self.occurrence(*start)), at);
            return (answer, Work { occurrences: rest.len(), ..Work::default() });
        }
        // A day later than UNTIL, because its local date may be.
        let over = self.until.and_then(|until| until.date_naive().checked_add_days(Days::new(1)));
        let last = over.map_or(last, |over| over.min(last));
        let mut starts = self.expansion.starts(first, last, MAX_DAYS);
        let answer = judge(starts.by_ref().filter_map(|start| self.occurrence(start)), at);
        (answer, starts.work())
    }

    /// The opening that starts at a wall-clock time, unless an exception or UNTIL removes it.
    fn occurrence(&self, start: NaiveDateTime) -> Option<Occurrence> {
        let starts = resolve(start, self.tz);
        let instant = starts.to_utc();
        let removed =
            self.until.is_some_and(|until| instant > until) || self.exceptions.holds(start, instant);
        if removed {
            return None;
        }
        let ends = starts.checked_add_signed(Duration::minutes(self.duration_minutes.into()))?;
        Some(Occurrence { starts, ends })
    }

    /// Exceptions count too: RFC 5545 §3.8.5.1 removes them from the finished set.
    fn count_out(&self, count: u32) -> Result<Vec<NaiveDateTime>, HoursError> {
        let from = self.dtstart.unwrap_or_else(default_start).date();
        let last = from.checked_add_days(Days::new(100 * 366)).unwrap_or(from);
        let mut starts = self.expansion.starts(from, last, MAX_COUNTED_DAYS);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let counted: Vec<_> = starts.by_ref().take(count).collect();
        if counted.len() < count && starts.hit_limit() {
            return Err(HoursError::CountTooSparse(MAX_COUNTED_DAYS));
        }
        Ok(counted)
    }
}

/// Monday 1970-01-05, 00:00: where rules without a start count from.
fn default_start() -> NaiveDateTime {
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    epoch.checked_add_days(Days::new(4)).unwrap_or(epoch).and_time(NaiveTime::MIN)
}

fn read_tz(object: &Object<'_>) -> Option<Tz> {
    let field = object.field("tz");
    if !field.is_present() {
        return Some(DEFAULT_TZ);
    }
    field.parsed("an IANA name such as \"Europe/Paris\"", |name| {
        name.parse::<Tz>()
            .map_err(|_| format!("{:?} is no time zone", name.chars().take(40).collect::<String>()))
    })
}

fn at_fault(error: &HoursError) -> &'static str {
    match error {
        HoursError::Start(_) | HoursError::StartTwice => "dtstart",
        HoursError::Duration(_) => "duration_minutes",
        _ => "rrule",
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
