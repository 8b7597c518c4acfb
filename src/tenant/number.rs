//! Which tenant answers a number.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::document::{Tenant, parse};
use super::problem::{DocumentErrors, Problems};
use super::reader::{Object, words};
use super::voice::{DEFAULT_LANGUAGE, Voice, language};
use crate::ids::{E164, TenantId};

words! {
    /// What a number is for.
    NumberKind {
        /// Calls.
        Voice = "voice",
        /// SMS.
        Sms = "sms",
        /// WhatsApp.
        Whatsapp = "whatsapp",
    } default Voice
}

/// One number of one tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberMapping {
    /// The number, unique over all tenants.
    pub phone_number: E164,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The tenant's business identifier.
    pub client_id: String,
    /// What it is for.
    pub kind: NumberKind,
    /// Its name, for people.
    pub display_name: Option<String>,
    /// BCP 47, when the document says it; see [`NumberMapping::language`].
    pub language: Option<String>,
    /// Whether it is in use.
    pub is_active: bool,
    /// Fields of the tenant's `voice` that are different on this number.
    voice: Option<Value>,
    source: Arc<str>,
}

impl NumberMapping {
    /// A mapping with defaults, as for a tenant that stands in for an unknown number.
    #[must_use]
    pub fn new(phone_number: E164, tenant_id: TenantId, client_id: &str) -> Self {
        let source = serde_json::json!({
            "phone_number": phone_number.as_str(),
            "tenant_id": tenant_id.as_str(),
            "client_id": client_id,
        });
        Self {
            phone_number,
            tenant_id,
            client_id: client_id.to_owned(),
            kind: NumberKind::Voice,
            display_name: None,
            language: None,
            is_active: true,
            voice: None,
            source: source.to_string().into(),
        }
    }

    /// Reads a mapping: our JSON, or MongoDB's extended JSON of the same shape.
    ///
    /// # Errors
    /// Everything that is wrong with it, by JSON path.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentErrors> {
        Self::from_value(&parse(bytes)?)
    }

    /// [`NumberMapping::from_json`] of JSON that has been parsed already.
    ///
    /// # Errors
    /// Everything that is wrong with it, by JSON path.
    pub fn from_value(value: &Value) -> Result<Self, DocumentErrors> {
        let problems = Problems::default();
        let read = Object::root(value, &problems).and_then(|object| Self::read(&object));
        problems.finish(read)
    }

    /// The mapping as JSON: as it was read, with every field that this program doesn't know.
    #[must_use]
    pub fn to_json(&self) -> &str {
        &self.source
    }

    /// The number's language, `en-US` when the document names none.
    #[must_use]
    pub fn language(&self) -> &str {
        self.language.as_deref().unwrap_or(DEFAULT_LANGUAGE)
    }

    /// The tenant's voice as it is on this number.
    #[must_use]
    pub fn voice<'t>(&self, tenant: &'t Tenant) -> Cow<'t, Voice> {
        let problems = Problems::default();
        match self.voice.as_ref().and_then(|value| Object::root(value, &problems)) {
            Some(object) => Cow::Owned(tenant.voice.clone().overridden(&object)),
            None => Cow::Borrowed(&tenant.voice),
        }
    }

    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        let number = object.field("phone_number");
        let phone_number =
            number.required("the number with + and country code, such as \"+33199000001\"", E164::new);
        let tenant_id = object.field("tenant_id").required("the tenant's id", TenantId::new);
        let client_id = object.field("client_id").required_text("the tenant's client_id");
        let voice = object.field("voice");
        if let Some(overrides) = voice.object() {
            // Read for its faults.
            let _ = Voice::read(&overrides);
        }
        Some(Self {
            kind: object.field("kind").choice(NumberKind::WORDS).unwrap_or_default(),
            display_name: object.field("display_name").text_up_to(200),
            language: language(&object.field("language")),
            is_active: object.field("is_active").boolean(true),
            voice: voice.value().cloned(),
            source: serde_json::to_string(object.map()).ok()?.into(),
            phone_number: phone_number?,
            tenant_id: tenant_id?,
            client_id: client_id?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_apply_and_unknown_fields_come_back() {
        let text = r#"{"_id":{"$oid":"65a0"},"phone_number":"+33199000001","client_id":"acme","tenant_id":"tenant-a","carrier":"x"}"#;
        let mapping = NumberMapping::from_json(text.as_bytes()).unwrap();
        assert_eq!((mapping.kind, mapping.is_active, mapping.language()), (NumberKind::Voice, true, "en-US"));
        assert_eq!(mapping.to_json(), text);
    }

    #[test]
    fn every_fault_is_reported() {
        let errors = NumberMapping::from_value(&json!({
            "phone_number": "0199000001", "kind": "fax", "is_active": 1, "voice": {"pitch": "high"}
        }))
        .unwrap_err();
        let paths: Vec<_> = errors.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            ["$.phone_number", "$.tenant_id", "$.client_id", "$.voice.pitch", "$.kind", "$.is_active"]
        );
    }

    #[test]
    fn a_number_may_change_its_tenants_voice() {
        let tenant = Tenant::from_value(json!({
            "tenant_id": "tenant-a", "client_id": "a", "display_name": "A", "summary_to": [],
            "voice": {"language": "fr-FR", "agent_name": "Léa", "greeting": "Bonjour."}
        }))
        .unwrap();
        let mapping = NumberMapping::from_value(&json!({
            "phone_number": "+33199000001", "tenant_id": "tenant-a", "client_id": "a",
            "voice": {"language": "en-GB", "greeting": {"text": "Good morning."}}
        }))
        .unwrap();
        let voice = mapping.voice(&tenant);
        assert_eq!((voice.language(), voice.agent_name.as_deref()), ("en-GB", Some("Léa")));
        assert_eq!(voice.greeting.text.as_deref(), Some("Good morning."));
    }
}
