//! A call for the tools' tests.

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Registry, ToolAnswer, ToolCallId, ToolContext, ToolRequest};
use crate::ids::CallId;
use crate::tenant::document::Tenant;

/// A call on a Sunday. `sales` is open, `planning` is closed and `sales` stands in for it,
/// `attic` is switched off; `refer` is laid over the tenant's `features.refer`.
pub(super) fn context(refer: &Value) -> ToolContext {
    let mut document = json!({
        "_id": "tenant-test-1", "tenant_id": "tenant-test-1", "client_id": "client", "display_name": "Test",
        "summary_to": [], "timezone": "Europe/Paris", "locale": "en-US", "status": "active", "schema_version": 1,
        "features": {"refer": {"enabled": true, "destinations": [
            {"destination_id": "planning", "label": "planning", "target_uri": "sip:planning@example.com",
             "description_for_model": "Changes of appointments.", "after_hours_destination_id": "sales",
             "business_hours": {"rrule": "FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", "duration_minutes": 480}},
            {"destination_id": "sales", "label": "the sales team", "target_uri": "tel:+33199000100",
             "description_for_model": "New customers."},
            {"destination_id": "attic", "label": "the attic", "target_uri": "tel:+33199000101",
             "description_for_model": "Nobody.", "enabled": false},
        ]}},
    });
    for (name, value) in refer.as_object().unwrap() {
        document["features"]["refer"][name] = value.clone();
    }
    ToolContext {
        call: CallId::generate(),
        tenant: Arc::new(Tenant::from_json(document.to_string().as_bytes()).unwrap()),
        at: DateTime::parse_from_rfc3339("2026-11-22T12:00:00Z").unwrap().to_utc(),
    }
}

pub(super) async fn run(context: &ToolContext, name: &str, arguments: Value) -> ToolAnswer {
    let request = ToolRequest { id: ToolCallId::new("1"), name: name.to_owned(), arguments };
    Registry::standard().run(context, request).await
}
