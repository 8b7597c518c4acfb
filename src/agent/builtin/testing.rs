//! Tenants for the tests of this provider.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::agent::speech::Sentence;
use crate::tenant::document::Tenant;

/// Greeted in English as "Acme"; sales is open, support is closed with planning after hours,
/// the boss is closed without anybody after hours, planning is open.
pub(super) fn acme() -> Value {
    let new_year_only = json!({"rrule": "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "duration_minutes": 1});
    json!({
        "_id": "tenant-test-1",
        "tenant_id": "tenant-test-1",
        "client_id": "acme",
        "display_name": "Acme",
        "summary_to": [],
        "timezone": "Europe/Paris",
        "status": "active",
        "voice": {"disclosure": {"enabled": false}},
        "features": {"refer": {
            "enabled": true,
            "require_confirmation": true,
            "destinations": [
                destination("sales", "the sales team", 1),
                with(destination("support", "support", 2), json!({
                    "business_hours": new_year_only,
                    "after_hours_destination_id": "planning",
                })),
                with(destination("boss", "the boss", 3), json!({"business_hours": new_year_only})),
                destination("planning", "the planning team", 4),
            ],
        }},
    })
}

pub(super) fn destination(id: &str, label: &str, priority: i32) -> Value {
    json!({
        "destination_id": id,
        "label": label,
        "target_uri": "tel:+33199000099",
        "description_for_model": "For tests.",
        "enabled": true,
        "priority": priority,
    })
}

/// The first object with the fields of the second laid over it, at any depth.
pub(super) fn with(mut base: Value, over: Value) -> Value {
    match (&mut base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                let before = base.remove(&name).unwrap_or(Value::Null);
                base.insert(name, with(before, value));
            }
        }
        (base, over) => *base = over,
    }
    base
}

pub(super) fn tenant(document: &Value) -> Arc<Tenant> {
    Arc::new(Tenant::from_json(document.to_string().as_bytes()).unwrap())
}

/// What can be said for the test tenant.
pub(super) fn said(locale: &str) -> Vec<Sentence> {
    super::sentences(&tenant(&acme()), locale)
}
