//! What is agreed about the session of a dialog: offer and answer (RFC 3264, RFC 6337), and for
//! how long it holds (RFC 4028).

use bytes::Bytes;

use super::session_timer::Running;

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

/// The session of a dialog.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub exchange: Exchange,
    /// The last session description of ours that counts: sent again, it changes nothing.
    pub local: Option<Bytes>,
    /// Whether the far end takes UPDATE, by its last `Allow`.
    pub takes_update: bool,
    pub timer: Option<Running>,
}

impl Session {
    /// An INVITE has come, with an offer or without.
    pub fn begin(&mut self, offered: bool) {
        self.exchange = if offered { Exchange::Offered } else { Exchange::Wanted };
    }
}
