//! What the journal holds.

use crate::call::record::CallRecord;

/// One entry of the journal. Each holds the whole record, so that any one of them alone says
/// all that was known then, and the last one wins.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEvent {
    /// The call was admitted, or refused for a known tenant.
    Started(Box<CallRecord>),
    /// Something worth keeping happened.
    Updated(Box<CallRecord>),
    /// The call is over.
    Ended(Box<CallRecord>),
}

impl CallEvent {
    /// The record as of this event.
    #[must_use]
    pub fn record(&self) -> &CallRecord {
        match self {
            Self::Started(record) | Self::Updated(record) | Self::Ended(record) => record,
        }
    }
}
