//! What is agreed about the session of a dialog: offer and answer (RFC 3264, RFC 6337), and for
//! how long it holds (RFC 4028).

use bytes::Bytes;

use super::session_timer::Running;
use crate::endpoint::OfferMethod;

/// How far the offer/answer exchange of the first INVITE has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The INVITE brought an offer, and our answer hasn't been made.
    Offered,
    /// The INVITE brought none: ours goes with the first reliable response.
    Wanted,
    /// Our offer went with a reliable provisional response, and its PRACK brings the answer.
    Sent,
    /// Offer and answer are exchanged.
    #[default]
    Done,
}

/// A re-INVITE or UPDATE of ours that has no final response yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnOffer {
    pub cseq: u32,
    pub method: OfferMethod,
    /// Whether it bears a session description; an INVITE counts as one in any case (§14.1).
    pub offers: bool,
}

/// The session of a dialog.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub exchange: Exchange,
    /// The last session description of ours that counts: sent again, it changes nothing.
    pub local: Option<Bytes>,
    /// What of ours the far end has to answer.
    pub own: Option<OwnOffer>,
    /// Whether the far end takes UPDATE, by its last `Allow`.
    pub takes_update: bool,
    /// Whether we made the Call-ID, which tells whose glare timer is the longer one (§14.1).
    pub is_caller: bool,
    pub timer: Option<Running>,
}

impl Session {
    /// An INVITE has come, with an offer or without.
    pub fn begin(&mut self, offered: bool) {
        self.exchange = if offered { Exchange::Offered } else { Exchange::Wanted };
    }
}
