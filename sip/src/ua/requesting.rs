//! What a dialog knows for the sake of requests of ours in it.

use std::sync::Arc;

use super::offer::{Offering, Step};
use super::trust::Trust;
use crate::dialog::{Dialog, Phase};
use crate::random::Key;

/// Who made the dialog's Call-ID (RFC 3261 §14.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// We: the dialog is of a call of ours.
    Uac,
    /// The far end.
    #[default]
    Uas,
}

/// An answer that we owe, because the far end made the offer in a response (§13.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owed {
    /// In the ACK to the 2xx of this INVITE transaction.
    Ack(Key),
    /// In the PRACK with this `RAck` (RFC 3262 §5).
    Prack(String),
}

/// The requests' side of a dialog.
#[derive(Debug, Default)]
pub(crate) struct Requesting {
    pub role: Role,
    /// Who may ask for credentials here.
    pub trust: Option<Arc<Trust>>,
    /// An offer of ours that has no answer yet.
    pub offering: Option<Offering>,
    pub owed: Option<Owed>,
    /// An early dialog has had its first offer and answer for good, so that UPDATE may offer anew
    /// (RFC 3311 §5.1).
    pub agreed: bool,
}

impl Requesting {
    /// Whether an offer of ours is under way, or an answer of ours is owed. An UPDATE without a
    /// session description is none; an INVITE counts as one in any case (§14.1).
    pub fn offer_is_out(&self) -> bool {
        let out = |offering: &Offering| matches!(offering.step, Step::Out { .. }) && offering.offers();
        self.owed.is_some() || self.offering.as_ref().is_some_and(out)
    }
}

impl Dialog {
    /// Whether this is an early dialog of a call of ours.
    pub(crate) fn is_calling(&self) -> bool {
        matches!(self.phase, Phase::Calling(_))
    }
}
