//! A tenant as an import takes it.

use serde_json::{Map, Value, json};

use super::sql::unreadable;
use super::{StoreError, TenantStore};
use crate::tenant::prompt::Purpose;

/// The tenant's document, its numbers, and the prompts in use; `None` when there is no tenant.
/// Documents are given as they are stored, unknown fields included.
///
/// # Errors
/// When the store can't be asked, or a stored document can't be read.
pub async fn export(scope: &dyn TenantStore) -> Result<Option<Value>, StoreError> {
    let parsed =
        |json: &str| serde_json::from_str::<Value>(json).map_err(|error| unreadable("document", error));
    let Some(found) = scope.document().await? else { return Ok(None) };
    let mut whole = Map::new();
    whole.insert("tenant".to_owned(), parsed(&found.json)?);
    let numbers = scope.numbers().await?;
    let numbers = numbers.iter().map(|row| parsed(&row.number.json)).collect::<Result<Vec<Value>, _>>()?;
    whole.insert("numbers".to_owned(), Value::Array(numbers));
    let mut prompts = Vec::new();
    for purpose in Purpose::ALL {
        let Some((pointer, _)) = scope.prompt_pointer(purpose).await? else { continue };
        if let Some(active) = scope.prompt(purpose, pointer.active).await? {
            prompts.push(json!({ "purpose": purpose, "template": active.template, "note": active.note }));
        }
    }
    if !prompts.is_empty() {
        whole.insert("prompts".to_owned(), Value::Array(prompts));
    }
    Ok(Some(Value::Object(whole)))
}
