use serde_json::{Value, json};

use super::*;
use crate::tenant::problem::{DocumentErrors, Problems};

fn refer(value: &Value) -> Result<Refer, DocumentErrors> {
    let problems = Problems::default();
    let read = Object::root(value, &problems).map(|object| Refer::read(&object));
    problems.finish(read)
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn id(text: &str) -> DestinationId {
    DestinationId::new(text).unwrap()
}

fn destination(name: &str, next: Option<&str>) -> Value {
    json!({"destination_id": name, "label": name, "target_uri": "tel:+33199000010",
           "after_hours_destination_id": next})
}

fn office() -> Refer {
    let hours = json!({"rrule": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9", "duration_minutes": 540});
    let mut gogny = destination("mme_gogny", Some("planning"));
    gogny["business_hours"] = hours.clone();
    let mut planning = destination("planning", Some("standby"));
    planning["business_hours"] = hours;
    planning["priority"] = json!(-1);
    let mut off = destination("off", Some("standby"));
    off["enabled"] = json!(false);
    let list = json!([gogny, planning, off, destination("standby", None)]);
    refer(&json!({"enabled": true, "destinations": list})).unwrap()
}

const MONDAY: &str = "2026-06-01T10:00:00+02:00";
const SUNDAY: &str = "2026-06-07T10:00:00+02:00";

#[test]
fn defaults_are_those_of_the_documentation() {
    let refer = refer(&json!({"destinations": [destination("ab", None)]})).unwrap();
    assert!(!refer.enabled && refer.require_confirmation && refer.handoff_phrase.is_none());
    let destination = &refer.destinations()[0];
    assert!(destination.enabled && destination.priority == 0 && destination.business_hours.is_none());
}

#[test]
fn an_open_destination_is_taken_at_once() {
    let route = office().resolve(&id("mme_gogny"), at(MONDAY));
    assert_eq!(route.destination().unwrap().destination_id, id("mme_gogny"));
    assert_eq!(route.chain().len(), 1);
}

#[test]
fn after_hours_the_chain_is_walked_and_explained() {
    let route = office().resolve(&id("mme_gogny"), at(SUNDAY));
    assert_eq!(route.destination().unwrap().destination_id, id("standby"));
    let steps: Vec<_> = route.chain().iter().map(ChainStep::explanation).collect();
    assert_eq!(
        steps,
        [
            "mme_gogny: closed: opens Mon 2026-06-08 09:00 CEST",
            "planning: closed: opens Mon 2026-06-08 09:00 CEST",
            "standby: open: no hours are set",
        ]
    );
}

#[test]
fn a_disabled_destination_is_passed_over_and_an_unknown_one_is_closed() {
    let office = office();
    let route = office.resolve(&id("off"), at(SUNDAY));
    assert_eq!(route.destination().unwrap().destination_id, id("standby"));
    let unknown = office.resolve(&id("nobody"), at(MONDAY));
    assert_eq!(unknown.chain()[0].outcome, StepOutcome::Unknown);
    let off = Refer { enabled: false, ..office };
    assert_eq!(off.resolve(&id("standby"), at(MONDAY)).chain()[0].outcome, StepOutcome::TransfersOff);
    assert!(off.menu(at(MONDAY)).is_empty());
}

#[test]
fn menu_keys_follow_priority_and_stay_whatever_is_open() {
    let office = office();
    for time in [MONDAY, SUNDAY] {
        let keys: Vec<_> = office
            .menu(at(time))
            .iter()
            .map(|item| (item.key, item.destination.destination_id.to_string()))
            .collect();
        assert_eq!(keys, [('1', "planning".into()), ('2', "mme_gogny".into()), ('3', "standby".into())]);
    }
    let open: Vec<_> = office.menu(at(SUNDAY)).iter().map(|item| item.open).collect();
    assert_eq!(open, [false, false, true]);
}

#[test]
fn a_menu_has_eight_keys_at_most() {
    let list: Vec<_> = (0..12).map(|n| destination(&format!("d{n}"), None)).collect();
    let refer = refer(&json!({"enabled": true, "destinations": list})).unwrap();
    assert_eq!(refer.menu(at(MONDAY)).last().map(|item| item.key), Some('8'));
}

#[test]
fn circles_doubles_and_loose_ends_are_refused_with_their_paths() {
    let list = json!([
        destination("aa", Some("bb")),
        destination("bb", Some("cc")),
        destination("cc", Some("aa")),
        destination("dd", Some("dd")),
        destination("ee", Some("aa")),
        destination("ff", Some("zz")),
        destination("ff", None),
    ]);
    let errors = refer(&json!({"destinations": list})).unwrap_err();
    let found: Vec<_> = errors.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "$.destinations[6].destination_id: \"ff\" is used twice: give each its own",
            "$.destinations[0].after_hours_destination_id: leads back to where it started (aa → bb → cc → aa): remove one of these links",
            "$.destinations[3].after_hours_destination_id: leads back to where it started (dd → dd): remove one of these links",
            "$.destinations[5].after_hours_destination_id: \"zz\" is none of this tenant's destinations: write one of their ids",
        ]
    );
}

#[test]
fn every_fault_of_a_destination_is_reported() {
    let errors = refer(&json!({"enabled": "yes", "destinations": [
        {"destination_id": "Bad Id", "target_uri": "sip:a@b?x=y", "priority": "high",
         "business_hours": {"tz": "Paris", "rrule": "FREQ=MINUTELY", "duration_minutes": 0}},
        "nobody"
    ]}))
    .unwrap_err();
    let paths: Vec<_> = errors.problems().iter().map(|problem| problem.path.as_str()).collect();
    for path in [
        "$.enabled",
        "$.destinations[0].destination_id",
        "$.destinations[0].label",
        "$.destinations[0].target_uri",
        "$.destinations[0].priority",
        "$.destinations[0].business_hours.tz",
        "$.destinations[0].business_hours.duration_minutes",
        "$.destinations[1]",
    ] {
        assert!(paths.contains(&path), "{path} not in {paths:?}");
    }
}
