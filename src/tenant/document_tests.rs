use std::time::Duration;

use serde_json::json;

use super::*;

fn minimal() -> Value {
    json!({
        "_id": "tenant-test-0001", "tenant_id": "tenant-test-0001", "client_id": "acme",
        "display_name": "Acme", "summary_to": [], "timezone": "Europe/Paris"
    })
}

fn faults(value: Value) -> Vec<String> {
    match Tenant::from_value(value) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_document_of_required_fields_works_with_the_documented_defaults() {
    let mut document = minimal();
    document.as_object_mut().unwrap().remove("timezone");
    let tenant = Tenant::from_value(document).unwrap();
    assert_eq!(tenant.timezone, Tz::Europe__Paris);
    assert_eq!((tenant.status, tenant.tools_config_version), (Status::Active, 1));
    let voice = &tenant.voice;
    assert!(voice.enabled && voice.disclosure.enabled && !voice.recording);
    assert_eq!((voice.language(), voice.max_turns), ("en-US", 50));
    assert_eq!((voice.speaking_rate, voice.pitch, voice.temperature), (1.0, 1.0, 0.7));
    assert_eq!(voice.max_call_duration, Duration::from_secs(900));
    assert_eq!(tenant.limits, Limits::default());
    assert_eq!((tenant.knowledge.rag_top_k, tenant.knowledge.rag_fetch_k), (5, 20));
    assert_eq!((tenant.leads.hot_threshold, tenant.leads.warm_threshold), (0.75, 0.45));
    assert_eq!((tenant.agent.history_messages, tenant.agent.chat_temperature), (10, 0.2));
    assert!(!tenant.features.refer.enabled && !tenant.web_search.enabled);
    assert!(tenant.opening(DateTime::UNIX_EPOCH).hours.open);
}

#[test]
fn unknown_fields_come_back_unchanged_at_every_level_and_in_order() {
    let text = r#"{"zeta":1,"_id":"tenant-test-0001","tenant_id":"tenant-test-0001","alpha":{"b":[1,{"a":null}]},"client_id":"acme","display_name":"Acme","summary_to":[],"timezone":"UTC","voice":{"theirs":true,"pitch":1.5},"features":{"other":{"x":1},"refer":{"enabled":true,"extra":0.1,"destinations":[{"note":"n","destination_id":"aa","label":"A","target_uri":"tel:+33199000010","business_hours":{"rrule":"FREQ=DAILY","duration_minutes":1440,"comment":"c"}}]}},"created_at":{"$date":"2026-01-01T00:00:00Z"}}"#;
    let tenant = Tenant::from_json(text.as_bytes()).unwrap();
    assert_eq!(tenant.to_json(), text);
    assert_eq!(tenant.voice.pitch, 1.5);
    assert_eq!(Tenant::from_json(tenant.to_json().as_bytes()).unwrap(), tenant);
}

#[test]
fn a_mongodb_export_is_taken() {
    let mut document = minimal();
    document["created_at"] = json!({"$date": {"$numberLong": "1767225600000"}});
    document["tools_config_version"] = json!({"$numberInt": "3"});
    document["schema_version"] = json!({"$numberInt": "1"});
    let tenant = Tenant::from_value(document).unwrap();
    assert_eq!(tenant.created_at.unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00");
    assert_eq!(tenant.tools_config_version, 3);
}

#[test]
fn all_faults_are_listed_at_once_by_path() {
    let found = faults(json!({
        "_id": "tenant-a", "tenant_id": "tenant-b", "display_name": 5, "summary_to": ["nobody"],
        "timezone": "Paris", "locale": "french", "status": "paused", "slug": "No", "created_at": "now",
        "features": {"refer": {"destinations": [{"destination_id": "aa", "label": "A", "target_uri": "http://x"}]}},
        "voice": {"pitch": 9, "greeting": {"audio_file": "../../etc/passwd"}},
        "limits": {"max_concurrent_calls": -1, "overflow_destination_id": "zz"}
    }));
    let paths: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
    assert_eq!(
        paths,
        [
            "$._id",
            "$.client_id",
            "$.display_name",
            "$.slug",
            "$.summary_to[0]",
            "$.timezone",
            "$.locale",
            "$.status",
            "$.features.refer.destinations[0].target_uri",
            "$.created_at",
            "$.voice.pitch",
            "$.voice.greeting.audio_file",
            "$.limits.max_concurrent_calls",
        ]
    );
    assert!(found.iter().all(|fault| fault.contains("write")), "{found:#?}");
}

#[test]
fn a_newer_document_is_refused_with_what_to_do() {
    let mut document = minimal();
    document["schema_version"] = json!(2);
    let found = faults(document);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("$.schema_version: is 2, but this program reads versions up to 1: upgrade it")
    );
}

#[test]
fn an_older_document_is_migrated_on_read() {
    let tenant = Tenant::from_value(json!({
        "schema_version": 0, "tenant_id": "tenant-old", "client_id": "old", "name": "Old & Sons",
        "voice_greeting": "Hello.", "max_concurrent_calls": 2
    }))
    .unwrap();
    assert_eq!((tenant.display_name.as_str(), tenant.timezone), ("Old & Sons", Tz::UTC));
    assert_eq!(tenant.voice.greeting.text.as_deref(), Some("Hello."));
    assert_eq!(tenant.limits.max_concurrent_calls, Some(2));
    assert!(tenant.to_json().contains(r#""schema_version":1"#));
}

#[test]
fn an_overflow_destination_must_exist() {
    let mut document = minimal();
    document["limits"] = json!({"overflow_destination_id": "nobody"});
    assert!(faults(document)[0].starts_with("$.limits.overflow_destination_id: \"nobody\" is none of"));
}

#[test]
fn what_is_no_json_object_is_refused_with_its_place() {
    for bad in ["", "[]", "\"a\"", "{\"a\":", "null", "{\"a\":1}}"] {
        assert!(Tenant::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
    let error = Tenant::from_json(b"{\n \"a\": }").unwrap_err();
    assert!(error.to_string().contains("line 2, column 7"), "{error}");
    assert!(Tenant::from_json(&vec![b' '; MAX_DOCUMENT_BYTES + 1]).is_err());
    let deep = "[".repeat(100_000);
    assert!(Tenant::from_json(deep.as_bytes()).is_err());
}

#[test]
fn a_tenant_prints_without_its_addresses() {
    let mut document = minimal();
    document["summary_to"] = json!(["secret@example.com"]);
    let tenant = Tenant::from_value(document).unwrap();
    assert_eq!(format!("{tenant:?}"), "Tenant(tenant-test-0001)");
}
