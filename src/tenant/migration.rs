//! Older documents, brought to the current shape when they are read.

use serde_json::{Map, Value};

/// The shape this program writes.
pub const SCHEMA_VERSION: i64 = 1;

/// A step from one version to the next.
type Migration = fn(&mut Map<String, Value>);

/// The step at index n takes version n to n + 1.
const MIGRATIONS: [Migration; 1] = [flat_to_sections];

/// Brings a document to [`SCHEMA_VERSION`]. A document that names no version has the current
/// shape; one whose version is newer or no number is left alone, for the reader to refuse.
pub(crate) fn migrate(document: &mut Map<String, Value>) {
    let version = document.get("schema_version").and_then(Value::as_i64);
    let Some(from) = version.and_then(|version| usize::try_from(version).ok()) else {
        return;
    };
    if from >= MIGRATIONS.len() {
        return;
    }
    for migration in MIGRATIONS.iter().skip(from) {
        migration(document);
    }
    document.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
}

/// The fields of version 0, the relational shape with one flat row per tenant, and where they
/// live now.
const MOVED: [(&str, &[&str]); 22] = [
    ("voice_enabled", &["voice", "enabled"]),
    ("voice_id", &["voice", "voice_id"]),
    ("voice_model", &["voice", "model"]),
    ("voice_greeting", &["voice", "greeting"]),
    ("voice_disclosure_enabled", &["voice", "disclosure", "enabled"]),
    ("max_concurrent_calls", &["limits", "max_concurrent_calls"]),
    ("rag_top_k", &["knowledge", "rag_top_k"]),
    ("web_search_enabled", &["web_search", "enabled"]),
    ("search_include_domains", &["web_search", "include_domains"]),
    ("search_exclude_domains", &["web_search", "exclude_domains"]),
    ("max_parallel_search_queries", &["web_search", "max_parallel_queries"]),
    ("max_intention_clarify_attempts", &["agent", "max_clarify_attempts"]),
    ("name", &["display_name"]),
    ("company_context", &["company"]),
    // Within `company_context`, whose fields carried its name.
    ("company.company_name", &["company", "name"]),
    ("company.company_industry", &["company", "industry"]),
    ("company.services_list", &["company", "services"]),
    ("company.domain_topics", &["company", "topics"]),
    ("company_name", &["company", "name"]),
    ("company_industry", &["company", "industry"]),
    ("services_list", &["company", "services"]),
    ("domain_topics", &["company", "topics"]),
];

fn flat_to_sections(document: &mut Map<String, Value>) {
    for (old, new) in MOVED {
        let value = match old.split_once('.') {
            None => document.shift_remove(old),
            Some((section, field)) => document
                .get_mut(section)
                .and_then(Value::as_object_mut)
                .and_then(|map| map.shift_remove(field)),
        };
        if let Some(value) = value {
            place(document, new, value);
        }
    }
    // The zone of that shape; the current one's default is another.
    document.entry("timezone").or_insert_with(|| "UTC".into());
    document.entry("summary_to").or_insert_with(|| Value::Array(Vec::new()));
}

/// Puts a value at a path, unless something is there already.
fn place(map: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            map.entry(*last).or_insert(value);
        }
        [first, rest @ ..] => {
            let section = map.entry(*first).or_insert_with(|| Value::Object(Map::new()));
            if let Some(section) = section.as_object_mut() {
                place(section, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_flat_shape_of_version_0_is_brought_into_sections() {
        let mut document = json!({
            "schema_version": 0, "name": "Acme", "voice_greeting": "Hello", "voice_disclosure_enabled": false,
            "max_concurrent_calls": 3, "company_context": {"company_name": "Acme Ltd", "tone": "calm"},
            "their_own": 7
        });
        migrate(document.as_object_mut().unwrap());
        assert_eq!(
            document,
            json!({
                "schema_version": 1, "display_name": "Acme", "timezone": "UTC", "summary_to": [],
                "voice": {"greeting": "Hello", "disclosure": {"enabled": false}},
                "limits": {"max_concurrent_calls": 3}, "company": {"name": "Acme Ltd", "tone": "calm"},
                "their_own": 7
            })
        );
    }

    #[test]
    fn current_and_newer_documents_are_left_alone() {
        for version in [json!(1), json!(2), json!("0"), json!(null), json!(-1)] {
            let mut document = json!({"schema_version": version, "name": "Acme"});
            let before = document.clone();
            migrate(document.as_object_mut().unwrap());
            assert_eq!(document, before);
        }
    }
}
