//! Changes of the directory, and what a change expects to find.

use crate::ids::{E164, TenantId};

use super::StoreError;

/// What changed since a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The generation that they lead to.
    pub generation: u64,
    /// What changed on the way.
    pub changed: Changed,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These; none when the list is empty.
    These(Vec<Change>),
    /// Anything may have.
    Anything,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Of a tenant's document, or of whether there is one.
    Tenant(TenantId),
    /// Of a number's mapping, or of whether there is one.
    Number(E164),
    /// Of many at once.
    All,
}

impl Change {
    /// The words it is stored as.
    pub(super) fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Tenant(id) => ("tenant", id.as_str()),
            Self::Number(number) => ("number", number.as_str()),
            Self::All => ("all", ""),
        }
    }

    /// What the words stand for; words of a later version stand for anything.
    pub(super) fn from_words(kind: &str, name: &str) -> Self {
        match kind {
            "tenant" => TenantId::new(name).map_or(Self::All, Self::Tenant),
            "number" => E164::new(name).map_or(Self::All, Self::Number),
            _ => Self::All,
        }
    }
}

/// What is expected of a document that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// That there is none.
    New,
    /// That it has this version.
    Version(u64),
}

impl Expected {
    /// Whether it is so.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it isn't.
    pub(super) fn check(self, current: Option<u64>) -> Result<(), StoreError> {
        let as_expected = match self {
            Self::Anything => true,
            Self::New => current.is_none(),
            Self::Version(version) => current == Some(version),
        };
        if as_expected { Ok(()) } else { Err(StoreError::Stale { current }) }
    }
}
