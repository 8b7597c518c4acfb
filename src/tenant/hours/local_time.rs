//! Wall-clock times of a zone, and the instants they stand for.

use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// The instant of a wall-clock time, as RFC 5545 §3.3.5 reads it: a time that occurs twice is
/// the first of the two, and one that is skipped is read with the offset before the gap
/// (02:30 on the night when clocks go from 02:00 to 03:00 is 03:30).
pub(crate) fn resolve(local: NaiveDateTime, tz: Tz) -> DateTime<Tz> {
    match tz.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at,
        LocalResult::None => {
            let begin = GapInfo::new(&local, &tz).and_then(|gap| gap.begin);
            let seconds = begin.map_or(0, |(_, offset)| {
                use chrono::Offset;
                offset.fix().local_minus_utc()
            });
            tz.from_utc_datetime(&(local - Duration::seconds(seconds.into())))
        }
    }
}

/// A date or time as iCalendar and our documents write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// A whole day, in whatever zone it is read.
    Date(NaiveDate),
    /// A wall-clock time.
    Local(NaiveDateTime),
    /// An instant.
    Utc(DateTime<Utc>),
}

/// The years that documents may name: enough for any opening hours, and far from where
/// calendar arithmetic overflows.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2999;

impl When {
    /// Reads the basic form of RFC 5545 §3.3.5 (`20260105T090000`, with `Z` for UTC) and the
    /// ISO 8601 extended form people write (`2026-01-05T09:00`), either as a date alone too.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > 40 {
            return None;
        }
        let date = ["%Y%m%d", "%Y-%m-%d"].iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok());
        let bare = text.strip_suffix('Z');
        let local = ["%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(bare.unwrap_or(text), form).ok());
        let when = match (date, local) {
            (Some(date), _) => Self::Date(date),
            (None, Some(local)) if bare.is_some() => Self::Utc(local.and_utc()),
            (None, Some(local)) => Self::Local(local),
            (None, None) => Self::Utc(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
        };
        YEARS.contains(&when.year()).then_some(when)
    }

    fn year(self) -> i32 {
        match self {
            Self::Date(date) => date.year(),
            Self::Local(local) => local.year(),
            Self::Utc(at) => at.year(),
        }
    }

    /// The wall-clock time in `tz`; a date is its midnight.
    pub(crate) fn local(self, tz: Tz) -> NaiveDateTime {
        match self {
            Self::Date(date) => date.and_time(NaiveTime::MIN),
            Self::Local(local) => local,
            Self::Utc(at) => at.with_timezone(&tz).naive_local(),
        }
    }

    /// The last instant that is meant when the value is a limit: a date is its whole day.
    pub(crate) fn upper_limit(self, tz: Tz) -> DateTime<Utc> {
        match self {
            Self::Date(date) => {
                let next = date.succ_opt().unwrap_or(date).and_time(NaiveTime::MIN);
                resolve(next, tz).to_utc() - Duration::seconds(1)
            }
            Self::Local(local) => resolve(local, tz).to_utc(),
            Self::Utc(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(local: &str, tz: Tz) -> String {
        let local = NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").unwrap();
        resolve(local, tz).to_utc().format("%Y-%m-%d %H:%M").to_string()
    }

    #[test]
    fn a_skipped_time_is_read_with_the_offset_before_the_gap() {
        // RFC 5545 §3.3.5. Paris: 02:00 → 03:00 at 01:00 UTC.
        assert_eq!(utc("2026-03-29 02:30", Tz::Europe__Paris), "2026-03-29 01:30");
        // Lord Howe skips half an hour: 02:00 → 02:30 at 15:30 UTC.
        assert_eq!(utc("2026-10-04 02:15", Tz::Australia__Lord_Howe), "2026-10-03 15:45");
        // São Paulo skipped midnight itself.
        assert_eq!(utc("2018-11-04 00:00", Tz::America__Sao_Paulo), "2018-11-04 03:00");
        // Samoa skipped a whole day.
        assert_eq!(utc("2011-12-30 12:00", Tz::Pacific__Apia), "2011-12-30 22:00");
    }

    #[test]
    fn a_repeated_time_is_the_first_of_the_two() {
        assert_eq!(utc("2026-10-25 02:30", Tz::Europe__Paris), "2026-10-25 00:30");
        assert_eq!(utc("2026-11-01 01:30", Tz::America__New_York), "2026-11-01 05:30");
    }

    #[test]
    fn dates_are_read_in_both_forms_and_others_refused() {
        let local = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap().and_hms_opt(9, 0, 0).unwrap();
        for form in ["20260105T090000", "2026-01-05T09:00", "2026-01-05T09:00:00"] {
            assert_eq!(When::parse(form), Some(When::Local(local)), "{form}");
        }
        for form in ["20260105T090000Z", "2026-01-05T10:00:00+01:00"] {
            assert_eq!(When::parse(form), Some(When::Utc(local.and_utc())), "{form}");
        }
        assert_eq!(When::parse("2026-01-05"), Some(When::Date(local.date())));
        for bad in ["", "tomorrow", "20260230T090000", "99990101", "-20260105", "2026-01-05T25:00"] {
            assert_eq!(When::parse(bad), None, "{bad}");
        }
    }
}
