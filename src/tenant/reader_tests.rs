use serde_json::json;

use super::*;

fn faults(value: &Value, read: impl FnOnce(&Object<'_>)) -> Vec<String> {
    let problems = Problems::default();
    read(&Object::root(value, &problems).unwrap());
    match problems.finish(Some(())) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_fault_is_reported_with_its_path() {
    let value = json!({"a": 1, "b": {"c": ["x", 3]}, "d": "maybe"});
    let found = faults(&value, |root| {
        root.field("a").text();
        root.field("b").object().unwrap().field("c").texts();
        root.field("d").boolean(true);
        root.field("e").required_text("a name");
    });
    assert_eq!(
        found,
        [
            "$.a: is a number: write a text in quotes",
            "$.b.c[1]: is a number: write a text in quotes",
            "$.d: is a text: write true or false",
            "$.e: is missing: write a name",
        ]
    );
}

#[test]
fn times_are_taken_in_rfc_3339_and_in_every_extended_json_form() {
    let expected = DateTime::parse_from_rfc3339("2026-03-01T09:00:00Z").unwrap();
    for form in [
        json!("2026-03-01T10:00:00+01:00"),
        json!({"$date": "2026-03-01T09:00:00Z"}),
        json!({"$date": "2026-03-01T09:00:00.000Z"}),
        json!({"$date": 1_772_355_600_000_i64}),
        json!({"$date": {"$numberLong": "1772355600000"}}),
    ] {
        assert_eq!(parse_time(&form), Some(expected.to_utc()), "{form}");
    }
    for form in [json!(1_772_355_600), json!("yesterday"), json!({"$date": []}), json!({})] {
        assert_eq!(parse_time(&form), None, "{form}");
    }
}

#[test]
fn extended_json_numbers_read_as_numbers() {
    let value = json!({"a": {"$numberInt": "5"}, "b": {"$numberDouble": "0.5"}, "c": 300});
    let found = faults(&value, |root| {
        assert_eq!(root.field("a").whole(0..=10_u32), Some(5));
        assert_eq!(root.field("b").number(0.0..=1.0), Some(0.5));
        assert_eq!(root.field("c").whole(0..=255_u8), None);
    });
    assert_eq!(found.len(), 1);
}

#[test]
fn addresses_that_could_break_a_header_are_refused() {
    assert!(is_email("accueil@example.com"));
    for bad in ["", "a", "a@b", "a@b.", "a b@c.d", "a@b.c\r\nBcc: x@y.z", "<a@b.c>", "a@b@c.d"] {
        assert!(!is_email(bad), "{bad:?}");
    }
}
