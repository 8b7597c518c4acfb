//! The task that owns the SIP endpoint and its sockets.
//!
//! Messages, commands and timers go into [`sip::endpoint::Endpoint`]; what it wants sent goes out
//! in batches, and what happened goes to a [`crate::call::ports::CallSink`], inline. Nothing here waits for a call.

mod driver;
mod handle;
mod intake;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::policy::{PeerPolicy, PolicyId};
use sip::endpoint::{Admission, Counters, OutsideRequest, Ticket, Transmit};
use sip::message::{Response, StatusCode};
use tokio::sync::oneshot;

pub use self::driver::{Signalling, SignallingConfig};
pub use self::handle::SignallingHandle;
pub use self::intake::{AudioGauge, Defences, IntakeCounters};
use super::defence::BanShown;
use super::tcp::TcpCounters;
use super::udp::UdpCounters;
use crate::config;

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
    /// Send this: its name has been looked up.
    Resolved(Transmit, SocketAddr),
    /// Its name can't be looked up.
    Unresolved(Option<Ticket>),
    /// Take what is agreed with peers; says when it has.
    Agree(Vec<(PolicyId, PeerPolicy)>, oneshot::Sender<()>),
    /// Take other limits.
    Defend(Arc<config::Defence>, config::Overload),
    /// Tell who is banned.
    Bans(oneshot::Sender<Vec<BanShown>>),
    /// Lift the ban of an address; tells whether there was one.
    Unban(IpAddr, oneshot::Sender<bool>),
    /// Tell what was counted.
    Count(oneshot::Sender<Snapshot>),
}

/// What was counted on the SIP side.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// By the endpoint.
    pub endpoint: Counters,
    /// On the way in, before the endpoint.
    pub intake: IntakeCounters,
    /// On UDP.
    pub udp: UdpCounters,
    /// On TCP.
    pub tcp: TcpCounters,
    /// Dialogs known now.
    pub dialogs: usize,
    /// Transactions known now.
    pub transactions: usize,
}
