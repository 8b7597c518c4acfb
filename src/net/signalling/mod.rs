//! The task that owns the SIP endpoint and its sockets.
//!
//! Messages, commands and timers go into [`sip::endpoint::Endpoint`]; what it wants sent goes out
//! in batches, and what happened goes to a [`crate::call::ports::CallSink`], inline. Nothing here waits for a call.

mod delivery;
mod driver;
mod handle;
mod intake;
mod listen;
mod outgoing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::Hop;
use sip::endpoint::policy::{PeerPolicy, PolicyId};
use sip::endpoint::{Admission, Counters, OutsideRequest, Ticket, Transmit};
use sip::message::{Response, StatusCode};
use tokio::sync::oneshot;

pub use self::driver::{BindError, Signalling, SignallingConfig, TlsListening};
pub use self::handle::SignallingHandle;
pub use self::intake::{AudioGauge, Defences, IntakeCounters};
use super::defence::BanShown;
use super::stream::StreamCounters;
use super::udp::UdpCounters;
use crate::call::actor::CallHandle;
use crate::call::ports::OutgoingInvite;
use crate::config;
use crate::ids::CallId;

/// What others ask of the endpoint.
#[derive(Debug)]
pub enum Command {
    /// Send an INVITE of ours.
    Invite(Box<OutgoingInvite>, CallHandle),
    /// Take it back.
    GiveUp(CallId),
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
    /// Send a request outside any dialog, and wait no longer than this, if it is given; the answer
    /// is its final response.
    Request(Box<OutsideRequest>, Option<Duration>, oneshot::Sender<Result<Response, NoResponse>>),
    /// Take new calls, or don't.
    Admit(Admission),
    /// Send this: its name has been looked up, and these are the ways to try.
    Resolved(Transmit, Vec<Hop>),
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

/// Nobody has answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoResponse {
    /// Whether any copy of it may have left this machine.
    pub sent: bool,
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
    pub tcp: StreamCounters,
    /// On TLS.
    pub tls: StreamCounters,
    /// Dialogs known now.
    pub dialogs: usize,
    /// Transactions known now.
    pub transactions: usize,
}
