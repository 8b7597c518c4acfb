//! Who may do what, and who did what.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Answer;
use crate::ids::TenantId;
use crate::tenant::access::{KeyHash, Role};

/// Access across tenants: a key says by itself whose it is.
pub trait AccessStore: Send + Sync {
    /// The key that hashes to this.
    fn find_key<'a>(&'a self, hash: &'a KeyHash) -> Answer<'a, Option<AccessKey>>;
    /// Adds an entry to the audit log.
    fn note<'a>(&'a self, entry: &'a AuditEntry) -> Answer<'a, ()>;
    /// The audit log, newest first: up to `limit` entries older than `before`, of one tenant or
    /// of all and the operator.
    fn audit<'a>(
        &'a self,
        tenant: Option<&'a TenantId>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Answer<'a, Vec<AuditEntry>>;
}

/// A tenant's access key as it is stored: not the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// What it is called in lists and in the audit log.
    pub key_id: String,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What it allows.
    pub role: Role,
    /// What it is for, in its maker's words.
    pub label: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A key to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccessKey {
    /// What is shown of it.
    pub shown: AccessKey,
    /// What it hashes to.
    pub hash: KeyHash,
}

/// One administrative change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Sorts by time.
    pub entry_id: Uuid,
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// By whom: `operator`, or the key's id.
    pub actor: String,
    /// The tenant that it is about.
    pub tenant_id: Option<TenantId>,
    /// What: `tenant.save`, `number.delete`, …
    pub action: String,
    /// Of what.
    pub target: String,
    /// From which address.
    pub source: String,
}
