//! Attempts to hand a caller over.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::call::record::RawText;
use crate::ids::DestinationId;

/// The most NOTIFY statuses kept of one attempt; a peer that sends more repeats itself.
const MAX_NOTIFIES: usize = 16;

/// One attempt to hand the caller over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferAttempt {
    /// The destination chosen.
    pub destination_id: DestinationId,
    /// The `Refer-To` URI it stood for then.
    pub target: RawText,
    /// When the REFER was sent.
    pub started_at: DateTime<Utc>,
    /// The final status of the REFER itself (RFC 3515 §2.4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refer_status: Option<u16>,
    /// The statuses that NOTIFY reported (RFC 3515 §2.4.5), in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifies: Vec<ReferNotify>,
    /// What came of it; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<TransferOutcome>,
    /// When that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
}

/// One NOTIFY of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferNotify {
    /// The status in its `message/sipfrag` body.
    pub status: u16,
    /// When it came.
    pub at: DateTime<Utc>,
}

/// What came of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferOutcome {
    /// NOTIFY said 2xx.
    Succeeded,
    /// The REFER itself was refused, or isn't allowed.
    ReferRefused,
    /// NOTIFY said 4xx to 6xx.
    TargetRefused,
    /// No final NOTIFY came in time.
    TimedOut,
    /// The caller hung up meanwhile.
    CallerLeft,
    /// The service was stopping, or the call broke.
    Abandoned,
    /// Written by a later version.
    #[serde(other)]
    Unrecognised,
}

impl TransferAttempt {
    /// An attempt begun at `at`.
    #[must_use]
    pub fn new(destination_id: DestinationId, target: RawText, at: DateTime<Utc>) -> Self {
        Self {
            destination_id,
            target,
            started_at: at,
            refer_status: None,
            notifies: Vec::new(),
            outcome: None,
            ended_at: None,
        }
    }

    /// Adds a status that a NOTIFY reported.
    pub fn notified(&mut self, status: u16, at: DateTime<Utc>) {
        if self.notifies.len() < MAX_NOTIFIES {
            self.notifies.push(ReferNotify { status, at });
        }
    }

    /// Closes the attempt; the first outcome stays.
    pub fn end(&mut self, outcome: TransferOutcome, at: DateTime<Utc>) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            self.ended_at = Some(at);
        }
    }
}
