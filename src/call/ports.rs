//! What a call needs from the outside, as traits: the line, media, and a place for its record.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use media::playout::PlayoutCommand;
use media::recording::sealed::SealingKey;
use media::session::{Agreement, SessionConfig};
use sip::dialog::DialogId;
use sip::endpoint::flow::{Flow, Hop};
use sip::endpoint::policy::PolicyId;
use sip::message::{HeaderName, Request, StatusCode, Uri};
use sip::ua::digest::Credentials;
use tokio::sync::mpsc;

use super::actor::{CallHandle, Mail, Signal};
use super::record::CallEvent;
use crate::ids::CallId;
use crate::trunk::Trunk;

/// The SIP side of a call. Nothing here waits; what comes of it arrives as [`super::actor::Signal`].
pub trait Signalling: Send + Sync {
    /// Calls somebody. What comes of it arrives as [`super::actor::Answer`] at `handle`, and what
    /// happens in the dialog that it makes as [`super::actor::Signal`].
    fn invite(&self, invite: OutgoingInvite, handle: CallHandle);
    /// Takes the INVITE of this call back (RFC 3261 §9.1).
    fn give_up(&self, call: CallId);
    /// Sends 180.
    fn ring(&self, dialog: DialogId);
    /// Sends the 200 with this session description; [`super::actor::Signal::Answered`] follows
    /// when it is on the wire, [`super::actor::Signal::AnswerFailed`] when the INVITE no longer waits.
    fn accept(&self, dialog: DialogId, sdp: Bytes);
    /// Refuses the INVITE.
    fn reject(&self, dialog: DialogId, status: StatusCode, retry_after: Option<Duration>);
    /// Answers a re-INVITE or UPDATE.
    fn answer_offer(&self, dialog: DialogId, answer: Result<Option<Bytes>, StatusCode>);
    /// Sends REFER with this `Refer-To`.
    fn refer(&self, dialog: DialogId, target: String);
    /// Sends BYE.
    fn bye(&self, dialog: DialogId, reason: &'static str);
    /// Lets the dialog go.
    fn forget(&self, dialog: DialogId);
}

/// Takes what happens to calls. Called from the task that owns the endpoint: it must not wait.
pub trait CallSink: Send + 'static {
    /// Somebody calls.
    fn invite(&mut self, invite: IncomingInvite);
    /// Something happened to a call.
    fn signal(&mut self, dialog: DialogId, signal: Signal);
    /// The dialog belongs to this call, which is ours.
    fn adopt(&mut self, dialog: DialogId, handle: CallHandle);
    /// The dialog is gone.
    fn forgotten(&mut self, dialog: DialogId);
}

/// An INVITE that waits for an answer.
#[derive(Debug, Clone)]
pub struct IncomingInvite {
    /// The dialog that an answer makes.
    pub dialog: DialogId,
    /// The INVITE.
    pub request: Request,
    /// Its session description.
    pub offer: Option<Bytes>,
    /// How it came.
    pub flow: Flow,
}

/// An INVITE of ours.
#[derive(Debug, Clone)]
pub struct OutgoingInvite {
    /// Whom it is for.
    pub uri: Uri,
    /// `From`, without a tag.
    pub from: String,
    /// `To`.
    pub to: String,
    /// The Call-ID.
    pub call_id: String,
    /// What else it says, who calls above all.
    pub headers: Vec<(HeaderName, Bytes)>,
    /// The proxies it has to pass, nearest first.
    pub routes: Vec<Bytes>,
    /// Where to send it, in the order of trying.
    pub hops: Vec<Hop>,
    /// Our own address towards them.
    pub local: SocketAddr,
    /// Our offer.
    pub sdp: Bytes,
    /// What the trunk's challenges are answered with.
    pub credentials: Option<Arc<Credentials>>,
    /// How the trunk is dealt with.
    pub policy: PolicyId,
}

/// The way out to a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Where it is, in the order of trying; never empty.
    pub hops: Vec<Hop>,
    /// Our own address towards it.
    pub local: SocketAddr,
    /// What it is told instead.
    pub advertised: SocketAddr,
    /// The proxies that have to be passed, nearest first (RFC 3608).
    pub routes: Vec<Bytes>,
    /// How it is dealt with.
    pub policy: PolicyId,
}

/// The ways out.
pub trait Ways: Send + Sync {
    /// The way to a trunk; a reason for people when there is none.
    fn to<'a>(&'a self, trunk: &'a Trunk) -> BoxFuture<'a, Result<Way, String>>;
}

/// No RTP port is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every RTP port of the configured range is in use: widen `rtp_ports` or take fewer calls at a time")]
pub struct NoPort;

/// Where calls get their media from.
pub trait MediaPorts: Send + Sync {
    /// Takes a port.
    ///
    /// # Errors
    /// When none is free.
    fn open(&self) -> Result<Box<dyn MediaPort>, NoPort>;
}

/// A port that nothing flows through yet. Dropping it gives it back.
pub trait MediaPort: Send {
    /// Its address, to be put into the session description.
    fn local(&self) -> SocketAddr;
    /// Starts the stream: from now on a packet leaves every packet time.
    fn attach(
        self: Box<Self>,
        session: SessionConfig,
        playout: mpsc::Receiver<PlayoutCommand>,
        mailbox: mpsc::Sender<Mail>,
    ) -> Box<dyn MediaStream>;
}

/// A running stream. Dropping it ends it; [`Mail::MediaEnded`] follows.
pub trait MediaStream: Send {
    /// Takes over what a new offer/answer agreed.
    fn update(&self, agreement: Agreement);
    /// Records the caller into this file; [`Mail::RecordingEnded`] follows.
    fn start_recording(&self, recording: RecordingSpec);
    /// Closes the file.
    fn stop_recording(&self);
    /// Records the whole call from now on, both voices; [`Mail::CallRecorded`] follows the end of the
    /// stream.
    fn record_call(&self, recording: CallRecordingSpec);
}

/// A recording of a whole call.
#[derive(Debug, Clone)]
pub struct CallRecordingSpec {
    /// The file to write.
    pub path: PathBuf,
    /// The key that it is sealed with, if it is.
    pub key: Option<SealingKey>,
}

/// A recording of the caller's side.
#[derive(Debug, Clone)]
pub struct RecordingSpec {
    /// The file to write.
    pub path: PathBuf,
    /// The longest it gets.
    pub max: Duration,
    /// The silence that ends it.
    pub silence: Duration,
}

/// Why a record couldn't be made durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The disk doesn't take it at the moment; it is kept and tried again.
    #[error("the call record waits for the disk")]
    Held,
    /// It was refused, and is lost unless it is given again.
    #[error("the call record can't be written: {0}")]
    NotTaken(String),
}

/// Where the signalling of calls can be looked up.
pub trait CallTrace: Send + Sync {
    /// Tells which call a Call-ID belongs to.
    fn name(&self, call: CallId, sip_call_id: &[u8]);
    /// The call has ended; `failed`: otherwise than a call should. Gives the capture's path within
    /// the data directory when the messages are going to be stored.
    fn ended(&self, call: CallId, failed: bool) -> Option<String>;
}

/// Where records are made durable.
pub trait RecordSink: Send + Sync {
    /// Resolves once the event survives the death of the process.
    fn append(&self, event: &CallEvent) -> BoxFuture<'static, Result<(), RecordError>>;
}
