//! Prompts: versioned texts with variables, for each tenant and purpose.
//!
//! A version never changes. Which one is used is a pointer, which can be rolled back and can give
//! a part of the calls a candidate.

pub mod diff;
mod set;
pub mod template;
pub mod variables;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CallId, TenantId};

pub use set::Prompts;
pub use template::{Template, TemplateError};

/// What a prompt is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The conversation on the line.
    Conversation,
    /// Whether a caller is a good lead.
    Qualification,
    /// Making an appointment.
    Scheduling,
    /// The summary after a call.
    Summary,
    /// Chat.
    Chat,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Conversation, Self::Qualification, Self::Scheduling, Self::Summary, Self::Chat];

    /// The word that stands for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Qualification => "qualification",
            Self::Scheduling => "scheduling",
            Self::Summary => "summary",
            Self::Chat => "chat",
        }
    }
}

impl std::str::FromStr for Purpose {
    type Err = UnknownPurpose;
    fn from_str(word: &str) -> Result<Self, UnknownPurpose> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == word).ok_or(UnknownPurpose)
    }
}

/// A word that stands for no purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write conversation, qualification, scheduling, summary or chat")]
pub struct UnknownPurpose;

/// One version of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptVersion {
    /// Whose.
    pub tenant_id: TenantId,
    /// What for.
    pub purpose: Purpose,
    /// Counts up from 1.
    pub version: u64,
    /// The text.
    pub template: String,
    /// What is different in it, in its maker's words.
    pub note: String,
    /// Who made it.
    pub author: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A version to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrompt {
    /// What for.
    pub purpose: Purpose,
    /// The text; checked.
    pub template: Template,
    /// What is different in it.
    pub note: String,
    /// Who made it.
    pub author: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Which version is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pointer {
    /// The version that is used.
    #[schema(minimum = 1)]
    pub active: u64,
    /// One that a part of the calls gets instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The versions that were active before, the latest last.
    #[serde(default)]
    pub before: Vec<u64>,
}

/// A version that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Candidate {
    /// The version.
    #[schema(minimum = 1)]
    pub version: u64,
    /// How many of a hundred calls get it.
    #[schema(minimum = 1, maximum = 100)]
    pub percent: u8,
}

/// How many versions a pointer remembers.
const REMEMBERED: usize = 50;

impl Pointer {
    /// At the first version there is.
    #[must_use]
    pub fn to(version: u64) -> Self {
        Self { active: version, candidate: None, before: Vec::new() }
    }

    /// Moved to another version; a trial of that version is over.
    #[must_use]
    pub fn moved(mut self, version: u64) -> Self {
        if version != self.active {
            self.before.push(self.active);
            let beyond = self.before.len().saturating_sub(REMEMBERED);
            self.before.drain(..beyond);
            self.active = version;
        }
        self.candidate = self.candidate.filter(|candidate| candidate.version != version);
        self
    }

    /// Back to the version that was active before; `None` when there was none. A trial is over.
    #[must_use]
    pub fn rolled_back(mut self) -> Option<Self> {
        self.active = self.before.pop()?;
        self.candidate = None;
        Some(self)
    }

    /// The version that a call gets: the same one whoever asks and how often.
    #[must_use]
    pub fn version_for(&self, call: CallId) -> u64 {
        // The low bits of the identifier are random (RFC 9562 §5.7).
        let share = call.as_u128() & 0xffff_ffff;
        match self.candidate {
            Some(Candidate { version, percent }) if share % 100 < u128::from(percent) => version,
            _ => self.active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_goes_back_the_way_it_came() {
        let pointer = Pointer::to(1).moved(2).moved(2).moved(3);
        assert_eq!(pointer.before, [1, 2]);
        let back = pointer.rolled_back().unwrap();
        assert_eq!((back.active, back.before.as_slice()), (2, [1].as_slice()));
        assert_eq!(back.rolled_back().unwrap().rolled_back(), None);
        assert_eq!((2..200).fold(Pointer::to(1), Pointer::moved).before.len(), REMEMBERED);
    }

    #[test]
    fn a_candidate_gets_its_share_of_the_calls_and_a_call_stays_with_its_version() {
        let pointer = Pointer { candidate: Some(Candidate { version: 2, percent: 20 }), ..Pointer::to(1) };
        let calls: Vec<CallId> = (0..20_000).map(|_| CallId::generate()).collect();
        let tried = calls.iter().filter(|call| pointer.version_for(**call) == 2).count();
        assert!((3_700..4_300).contains(&tried), "{tried} of 20000");
        let call = calls[0];
        assert_eq!(pointer.version_for(call), pointer.clone().version_for(call));
        assert_eq!(pointer.moved(2).candidate, None);
    }
}
