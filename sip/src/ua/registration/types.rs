//! What goes into the machine and comes out of it.

use bytes::Bytes;

use super::super::digest::{Answer, Challenger, Credentials};
use super::state::Phase;

/// What is registered, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The Request-URI of the REGISTER, and so the digest-URI: the registrar's domain without
    /// user (RFC 3261 §10.2).
    pub registrar: Bytes,
    /// The expiry to ask for, in seconds; at least 1.
    pub expires: u32,
    /// What challenges are answered with; without it a challenge fails the attempt.
    pub credentials: Option<Credentials>,
}

/// A REGISTER to send, as a new transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRequest {
    /// The same for the machine's whole life (RFC 3261 §10.2).
    pub call_id: String,
    /// Rises by one per request; give it back in [`RegisterResponse`].
    pub cseq: u32,
    /// The `From` tag.
    pub from_tag: String,
    /// Seconds for `Expires` and our contact's `expires`. 0 takes our own contact away, and only
    /// that: `Contact: *` would remove those of other devices too.
    pub expires: u32,
    /// Headers that answer the challenges so far.
    pub authorization: Vec<Answer>,
    /// Which of the registrar's addresses it goes to, counted from 0 in the order of the last
    /// look-up. For how long it is to be waited for, [`super::patience`] says.
    pub turn: usize,
    /// The addresses are to be looked up before; else those of the last look-up still count.
    pub anew: bool,
}

/// What of a final response to a REGISTER the machine looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegisterResponse {
    /// The CSeq number of the request it answers. Responses to others are ignored.
    pub cseq: u32,
    /// The status code. Provisional ones are ignored.
    pub status: u16,
    /// Of a 2xx: the `expires` of our contact, else the `Expires` header, in seconds. `None` when
    /// neither is there: what was asked for counts as granted.
    pub granted: Option<u32>,
    /// `Min-Expires` of a 423, in seconds.
    pub min_expires: Option<u32>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// The values of all `Service-Route` headers, in order (RFC 3608).
    pub service_route: Vec<Bytes>,
    /// The values of all `Path` headers, in order (RFC 3327).
    pub path: Vec<Bytes>,
    /// The values of `WWW-Authenticate` and `Proxy-Authenticate`.
    pub challenges: Vec<(Challenger, Bytes)>,
}

/// What the machine wants done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send(RegisterRequest),
    /// The phase is another one now; details are in the state.
    PhaseChanged(Phase),
}
