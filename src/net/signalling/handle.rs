//! Reaching the endpoint's task.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::policy::{PeerPolicy, PolicyId};
use sip::endpoint::{Admission, OutsideRequest};
use sip::message::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::{Command, NoResponse, Snapshot};
use crate::call::actor::CallHandle;
use crate::call::ports::{OutgoingInvite, Signalling};
use crate::config;
use crate::ids::CallId;
use crate::net::defence::BanShown;

/// How many commands wait at most. A call has a handful under way, so that this is more than
/// every call that fits on the machine can ask for at once.
pub(super) const COMMANDS: usize = 65_536;

/// Sends commands to the endpoint's task.
#[derive(Debug, Clone)]
pub struct SignallingHandle {
    commands: mpsc::Sender<Command>,
}

impl SignallingHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Sends a request outside any dialog and waits for its final response; `None` when nobody
    /// answers.
    pub async fn request(&self, request: OutsideRequest) -> Option<Response> {
        self.request_within(request, None).await.ok()
    }

    /// As [`SignallingHandle::request`], for no longer than `limit`.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn request_within(
        &self,
        request: OutsideRequest,
        limit: Option<Duration>,
    ) -> Result<Response, NoResponse> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Request(Box::new(request), limit, answer));
        answered.await.unwrap_or(Err(NoResponse { sent: false }))
    }

    /// Opens or closes the door for new calls.
    pub fn admit(&self, admission: Admission) {
        self.send(Command::Admit(admission));
    }

    /// Takes what is agreed with peers; resolves when it counts.
    pub async fn agree(&self, policies: Vec<(PolicyId, PeerPolicy)>) {
        let (done, agreed) = oneshot::channel();
        self.send(Command::Agree(policies, done));
        // An endpoint that has ended agrees to anything.
        let _ = agreed.await;
    }

    /// Takes other limits from now on.
    pub fn defend(&self, defence: Arc<config::Defence>, overload: config::Overload) {
        self.send(Command::Defend(defence, overload));
    }

    /// Who is banned.
    pub async fn bans(&self) -> Vec<BanShown> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Bans(answer));
        answered.await.unwrap_or_default()
    }

    /// Lifts the ban of an address; whether there was one.
    pub async fn unban(&self, address: IpAddr) -> bool {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Unban(address, answer));
        answered.await.unwrap_or_default()
    }

    /// What was counted; `None` once the task has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Count(answer));
        answered.await.ok()
    }

    pub(super) fn send(&self, command: Command) {
        match self.commands.try_send(command) {
            Ok(()) => {}
            // Every command has a timer behind it, in the call or in the transaction, that ends
            // what it would have moved on.
            Err(mpsc::error::TrySendError::Full(command)) => {
                tracing::error!(?command, "the SIP task takes no more commands; this one is lost");
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }
}

impl Signalling for SignallingHandle {
    fn invite(&self, invite: OutgoingInvite, handle: CallHandle) {
        self.send(Command::Invite(Box::new(invite), handle));
    }

    fn give_up(&self, call: CallId) {
        self.send(Command::GiveUp(call));
    }

    fn ring(&self, dialog: DialogId) {
        self.send(Command::Ring(dialog));
    }

    fn accept(&self, dialog: DialogId, sdp: Bytes) {
        self.send(Command::Accept(dialog, sdp));
    }

    fn reject(&self, dialog: DialogId, status: StatusCode, retry_after: Option<Duration>) {
        self.send(Command::Reject(dialog, status, retry_after));
    }

    fn answer_offer(&self, dialog: DialogId, answer: Result<Option<Bytes>, StatusCode>) {
        self.send(Command::AnswerOffer(dialog, answer));
    }

    fn refer(&self, dialog: DialogId, target: String) {
        self.send(Command::Refer(dialog, target));
    }

    fn bye(&self, dialog: DialogId, reason: &'static str) {
        self.send(Command::Bye(dialog, reason));
    }

    fn forget(&self, dialog: DialogId) {
        self.send(Command::Forget(dialog));
    }
}
