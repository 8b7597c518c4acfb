//! Handing a caller over, without the line: who is called for a destination at this hour, and
//! what a NOTIFY means for the attempt.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::call::record::TransferOutcome;
use crate::ids::DestinationId;
use crate::tenant::refer::{Destination, Refer, Route, StepOutcome};
use crate::tool::TransferFailure;

/// One REFER of a call: 1 for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u32);

/// Whether the line can transfer with REFER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReferPolicy {
    /// The peer's `Allow` lists REFER and the trunk permits it.
    Allowed,
    /// The peer's `Allow` doesn't list it.
    PeerCannot,
    /// The trunk's settings don't permit it.
    TrunkForbids,
}

/// Who is to be called for the destination that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// This one: open now.
    Call {
        /// The destination.
        destination: Arc<Destination>,
        /// Whether it stands in for the one asked for, which is closed.
        stands_in: bool,
    },
    /// Nobody: all of the after-hours chain is closed.
    Closed,
    /// It was called in this call and its fate is unknown; it may still be ringing.
    TriedBefore,
    /// The tenant has no such destination, or it is switched off.
    Unknown,
}

/// Chooses for `asked` at the moment `at`. `tried` are the destinations called before whose fate
/// is unknown.
#[must_use]
pub fn choose(refer: &Refer, asked: &DestinationId, at: DateTime<Utc>, tried: &[DestinationId]) -> Choice {
    match refer.resolve(asked, at) {
        Route::Open { destination, .. } if tried.contains(&destination.destination_id) => Choice::TriedBefore,
        // Nobody is handed to an emergency service by a machine.
        Route::Open { destination, .. } if destination.target_uri.is_emergency() => Choice::Unknown,
        Route::Open { destination, .. } => {
            let stands_in = destination.destination_id != *asked;
            Choice::Call { destination, stands_in }
        }
        Route::Closed { chain } => match chain.first().map(|step| &step.outcome) {
            None | Some(StepOutcome::Unknown | StepOutcome::TransfersOff) => Choice::Unknown,
            Some(_) => Choice::Closed,
        },
    }
}

/// What one NOTIFY of a REFER's subscription says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The status of the `message/sipfrag` body, when there is one that can be read.
    pub status: Option<u16>,
    /// Whether `Subscription-State` is `terminated`.
    pub terminated: bool,
}

/// What a NOTIFY means for its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Progress,
    /// The destination took the call.
    Succeeded,
    /// It is over and the caller stays.
    Failed(TransferFailure),
}

impl Report {
    /// RFC 3515 §2.4.5: a status of 2xx means that the destination took the call, 3xx to 6xx
    /// that it didn't, and 1xx that it is being called. A subscription that ends before a final
    /// status leaves it unknown.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match (self.status, self.terminated) {
            (Some(200..=299), _) => Verdict::Succeeded,
            (Some(status @ 300..=699), _) => Verdict::Failed(TransferFailure::Declined { status }),
            (_, true) => Verdict::Failed(TransferFailure::Unknown),
            (_, false) => Verdict::Progress,
        }
    }
}

/// What the record says of an attempt that failed.
#[must_use]
pub fn outcome(failure: TransferFailure) -> TransferOutcome {
    match failure {
        TransferFailure::NotPossible | TransferFailure::Refused { .. } | TransferFailure::Unreachable => {
            TransferOutcome::ReferRefused
        }
        TransferFailure::Declined { .. } => TransferOutcome::TargetRefused,
        TransferFailure::NoAnswer | TransferFailure::Silent | TransferFailure::Unknown => {
            TransferOutcome::TimedOut
        }
        TransferFailure::Cancelled | TransferFailure::Closed | TransferFailure::TriedBefore => {
            TransferOutcome::Abandoned
        }
    }
}

/// Whether nothing is known of the destination's fate: it isn't called again in this call.
#[must_use]
pub fn leaves_fate_unknown(failure: TransferFailure) -> bool {
    matches!(failure, TransferFailure::Silent | TransferFailure::Unknown)
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: impl Into<Option<u16>>, terminated: bool) -> Report {
        Report { status: status.into(), terminated }
    }

    #[test]
    fn a_notify_means_what_its_status_says() {
        for (said, verdict) in [
            (report(100, false), Verdict::Progress),
            (report(180, false), Verdict::Progress),
            (report(None, false), Verdict::Progress),
            (report(200, true), Verdict::Succeeded),
            (report(202, false), Verdict::Succeeded),
            (report(302, true), Verdict::Failed(TransferFailure::Declined { status: 302 })),
            (report(486, false), Verdict::Failed(TransferFailure::Declined { status: 486 })),
            (report(603, true), Verdict::Failed(TransferFailure::Declined { status: 603 })),
            (report(180, true), Verdict::Failed(TransferFailure::Unknown)),
            (report(None, true), Verdict::Failed(TransferFailure::Unknown)),
            (report(700, false), Verdict::Progress),
            (report(0, false), Verdict::Progress),
        ] {
            assert_eq!(said.verdict(), verdict, "{said:?}");
        }
    }
}
