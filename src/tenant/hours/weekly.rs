//! The `hours` section of a tenant: a weekly table, holidays, and rules, in the tenant's zone.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::answer::{HORIZON_DAYS, HoursAnswer, Occurrence, YEARS, judge, unite};
use super::local_time::resolve;
use super::{BusinessHours, HoursError};
use crate::tenant::reader::{Field, Object, words};

words! {
    /// What a caller is offered outside of the opening hours.
    AfterHoursAction {
        /// Leave a message.
        Voicemail = "voicemail",
        /// Be transferred to the after-hours destination.
        Transfer = "transfer",
        /// Be called back.
        Callback = "callback",
    } default Voicemail
}

/// The hours of one weekday. Several entries for the same day open it several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WeekdayHours {
    /// 0 = Sunday … 6 = Saturday.
    pub day: u8,
    /// Minutes of the day at which it opens and closes, by the wall clock; a closing time that is
    /// not after the opening time is on the next day. `None`: closed.
    pub window: Option<(u16, u16)>,
    /// What is offered on this day while closed.
    pub after_hours_action: AfterHoursAction,
}

/// A tenant's opening hours. Without table and rules it is always open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hours {
    /// The weekly table; days that it doesn't name are closed.
    pub weekdays: Vec<WeekdayHours>,
    /// Dates on which nothing opens.
    pub holidays: Vec<NaiveDate>,
    /// What is offered on holidays and on days without an entry of their own.
    pub after_hours_action: AfterHoursAction,
    /// Further openings as recurrence rules.
    pub rules: Vec<BusinessHours>,
}

/// Whether a tenant is open, and what to offer when it isn't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpeningAnswer {
    /// Open or closed, and why.
    #[serde(flatten)]
    pub hours: HoursAnswer,
    /// What applies on that day while closed.
    pub after_hours_action: AfterHoursAction,
}

impl Hours {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let action = object.field("after_hours_action").choice(AfterHoursAction::WORDS).unwrap_or_default();
        let mut holidays = object.field("holidays").list_of(|entry| {
            entry.parsed("a date such as \"2026-12-25\"", |text| {
                text.parse::<NaiveDate>().map_err(|_| "is no date")
            })
        });
        holidays.sort_unstable();
        let rules = object.field("rules").objects(|rule| {
            let hours = BusinessHours::read(rule)?.without(&holidays);
            hours.map_err(|error: HoursError| object.field("rules").problem(error.to_string())).ok()
        });
        Self {
            weekdays: object.field("weekdays").objects(|entry| read_weekday(entry, action)),
            holidays,
            after_hours_action: action,
            rules,
        }
    }

    /// Whether the tenant is open at an instant; the table is read in `tz`, the tenant's zone.
    #[must_use]
    pub fn answer(&self, at: DateTime<Utc>, tz: Tz) -> OpeningAnswer {
        if !YEARS.contains(&at.year()) {
            return OpeningAnswer {
                hours: HoursAnswer::closed_until(None),
                after_hours_action: self.after_hours_action,
            };
        }
        let hours = if self.weekdays.is_empty() && self.rules.is_empty() {
            HoursAnswer::always_open()
        } else if self.rules.is_empty() {
            self.by_table(at, tz)
        } else {
            unite(at, |at| {
                let table = (!self.weekdays.is_empty()).then(|| self.by_table(at, tz));
                table.into_iter().chain(self.rules.iter().map(|rule| rule.is_open(at))).collect()
            })
        };
        OpeningAnswer { hours, after_hours_action: self.action_on(at.with_timezone(&tz).date_naive()) }
    }

    fn action_on(&self, day: NaiveDate) -> AfterHoursAction {
        if self.is_holiday(day) {
            return self.after_hours_action;
        }
        let entry = self.weekdays.iter().find(|entry| entry.day == weekday_number(day));
        entry.map_or(self.after_hours_action, |entry| entry.after_hours_action)
    }

    fn is_holiday(&self, day: NaiveDate) -> bool {
        self.holidays.binary_search(&day).is_ok()
    }

    fn by_table(&self, at: DateTime<Utc>, tz: Tz) -> HoursAnswer {
        let today = at.with_timezone(&tz).date_naive();
        let first = today.checked_sub_days(Days::new(2)).unwrap_or(today);
        let last = today.checked_add_days(Days::new(HORIZON_DAYS)).unwrap_or(today);
        let days = first.iter_days().take_while(|day| *day <= last).filter(|day| !self.is_holiday(*day));
        judge(days.flat_map(|day| self.openings_on(day, tz)), at)
    }

    fn openings_on(&self, day: NaiveDate, tz: Tz) -> Vec<Occurrence> {
        let number = weekday_number(day);
        let mut windows: Vec<_> = self
            .weekdays
            .iter()
            .filter(|entry| entry.day == number)
            .filter_map(|entry| entry.window)
            .collect();
        windows.sort_unstable();
        windows.into_iter().filter_map(|window| opening(day, window, tz)).collect()
    }
}

/// Both ends by the wall clock: unlike the duration of a rule, "until 18:00" is a time of day.
/// `None` for a window that lies wholly within a clock change.
fn opening(day: NaiveDate, (open, close): (u16, u16), tz: Tz) -> Option<Occurrence> {
    let at = |day: NaiveDate, minute: u16| {
        let time = NaiveTime::from_hms_opt(u32::from(minute / 60), u32::from(minute % 60), 0)?;
        Some(resolve(day.and_time(time), tz))
    };
    let starts = at(day, open)?;
    let ends = match close {
        1440 => at(day.succ_opt()?, 0)?,
        close if close > open => at(day, close)?,
        close => at(day.succ_opt()?, close)?,
    };
    (starts < ends).then_some(Occurrence { starts, ends })
}

fn weekday_number(day: NaiveDate) -> u8 {
    u8::try_from(day.weekday().num_days_from_sunday()).unwrap_or(0)
}

fn read_weekday(entry: &Object<'_>, default: AfterHoursAction) -> Option<WeekdayHours> {
    let day = entry.field("day");
    if !day.is_present() {
        day.missing("the weekday's number, 0 for Sunday to 6 for Saturday");
    }
    let number = day.whole(0..=6_u8);
    let action = entry.field("after_hours_action").choice(AfterHoursAction::WORDS).unwrap_or(default);
    let closed = entry.field("closed").boolean(false);
    let window = if closed { None } else { Some(read_window(entry)?) };
    Some(WeekdayHours { day: number?, window, after_hours_action: action })
}

fn read_window(entry: &Object<'_>) -> Option<(u16, u16)> {
    let (open, close) = (entry.field("open"), entry.field("close"));
    let (opens, closes) = (read_minute(&open), read_minute(&close));
    let (opens, closes) = (opens?, closes?);
    if opens == 1440 || opens == closes {
        close.problem(
            "is the same as open: write \"00:00\" and \"24:00\" for a whole day, or \"closed\": true",
        );
        return None;
    }
    Some((opens, closes))
}

fn read_minute(field: &Field<'_>) -> Option<u16> {
    field.required("a time such as \"09:00\", up to \"24:00\"", |text| {
        let minute = || {
            let (hour, minute) = text.split_once(':')?;
            let two = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok()).flatten();
            let (hour, minute) = (two(hour)?, two(minute)?);
            (minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
        };
        minute().ok_or("is no time of day")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tenant::problem::{DocumentErrors, Problems};

    const PARIS: Tz = Tz::Europe__Paris;

    fn hours(value: &Value) -> Result<Hours, DocumentErrors> {
        let problems = Problems::default();
        let read = Object::root(value, &problems).map(|object| Hours::read(&object));
        problems.finish(read)
    }

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn week() -> Hours {
        hours(&json!({
            "weekdays": [
                {"day": 1, "open": "09:00", "close": "12:00", "after_hours_action": "callback"},
                {"day": 1, "open": "14:00", "close": "18:00", "after_hours_action": "callback"},
                {"day": 5, "open": "22:00", "close": "02:00"},
                {"day": 0, "closed": true, "after_hours_action": "transfer"}
            ],
            "holidays": ["2026-06-08"]
        }))
        .unwrap()
    }

    #[test]
    fn a_table_opens_and_closes_by_the_wall_clock() {
        let week = week();
        let lunch = week.answer(at("2026-06-01T12:30:00+02:00"), PARIS);
        assert!(!lunch.hours.open);
        assert_eq!(lunch.after_hours_action, AfterHoursAction::Callback);
        assert_eq!(lunch.hours.next_change, Some(at("2026-06-01T14:00:00+02:00")));
        assert!(week.answer(at("2026-06-01T14:00:00+02:00"), PARIS).hours.open);
        assert!(!week.answer(at("2026-06-01T18:00:00+02:00"), PARIS).hours.open);
        assert_eq!(
            week.answer(at("2026-06-07T10:00:00+02:00"), PARIS).after_hours_action,
            AfterHoursAction::Transfer
        );
    }

    #[test]
    fn a_window_may_cross_midnight_and_a_clock_change() {
        let week = week();
        let friday_night = week.answer(at("2026-06-06T01:59:00+02:00"), PARIS).hours;
        assert!(friday_night.open);
        assert_eq!(friday_night.next_change, Some(at("2026-06-06T02:00:00+02:00")));
        assert!(!week.answer(at("2026-06-06T02:00:00+02:00"), PARIS).hours.open);
    }

    #[test]
    fn nothing_opens_on_a_holiday() {
        let answer = week().answer(at("2026-06-08T10:00:00+02:00"), PARIS);
        assert!(!answer.hours.open);
        assert_eq!(answer.hours.next_change, Some(at("2026-06-12T22:00:00+02:00")));
    }

    #[test]
    fn without_table_and_rules_it_is_always_open() {
        assert!(Hours::default().answer(at("2026-06-08T03:00:00Z"), PARIS).hours.open);
    }

    #[test]
    fn rules_and_table_are_open_together() {
        let mut hours = week();
        hours.rules = vec![BusinessHours::new(PARIS, "FREQ=WEEKLY;BYDAY=MO;BYHOUR=12", 120, None).unwrap()];
        let answer = hours.answer(at("2026-06-01T10:00:00+02:00"), PARIS).hours;
        assert!(answer.open);
        assert_eq!(answer.next_change, Some(at("2026-06-01T18:00:00+02:00")));
    }

    #[test]
    fn every_wrong_entry_is_reported() {
        let errors = hours(&json!({
            "after_hours_action": "hang_up",
            "holidays": ["Christmas"],
            "weekdays": [{"open": "9", "close": "25:00"}, {"day": 7, "closed": true},
                         {"day": 1, "open": "09:00", "close": "09:00"}],
            "rules": [{"rrule": "FREQ=HOURLY", "duration_minutes": 5}]
        }))
        .unwrap_err();
        let paths: Vec<_> = errors.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "$.after_hours_action",
                "$.holidays[0]",
                "$.rules[0].rrule",
                "$.weekdays[0].day",
                "$.weekdays[0].open",
                "$.weekdays[0].close",
                "$.weekdays[1].day",
                "$.weekdays[2].close",
            ]
        );
    }
}
