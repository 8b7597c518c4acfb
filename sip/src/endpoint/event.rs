//! What goes into the endpoint and what comes out of it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::flow::{ConnectionId, Flow, Hop, Target, Transport};
use super::policy::{PolicyId, Standing};
use crate::dialog::DialogId;
use crate::message::{HeaderName, Method, Request, Response, StatusCode, Uri};
use crate::random::Key;
use crate::ua::digest::Credentials;

/// What happens to the endpoint from outside.
#[derive(Debug)]
pub enum Input {
    /// One message came: a datagram, or one framed from a stream.
    Received {
        /// How it came.
        flow: Flow,
        /// The message.
        bytes: Bytes,
        /// What the owner knows of where it came from.
        standing: Standing,
    },
    /// A [`Transmit`] with this ticket can't be delivered (§8.1.3.1: treat as 503).
    Undeliverable(Ticket),
    /// The time given by [`super::Endpoint::poll_timeout`] has come.
    Timeout,
}

/// What the endpoint wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Know this.
    Event(Event),
}

/// Names the client transaction of a [`Transmit`], so that its failure can be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(crate) Key);

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// The transport.
    pub transport: Transport,
    /// Whom it is for.
    pub target: Target,
    /// The connection to use while it is open; else one to `target` is made.
    pub connection: Option<ConnectionId>,
    /// The whole message.
    pub bytes: Bytes,
    /// Set on requests.
    pub ticket: Option<Ticket>,
}

/// An out-of-dialog request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub(crate) u64);

/// A request outside any dialog, such as REGISTER or OPTIONS. `Via`, `Max-Forwards`,
/// `User-Agent` and `Content-Length` are added; everything else is the sender's.
#[derive(Debug, Clone)]
pub struct OutsideRequest {
    /// The method; not INVITE.
    pub method: Method,
    /// The Request-URI.
    pub uri: Uri,
    /// Where to send it: in this order, the next one when an address can't be reached, answers
    /// `503`, or is silent for [`super::Config::attempt`] (RFC 3263 §4.3). Each is a new
    /// transaction; what comes of them all is told once.
    pub hops: Vec<Hop>,
    /// The connection to use for the first of them, where one is open.
    pub connection: Option<ConnectionId>,
    /// Our own address.
    pub local: SocketAddr,
    /// `From`, `To`, `Call-ID`, `CSeq`, `Contact` and what else it has.
    pub headers: Vec<(HeaderName, Bytes)>,
    /// What the challenges of those addresses are answered with; each answer is a new request with
    /// the next `CSeq` (RFC 3261 §8.1.3.5).
    pub credentials: Option<Arc<Credentials>>,
}

/// A call to be made. `Via`, `Max-Forwards`, `From` with its tag, `To`, `Call-ID`, `CSeq`,
/// `Contact`, `Allow`, `Supported`, the headers of the session timer and `User-Agent` are added.
#[derive(Debug, Clone)]
pub struct OutgoingCall {
    /// Whom to call.
    pub uri: Uri,
    /// `From` as a name-addr without a tag.
    pub from: String,
    /// `To` as a name-addr.
    pub to: String,
    /// What else the INVITE carries.
    pub headers: Vec<(HeaderName, Bytes)>,
    /// The proxies that it has to pass, nearest first, as `Route` values: the `Service-Route` of
    /// the registration (RFC 3608 §6.1), or an outbound proxy.
    pub routes: Vec<Bytes>,
    /// Where to send it: as in [`OutsideRequest`].
    pub hops: Vec<Hop>,
    /// The connection to use for the first of them, where one is open.
    pub connection: Option<ConnectionId>,
    /// Our own address.
    pub local: SocketAddr,
    /// The offer. Without one the far end makes it, and [`super::Endpoint::answer_delayed`] answers.
    pub sdp: Option<Bytes>,
    /// What the challenges of those addresses are answered with, later in the dialog too.
    pub credentials: Option<Arc<Credentials>>,
    /// How this peer is dealt with: session timer, reliable provisional responses.
    pub policy: PolicyId,
    /// The `Call-ID`; one is made where none is given.
    pub call_id: Option<String>,
}

/// A call of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InviteId(pub(crate) u64);

/// How an offer in a running dialog came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferMethod {
    /// A re-INVITE (§14).
    Invite,
    /// An UPDATE (RFC 3311).
    Update,
    /// A PRACK (RFC 3262 §5), before the call is answered.
    Prack,
}

/// Why a session has run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Its refreshing was the far end's, and it hasn't done so.
    NotRefreshed,
    /// It was ours, and there was no answer to it (408), or the far end knows the call no more
    /// (481), or had something else against it up to the end.
    RefreshFailed(StatusCode),
}

/// What a message has done that a peer in order doesn't do, or seldom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspicion {
    /// It bore wrong credentials.
    AuthenticationFailed {
        /// The first letters of the user name.
        user: String,
    },
    /// It bore credentials, after too many wrong ones from there.
    Guessing,
    /// It broke a rule of the protocol.
    Malformed,
    /// Its method isn't known to anybody.
    UnknownMethod,
    /// It asked to be registered.
    Registration,
    /// Its method isn't served.
    MethodNotServed,
    /// It was for a call that doesn't exist.
    StrayRequest,
    /// It was for a call of somebody else.
    WrongSource,
    /// It wanted a call to take the place of another.
    Replaces,
}

/// What became known of a REFER that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferProgress {
    /// The REFER itself was answered.
    Answered(StatusCode),
    /// Nobody answered the REFER, or it couldn't be sent.
    Unanswered,
    /// A NOTIFY told how the far end's own call goes (RFC 3515 §2.4.5).
    Notified {
        /// The status in the `message/sipfrag` body; `None` when there was none to be read.
        status: Option<StatusCode>,
        /// Whether no more NOTIFYs follow.
        terminated: bool,
    },
}

/// What the owner of the endpoint must know.
#[derive(Debug)]
pub enum Event {
    /// Somebody calls. `100 Trying` has been sent. Answer with
    /// [`super::Endpoint::ring`], [`super::Endpoint::accept`] or [`super::Endpoint::reject`].
    Invite {
        /// The dialog that an answer will make.
        dialog: DialogId,
        /// The INVITE.
        request: Request,
        /// Its session description, if it has one (else the offer is ours to make).
        offer: Option<Bytes>,
        /// The dialog whose place it wants to take (RFC 3891), where the policy allows that. Once
        /// the new one is accepted the old one is to be ended with [`super::Endpoint::bye`].
        replaces: Option<DialogId>,
        /// How it came.
        flow: Flow,
    },
    /// The caller gave up before the answer (`487` has been sent), or took no notice of a
    /// provisional response that it had to acknowledge (`504`).
    Cancelled {
        /// The dialog.
        dialog: DialogId,
    },
    /// The answer to our offer in a reliable provisional response came (RFC 3262 §5).
    EarlyAnswer {
        /// The dialog.
        dialog: DialogId,
        /// The session description; `None` is a fault of the caller's.
        answer: Option<Bytes>,
    },
    /// The ACK of a 2xx came.
    Confirmed {
        /// The dialog.
        dialog: DialogId,
        /// The answer, when the offer was ours.
        answer: Option<Bytes>,
    },
    /// The ACK of a 2xx never came (§13.3.1.4: the session should be ended by BYE).
    Unconfirmed {
        /// The dialog.
        dialog: DialogId,
    },
    /// A re-INVITE, or an UPDATE or PRACK with an offer, came; the latter two also before the call
    /// is answered. Answer with [`super::Endpoint::answer_offer`]. An UPDATE without an offer is
    /// answered by the endpoint.
    Offer {
        /// The dialog.
        dialog: DialogId,
        /// Which of them.
        method: OfferMethod,
        /// Its session description; without one the offer is ours (re-INVITE only).
        offer: Option<Bytes>,
    },
    /// The session wasn't refreshed in time (RFC 4028 §10). A BYE has been sent, and
    /// [`Event::Closed`] follows.
    SessionExpired {
        /// The dialog.
        dialog: DialogId,
        /// Why.
        expiry: Expiry,
    },
    /// Somebody who is listened to does what scanners do.
    Suspicious {
        /// Who.
        source: SocketAddr,
        /// What.
        kind: Suspicion,
    },
    /// The far end hung up, or never acknowledged what it had to before its accepted call could be
    /// answered; its request has been answered.
    Bye {
        /// The dialog.
        dialog: DialogId,
        /// The `Reason` header (RFC 3326), if there was one.
        reason: Option<Bytes>,
    },
    /// Our BYE was answered, or nobody was there to answer it, or the far end's crossed it.
    Closed {
        /// The dialog.
        dialog: DialogId,
    },
    /// A REFER of ours went a step further.
    Refer {
        /// The dialog.
        dialog: DialogId,
        /// The step.
        progress: ReferProgress,
    },
    /// An INFO with a body came and was answered with `200` (RFC 6086 legacy use, DTMF).
    Info {
        /// The dialog.
        dialog: DialogId,
        /// Its content type, as sent.
        content_type: Bytes,
        /// Its body.
        body: Bytes,
    },
    /// An offer of ours in a running dialog was answered, or wasn't: then the session stays as it
    /// was (§14.1). An answer also comes after the endpoint has sent the last session description
    /// again to refresh the session: it is mostly the one that there was.
    OfferAnswered {
        /// The dialog.
        dialog: DialogId,
        /// The far end's session description, if it sent one: the answer, or, where we sent none,
        /// its offer, to be answered by [`super::Endpoint::answer_delayed`]. Else the status that
        /// stands for the failure.
        answer: Result<Option<Bytes>, StatusCode>,
    },
    /// An INFO or OPTIONS of ours in a dialog came to its end.
    Replied {
        /// The dialog.
        dialog: DialogId,
        /// The method.
        method: Method,
        /// The final status; 408 when nobody answered, 503 when it couldn't be sent.
        status: StatusCode,
    },
    /// The far end no longer knows the dialog (481), or answers nothing in it (408): a BYE has
    /// been sent for form's sake, and the dialog is over (§12.2.1.2).
    Ended {
        /// The dialog.
        dialog: DialogId,
        /// Which of the two.
        status: StatusCode,
    },
    /// A call of ours was answered with a provisional response.
    Progress {
        /// Which.
        invite: InviteId,
        /// The early dialog that the response belongs to: each phone that a call forked to has its
        /// own. None for a `100` and other responses without a tag.
        dialog: Option<DialogId>,
        /// The response.
        response: Response,
        /// Its session description: how to hear what the far end plays before it answers. Where
        /// our INVITE had none it is an offer, to be answered by
        /// [`super::Endpoint::answer_delayed`] (RFC 3262 §5).
        early_media: Option<Bytes>,
    },
    /// A call of ours was answered. Other phones that answer the same call are sent ACK and BYE.
    Answered {
        /// Which.
        invite: InviteId,
        /// The dialog that the answer made; the same as before it, if it was an early one.
        dialog: DialogId,
        /// The far end's session description: the answer, or, where our INVITE had none, its
        /// offer; the ACK then waits for [`super::Endpoint::answer_delayed`]. Empty if there was
        /// none at all.
        answer: Bytes,
        /// The response.
        response: Response,
    },
    /// A call of ours was refused, or nobody answered (408), or nobody could be asked (503), or it
    /// was cancelled (487, also where an answer had crossed the CANCEL: that one was sent ACK and
    /// BYE).
    Rejected {
        /// Which.
        invite: InviteId,
        /// The final status.
        status: StatusCode,
        /// The response, if there was one: the contacts of a `3xx`, which are never followed from
        /// here, `Reason`, `Retry-After`.
        response: Option<Response>,
    },
    /// An out-of-dialog request of ours was answered.
    Response {
        /// Which.
        client: ClientId,
        /// The response.
        response: Response,
    },
    /// Nobody answered an out-of-dialog request of ours.
    NoResponse {
        /// Which.
        client: ClientId,
        /// Whether any copy of it may have left this machine.
        sent: bool,
    },
}
