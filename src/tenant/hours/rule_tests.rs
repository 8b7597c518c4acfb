use super::*;

#[test]
fn rules_below_daily_are_refused_with_what_to_write() {
    for freq in ["HOURLY", "MINUTELY", "SECONDLY", "secondly"] {
        let error = Rule::parse(&format!("FREQ={freq}")).unwrap_err();
        assert!(matches!(error, HoursError::BelowDaily(_)));
        assert!(error.to_string().contains("BYHOUR"), "{error}");
    }
}

#[test]
fn values_and_combinations_outside_of_rfc_5545_are_refused() {
    for bad in [
        "",
        "BYDAY=MO",
        "FREQ",
        "FREQ=FORTNIGHTLY",
        "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=DAILY;X-A=1",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=1001",
        "FREQ=DAILY;COUNT=99999999999999999999",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;UNTIL=soon",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;BYMINUTE=60",
        "FREQ=DAILY;BYSECOND=60",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=DAILY;BYMONTHDAY=0",
        "FREQ=DAILY;BYMONTHDAY=32",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=DAILY;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=YEARLY;BYDAY=53MO",
        "FREQ=YEARLY;BYWEEKNO=10;BYDAY=1MO",
        "FREQ=MONTHLY;BYWEEKNO=3",
        "FREQ=WEEKLY;BYMONTHDAY=3",
        "FREQ=MONTHLY;BYYEARDAY=3",
        "FREQ=DAILY;BYSETPOS=1",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;BYDAY=M",
        "FREQ=WEEKLY;BYDAY=é",
        "FREQ=WEEKLY;WKST=1",
        "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11;BYMINUTE=0,10,20,30,40",
    ] {
        assert!(Rule::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_the_rule_does_not_say_is_taken_from_the_start() {
    let start = NaiveTime::from_hms_opt(8, 30, 15).unwrap();
    let times = |text: &str| Rule::parse(text).unwrap().times(start);
    assert_eq!(times("FREQ=DAILY"), [start]);
    assert_eq!(times("FREQ=DAILY;BYHOUR=14,9").len(), 2);
    assert_eq!(times("FREQ=DAILY;BYHOUR=14,9")[0].to_string(), "09:30:15");
}
