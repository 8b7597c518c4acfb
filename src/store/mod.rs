//! What is kept. The traits are all that the other rooms see; SQL stays in here.
//!
//! A tenant's data is reached through [`Store::tenant`] only, so that a query that isn't bound to
//! one tenant can't be written by mistake. Reads across tenants are the operator's
//! ([`Store::operator`]), the router's ([`Store::directory`]) and the carrier's
//! ([`Store::records`]).
//!
//! Call events reach the store through the [`journal`] and the [`carrier`].

mod access;
pub mod carrier;
mod change;
#[cfg(test)]
pub(crate) mod conformance;
mod error;
mod export;
mod import;
pub mod journal;
mod page;
mod place;
#[allow(clippy::duplicate_mod, reason = "the statements of `sql` are compiled once for each database")]
pub mod postgres;
mod prompt;
mod row;
mod secret;
mod sql;
#[allow(clippy::duplicate_mod, reason = "the statements of `sql` are compiled once for each database")]
pub mod sqlite;
mod write;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::call::record::CallRecord;
use crate::ids::{CallId, E164, TenantId};

pub use access::{AccessKey, AccessStore, AuditEntry, NewAccessKey};
pub use change::{Change, Changed, Changes, Expected};
pub use error::StoreError;
pub use export::export;
pub use import::ImportRows;
pub use page::{CallFilter, CallPage, Cursor, CursorError, PageRequest};
pub use place::{Place, PostgresUrl, open, open_for_reading};
pub use prompt::PromptStore;
pub use secret::{OwnedSecret, Sealed, SecretStore};
pub use write::CallWrite;

/// What every question to the store gives.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A store of everything kept.
pub trait Store: Send + Sync + 'static {
    /// One tenant's data.
    fn tenant<'a>(&'a self, id: &'a TenantId) -> Box<dyn TenantStore + 'a>;
    /// Numbers and configurations, for routing.
    fn directory(&self) -> &dyn DirectoryStore;
    /// The operator's view.
    fn operator(&self) -> &dyn OperatorStore;
    /// Where the carrier puts call records.
    fn records(&self) -> &dyn RecordStore;
    /// Small facts about the installation.
    fn meta(&self) -> &dyn MetaStore;
    /// Keys and the audit log.
    fn access(&self) -> &dyn AccessStore;
    /// Ends the connections.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// One tenant's data. Everything asked and written here is that tenant's.
pub trait TenantStore: PromptStore + SecretStore {
    /// Its configuration document.
    fn document(&self) -> Answer<'_, Option<TenantDocument>>;
    /// Writes its configuration document, making the tenant where it is new; gives the version
    /// it got.
    fn save<'a>(&'a self, tenant: &'a NewTenant) -> Answer<'a, u64>;
    /// As [`TenantStore::save`], if it stands as expected; [`StoreError::Stale`] otherwise.
    fn save_if<'a>(&'a self, tenant: &'a NewTenant, expected: Expected) -> Answer<'a, u64>;
    /// Deletes the tenant and all that belongs to it; gives whether it was there.
    fn delete(&self) -> Answer<'_, bool>;
    /// Its numbers, in order.
    fn numbers(&self) -> Answer<'_, Vec<NumberRow>>;
    /// Maps a number to it, or changes the mapping. A number mapped to another tenant is a
    /// [`StoreError::Conflict`].
    fn save_number<'a>(&'a self, number: &'a NewNumber) -> Answer<'a, ()>;
    /// As [`TenantStore::save_number`], if the mapping stands as expected; [`StoreError::Stale`]
    /// otherwise. Gives the version that the mapping got.
    fn save_number_if<'a>(&'a self, number: &'a NewNumber, expected: Expected) -> Answer<'a, u64>;
    /// One of its numbers, with the mapping's version.
    fn number<'a>(&'a self, number: &'a E164) -> Answer<'a, Option<(NumberRow, u64)>>;
    /// Takes a number away; gives whether it was there.
    fn remove_number<'a>(&'a self, number: &'a E164) -> Answer<'a, bool>;
    /// Its calls, newest first.
    fn calls<'a>(&'a self, filter: &'a CallFilter, page: &'a PageRequest) -> Answer<'a, CallPage>;
    /// One of its calls.
    fn call(&self, id: CallId) -> Answer<'_, Option<CallRecord>>;
    /// Its access keys, in the order in which they were made.
    fn access_keys(&self) -> Answer<'_, Vec<AccessKey>>;
    /// Adds an access key, in place of `replaced` if that is given. Gives whether it did: not when
    /// `replaced` isn't there.
    fn add_access_key<'a>(&'a self, key: &'a NewAccessKey, replaced: Option<&'a str>) -> Answer<'a, bool>;
    /// Takes an access key away; gives whether it was there.
    fn remove_access_key<'a>(&'a self, key_id: &'a str) -> Answer<'a, bool>;
}

/// Numbers and configurations across tenants, for routing.
pub trait DirectoryStore: Send + Sync {
    /// The number with its tenant, inactive ones included.
    fn find_number<'a>(&'a self, number: &'a E164) -> Answer<'a, Option<NumberRow>>;
    /// A tenant's document, for a number that was found.
    fn load_tenant<'a>(&'a self, id: &'a TenantId) -> Answer<'a, Option<TenantDocument>>;
    /// Counts up with every change of a number or a tenant, by whichever process. To ask is
    /// cheap: once a second is fine.
    fn generation(&self) -> Answer<'_, u64>;
    /// What changed after a generation. Many changes, or ones long past, are not told one by one.
    fn changes(&self, since: u64) -> Answer<'_, Changes>;
    /// Says when something changed, as far as that is noticed without asking: by this process, and
    /// on PostgreSQL by any. A change may be missed, so that one must still ask from time to time.
    fn watch(&self) -> watch::Receiver<u64>;
    /// Up to `limit` numbers after `after`, in order.
    fn numbers<'a>(&'a self, after: Option<&'a E164>, limit: u32) -> Answer<'a, Vec<NumberRow>>;
    /// Up to `limit` tenants after `after`, in order.
    fn tenants<'a>(&'a self, after: Option<&'a TenantId>, limit: u32) -> Answer<'a, Vec<TenantDocument>>;
}

/// Reads and writes that only the operator may do.
pub trait OperatorStore: SecretStore {
    /// Whether it holds no tenant, no number and no call.
    fn is_empty(&self) -> Answer<'_, bool>;
    /// Takes tenants and their numbers into an empty store, all or nothing;
    /// [`StoreError::NotEmpty`] otherwise.
    fn import_into_empty<'a>(&'a self, tenants: &'a [NewTenant], numbers: &'a [NumberRow]) -> Answer<'a, ()>;
    /// Takes in documents, all or nothing; those that are there already are replaced. A prompt
    /// that differs from the one in use becomes a new version, and is used.
    fn import<'a>(&'a self, rows: &'a ImportRows) -> Answer<'a, ()>;
    /// Calls of all tenants, newest first.
    fn calls<'a>(&'a self, filter: &'a CallFilter, page: &'a PageRequest) -> Answer<'a, CallPage>;
    /// One call of any tenant.
    fn call(&self, id: CallId) -> Answer<'_, Option<CallRecord>>;
    /// Up to `limit` secrets of everybody after this owner and name: the operator's first.
    fn secrets_after<'a>(
        &'a self,
        after: Option<&'a (Option<TenantId>, String)>,
        limit: u32,
    ) -> Answer<'a, Vec<OwnedSecret>>;
    /// Puts one seal in the place of another, if that is still there; gives whether it was.
    fn reseal<'a>(
        &'a self,
        owner: Option<&'a TenantId>,
        name: &'a str,
        old: &'a Sealed,
        new: &'a Sealed,
    ) -> Answer<'a, bool>;
    /// How much there is.
    fn counts(&self) -> Answer<'_, Counts>;
}

/// Where the carrier puts call records.
pub trait RecordStore: Send + Sync {
    /// Takes records and the place they were carried up to, in one transaction. Of two states of
    /// one call the one with the higher revision stays, and an ended call isn't reopened, so that
    /// carrying twice does no harm. Records of tenants that are gone are left out.
    fn carry<'a>(&'a self, records: &'a [CallWrite], checkpoint: &'a Checkpoint) -> Answer<'a, Carried>;
    /// How far a node's journal was carried.
    fn checkpoint<'a>(&'a self, node: &'a str) -> Answer<'a, Option<Checkpoint>>;
    /// Up to `limit` calls of a node that aren't over.
    fn open_calls<'a>(&'a self, node: &'a str, limit: u32) -> Answer<'a, Vec<CallRecord>>;
}

/// Small facts about the installation, by name.
pub trait MetaStore: Send + Sync {
    /// What is kept under `key`.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>>;
    /// Keeps `value` under `key`.
    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> Answer<'a, ()>;
}

/// A tenant's configuration as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDocument {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Counts up with every save, from 1.
    pub version: u64,
    /// The document: JSON.
    pub json: String,
    /// When it was saved.
    pub updated_at: DateTime<Utc>,
}

/// A tenant's configuration to be stored; the fields beside the document are copies of what
/// stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The business identifier.
    pub client_id: String,
    /// The name shown.
    pub display_name: String,
    /// Another unique name.
    pub slug: Option<String>,
    /// Whether it takes calls.
    pub active: bool,
    /// The document: JSON.
    pub json: String,
}

/// A number with the tenant it belongs to, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRow {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The rest.
    pub number: NewNumber,
}

/// A number to be mapped; the fields beside the document are copies of what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNumber {
    /// The number.
    pub phone_number: E164,
    /// Whether it is in use.
    pub active: bool,
    /// The mapping's document: JSON.
    pub json: String,
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tenants.
    pub tenants: u64,
    /// Numbers.
    pub numbers: u64,
    /// Calls.
    pub calls: u64,
    /// Calls that aren't over.
    pub open_calls: u64,
}

/// How far a journal was carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The process installation whose journal it is.
    pub node: String,
    /// Which journal.
    pub journal: u64,
    /// The place up to which it was carried.
    pub position: journal::Position,
    /// The time of the latest event carried: the last sign of life.
    pub last_event_at: DateTime<Utc>,
}

/// What carrying did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Records taken.
    pub records: u64,
    /// Records left out because their tenant is gone.
    pub orphans: u64,
}
