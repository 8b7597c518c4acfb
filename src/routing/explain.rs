//! Why a call to a number goes where it goes: for people who set it up.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::directory::{Directory, Resolution};
use crate::ids::{DestinationId, E164, TenantId};
use crate::tenant::Tenant;
use crate::tenant::hours::OpeningAnswer;

/// What would become of a call.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The number dialed.
    pub number: E164,
    /// When.
    pub at: DateTime<Utc>,
    /// `answered`, `unknown_number`, `disabled` or `unavailable`.
    pub outcome: &'static str,
    /// The SIP status that refuses it, if it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whose number it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// Whether that tenant stands in for an unknown number.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_fallback: bool,
    /// The language that it is answered in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether the tenant is open then, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<OpeningAnswer>,
    /// Where each destination leads then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<ExplainedDestination>,
    /// In one sentence.
    pub explanation: String,
}

/// Where a transfer to a destination leads.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedDestination {
    /// The destination asked for.
    pub destination_id: DestinationId,
    /// The one that is reached; none when nobody is.
    pub reaches: Option<DestinationId>,
    /// Each step on the way, in a sentence.
    pub steps: Vec<String>,
}

impl Explained {
    /// Whether it can't be known now.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.outcome == "unavailable"
    }
}

/// Explains what would become of a call to `number` at `at`. Limits aren't looked at: they depend
/// on the calls there are.
pub async fn explain(directory: &Directory, number: &E164, at: DateTime<Utc>) -> Explained {
    let resolution = directory.resolve(number).await;
    let refused = |outcome, tenant_id, explanation: String| Explained {
        number: number.clone(),
        at,
        outcome,
        status: resolution.status(),
        tenant_id,
        is_fallback: false,
        language: None,
        opening: None,
        destinations: Vec::new(),
        explanation,
    };
    match &resolution {
        Resolution::Found(found) => {
            let tenant = &found.tenant;
            let explanation = match found.is_fallback {
                true => format!("{} answers: nobody's number, and it stands in", tenant.tenant_id),
                false => format!("{} answers: the number is mapped to it", tenant.tenant_id),
            };
            Explained {
                is_fallback: found.is_fallback,
                language: Some(found.locale().to_owned()),
                opening: Some(tenant.opening(at)),
                destinations: destinations(tenant, at),
                ..refused("answered", Some(tenant.tenant_id.clone()), explanation)
            }
        }
        Resolution::UnknownNumber => refused(
            "unknown_number",
            None,
            "refused with 404: the number is nobody's, switched off, or not for calls".to_owned(),
        ),
        Resolution::Disabled(id) => {
            let why = format!("refused with 480: {id} is disabled, or its voice is");
            refused("disabled", Some(id.clone()), why)
        }
        Resolution::StoreUnavailable(error) => {
            refused("unavailable", None, format!("refused with 503: {error}"))
        }
    }
}

fn destinations(tenant: &Tenant, at: DateTime<Utc>) -> Vec<ExplainedDestination> {
    let refer = &tenant.features.refer;
    let explain = |id: &DestinationId| {
        let route = refer.resolve(id, at);
        ExplainedDestination {
            destination_id: id.clone(),
            reaches: route.destination().map(|reached| reached.destination_id.clone()),
            steps: route.chain().iter().map(crate::tenant::refer::ChainStep::explanation).collect(),
        }
    };
    refer.destinations().iter().map(|destination| explain(&destination.destination_id)).collect()
}
