use super::*;

fn first_days(text: &str, from: &str, count: usize) -> Vec<String> {
    let start = NaiveDate::from_ymd_opt(1970, 1, 5).unwrap().and_time(NaiveTime::MIN);
    let expansion = Expansion::new(&Rule::parse(text).unwrap(), start).unwrap();
    let from = from.parse().unwrap();
    expansion
        .starts(from, from + Days::new(20_000), 40_000)
        .filter(|at| at.date() >= from)
        .take(count)
        .map(|at| at.date().to_string())
        .collect()
}

#[test]
fn impossible_dates_are_known_when_the_rule_is_read() {
    let start = NaiveDate::from_ymd_opt(1970, 1, 5).unwrap().and_time(NaiveTime::MIN);
    for text in [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
        "FREQ=YEARLY;BYYEARDAY=366;BYMONTHDAY=30",
    ] {
        assert!(Expansion::new(&Rule::parse(text).unwrap(), start).unwrap().is_empty(), "{text}");
    }
    let leap = Rule::parse("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO").unwrap();
    assert!(!Expansion::new(&leap, start).unwrap().is_empty());
}

#[test]
fn impossible_dates_among_possible_ones_are_skipped() {
    // RFC 5545 §3.3.10: an instance with an invalid date is ignored.
    assert_eq!(
        first_days("FREQ=MONTHLY;BYMONTHDAY=31", "2026-01-01", 4),
        ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31"]
    );
    assert_eq!(
        first_days("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2026-01-01", 2),
        ["2028-02-29", "2032-02-29"]
    );
}

#[test]
fn numbered_and_plain_weekdays_are_united() {
    assert_eq!(
        first_days("FREQ=MONTHLY;BYDAY=MO,1TU,1MO", "2026-06-01", 6),
        ["2026-06-01", "2026-06-02", "2026-06-08", "2026-06-15", "2026-06-22", "2026-06-29"]
    );
}

#[test]
fn intervals_count_from_monday_5_january_1970() {
    let days = first_days("FREQ=DAILY;INTERVAL=3", "2026-01-01", 2);
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 5).unwrap();
    for day in &days {
        assert_eq!((day.parse::<NaiveDate>().unwrap() - epoch).num_days() % 3, 0);
    }
    let weeks = first_days("FREQ=WEEKLY;INTERVAL=500;BYDAY=WE", "1970-01-01", 3);
    assert_eq!(weeks, ["1970-01-07", "1979-08-08", "1989-03-08"]);
}

#[test]
fn positions_choose_from_days_and_times_of_one_period() {
    // The last working day of the month.
    assert_eq!(
        first_days("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-01-01", 3),
        ["2026-01-30", "2026-02-27", "2026-03-31"]
    );
    assert_eq!(
        first_days("FREQ=WEEKLY;BYDAY=TU,TH;BYHOUR=9,14;BYSETPOS=3", "2026-01-05", 2),
        ["2026-01-08", "2026-01-15"]
    );
}

#[test]
fn rare_rules_stay_within_the_bounds_of_work() {
    let start = NaiveDate::from_ymd_opt(1970, 1, 5).unwrap().and_time(NaiveTime::MIN);
    let from = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    for text in [
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;BYMONTH=4,5",
        "FREQ=DAILY;INTERVAL=1000",
        "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU;INTERVAL=999",
        "FREQ=YEARLY;BYMONTHDAY=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28;BYSETPOS=366",
    ] {
        let expansion = Expansion::new(&Rule::parse(text).unwrap(), start).unwrap();
        let mut starts = expansion.starts(from, from + Days::new(400), MAX_DAYS);
        while starts.next().is_some() {}
        assert!(starts.work().days <= 800 && starts.work().asks <= 20, "{text}: {:?}", starts.work());
    }
}
