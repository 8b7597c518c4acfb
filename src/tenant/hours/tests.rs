//! Answers against a brute-force reading of RFC 5545, and the edges named by hand.

use chrono::{Offset, TimeZone, Weekday};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;

const ZONES: [Tz; 5] =
    [Tz::Europe__Paris, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::UTC, Tz::America__Sao_Paulo];

/// A random rule, and by itself the brute-force judge of it.
#[derive(Debug, Clone, Default)]
struct Sample {
    freq: &'static str,
    interval: i64,
    months: Vec<u32>,
    month_days: Vec<i32>,
    /// Number (0: every) and weekday.
    days: Vec<(i32, Weekday)>,
    hours: Vec<u32>,
    minutes: Vec<u32>,
    positions: Vec<i32>,
    week_start: Option<Weekday>,
    until: Option<NaiveDate>,
    start: Option<NaiveDateTime>,
}

const DAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

fn some<T: Copy>(rng: &mut StdRng, from: &[T], most: usize) -> Vec<T> {
    let count = rng.random_range(1..=most);
    (0..count).map(|_| *from.choose(rng).unwrap()).collect()
}

impl Sample {
    fn random(rng: &mut StdRng) -> Self {
        let freq = *["DAILY", "WEEKLY", "MONTHLY", "YEARLY"].choose(rng).unwrap();
        let mut sample =
            Self { freq, interval: *[1, 1, 1, 2, 3, 5, 12, 40].choose(rng).unwrap(), ..Self::default() };
        if rng.random_bool(0.3) {
            sample.months = some(rng, &[1, 2, 3, 4, 6, 10, 11, 12], 4);
        }
        if freq != "WEEKLY" && rng.random_bool(0.3) {
            sample.month_days = some(rng, &[1, 2, 15, 28, 29, 30, 31, -1, -2, -30, -31], 4);
        }
        if rng.random_bool(0.6) {
            sample.days = some(rng, &DAYS, 5).into_iter().map(|day| (0, day)).collect();
            let numbered = matches!(freq, "MONTHLY") || (freq == "YEARLY" && !sample.months.is_empty());
            if numbered && rng.random_bool(0.5) {
                sample.days.push((*[1, 2, 5, -1, -5].choose(rng).unwrap(), *DAYS.choose(rng).unwrap()));
            }
        }
        if rng.random_bool(0.7) {
            sample.hours = some(rng, &[0, 1, 2, 3, 8, 9, 14, 22, 23], 3);
        }
        if rng.random_bool(0.3) {
            sample.minutes = some(rng, &[0, 15, 30, 59], 2);
        }
        if rng.random_bool(0.2) && !(sample.days.is_empty() && sample.hours.is_empty()) {
            sample.positions = some(rng, &[1, 2, 3, -1, -2, 20], 2);
        }
        if rng.random_bool(0.2) {
            sample.week_start = Some(*DAYS.choose(rng).unwrap());
        }
        if rng.random_bool(0.1) {
            sample.until =
                NaiveDate::from_ymd_opt(rng.random_range(2018..2030), rng.random_range(1..=12), 17);
        }
        if rng.random_bool(0.3) {
            let day = NaiveDate::from_ymd_opt(rng.random_range(2000..2024), 1, 1).unwrap();
            let day = day + Days::new(rng.random_range(0..360));
            sample.start = day.and_hms_opt(rng.random_range(0..24), 30, 0);
        }
        sample
    }

    fn text(&self) -> String {
        fn join<T: ToString>(list: &[T]) -> String {
            list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
        let mut text = format!("FREQ={};INTERVAL={}", self.freq, self.interval);
        let mut part = |name: &str, value: String| {
            if !value.is_empty() {
                text.push_str(&format!(";{name}={value}"));
            }
        };
        let code = |day: &Weekday| day.to_string().to_uppercase()[..2].to_owned();
        let days: Vec<_> = self
            .days
            .iter()
            .map(|(n, day)| if *n == 0 { code(day) } else { format!("{n}{}", code(day)) })
            .collect();
        part("BYMONTH", join(&self.months));
        part("BYMONTHDAY", join(&self.month_days));
        part("BYDAY", join(&days));
        part("BYHOUR", join(&self.hours));
        part("BYMINUTE", join(&self.minutes));
        part("BYSETPOS", join(&self.positions));
        part("WKST", self.week_start.as_ref().map(code).unwrap_or_default());
        part("UNTIL", self.until.map(|day| day.format("%Y%m%d").to_string()).unwrap_or_default());
        text
    }

    fn start(&self) -> NaiveDateTime {
        self.start.unwrap_or_else(default_start)
    }

    fn period(&self, day: NaiveDate) -> i64 {
        let shift = i64::from(self.week_start.unwrap_or(Weekday::Mon).num_days_from_monday());
        let days = (day - NaiveDate::from_ymd_opt(1900, 1, 1).unwrap()).num_days(); // a Monday
        match self.freq {
            "DAILY" => days,
            "WEEKLY" => (days - shift).div_euclid(7),
            "MONTHLY" => i64::from(day.year() * 12) + i64::from(day.month()),
            _ => i64::from(day.year()),
        }
    }

    fn holds(&self, day: NaiveDate) -> bool {
        let length = days_in_month(day);
        let month_day = i32::try_from(day.day()).unwrap();
        if (self.period(day) - self.period(self.start().date())) % self.interval != 0 {
            return false;
        }
        let start = self.start().date();
        let mut months = self.months.clone();
        let mut month_days = self.month_days.clone();
        let mut days = self.days.clone();
        if days.is_empty() && month_days.is_empty() {
            match self.freq {
                "WEEKLY" => days.push((0, start.weekday())),
                "MONTHLY" => month_days.push(i32::try_from(start.day()).unwrap()),
                "YEARLY" => {
                    month_days.push(i32::try_from(start.day()).unwrap());
                    if months.is_empty() {
                        months.push(start.month());
                    }
                }
                _ => {}
            }
        }
        let nth = (month_day - 1) / 7 + 1;
        let nth_last = -((length - month_day) / 7 + 1);
        (months.is_empty() || months.contains(&day.month()))
            && (month_days.is_empty()
                || month_days.iter().any(|d| *d == month_day || *d == month_day - length - 1))
            && (days.is_empty()
                || days.iter().any(|(n, weekday)| {
                    *weekday == day.weekday() && (*n == 0 || *n == nth || *n == nth_last)
                }))
    }

    fn starts(&self, first: NaiveDate, last: NaiveDate) -> Vec<NaiveDateTime> {
        let mut times: Vec<NaiveTime> = Vec::new();
        let start = self.start().time();
        let or = |list: &[u32], other: u32| if list.is_empty() { vec![other] } else { list.to_vec() };
        for hour in or(&self.hours, chrono::Timelike::hour(&start)) {
            for minute in or(&self.minutes, chrono::Timelike::minute(&start)) {
                times.push(NaiveTime::from_hms_opt(hour, minute, chrono::Timelike::second(&start)).unwrap());
            }
        }
        times.sort();
        times.dedup();
        let mut periods: std::collections::BTreeMap<i64, Vec<NaiveDateTime>> = Default::default();
        // A whole period on both sides, for positions.
        let margin = Days::new(if self.positions.is_empty() { 0 } else { 366 });
        for day in (first - margin).iter_days().take_while(|day| *day <= last + margin) {
            if self.holds(day) {
                periods
                    .entry(self.period(day))
                    .or_default()
                    .extend(times.iter().map(|time| day.and_time(*time)));
            }
        }
        periods
            .into_values()
            .flat_map(|set| {
                if self.positions.is_empty() {
                    return set;
                }
                let at = |p: i32| {
                    if p > 0 { p as usize - 1 } else { set.len().wrapping_sub(p.unsigned_abs() as usize) }
                };
                let mut picked: Vec<_> =
                    self.positions.iter().filter_map(|p| set.get(at(*p)).copied()).collect();
                picked.sort();
                picked.dedup();
                picked
            })
            .filter(|at| *at >= self.start() && at.date() >= first && at.date() <= last)
            .collect()
    }
}

fn days_in_month(day: NaiveDate) -> i32 {
    (28..=31).rev().find(|d| day.with_day(*d).is_some()).map(|d| i32::try_from(d).unwrap()).unwrap()
}

/// RFC 5545 §3.3.5 once more, by trying offsets.
fn instant(local: NaiveDateTime, tz: Tz) -> DateTime<Utc> {
    let as_utc = local.and_utc();
    let offset = |at: DateTime<Utc>| {
        Duration::seconds(tz.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
    };
    let (before, after) = (offset(as_utc - Duration::hours(25)), offset(as_utc + Duration::hours(25)));
    let fits = |o: Duration| offset(as_utc - o) == o;
    match (fits(before), fits(after)) {
        (true, true) => (as_utc - before).min(as_utc - after),
        (false, true) => as_utc - after,
        _ => as_utc - before,
    }
}

/// Sorted, joined openings.
fn openings(sample: &Sample, tz: Tz, minutes: i64, around: NaiveDate) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let until = sample.until.map(|day| instant((day + Days::new(1)).and_time(NaiveTime::MIN), tz));
    let mut all: Vec<_> = sample
        .starts(around - Days::new(4), around + Days::new(398))
        .into_iter()
        .map(|start| instant(start, tz))
        .filter(|at| until.is_none_or(|until| *at < until))
        .map(|at| (at, at + Duration::minutes(minutes)))
        .collect();
    all.sort();
    let mut joined: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (start, end) in all {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

fn seed() -> u64 {
    let seed = std::env::var("OFFHOOK_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("OFFHOOK_TEST_SEED={seed}");
    seed
}

fn moments(rng: &mut StdRng, tz: Tz) -> DateTime<Utc> {
    let day = NaiveDate::from_ymd_opt(rng.random_range(2015..2035), 1, 1).unwrap()
        + Days::new(rng.random_range(0..366));
    let random = day
        .and_hms_opt(rng.random_range(0..24), rng.random_range(0..60), rng.random_range(0..60))
        .unwrap()
        .and_utc();
    if rng.random_bool(0.5) {
        return random;
    }
    // The next change of the zone's offset, give or take some hours.
    let offset = |at: DateTime<Utc>| tz.offset_from_utc_datetime(&at.naive_utc()).fix();
    let mut at = random;
    for _ in 0..400 {
        if offset(at) != offset(at + Duration::days(1)) {
            return at + Duration::minutes(rng.random_range(-600..2_000));
        }
        at += Duration::days(1);
    }
    random
}

#[test]
fn answers_agree_with_brute_force_over_years_zones_and_clock_changes() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut open, mut told) = (0, 0);
    for round in 0..4_000 {
        let sample = Sample::random(&mut rng);
        let tz = *ZONES.choose(&mut rng).unwrap();
        let minutes = *[1, 45, 480, 720, 1440].choose(&mut rng).unwrap();
        let start = sample.start.map(|start| start.format("%Y-%m-%dT%H:%M:%S").to_string());
        let context = format!("seed {seed}, round {round}: {tz} {minutes} {start:?} {}", sample.text());
        let hours = BusinessHours::new(tz, &sample.text(), minutes, start.as_deref())
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        let base = moments(&mut rng, tz);
        let joined = openings(&sample, tz, minutes, base.date_naive());
        let near = joined.iter().find(|(_, end)| *end > base).copied().unwrap_or((base, base));
        let second = Duration::seconds(1);
        for at in [base, near.0, near.0 - second, near.1, near.1 - second] {
            if (at - base).abs() > Duration::days(2) {
                continue;
            }
            let (answer, work) = hours.is_open_counted(at);
            let inside = joined.iter().find(|(start, end)| *start <= at && at < *end);
            assert_eq!(answer.open, inside.is_some(), "{context} at {at}: {answer:?}");
            assert!(work.days <= 900 && work.asks <= 450 && work.occurrences <= 4_000, "{context}: {work:?}");
            let change = match inside {
                Some((_, end)) => Some(*end),
                None => joined.iter().map(|(start, _)| *start).find(|start| *start > at),
            };
            // Near the horizon the two may know differently.
            if change.is_some_and(|change| change - at < Duration::days(380)) && answer.next_change.is_some()
            {
                assert_eq!(answer.next_change, change, "{context} at {at}: {answer:?}");
                told += 1;
            } else if answer.next_change.is_none()
                && change.is_some_and(|change| change - at < Duration::days(380))
            {
                assert!(
                    inside.is_some_and(|(_, end)| *end - at > Duration::minutes(minutes)),
                    "{context} at {at}: {answer:?}"
                );
            }
            open += usize::from(answer.open);
        }
    }
    assert!(open > 500 && told > 4_000, "the samples are worth little: {open} open, {told} changes");
}

#[test]
fn counted_rules_agree_with_brute_force() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..300 {
        let mut sample = Sample { until: None, ..Sample::random(&mut rng) };
        sample.interval = sample.interval.min(5);
        let start = NaiveDate::from_ymd_opt(2024, 5, 7).unwrap().and_hms_opt(9, 0, 0).unwrap();
        sample.start = Some(start);
        let count = rng.random_range(1..60_usize);
        let text = format!("{};COUNT={count}", sample.text());
        let context = format!("seed {seed}, round {round}: {text}");
        let hours = match BusinessHours::new(Tz::UTC, &text, 60, Some("2024-05-07T09:00")) {
            Err(HoursError::CountTooSparse(_)) => continue,
            hours => hours.unwrap_or_else(|error| panic!("{context}: {error}")),
        };
        let expected = sample.starts(start.date(), start.date() + Days::new(3_000));
        let counted = hours.counted.clone().unwrap();
        let within: Vec<_> =
            counted.iter().copied().filter(|at| at.date() <= start.date() + Days::new(3_000)).collect();
        assert_eq!(within, expected[..expected.len().min(count)], "{context}");
        if let Some(last) = within.last() {
            assert!(hours.is_open(last.and_utc()).open, "{context}");
        }
    }
}

fn paris(rrule: &str, minutes: i64) -> BusinessHours {
    BusinessHours::new(Tz::Europe__Paris, rrule, minutes, None).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

#[test]
fn a_rule_without_an_hour_starts_at_midnight_local_time() {
    let hours = paris("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", 60);
    assert!(hours.is_open(at("2026-06-01T00:00:00+02:00")).open);
    assert!(hours.is_open(at("2026-06-01T00:59:59+02:00")).open);
    assert!(!hours.is_open(at("2026-06-01T01:00:00+02:00")).open);
    assert!(!hours.is_open(at("2026-06-06T00:30:00+02:00")).open);
}

#[test]
fn a_start_gives_the_hour_and_the_first_day() {
    let rule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO";
    let hours = BusinessHours::new(Tz::Europe__Paris, rule, 60, Some("2026-06-08T08:30:00")).unwrap();
    assert!(hours.is_open(at("2026-06-08T08:30:00+02:00")).open);
    assert!(!hours.is_open(at("2026-06-15T08:30:00+02:00")).open);
    assert!(hours.is_open(at("2026-06-22T08:30:00+02:00")).open);
    assert!(!hours.is_open(at("2026-05-25T08:30:00+02:00")).open);
}

#[test]
fn the_answer_names_the_occurrence_and_the_next_change() {
    let hours = paris("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9;BYMINUTE=0", 540);
    let open = hours.is_open(at("2026-06-05T10:00:00+02:00"));
    assert_eq!(open.explanation, "open: within Fri 2026-06-05 09:00 CEST to Fri 2026-06-05 18:00 CEST");
    assert_eq!(open.next_change, Some(at("2026-06-05T18:00:00+02:00")));
    let closed = hours.is_open(at("2026-06-05T18:00:00+02:00"));
    assert_eq!(closed.explanation, "closed: opens Mon 2026-06-08 09:00 CEST");
    assert_eq!(closed.next_change, Some(at("2026-06-08T09:00:00+02:00")));
}

#[test]
fn the_duration_is_elapsed_time_across_clock_changes() {
    // Six hours from 22:00 on the nights of 28 March (a 5-hour night by the clock) and 24 October.
    let hours = paris("FREQ=WEEKLY;BYDAY=SA;BYHOUR=22", 360);
    assert!(hours.is_open(at("2026-03-29T04:59:00+02:00")).open);
    assert!(!hours.is_open(at("2026-03-29T05:00:00+02:00")).open);
    assert!(hours.is_open(at("2026-10-25T02:59:00+01:00")).open);
    assert!(!hours.is_open(at("2026-10-25T03:00:00+01:00")).open);
}

#[test]
fn a_start_in_a_gap_opens_after_it_and_one_in_an_overlap_at_the_first() {
    let hours = paris("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", 10);
    assert!(!hours.is_open(at("2026-03-29T03:29:59+02:00")).open);
    assert!(hours.is_open(at("2026-03-29T03:30:00+02:00")).open);
    assert!(hours.is_open(at("2026-10-25T02:30:00+02:00")).open);
    assert!(!hours.is_open(at("2026-10-25T02:30:00+01:00")).open);
}

#[test]
fn twenty_four_hours_every_day_pause_only_where_the_day_is_longer() {
    let hours = paris("FREQ=DAILY", 1440);
    let answer = hours.is_open(at("2026-06-01T12:00:00Z"));
    assert!(answer.open);
    assert_eq!(answer.next_change, None);
    assert!(!hours.is_open(at("2026-10-25T23:30:00+01:00")).open);
}

#[test]
fn windows_cross_midnight_and_the_new_year() {
    let hours = paris("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31;BYHOUR=20", 600);
    assert!(hours.is_open(at("2027-01-01T05:59:00+01:00")).open);
    assert!(!hours.is_open(at("2027-01-01T06:00:00+01:00")).open);
}

#[test]
fn exceptions_take_out_an_occurrence_or_a_day() {
    let hours = paris(
        "RRULE:FREQ=DAILY;BYHOUR=9,14\nEXDATE:20261224T140000\nEXDATE;VALUE=DATE:20261225\n\
         EXDATE:20261226T080000Z",
        60,
    );
    for (time, open) in [
        ("2026-12-24T09:00:00+01:00", true),
        ("2026-12-24T14:00:00+01:00", false),
        ("2026-12-25T09:00:00+01:00", false),
        ("2026-12-25T14:00:00+01:00", false),
        ("2026-12-26T09:00:00+01:00", false),
        ("2026-12-26T14:00:00+01:00", true),
    ] {
        assert_eq!(hours.is_open(at(time)).open, open, "{time}");
    }
}

#[test]
fn until_includes_its_day_and_its_instant() {
    for (until, last_open) in [
        ("20261231", true),
        ("20261231T080000Z", true),
        ("20261231T075959Z", false),
        ("20261231T090000", true),
    ] {
        let hours = paris(&format!("FREQ=DAILY;BYHOUR=9;UNTIL={until}"), 60);
        assert_eq!(hours.is_open(at("2026-12-31T09:30:00+01:00")).open, last_open, "{until}");
        assert!(!hours.is_open(at("2027-01-01T09:30:00+01:00")).open, "{until}");
    }
}

#[test]
fn dates_that_never_exist_are_simply_closed() {
    let never = paris("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 1440);
    let (answer, work) = never.is_open_counted(at("2026-02-28T12:00:00Z"));
    assert!(!answer.open && answer.next_change.is_none());
    assert_eq!(answer.explanation, "closed: the rule names no date that exists");
    assert_eq!(work, Work::default());
}

#[test]
fn instants_at_the_ends_of_time_have_an_answer() {
    let hours = paris("FREQ=WEEKLY;BYDAY=MO", 1440);
    for at in [
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MAX_UTC,
        at("0001-01-01T00:00:00Z"),
        at("1969-12-29T10:00:00Z"),
    ] {
        assert!(!hours.is_open(at).open, "{at:?}");
    }
}

#[test]
fn counts_without_a_start_or_beyond_reach_are_refused() {
    let new = |rule: &str, start: Option<&str>| BusinessHours::new(Tz::UTC, rule, 60, start);
    assert!(matches!(new("FREQ=DAILY;COUNT=3", None), Err(HoursError::Combination(_))));
    assert!(matches!(new("FREQ=DAILY", Some("monday")), Err(HoursError::Start(_))));
    assert!(matches!(
        new("DTSTART:20260101T090000\nRRULE:FREQ=DAILY", Some("2026-01-01")),
        Err(HoursError::StartTwice)
    ));
    assert!(matches!(BusinessHours::new(Tz::UTC, "FREQ=DAILY", 1441, None), Err(HoursError::Duration(1441))));
    assert!(new("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=1000", Some("2026-01-01")).is_ok());
}

#[test]
fn any_text_is_read_or_refused_without_panic() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let words = [
        "FREQ", "=", "DAILY", "YEARLY", ";", "BYDAY", "-53MO", ",", "RRULE:", "\n", "EXDATE:", "20261225",
        "T", "é", "COUNT", "9", "BYWEEKNO", "-1", "\\n", " ", "UNTIL", ":", "TZID",
    ];
    for _ in 0..20_000 {
        let text: String = (0..rng.random_range(0..14)).map(|_| *words.choose(&mut rng).unwrap()).collect();
        if let Ok(hours) = BusinessHours::new(Tz::Europe__Paris, &text, 60, None) {
            let _ = hours.is_open(at("2026-06-01T12:00:00Z"));
        }
    }
}
