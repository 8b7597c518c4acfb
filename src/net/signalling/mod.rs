//! The task that owns the SIP endpoint and its sockets.
//!
//! Messages, commands and timers go into [`sip::endpoint::Endpoint`]; what it wants sent goes out
//! in batches, and what happened goes to a [`crate::call::ports::CallSink`], inline. Nothing here waits for a call.

mod delivery;
mod driver;
mod handle;

use std::time::Duration;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::Hop;
use sip::endpoint::{Admission, Counters, OutsideRequest, Ticket, Transmit};
use sip::message::{Response, StatusCode};
use tokio::sync::oneshot;

pub use self::driver::{BindError, Signalling, SignallingConfig, TlsListening};
pub use self::handle::SignallingHandle;
use super::stream::StreamCounters;
use super::udp::UdpCounters;

/// What others ask of the endpoint.
#[derive(Debug)]
pub enum Command {
    /// Send 180.
    Ring(DialogId),
    /// Send 200.
    Accept(DialogId, Bytes),
    /// Send a final refusal.
    Reject(DialogId, StatusCode, Option<Duration>),
    /// Answer a re-INVITE or UPDATE.
    AnswerOffer(DialogId, Result<Option<Bytes>, StatusCode>),
    /// Send REFER.
    Refer(DialogId, String),
    /// Send BYE.
    Bye(DialogId, &'static str),
    /// Let the dialog go.
    Forget(DialogId),
    /// Send a request outside any dialog; the answer is its final response, or `None`.
    Request(Box<OutsideRequest>, oneshot::Sender<Option<Response>>),
    /// Take new calls, or don't.
    Admit(Admission),
    /// Send this: its name has been looked up, and these are the ways to try.
    Resolved(Transmit, Vec<Hop>),
    /// Its name can't be looked up.
    Unresolved(Option<Ticket>),
    /// Tell what was counted.
    Count(oneshot::Sender<Snapshot>),
}

/// What was counted on the SIP side.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// By the endpoint.
    pub endpoint: Counters,
    /// On UDP.
    pub udp: UdpCounters,
    /// On TCP.
    pub tcp: StreamCounters,
    /// On TLS.
    pub tls: StreamCounters,
    /// Dialogs known now.
    pub dialogs: usize,
    /// Transactions known now.
    pub transactions: usize,
}
