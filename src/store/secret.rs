//! Sealed secrets.

use chrono::{DateTime, Utc};

use super::Answer;
use crate::ids::TenantId;

/// A secret as it is stored: opened by the vault alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which of the vault's keys seals it.
    pub key_id: String,
    /// Nonce and sealed text.
    pub bytes: Vec<u8>,
}

/// A sealed secret and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedSecret {
    /// The tenant; the operator's when there is none.
    pub owner: Option<TenantId>,
    /// Its name.
    pub name: String,
    /// It.
    pub sealed: Sealed,
}

/// Somebody's secrets: a tenant's, or the operator's.
pub trait SecretStore: Send + Sync {
    /// One of them.
    fn secret<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Sealed>>;
    /// Keeps one, in another's place if there is one of that name.
    fn keep_secret<'a>(&'a self, name: &'a str, sealed: &'a Sealed) -> Answer<'a, ()>;
    /// Takes one away; gives whether it was there.
    fn remove_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool>;
    /// Their names, in order, and when each was written.
    fn secret_names(&self) -> Answer<'_, Vec<(String, DateTime<Utc>)>>;
}
