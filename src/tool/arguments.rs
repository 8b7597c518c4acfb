//! Arguments from JSON into a tool's own type, with an error that says what would be right.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest argument text taken, in bytes of its JSON form: a note of a few pages.
const MAX_ARGUMENT_BYTES: usize = 16 * 1024;

/// Arguments that don't fit a tool's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// They don't have the shape of the tool's argument type.
    #[error("{tool}: {problem}. Its arguments are: {expected}.")]
    Shape {
        /// The tool.
        tool: &'static str,
        /// What is wrong, naming the field.
        problem: String,
        /// The arguments the tool takes, with their types.
        expected: String,
    },
    /// An argument is empty that has to hold something.
    #[error("{tool}: `{field}` must not be empty.")]
    Empty {
        /// The tool.
        tool: &'static str,
        /// The argument.
        field: &'static str,
    },
    /// They are longer than any tool needs.
    #[error("{tool}: the arguments are {bytes} bytes long; {MAX_ARGUMENT_BYTES} is the most taken.")]
    TooLong {
        /// The tool.
        tool: &'static str,
        /// Their length as JSON.
        bytes: usize,
    },
}

/// Reads `arguments` as `T`. JSON `null` stands for no arguments, as some providers send it.
///
/// # Errors
/// When they don't fit; the text names the field and lists what the tool takes.
pub(super) fn parse<T: DeserializeOwned + JsonSchema>(
    tool: &'static str,
    arguments: Value,
) -> Result<T, ArgumentError> {
    let arguments = if arguments.is_null() { Value::Object(serde_json::Map::new()) } else { arguments };
    let bytes = arguments.to_string().len();
    if bytes > MAX_ARGUMENT_BYTES {
        return Err(ArgumentError::TooLong { tool, bytes });
    }
    serde_json::from_value(arguments).map_err(|error| ArgumentError::Shape {
        tool,
        problem: error.to_string(),
        expected: expected(&schema::<T>()),
    })
}

/// The JSON Schema of `T`, without the generator's own decorations.
pub(super) fn schema<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.shift_remove("$schema");
        object.shift_remove("title");
        object.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    schema
}

fn expected(schema: &Value) -> String {
    let required = schema.get("required").and_then(Value::as_array);
    let listed: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let kind = property.get("type").and_then(Value::as_str).unwrap_or("value");
            let optional = !required.is_some_and(|all| all.iter().any(|one| one == name.as_str()));
            format!("{name} ({kind}{})", if optional { ", optional" } else { "" })
        })
        .collect();
    if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        /// A name.
        #[allow(dead_code)]
        name: String,
        #[serde(default)]
        #[allow(dead_code)]
        sure: bool,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    #[test]
    fn a_missing_argument_is_named_with_what_would_be_right() {
        let text = parse::<Sample>("greet", json!({"sure": true})).unwrap_err().to_string();
        assert!(text.contains("missing field `name`"), "{text}");
        assert!(text.contains("name (string), sure (boolean, optional)"), "{text}");
    }

    #[test]
    fn an_argument_too_many_is_refused() {
        let text = parse::<Nothing>("rest", json!({"now": 1})).unwrap_err().to_string();
        assert!(text.contains("unknown field `now`") && text.contains("are: none"), "{text}");
    }

    #[test]
    fn null_stands_for_no_arguments() {
        assert!(parse::<Nothing>("rest", Value::Null).is_ok());
    }

    #[test]
    fn arguments_beyond_the_cap_are_not_read() {
        let long = "x".repeat(MAX_ARGUMENT_BYTES);
        assert!(matches!(
            parse::<Sample>("greet", json!({"name": long})),
            Err(ArgumentError::TooLong { .. })
        ));
    }

    #[test]
    fn a_schema_describes_its_fields_and_forbids_others() {
        let schema = schema::<Sample>();
        assert_eq!(schema["properties"]["name"]["description"], "A name.");
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema.get("$schema").is_none());
    }
}
