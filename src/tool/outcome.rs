//! What came of a tool's run, for the agent: typed for the agents in this process, and as JSON
//! with a sentence of what to do next for models.

use serde_json::{Value, json};

use super::ArgumentError;
use crate::ids::DestinationId;

/// What came of a tool's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolOutcome {
    /// It was done.
    Done(Done),
    /// The caller has to say yes first; then the tool is to be called again, confirmed.
    ConfirmFirst {
        /// The destination asked for.
        destination: DestinationId,
        /// What it is called aloud.
        label: String,
    },
    /// The arguments don't fit the tool's schema; nothing was done.
    Invalid(ArgumentError),
    /// The request can't be carried out as it is; nothing was done.
    Refused(Refusal),
    /// A transfer was tried, or can't be tried now, and the caller is still here.
    TransferFailed(TransferFailure),
    /// The tool didn't answer within its deadline.
    TimedOut,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The note is with the call's record.
    NoteKept,
    /// The destination answered; the call here is ending.
    Transferred,
    /// The caller left a message.
    MessageTaken {
        /// How long it is, in milliseconds.
        duration_ms: u64,
    },
    /// The call ends once what is queued has been heard.
    Ending,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No tool has this name, or the tenant doesn't offer it.
    UnknownTool {
        /// The name asked for.
        name: String,
        /// The names offered on this call.
        offered: Vec<&'static str>,
    },
    /// The tenant has no such destination, or it is switched off.
    UnknownDestination {
        /// What was asked for.
        asked: String,
        /// The destinations there are.
        known: Vec<DestinationId>,
    },
    /// Something else of this kind is going on already.
    InProgress,
    /// The caller left no message.
    NoMessage,
    /// The call is ending.
    CallEnding,
}

/// Why a transfer didn't happen. The caller is still with us in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferFailure {
    /// The line can't transfer: the peer doesn't allow REFER, or the trunk's settings don't.
    NotPossible,
    /// Nobody in the chain is open now; the caller is asked for a message.
    Closed,
    /// The caller cancelled with a key while the handoff phrase was spoken.
    Cancelled,
    /// The REFER itself was refused.
    Refused {
        /// Its SIP status, 300 to 699.
        status: u16,
    },
    /// The destination was called and didn't take the call.
    Declined {
        /// The final SIP status that the peer reported, 300 to 699.
        status: u16,
    },
    /// The destination rang for as long as we wait.
    NoAnswer,
    /// The peer took the REFER and then said nothing. The destination isn't dialed again in
    /// this call, since it may be ringing.
    Silent,
    /// The peer ended its reports without saying how it went. The same precaution applies.
    Unknown,
    /// The REFER couldn't be delivered, or wasn't answered.
    Unreachable,
    /// The destination was dialed in this call and its fate is unknown.
    TriedBefore,
}

impl ToolOutcome {
    /// Whether the tool did what was asked.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// The outcome as a model reads it: `status`, `message`, and the details there are.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Done(done) => done.to_json(),
            Self::ConfirmFirst { destination, label } => json!({
                "status": "confirmation_required",
                "destination_id": destination.as_str(),
                "message": format!(
                    "Ask the caller whether they want to be put through to \"{label}\". \
                     If they say yes, call transfer_call again with confirmed set to true."
                ),
            }),
            Self::Invalid(error) => json!({"status": "invalid_arguments", "message": error.to_string()}),
            Self::Refused(refusal) => refusal.to_json(),
            Self::TransferFailed(failure) => failure.to_json(),
            Self::TimedOut => json!({
                "status": "timed_out",
                "message": "The tool didn't answer in time. Tell the caller, or try once more.",
            }),
        }
    }
}

impl Done {
    fn to_json(&self) -> Value {
        match self {
            Self::NoteKept => json!({"status": "done", "message": "The note was kept."}),
            Self::Transferred => json!({"status": "done", "message": "The caller was handed over."}),
            Self::MessageTaken { duration_ms } => json!({
                "status": "done",
                "message": "The caller left a message.",
                "duration_ms": duration_ms,
            }),
            Self::Ending => json!({"status": "done", "message": "The call is ending."}),
        }
    }
}

impl Refusal {
    fn to_json(&self) -> Value {
        match self {
            Self::UnknownTool { name, offered } => json!({
                "status": "refused",
                "message": format!("There is no tool \"{name}\". The tools are: {}.", offered.join(", ")),
            }),
            Self::UnknownDestination { asked, known } => {
                let known: Vec<&str> = known.iter().map(DestinationId::as_str).collect();
                json!({
                    "status": "refused",
                    "message": format!(
                        "There is no destination \"{asked}\". Use one of: {}.", known.join(", ")
                    ),
                    "known_destinations": known,
                })
            }
            Self::InProgress => json!({
                "status": "refused",
                "message": "Something of this kind is going on already. Wait for its outcome.",
            }),
            Self::NoMessage => json!({"status": "refused", "message": "The caller left no message."}),
            Self::CallEnding => json!({"status": "refused", "message": "The call is ending."}),
        }
    }
}

impl TransferFailure {
    /// A short stable name, for records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotPossible => "not_possible",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Refused { .. } => "refused",
            Self::Declined { .. } => "declined",
            Self::NoAnswer => "no_answer",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
            Self::TriedBefore => "tried_before",
        }
    }

    /// The SIP status behind it, where there is one.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Refused { status } | Self::Declined { status } => Some(status),
            _ => None,
        }
    }

    fn to_json(self) -> Value {
        let message = match self {
            Self::NotPossible => "Calls can't be transferred on this line. Offer to take a message.",
            Self::Closed => "Nobody is available now. The caller is being asked for a message.",
            Self::Cancelled => "The caller cancelled the transfer. Ask what they want instead.",
            Self::Refused { .. } => "The transfer was refused. Offer another destination or a message.",
            Self::Declined { .. } => "They didn't take the call. Offer another destination or a message.",
            Self::NoAnswer => "Nobody answered. Offer another destination or a message.",
            Self::Silent | Self::Unknown => {
                "The transfer didn't go through as far as we know. \
                 Don't try this destination again; offer another one or a message."
            }
            Self::Unreachable => "The transfer couldn't be started. Offer another destination or a message.",
            Self::TriedBefore => {
                "This destination was tried in this call without a clear answer and isn't tried again. \
                 Offer another one or a message."
            }
        };
        json!({
            "status": "failed",
            "reason": self.name(),
            "sip_status": self.status(),
            "message": message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_destinations_there_are() {
        let known = vec![DestinationId::new("sales").unwrap(), DestinationId::new("planning").unwrap()];
        let outcome = ToolOutcome::Refused(Refusal::UnknownDestination { asked: "boss".into(), known });
        let json = outcome.to_json();
        assert_eq!(json["known_destinations"], json!(["sales", "planning"]));
        assert!(json["message"].as_str().unwrap().contains("sales, planning"));
        assert!(!outcome.is_done());
    }

    #[test]
    fn an_unconfirmed_transfer_says_how_to_go_on() {
        let outcome = ToolOutcome::ConfirmFirst {
            destination: DestinationId::new("sales").unwrap(),
            label: "the sales team".into(),
        };
        let message = outcome.to_json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("the sales team") && message.contains("confirmed"));
    }

    #[test]
    fn a_failed_transfer_carries_the_sip_status() {
        let outcome = ToolOutcome::TransferFailed(TransferFailure::Declined { status: 486 });
        assert_eq!(outcome.to_json()["sip_status"], 486);
        assert_eq!(outcome.to_json()["reason"], "declined");
    }
}
