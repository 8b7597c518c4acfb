//! Dialogs (RFC 3261 §12): identity, route set, sequence numbers and what they stand at.

pub mod id;
pub(crate) mod prack;
pub mod route_set;
pub(crate) mod session;
pub(crate) mod session_timer;

use std::time::Duration;

use bytes::Bytes;

pub use self::id::DialogId;
use self::prack::Reliable;
use self::route_set::RouteSet;
use self::session::Session;
use crate::endpoint::flow::Flow;
use crate::endpoint::policy::PolicyId;
use crate::endpoint::timers::Timers;
use crate::endpoint::{InviteId, OfferMethod, ReplyPath};
use crate::message::Uri;
use crate::random::Key;
use crate::transaction::timer::Timer;
use crate::ua::requesting::Requesting;

/// Where a dialog stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The INVITE has no final response yet; the key is that of its server transaction.
    Early(Key),
    /// Our INVITE has had a provisional response from there, and no final one.
    Calling(InviteId),
    /// A 2xx has gone out, or come in.
    Established,
    /// Our BYE is out.
    Closing,
    /// Over. The dialog stays known until its owner forgets it.
    Closed,
}

/// A 2xx to INVITE that waits for its ACK (§13.3.1.4).
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    pub cseq: u32,
    /// Whether it carries an offer of ours, so that the ACK brings the answer.
    pub offered: bool,
    pub response: Bytes,
    pub interval: Duration,
    pub path: ReplyPath,
}

/// A re-INVITE, UPDATE or PRACK that waits for the owner's answer.
#[derive(Debug)]
pub(crate) struct PendingOffer {
    pub transaction: Key,
    pub method: OfferMethod,
    /// Where the far end wants our requests from now on, and how it came: both count once the
    /// offer is accepted (§12.2.2, RFC 6141 §4.4).
    pub contact: Option<Uri>,
    pub flow: Flow,
}

/// A REFER that we sent and the subscription that it made (RFC 3515 §2.4.4).
#[derive(Debug)]
pub(crate) struct ReferSubscription {
    /// The CSeq of the REFER, which is the `id` of its NOTIFYs.
    pub cseq: u32,
}

/// One call leg as the far end knows it.
#[derive(Debug)]
pub(crate) struct Dialog {
    pub call_id: Bytes,
    pub local_tag: String,
    /// `From` of our requests, tag included.
    pub local: Bytes,
    /// `To` of our requests, tag included where there is one.
    pub remote: Bytes,
    pub local_cseq: u32,
    /// That of the far end's last request; `None` before its first (§12.1.2).
    pub remote_cseq: Option<u32>,
    pub remote_target: Uri,
    pub route_set: RouteSet,
    pub flow: Flow,
    /// Whose it is.
    pub policy: PolicyId,
    pub phase: Phase,
    pub session: Session,
    /// The reliable provisional responses, once there was one.
    pub reliable: Option<Box<Reliable>>,
    pub unacknowledged: Option<Unacknowledged>,
    pub pending_offer: Option<PendingOffer>,
    pub refer: Option<ReferSubscription>,
    /// What requests of ours in this dialog need.
    pub requesting: Requesting,
    /// A BYE with this reason was asked for before the ACK came (§15: not before the ACK).
    pub bye_wanted: Option<Bytes>,
    /// The owner has let go; the dialog disappears as soon as it is over.
    pub forgotten: bool,
    pub timers: Timers,
}

impl Dialog {
    /// The next sequence number of ours (§12.2.1.1).
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.wrapping_add(1) & 0x7fff_ffff;
        self.local_cseq
    }

    /// The far end has moved (§12.2.2).
    pub fn move_to(&mut self, contact: Option<Uri>, flow: Flow) {
        if let Some(contact) = contact {
            self.remote_target = contact;
        }
        self.flow = flow;
    }

    /// Nothing more comes of it. Timers that a final response left running are stopped.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        self.stop_early_timers();
        self.stop_session_timer();
        self.session.local = None;
        self.reliable = None;
    }

    /// The INVITE has its final response.
    pub fn stop_early_timers(&mut self) {
        for timer in [Timer::Provisional, Timer::Expires, Timer::Reliable, Timer::Prack] {
            self.timers.stop(timer);
        }
    }

    /// The session is over, or doesn't run out any more.
    pub fn stop_session_timer(&mut self) {
        self.session.timer = None;
        self.timers.stop(Timer::Session);
    }
}
