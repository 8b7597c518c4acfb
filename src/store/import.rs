//! Documents to be taken in together.

use chrono::{DateTime, Utc};

use super::{NewTenant, NumberRow};
use crate::ids::TenantId;
use crate::tenant::import::Import;
use crate::tenant::prompt::NewPrompt;

/// Documents to be taken in together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportRows {
    /// Tenants.
    pub tenants: Vec<NewTenant>,
    /// Numbers.
    pub numbers: Vec<NumberRow>,
    /// Prompts, in the order of their versions.
    pub prompts: Vec<(TenantId, NewPrompt)>,
}

impl ImportRows {
    /// What was read from files. The author and the time are for new versions of prompts.
    #[must_use]
    pub fn new(import: &Import, author: &str, now: DateTime<Utc>) -> Self {
        let prompts = import.prompts.iter().map(|prompt| {
            let new = NewPrompt {
                purpose: prompt.purpose,
                template: prompt.template.clone(),
                note: prompt.note.clone(),
                author: author.to_owned(),
                created_at: now,
            };
            (prompt.tenant_id.clone(), new)
        });
        Self {
            tenants: import.tenants.iter().map(NewTenant::from).collect(),
            numbers: import.numbers.iter().map(NumberRow::from).collect(),
            prompts: prompts.collect(),
        }
    }
}
