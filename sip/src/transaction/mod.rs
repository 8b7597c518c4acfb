//! The four transaction machines of RFC 3261 §17 with the corrections of RFC 6026.
//!
//! A machine holds no message and no clock. It is told what came (a response of a class, a
//! retransmission, a timer) and answers with [`Action`]s that its owner carries out.

pub mod client_invite;
pub mod client_non_invite;
pub mod key;
pub mod server_invite;
pub mod server_non_invite;
pub mod timer;

use std::time::Duration;

use smallvec::SmallVec;

use self::timer::Timer;

/// What the owner of a transaction does after an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the request (client) or the last response (server), again if it was sent before.
    Send,
    /// Send the ACK of a non-2xx final response, hop by hop (§17.1.1.3).
    Acknowledge,
    /// Pass the message on to the transaction user.
    Deliver,
    /// Set a timer; it replaces one of the same letter.
    Start(Timer, Duration),
    /// Cancel a timer.
    Stop(Timer),
    /// Tell the transaction user that nobody answered (§8.1.3.1: treat as 408), or that the ACK
    /// never came.
    TimedOut,
    /// Forget the transaction.
    Destroy,
}

/// The actions of one input; more than five never arise.
pub type Actions = SmallVec<[Action; 5]>;

/// What kind of response it is, as far as a transaction cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 1xx
    Provisional,
    /// 2xx
    Success,
    /// 3xx to 6xx
    Failure,
}

impl Class {
    /// The class of a status code.
    #[must_use]
    pub fn of(status: crate::message::StatusCode) -> Self {
        if status.is_provisional() {
            Self::Provisional
        } else if status.is_success() {
            Self::Success
        } else {
            Self::Failure
        }
    }
}
