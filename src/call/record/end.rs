//! How a call stands and how it ended.

use serde::{Deserialize, Serialize};

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Someone called the tenant.
    Inbound,
    /// The agent called someone.
    Outbound,
}

/// Where a call stands, or how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// Not over.
    InProgress,
    /// Answered and over, whoever hung up.
    Completed,
    /// Refused before it was answered.
    Rejected,
    /// Rang and nobody answered.
    Missed,
    /// Given up by the calling side before it was answered.
    Cancelled,
    /// The service died while it was up.
    Interrupted,
    /// Broke because of a fault.
    Failed,
    /// Written by a later version.
    #[serde(other)]
    Unrecognised,
}

impl CallStatus {
    /// All that this version writes.
    pub const ALL: [Self; 7] = [
        Self::InProgress,
        Self::Completed,
        Self::Rejected,
        Self::Missed,
        Self::Cancelled,
        Self::Interrupted,
        Self::Failed,
    ];

    /// The name in JSON, in the database and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Unrecognised => "unrecognised",
        }
    }
}

/// Which side ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndSide {
    /// The person at the other end.
    Caller,
    /// This service.
    Us,
    /// Neither: the line between them.
    Network,
}

/// Why a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// BYE from the other end.
    CallerHangup,
    /// CANCEL before the answer.
    Cancelled,
    /// Handed over to a person.
    Transferred,
    /// The agent said goodbye and hung up.
    AgentEnded,
    /// A message was left and the agent hung up.
    MessageLeft,
    /// The service was stopping.
    Drained,
    /// The tenant's longest call duration was reached.
    DurationReached,
    /// Nobody spoke for too long.
    Silence,
    /// An operator ended it.
    OperatorEnded,
    /// No RTP came in any more.
    MediaTimeout,
    /// The session timer ran out (RFC 4028 §10).
    SessionExpired,
    /// The 200 was never acknowledged (RFC 3261 §13.3.1.4).
    NoAck,
    /// 480: the tenant is disabled.
    RejectedTenantDisabled,
    /// 486: the tenant is at its limit.
    RejectedTenantBusy,
    /// 503: the service was stopping.
    RejectedDraining,
    /// 503: the service was full.
    RejectedOverload,
    /// 488: no common codec, or an offer that can't be met.
    RejectedMedia,
    /// 603: the caller is blocked.
    RejectedBlocked,
    /// Another 4xx: the INVITE can't be served as it is.
    RejectedRequest,
    /// No agent could be had.
    RejectedNoAgent,
    /// Outbound: 486 or 600.
    Busy,
    /// Outbound: it rang until the timeout, 408 or 480.
    NoAnswer,
    /// Outbound: 603 or another refusal.
    Declined,
    /// Outbound: no route, or the trunk is down.
    Unreachable,
    /// The service died; the end is the last sign of life.
    Interrupted,
    /// A fault of ours or of a provider.
    Fault,
    /// Written by a later version.
    #[serde(other)]
    Unrecognised,
}

impl EndReason {
    /// The status of a call that ended for this reason.
    #[must_use]
    pub fn status(self, direction: Direction, answered: bool) -> CallStatus {
        match self {
            Self::Interrupted => CallStatus::Interrupted,
            Self::Fault | Self::NoAck | Self::Unreachable | Self::Unrecognised => CallStatus::Failed,
            Self::RejectedTenantDisabled
            | Self::RejectedTenantBusy
            | Self::RejectedDraining
            | Self::RejectedOverload
            | Self::RejectedMedia
            | Self::RejectedBlocked
            | Self::RejectedRequest
            | Self::RejectedNoAgent
            | Self::Declined => CallStatus::Rejected,
            Self::Busy | Self::NoAnswer => CallStatus::Missed,
            Self::CallerHangup
            | Self::Cancelled
            | Self::Transferred
            | Self::AgentEnded
            | Self::MessageLeft
            | Self::Drained
            | Self::DurationReached
            | Self::Silence
            | Self::OperatorEnded
            | Self::MediaTimeout
            | Self::SessionExpired => match (answered, self, direction) {
                (true, _, _) => CallStatus::Completed,
                (false, Self::Cancelled | Self::CallerHangup, _) | (false, _, Direction::Outbound) => {
                    CallStatus::Cancelled
                }
                (false, _, Direction::Inbound) => CallStatus::Missed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_spelled_the_same_everywhere() {
        for status in CallStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }

    #[test]
    fn the_status_follows_from_the_reason() {
        use Direction::{Inbound, Outbound};
        assert_eq!(EndReason::MediaTimeout.status(Inbound, true), CallStatus::Completed);
        assert_eq!(EndReason::Cancelled.status(Inbound, false), CallStatus::Cancelled);
        assert_eq!(EndReason::Drained.status(Inbound, false), CallStatus::Missed);
        assert_eq!(EndReason::Drained.status(Outbound, false), CallStatus::Cancelled);
        assert_eq!(EndReason::RejectedTenantBusy.status(Inbound, false), CallStatus::Rejected);
    }
}
