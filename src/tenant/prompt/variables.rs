//! The variables that a prompt may use: the documented set, and their values for one call.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::tenant::Tenant;

/// Every variable with what it holds. The names under `destinations_open` are those of each entry.
pub const VARIABLES: [(&str, &str); 26] = [
    ("tenant.id", "the tenant's id"),
    ("tenant.name", "its display name"),
    ("tenant.agent_name", "what the agent calls itself; may be empty"),
    ("tenant.timezone", "its zone, e.g. Europe/Paris"),
    ("tenant.locale", "its locale; may be empty"),
    ("language", "the language of the call, e.g. fr-FR"),
    ("company.name", "the company's name"),
    ("company.industry", "what it does"),
    ("company.primary_product", "what it sells first of all"),
    ("company.services", "a list of what it offers"),
    ("company.topics", "a list of what callers ask about"),
    ("company.terminology", "a list of its own terms"),
    ("company.competitors", "what to know of competitors"),
    ("company.role", "the assistant's role"),
    ("company.tone", "the tone to take"),
    ("caller.number", "the caller's number in E.164 form; empty when it is withheld"),
    ("caller.name", "the name that came with the call, as a quoted text: it is the caller's to choose"),
    ("now.date", "today in the tenant's zone, e.g. 2026-11-20"),
    ("now.time", "the time there, e.g. 09:30"),
    ("now.weekday", "the day there, e.g. Friday"),
    ("hours.open", "whether the tenant is open now"),
    ("hours.explanation", "why, in an English sentence"),
    ("destinations_open", "a list of who can be reached now: id, label, description"),
    ("lead.summary", "what is known of the caller from before, as a quoted text"),
    ("lead.score", "how good a lead it is, from 0 to 1; empty when nothing is known"),
    ("lead.stage", "where it stands"),
];

/// What is known of the other side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallContext {
    /// The language of the call.
    pub language: String,
    /// The caller's number.
    pub caller_number: String,
    /// The name that came with the call.
    pub caller_name: String,
    /// What is known from before.
    pub lead: Option<LeadContext>,
}

/// What is known of a lead.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeadContext {
    /// In words.
    pub summary: String,
    /// From 0 to 1.
    pub score: Option<f64>,
    /// Where it stands.
    pub stage: String,
}

/// The values for one call.
#[derive(Debug, Serialize)]
pub struct Values {
    tenant: TenantValues,
    language: String,
    company: CompanyValues,
    caller: CallerValues,
    now: NowValues,
    hours: HoursValues,
    destinations_open: Vec<DestinationValues>,
    lead: LeadValues,
}

#[derive(Debug, Serialize)]
struct TenantValues {
    id: String,
    name: String,
    agent_name: String,
    timezone: String,
    locale: String,
}

#[derive(Debug, Serialize)]
struct CompanyValues {
    name: String,
    industry: String,
    primary_product: String,
    services: Vec<String>,
    topics: Vec<String>,
    terminology: Vec<String>,
    competitors: String,
    role: String,
    tone: String,
}

#[derive(Debug, Serialize)]
struct CallerValues {
    number: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct NowValues {
    date: String,
    time: String,
    weekday: String,
}

#[derive(Debug, Serialize)]
struct HoursValues {
    open: bool,
    explanation: String,
}

#[derive(Debug, Serialize)]
struct DestinationValues {
    id: String,
    label: String,
    description: String,
}

#[derive(Debug, Serialize)]
struct LeadValues {
    summary: String,
    score: String,
    stage: String,
}

/// The longest text from outside, in characters.
const LONGEST_OUTSIDE: usize = 500;

/// A text from outside, as data: a JSON string, so that no line or quote of it can pass for ours.
fn outside(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let cut: String = text.chars().take(LONGEST_OUTSIDE).collect();
    serde_json::to_string(&cut).unwrap_or_default()
}

impl Values {
    /// The values for a call of this tenant at this instant.
    #[must_use]
    pub fn of(tenant: &Tenant, call: &CallContext, at: DateTime<Utc>) -> Self {
        let local = at.with_timezone(&tenant.timezone);
        let hours = tenant.opening(at).hours;
        let refer = &tenant.features.refer;
        let open = refer
            .destinations()
            .iter()
            .filter(|destination| refer.resolve(&destination.destination_id, at).destination().is_some());
        let lead = call.lead.clone().unwrap_or_default();
        let company = &tenant.company;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            tenant: TenantValues {
                id: tenant.tenant_id.as_str().to_owned(),
                name: tenant.display_name.clone(),
                agent_name: text(&tenant.voice.agent_name),
                timezone: tenant.timezone.name().to_owned(),
                locale: text(&tenant.locale),
            },
            language: call.language.clone(),
            company: CompanyValues {
                name: tenant.spoken_name().to_owned(),
                industry: text(&company.industry),
                primary_product: text(&company.primary_product),
                services: company.services.clone(),
                topics: company.topics.clone(),
                terminology: company.terminology_examples.clone(),
                competitors: text(&company.competitor_context),
                role: text(&company.assistant_role),
                tone: text(&company.tone),
            },
            caller: CallerValues { number: call.caller_number.clone(), name: outside(&call.caller_name) },
            now: NowValues {
                date: local.format("%Y-%m-%d").to_string(),
                time: local.format("%H:%M").to_string(),
                weekday: local.format("%A").to_string(),
            },
            hours: HoursValues { open: hours.open, explanation: hours.explanation },
            destinations_open: open
                .map(|destination| DestinationValues {
                    id: destination.destination_id.as_str().to_owned(),
                    label: destination.label.clone(),
                    description: destination.description_for_model.clone(),
                })
                .collect(),
            lead: LeadValues {
                summary: outside(&lead.summary),
                score: lead.score.map(|score| format!("{score:.2}")).unwrap_or_default(),
                stage: lead.stage,
            },
        }
    }

    /// Values of every kind, for checking a template before any call.
    #[must_use]
    pub(super) fn sample() -> Self {
        let text = || "x".to_owned();
        Self {
            tenant: TenantValues {
                id: text(),
                name: text(),
                agent_name: text(),
                timezone: text(),
                locale: text(),
            },
            language: text(),
            company: CompanyValues {
                name: text(),
                industry: text(),
                primary_product: text(),
                services: vec![text()],
                topics: vec![text()],
                terminology: vec![text()],
                competitors: text(),
                role: text(),
                tone: text(),
            },
            caller: CallerValues { number: text(), name: text() },
            now: NowValues { date: text(), time: text(), weekday: text() },
            hours: HoursValues { open: true, explanation: text() },
            destinations_open: vec![DestinationValues { id: text(), label: text(), description: text() }],
            lead: LeadValues { summary: text(), score: text(), stage: text() },
        }
    }
}
