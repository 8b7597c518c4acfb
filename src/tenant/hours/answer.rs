//! From occurrences to an answer: open or closed at an instant, and until when.

use std::fmt;

use chrono::{DateTime, Duration, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;

/// How far ahead the next change is looked for, in days; beyond it there is none to tell.
pub(crate) const HORIZON_DAYS: u64 = 400;
/// The years in which instants are judged; outside of them everything is closed. Calendar
/// arithmetic would overflow far beyond.
pub(crate) const YEARS: std::ops::RangeInclusive<i32> = 1..=9_000;
/// How many occurrences that touch each other are followed to find when an opening ends.
const MAX_JOINED: usize = 64;

/// One opening: it is open from `starts` on and closed again at `ends`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// First open instant, in the zone of the hours.
    pub starts: DateTime<Tz>,
    /// First closed instant, in the zone of the hours.
    pub ends: DateTime<Tz>,
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", spoken(&self.starts), spoken(&self.ends))
    }
}

impl Serialize for Occurrence {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Occurrence", 2)?;
        out.serialize_field("starts", &self.starts.to_rfc3339())?;
        out.serialize_field("ends", &self.ends.to_rfc3339())?;
        out.end()
    }
}

/// Whether it is open at an instant, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoursAnswer {
    /// Whether it is open.
    pub open: bool,
    /// The occurrence that makes it open: of several, the one that started first.
    pub matched: Option<Occurrence>,
    /// The instant at which the answer changes, when there is one within 400 days (for an
    /// opening: when no more than 64 occurrences join up).
    pub next_change: Option<DateTime<Utc>>,
    /// The reason, in one English sentence for `offhook route` and the console.
    pub explanation: String,
}

impl HoursAnswer {
    /// The answer where no hours are set.
    #[must_use]
    pub fn always_open() -> Self {
        Self {
            open: true,
            matched: None,
            next_change: None,
            explanation: "open: no hours are set".to_owned(),
        }
    }

    /// The answer of a rule that names no day at all.
    pub(crate) fn never_open() -> Self {
        Self {
            open: false,
            matched: None,
            next_change: None,
            explanation: "closed: the rule names no date that exists".to_owned(),
        }
    }

    pub(crate) fn closed_until(opens: Option<DateTime<Tz>>) -> Self {
        Self {
            open: false,
            matched: None,
            next_change: opens.map(|at| at.to_utc()),
            explanation: match opens {
                Some(at) => format!("closed: opens {}", spoken(&at)),
                None => format!("closed: no opening within {HORIZON_DAYS} days"),
            },
        }
    }

    pub(crate) fn open_in(matched: Occurrence, closes: Option<DateTime<Utc>>) -> Self {
        let tz = matched.starts.timezone();
        Self {
            open: true,
            matched: Some(matched),
            next_change: closes,
            explanation: match closes {
                Some(at) if at == matched.ends => format!("open: within {matched}"),
                Some(at) => {
                    let closes = spoken(&at.with_timezone(&tz));
                    format!("open: within {matched}, and on until {closes}")
                }
                None => format!("open: within {matched}, and the next openings follow without a pause"),
            },
        }
    }
}

fn spoken(at: &DateTime<Tz>) -> String {
    at.format("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// Judges an instant by occurrences given in the order of their wall-clock starts. The walk
/// stops as soon as the answer is certain; it needs those that start from two days before.
pub(crate) fn judge(occurrences: impl Iterator<Item = Occurrence>, at: DateTime<Utc>) -> HoursAnswer {
    let mut matched: Option<Occurrence> = None;
    let mut closes: Option<DateTime<Tz>> = None;
    let mut opens: Option<DateTime<Tz>> = None;
    let mut joined = 0;
    for occurrence in occurrences {
        // Starts are ordered by wall clock; by instants they can be out of order by the length
        // of a gap in the clock, of which the longest was a day. So one day more is looked at.
        let settled = closes.or(opens).map(|edge| day_after(edge.date_naive()));
        if settled.is_some_and(|day| occurrence.starts.date_naive() > day) {
            break;
        }
        if occurrence.starts <= at && at < occurrence.ends {
            matched = Some(matched.filter(|first| first.starts <= occurrence.starts).unwrap_or(occurrence));
            closes = Some(closes.map_or(occurrence.ends, |end| end.max(occurrence.ends)));
        } else if occurrence.starts > at {
            match closes {
                Some(end) if occurrence.starts <= end && occurrence.ends > end => {
                    closes = Some(occurrence.ends);
                    joined += 1;
                }
                Some(_) => {}
                None => opens = Some(opens.map_or(occurrence.starts, |open| open.min(occurrence.starts))),
            }
        }
        if joined > MAX_JOINED {
            break;
        }
    }
    match matched {
        Some(matched) => {
            let closes = closes.filter(|_| joined <= MAX_JOINED).map(|end| end.to_utc());
            HoursAnswer::open_in(matched, closes)
        }
        None => HoursAnswer::closed_until(opens),
    }
}

/// Of several sources of openings, the answer of all together: open when one is.
pub(crate) fn unite(at: DateTime<Utc>, ask: impl Fn(DateTime<Utc>) -> Vec<HoursAnswer>) -> HoursAnswer {
    let first_open = |answers: &[HoursAnswer]| answers.iter().position(|answer| answer.open);
    let mut answers = ask(at);
    let Some(open) = first_open(&answers) else {
        let soonest =
            answers.into_iter().min_by_key(|answer| answer.next_change.unwrap_or(DateTime::<Utc>::MAX_UTC));
        return soonest.unwrap_or_else(|| HoursAnswer::closed_until(None));
    };
    let mut end = at;
    for _ in 0..MAX_JOINED {
        let open_until = answers.iter().filter(|answer| answer.open).map(|answer| answer.next_change);
        let Some(latest) = open_until.collect::<Option<Vec<_>>>().map(|ends| ends.into_iter().max()) else {
            return end_of(ask(at).swap_remove(open), None);
        };
        match latest {
            Some(latest) if latest > end => end = latest,
            _ => break,
        }
        answers = ask(end);
        if first_open(&answers).is_none() {
            break;
        }
    }
    end_of(ask(at).swap_remove(open), Some(end))
}

fn end_of(answer: HoursAnswer, closes: Option<DateTime<Utc>>) -> HoursAnswer {
    match answer.matched {
        Some(matched) => HoursAnswer::open_in(matched, closes),
        None => answer,
    }
}

fn day_after(day: NaiveDate) -> NaiveDate {
    day.checked_add_signed(Duration::days(1)).unwrap_or(day)
}
