//! A call record on its way into the store: the JSON, and what is kept beside it to be searched.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::Error as _;

use crate::call::record::{CallRecord, CallStatus};
use crate::ids::{CallId, E164, TenantId};

/// A call record as it is stored. Only what is searched is taken out of the JSON: the rest is not
/// looked at, which is most of the cost of a record.
#[derive(Debug, Clone)]
pub struct CallWrite {
    pub(super) call_id: CallId,
    pub(super) tenant_id: TenantId,
    pub(super) revision: u32,
    pub(super) status: CallStatus,
    pub(super) started_at: DateTime<Utc>,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) dialed: Option<E164>,
    pub(super) json: Arc<str>,
}

#[derive(Deserialize)]
struct Columns {
    call_id: CallId,
    tenant_id: TenantId,
    revision: u32,
    status: CallStatus,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    to: Dialed,
}

#[derive(Deserialize)]
struct Dialed {
    number: Option<E164>,
}

impl CallWrite {
    /// Takes a record as its JSON.
    ///
    /// # Errors
    /// When it isn't the JSON of a call record.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let text = std::str::from_utf8(json).map_err(serde_json::Error::custom)?;
        let columns: Columns = serde_json::from_str(text)?;
        Ok(Self {
            call_id: columns.call_id,
            tenant_id: columns.tenant_id,
            revision: columns.revision,
            status: columns.status,
            started_at: columns.started_at,
            ended_at: columns.ended_at,
            updated_at: columns.updated_at,
            dialed: columns.to.number,
            json: text.into(),
        })
    }

    /// Takes a record.
    ///
    /// # Errors
    /// When it can't be put into JSON.
    pub fn from_record(record: &CallRecord) -> Result<Self, serde_json::Error> {
        Self::from_json(&serde_json::to_vec(record)?)
    }

    /// The call.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        self.call_id
    }
}
