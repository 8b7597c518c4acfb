//! The parts of a recurrence rule (RFC 5545 §3.3.10), read and bounded.

use chrono::{NaiveTime, Weekday};
use rrule::NWeekday;

use super::local_time::When;

/// The longest rule text taken, in bytes.
pub(crate) const MAX_RULE_BYTES: usize = 4_096;
/// The most occurrences COUNT may ask for: they are counted out when the document is read.
pub(crate) const MAX_COUNT: u32 = 1_000;
/// The largest INTERVAL.
const MAX_INTERVAL: u16 = 1_000;
/// The most openings in one day (BYHOUR × BYMINUTE × BYSECOND).
pub(crate) const MAX_TIMES_PER_DAY: usize = 48;
/// The longest list in a BY part.
const MAX_LIST: usize = 62;

/// Why business hours are refused, in words for whoever wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoursError {
    /// FREQ is finer than a day.
    #[error(
        "FREQ={0} repeats within a day: write FREQ=DAILY, WEEKLY, MONTHLY or YEARLY, and say when \
         it opens with BYHOUR and BYMINUTE and for how long with duration_minutes"
    )]
    BelowDaily(String),
    /// There is no rule, or no FREQ in it.
    #[error("the rule has no FREQ: write for example FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9")]
    NoFrequency,
    /// A part isn't one of RFC 5545's, or is given twice.
    #[error("the rule part {0:?} is unknown or given twice: write each RFC 5545 part once, as NAME=VALUE")]
    Part(String),
    /// A value is outside of what its part takes.
    #[error("{part}={value} can't be used: {part} takes {takes}")]
    Value {
        /// The part's name.
        part: &'static str,
        /// What was written.
        value: String,
        /// What can be written.
        takes: &'static str,
    },
    /// Two parts that exclude each other.
    #[error("{0}")]
    Combination(&'static str),
    /// The text has lines that opening hours don't take.
    #[error("the line {0:?} can't be used: opening hours take RRULE, DTSTART and EXDATE lines")]
    Line(String),
    /// More than the text, list or exception limits.
    #[error("the rule is too long: {0}")]
    TooLong(&'static str),
    /// The occurrences of a COUNT lie too far apart to be counted out.
    #[error("COUNT can't be counted out within {0} days: give an UNTIL date instead")]
    CountTooSparse(usize),
    /// The zone isn't in the IANA database.
    #[error("{0:?} is no time zone: write an IANA name such as \"Europe/Paris\"")]
    Zone(String),
    /// DTSTART can't be read.
    #[error("{0:?} is no start: write a local time such as \"2026-01-05T09:00:00\"")]
    Start(String),
    /// The start is given both as a field and in the rule's text.
    #[error("the start is given twice: keep either dtstart or the DTSTART line")]
    StartTwice,
    /// EXDATE can't be read.
    #[error("{0:?} is no exception: write a date such as 20261225, or the occurrence's start")]
    Exception(String),
    /// `duration_minutes` out of range.
    #[error("{0} is no duration: write whole minutes from 1 to 1440")]
    Duration(i64),
}

/// How often the rule repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freq {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// A rule's parts, each within RFC 5545's ranges and ours.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    pub(crate) freq: Freq,
    pub(crate) interval: u16,
    pub(crate) count: Option<u32>,
    pub(crate) until: Option<When>,
    pub(crate) week_start: Weekday,
    pub(crate) months: Vec<u8>,
    pub(crate) month_days: Vec<i8>,
    pub(crate) year_days: Vec<i16>,
    pub(crate) weeks: Vec<i8>,
    pub(crate) days: Vec<NWeekday>,
    pub(crate) hours: Vec<u8>,
    pub(crate) minutes: Vec<u8>,
    pub(crate) seconds: Vec<u8>,
    pub(crate) positions: Vec<i32>,
}

impl Rule {
    /// Reads a rule without its `RRULE:` name.
    pub(crate) fn parse(text: &str) -> Result<Self, HoursError> {
        let parts = Parts::split(text)?;
        let freq = frequency(parts.get("FREQ").ok_or(HoursError::NoFrequency)?)?;
        let rule = Self {
            freq,
            interval: match parts.get("INTERVAL") {
                None => 1,
                Some(text) => number(text, 1, MAX_INTERVAL)
                    .ok_or_else(|| value("INTERVAL", text, "a number from 1 to 1000"))?,
            },
            count: match parts.get("COUNT") {
                None => None,
                Some(text) => Some(
                    number(text, 1, MAX_COUNT)
                        .ok_or_else(|| value("COUNT", text, "a number from 1 to 1000"))?,
                ),
            },
            until: match parts.get("UNTIL") {
                None => None,
                Some(text) => Some(
                    When::parse(text)
                        .ok_or_else(|| value("UNTIL", text, "a date or time such as 20261231T225959Z"))?,
                ),
            },
            week_start: match parts.get("WKST") {
                None => Weekday::Mon,
                Some(text) => {
                    weekday(text).ok_or_else(|| value("WKST", text, "MO, TU, WE, TH, FR, SA or SU"))?
                }
            },
            months: parts.list("BYMONTH", 1, 12, "months from 1 to 12")?,
            month_days: parts.signed("BYMONTHDAY", 31, "days from 1 to 31 or -31 to -1")?,
            year_days: parts.signed("BYYEARDAY", 366, "days from 1 to 366 or -366 to -1")?,
            weeks: parts.signed("BYWEEKNO", 53, "weeks from 1 to 53 or -53 to -1")?,
            days: parts.days()?,
            hours: parts.list("BYHOUR", 0, 23, "hours from 0 to 23")?,
            minutes: parts.list("BYMINUTE", 0, 59, "minutes from 0 to 59")?,
            seconds: parts.list("BYSECOND", 0, 59, "seconds from 0 to 59")?,
            positions: parts.signed("BYSETPOS", 366, "positions from 1 to 366 or -366 to -1")?,
        };
        rule.check()?;
        Ok(rule)
    }

    /// The combinations that RFC 5545 §3.3.10 forbids, and our own bounds.
    fn check(&self) -> Result<(), HoursError> {
        let refuse = |text| Err(HoursError::Combination(text));
        let numbered =
            |most: i16| self.days.iter().any(|day| matches!(day, NWeekday::Nth(n, _) if n.abs() > most));
        if self.count.is_some() && self.until.is_some() {
            return refuse("COUNT and UNTIL exclude each other: keep one of them");
        }
        // The crate that walks the days knows no -53rd weekday of a year.
        let most_numbered = match self.freq {
            Freq::Daily | Freq::Weekly => 0,
            Freq::Monthly => 5,
            Freq::Yearly => 52,
        };
        if numbered(most_numbered) {
            return refuse(
                "BYDAY with a number (such as 1MO) needs FREQ=MONTHLY (up to 5) or FREQ=YEARLY (up to 52)",
            );
        }
        if !self.weeks.is_empty() && (self.freq != Freq::Yearly || numbered(0)) {
            return refuse("BYWEEKNO needs FREQ=YEARLY and BYDAY without numbers");
        }
        if !self.month_days.is_empty() && self.freq == Freq::Weekly {
            return refuse("BYMONTHDAY can't be used with FREQ=WEEKLY");
        }
        if !self.year_days.is_empty() && self.freq != Freq::Yearly {
            return refuse("BYYEARDAY needs FREQ=YEARLY");
        }
        if !self.positions.is_empty() && !self.has_other_by_part() {
            return refuse("BYSETPOS needs another BY part to choose from");
        }
        let times = [&self.hours, &self.minutes, &self.seconds]
            .iter()
            .fold(1, |product, list| product * list.len().max(1));
        if times > MAX_TIMES_PER_DAY {
            return Err(HoursError::TooLong("48 openings in one day at most"));
        }
        Ok(())
    }

    fn has_other_by_part(&self) -> bool {
        !(self.months.is_empty()
            && self.month_days.is_empty()
            && self.year_days.is_empty()
            && self.weeks.is_empty()
            && self.days.is_empty()
            && self.hours.is_empty()
            && self.minutes.is_empty()
            && self.seconds.is_empty())
    }

    /// The times of a day at which an occurrence starts, in order; what the rule doesn't say
    /// is taken from the start (RFC 5545 §3.3.10).
    pub(crate) fn times(&self, start: NaiveTime) -> Vec<NaiveTime> {
        use chrono::Timelike;
        let or = |list: &[u8], other: u32| -> Vec<u32> {
            if list.is_empty() { vec![other] } else { list.iter().map(|v| u32::from(*v)).collect() }
        };
        let mut times = Vec::new();
        for hour in or(&self.hours, start.hour()) {
            for minute in or(&self.minutes, start.minute()) {
                for second in or(&self.seconds, start.second()) {
                    times.extend(NaiveTime::from_hms_opt(hour, minute, second));
                }
            }
        }
        times.sort_unstable();
        times.dedup();
        times
    }
}

/// A rule's parts by upper-case name.
struct Parts<'a>(Vec<(String, &'a str)>);

const NAMES: [&str; 14] = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "WKST",
    "BYMONTH",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYDAY",
    "BYHOUR",
    "BYMINUTE",
    "BYSECOND",
    "BYSETPOS",
];

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, HoursError> {
        let mut parts: Vec<(String, &str)> = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| HoursError::Part(part.to_owned()))?;
            let name = name.trim().to_ascii_uppercase();
            let twice = parts.iter().any(|(other, _)| *other == name);
            if twice || !NAMES.contains(&name.as_str()) {
                return Err(HoursError::Part(name));
            }
            parts.push((name, value.trim()));
        }
        Ok(Self(parts))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    fn each<T>(
        &self,
        part: &'static str,
        takes: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, HoursError> {
        let Some(text) = self.get(part) else {
            return Ok(Vec::new());
        };
        if text.split(',').count() > MAX_LIST {
            return Err(HoursError::TooLong("62 values in one BY part at most"));
        }
        text.split(',').map(|one| read(one.trim()).ok_or_else(|| value(part, one, takes))).collect()
    }

    fn list(
        &self,
        part: &'static str,
        low: u8,
        high: u8,
        takes: &'static str,
    ) -> Result<Vec<u8>, HoursError> {
        self.each(part, takes, |text| number(text, low, high))
    }

    fn signed<T>(&self, part: &'static str, most: i32, takes: &'static str) -> Result<Vec<T>, HoursError>
    where
        T: TryFrom<i32>,
    {
        self.each(part, takes, |text| {
            let number: i32 = number(text, -most, most).filter(|number| *number != 0)?;
            T::try_from(number).ok()
        })
    }

    fn days(&self) -> Result<Vec<NWeekday>, HoursError> {
        self.each("BYDAY", "days such as MO, or 1MO and -1FR for the first and the last", |text| {
            let at = text.len().checked_sub(2)?;
            let (count, day) = (text.get(..at)?, weekday(text.get(at..)?)?);
            if count.is_empty() {
                return Some(NWeekday::Every(day));
            }
            let count: i16 = number(count, -53, 53).filter(|count| *count != 0)?;
            Some(NWeekday::Nth(count, day))
        })
    }
}

fn value(part: &'static str, value: &str, takes: &'static str) -> HoursError {
    HoursError::Value { part, value: value.chars().take(40).collect(), takes }
}

fn number<T: std::str::FromStr + PartialOrd>(text: &str, low: T, high: T) -> Option<T> {
    if text.len() > 6 {
        return None;
    }
    text.parse().ok().filter(|number| (low..=high).contains(number))
}

fn frequency(text: &str) -> Result<Freq, HoursError> {
    match text.to_ascii_uppercase().as_str() {
        "DAILY" => Ok(Freq::Daily),
        "WEEKLY" => Ok(Freq::Weekly),
        "MONTHLY" => Ok(Freq::Monthly),
        "YEARLY" => Ok(Freq::Yearly),
        below @ ("HOURLY" | "MINUTELY" | "SECONDLY") => Err(HoursError::BelowDaily(below.to_owned())),
        _ => Err(value("FREQ", text, "DAILY, WEEKLY, MONTHLY or YEARLY")),
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text.to_ascii_uppercase().as_str() {
        "MO" => Weekday::Mon,
        "TU" => Weekday::Tue,
        "WE" => Weekday::Wed,
        "TH" => Weekday::Thu,
        "FR" => Weekday::Fri,
        "SA" => Weekday::Sat,
        "SU" => Weekday::Sun,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
