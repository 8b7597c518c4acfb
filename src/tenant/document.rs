//! A tenant's document.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::agent::Agent;
use super::company::Company;
use super::crm::Crm;
use super::escalation::Escalation;
use super::hours::{DEFAULT_TZ, Hours, OpeningAnswer};
use super::knowledge::Knowledge;
use super::leads::Leads;
use super::limits::Limits;
use super::migration::migrate;
use super::notifications::Notifications;
use super::problem::{DocumentErrors, Problems};
use super::prompt::Prompts;
use super::reader::{Field, Object, words};
use super::refer::Refer;
use super::voice::{Voice, language};
use super::web_search::WebSearch;
use crate::ids::TenantId;

pub use super::migration::SCHEMA_VERSION;

/// The largest document taken, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

words! {
    /// Whether a tenant's calls are answered.
    Status {
        /// They are.
        Active = "active",
        /// They are refused with 480.
        Disabled = "disabled",
    } default Active
}

/// One customer organisation, as its validated document describes it. Immutable: a change is a
/// new document. Printed as its id alone, because documents hold addresses and numbers.
#[derive(Clone, PartialEq)]
pub struct Tenant {
    /// Its id.
    pub tenant_id: TenantId,
    /// The stable business identifier.
    pub client_id: String,
    /// Its name, for people.
    pub display_name: String,
    /// An alias of the id.
    pub slug: Option<TenantId>,
    /// Who receives summaries of calls.
    pub summary_to: Vec<String>,
    /// Where answers to them go.
    pub reply_to: Option<String>,
    /// Its zone.
    pub timezone: Tz,
    /// BCP 47, e.g. `fr-FR`.
    pub locale: Option<String>,
    /// Whether its calls are answered.
    pub status: Status,
    /// Switchable abilities.
    pub features: Features,
    /// Counts changes of its tools.
    pub tools_config_version: i64,
    /// Whatever routing and tool policies refer to.
    pub metadata: Map<String, Value>,
    /// When the document was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub updated_at: Option<DateTime<Utc>>,
    /// The `voice` section.
    pub voice: Voice,
    /// The `company` section.
    pub company: Company,
    /// The `hours` section.
    pub hours: Hours,
    /// The `limits` section.
    pub limits: Limits,
    /// The `leads` section.
    pub leads: Leads,
    /// The `crm` section.
    pub crm: Crm,
    /// The `notifications` section.
    pub notifications: Notifications,
    /// The `knowledge` section.
    pub knowledge: Knowledge,
    /// The `web_search` section.
    pub web_search: WebSearch,
    /// The `escalation` section.
    pub escalation: Escalation,
    /// The `agent` section.
    pub agent: Agent,
    /// Its prompts, which aren't in the document: see [`Tenant::with_prompts`].
    pub prompts: Prompts,
    source: Arc<str>,
}

/// The `features` section.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Call transfer.
    pub refer: Refer,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.tenant_id)
    }
}

impl Tenant {
    /// Reads a document: our JSON, or MongoDB's extended JSON of the same shape. Documents of
    /// older versions are brought to the current one.
    ///
    /// # Errors
    /// Everything that is wrong with it, by JSON path.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentErrors> {
        Self::from_value(parse(bytes)?)
    }

    /// [`Tenant::from_json`] of JSON that has been parsed already.
    ///
    /// # Errors
    /// Everything that is wrong with it, by JSON path.
    pub fn from_value(mut value: Value) -> Result<Self, DocumentErrors> {
        if let Some(document) = value.as_object_mut() {
            migrate(document);
        }
        let problems = Problems::default();
        let read = Object::root(&value, &problems).and_then(|object| Self::read(&object));
        problems.finish(read)
    }

    /// The document as JSON: as it was read, with every field that this program doesn't know, in
    /// the same order. Defaults aren't filled in.
    #[must_use]
    pub fn to_json(&self) -> &str {
        &self.source
    }

    /// Whether it is open at an instant by its `hours` section.
    #[must_use]
    pub fn opening(&self, at: DateTime<Utc>) -> OpeningAnswer {
        self.hours.answer(at, self.timezone)
    }

    /// The name to say: the company's, else the display name.
    #[must_use]
    pub fn spoken_name(&self) -> &str {
        self.company.name.as_deref().unwrap_or(&self.display_name)
    }

    /// The tenant with its prompts.
    #[must_use]
    pub fn with_prompts(self, prompts: Prompts) -> Self {
        Self { prompts, ..self }
    }

    /// The tenant with another voice, as on a number that changes it. The document stays.
    #[must_use]
    pub fn with_voice(&self, voice: Voice) -> Self {
        Self { voice, ..self.clone() }
    }

    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        check_version(&object.field("schema_version"));
        let tenant_id = read_id(object);
        let client_id = object.field("client_id").required_text("the customer's stable identifier");
        let display_name = object.field("display_name").required_text("the tenant's name");
        let summary_to = object.field("summary_to");
        if !summary_to.is_present() {
            summary_to.missing("a list of e-mail addresses, which may be empty: []");
        }
        let section = |name: &str| object.field(name);
        let tenant = Self {
            slug: section("slug").parsed("an alias such as \"acme\"", TenantId::new),
            summary_to: summary_to.list_of(Field::email),
            reply_to: section("reply_to").email(),
            timezone: read_timezone(&section("timezone")),
            locale: language(&section("locale")),
            status: section("status").choice(Status::WORDS).unwrap_or_default(),
            features: Features {
                refer: section("features")
                    .object()
                    .map_or_else(Refer::default, |features| features.field("refer").section(Refer::read)),
            },
            tools_config_version: section("tools_config_version").whole(0..=i64::MAX).unwrap_or(1),
            metadata: section("metadata").object().map(|object| object.map().clone()).unwrap_or_default(),
            created_at: section("created_at").time(),
            updated_at: section("updated_at").time(),
            voice: section("voice").section(Voice::read),
            company: section("company").section(Company::read),
            hours: section("hours").section(Hours::read),
            limits: section("limits").section(Limits::read),
            leads: section("leads").section(Leads::read),
            crm: section("crm").section(Crm::read),
            notifications: section("notifications").section(Notifications::read),
            knowledge: section("knowledge").section(Knowledge::read),
            web_search: section("web_search").section(WebSearch::read),
            escalation: section("escalation").section(Escalation::read),
            agent: section("agent").section(super::agent::Agent::read),
            prompts: Prompts::default(),
            tenant_id: tenant_id?,
            client_id: client_id?,
            display_name: display_name?,
            source: serde_json::to_string(object.map()).ok()?.into(),
        };
        tenant.check_overflow(object);
        Some(tenant)
    }

    fn check_overflow(&self, object: &Object<'_>) {
        let Some(id) = &self.limits.overflow_destination_id else { return };
        if self.features.refer.destination(id).is_none()
            && let Some(limits) = object.field("limits").object()
        {
            let field = limits.field("overflow_destination_id");
            field.problem(format!(
                "{:?} is none of features.refer.destinations: write one of their ids",
                id.as_str()
            ));
        }
    }
}

/// Parses JSON, bounded.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, DocumentErrors> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentErrors::one("$", format!("is too large: {MAX_DOCUMENT_BYTES} bytes at most")));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        DocumentErrors::one("$", format!("is no JSON: line {line}, column {column}: {error}"))
    })
}

fn check_version(field: &Field<'_>) {
    if let Some(version) = field.whole(0..=i64::MAX).filter(|version| *version > SCHEMA_VERSION) {
        field.problem(format!(
            "is {version}, but this program reads versions up to {SCHEMA_VERSION}: upgrade it, \
             or export the document from the newer program for version {SCHEMA_VERSION}"
        ));
    }
}

/// `_id` and `tenant_id` say the same; one of them is enough.
fn read_id(object: &Object<'_>) -> Option<TenantId> {
    let (id, alias) = (object.field("tenant_id"), object.field("_id"));
    let write = "an id such as \"tenant-prod-0042\"";
    if !id.is_present() && !alias.is_present() {
        id.missing(write);
    }
    let tenant_id = id.parsed(write, TenantId::new);
    let underscore_id = alias.parsed(write, TenantId::new);
    if let (Some(one), Some(other)) = (&tenant_id, &underscore_id)
        && one != other
    {
        alias.problem(format!("differs from tenant_id: write {:?} in both", one.as_str()));
    }
    tenant_id.or(underscore_id)
}

fn read_timezone(field: &Field<'_>) -> Tz {
    let zone = field.parsed("an IANA name such as \"Europe/Paris\"", |name| {
        name.parse::<Tz>().map_err(|_| "is no time zone")
    });
    zone.unwrap_or(DEFAULT_TZ)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
