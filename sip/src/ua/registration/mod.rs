//! One registration with one registrar (RFC 3261 §10.2), as a machine without IO.
//!
//! Feed it time and responses, drain [`Registration::poll_output`] after each input, and call
//! [`Registration::on_timer`] when [`Registration::poll_timeout`] is due. It decides when to
//! register, refresh, authenticate, back off and un-register; the caller makes the message,
//! finds the address and runs the transaction.
//!
//! - Refresh 30 s ahead of the granted expiry, or half-way for expiries under a minute.
//! - `423` raises the requested expiry to `Min-Expires` (RFC 3261 §10.2.8).
//! - Silence, 5xx and all other failures back off exponentially with jitter, up to 8 s. Only
//!   refused credentials wait 300 s: registrars lock accounts that keep guessing. A challenge
//!   that can't be answered isn't a refusal, since anybody on the path can make one.
//! - An address that is silent, or fails with 5xx or 408, is left for the registrar's next one at
//!   once (RFC 3263 §4.3); the wait comes when all have failed, and is the shorter the longer that
//!   took, so that none of them comes back unnoticed.
//! - Never more than [`MAX_REQUESTS`] REGISTER in [`RATE_WINDOW`], whatever comes back. The last of
//!   them is kept for un-registering; what never left the machine doesn't count.

mod answers;
mod backoff;
mod rounds;
mod state;
mod types;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::digest::Client;
use backoff::{Backoff, RateGate, Seeded};
pub use backoff::{MAX_REQUESTS, RATE_WINDOW};
use rounds::Registrar;
pub use rounds::{ATTEMPT, patience};
pub use state::{Attempt, Binding, Failure, Pending, Phase, State};
pub use types::{Config, Output, RegisterRequest, RegisterResponse};

/// How far ahead of expiry a binding is refreshed.
pub const REFRESH_LEAD: Duration = Duration::from_secs(30);
/// The least time between a binding's grant and its refresh, against registrars that grant a
/// second or two.
pub const MIN_REFRESH: Duration = Duration::from_secs(2);
/// Wait after refused credentials.
pub const REFUSED_WAIT: Duration = Duration::from_secs(300);
/// The longest `Retry-After` that is honoured.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// After this an attempt counts as unanswered even if the transaction never reports: timer F is
/// 64·T1 = 32 s (RFC 3261 §17.1.2.2), and a second for the report.
pub const ATTEMPT_LIMIT: Duration = Duration::from_secs(33);
/// An un-REGISTER, challenge included, is given up after this: shutdown doesn't wait longer.
pub const UNREGISTER_LIMIT: Duration = Duration::from_secs(5);
/// Expiries beyond this are taken as this.
const MAX_EXPIRES: u32 = 7 * 86_400;
/// RFC 3261 §8.1.1.5: a CSeq is below 2³¹.
const MAX_CSEQ: u32 = 1 << 31;

/// The machine. See the module's text.
#[derive(Debug)]
pub struct Registration {
    config: Config,
    client: Option<Client>,
    call_id: String,
    from_tag: String,
    cseq: u32,
    expires: u32,
    state: State,
    announced: Phase,
    backoff: Backoff,
    gate: RateGate,
    registrar: Registrar,
    random: Seeded,
    outputs: VecDeque<Output>,
}

impl Registration {
    /// A machine that has sent nothing. `seed` is random: Call-ID, tag, cnonces and jitter come
    /// of it.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut random = Seeded::new(seed);
        let call_id = format!("{:032x}", random.next_u128());
        let from_tag = format!("{:016x}", random.next_u64());
        Self {
            client: config.credentials.clone().map(Client::new),
            expires: config.expires.clamp(1, MAX_EXPIRES),
            config,
            call_id,
            from_tag,
            cseq: 0,
            state: State::Idle,
            announced: Phase::Idle,
            backoff: Backoff::default(),
            gate: RateGate::default(),
            registrar: Registrar::default(),
            random,
            outputs: VecDeque::new(),
        }
    }

    /// Begins to register. Does nothing unless idle.
    pub fn start(&mut self, now: Instant) {
        if matches!(self.state, State::Idle) {
            self.attempt(None, now);
        }
    }

    /// Registers again at once (within the rate): the flow to the registrar broke and came back,
    /// or our address changed. Does nothing while a request is out, after refused credentials,
    /// or when idle.
    pub fn refresh(&mut self, now: Instant) {
        match self.take_state() {
            State::Registered { binding, .. } => self.attempt(Some(binding), now),
            State::Waiting { binding, failure, .. } if failure != Failure::Refused => {
                self.attempt(binding, now);
            }
            other => self.state = other,
        }
    }

    /// Takes our contact away (`Expires: 0`), or just stops when none is bound. A request that is
    /// out is waited for first, since REGISTERs mustn't overlap (RFC 3261 §10.2).
    pub fn unregister(&mut self, now: Instant) {
        let give_up_at = now + UNREGISTER_LIMIT;
        match self.take_state() {
            State::Registering { binding, attempt: Attempt { pending: sent @ Pending::Sent { .. }, .. } } => {
                self.set(State::Unregistering { binding, pending: sent, give_up_at });
            }
            State::Registered { binding, .. }
            | State::Waiting { binding: Some(binding), .. }
            | State::Registering { binding: Some(binding), .. } => {
                self.send_removal(Some(binding), give_up_at, now)
            }
            State::Idle | State::Waiting { binding: None, .. } | State::Registering { binding: None, .. } => {
                self.set(State::Idle);
            }
            leaving @ State::Unregistering { .. } => self.state = leaving,
        }
    }

    /// Tells what the last look-up gave: how many addresses the registrar has, and whether the
    /// transport repeats nothing by itself. To be called before what became of a request is told.
    pub fn located(&mut self, addresses: usize, reliable: bool) {
        self.registrar.located(addresses, reliable);
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The binding in force, whatever the machine is doing. Its `Service-Route` is the route of
    /// requests to be sent.
    #[must_use]
    pub fn binding(&self) -> Option<&Binding> {
        self.state.binding()
    }

    /// What is to be done, one at a time, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Registration::on_timer`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.state.timeout()
    }
}

/// Inputs from the network and the clock.
impl Registration {
    /// The final response to a REGISTER.
    pub fn on_response(&mut self, response: RegisterResponse, now: Instant) {
        if response.status < 200 {
            return;
        }
        match self.take_state() {
            State::Registering {
                binding,
                attempt: Attempt { min_expires_taken, pending: Pending::Sent { cseq, at, .. } },
            } if cseq == response.cseq => {
                self.answered(binding, min_expires_taken, at, response, now);
            }
            State::Unregistering { binding, pending: Pending::Sent { cseq, at, expires }, give_up_at }
                if cseq == response.cseq =>
            {
                self.answered_while_leaving(binding, (at, expires), give_up_at, response, now);
            }
            other => self.state = other,
        }
    }

    /// The request never left this machine.
    pub fn on_unsent(&mut self, now: Instant) {
        if let State::Registering { attempt: Attempt { pending: Pending::Sent { at, .. }, .. }, .. }
        | State::Unregistering { pending: Pending::Sent { at, .. }, .. } = &self.state
        {
            self.gate.refund(*at);
        }
        self.on_timeout_or_transport_failure(now);
    }

    /// The transaction timed out, or the transport failed after the request may have gone out.
    pub fn on_timeout_or_transport_failure(&mut self, now: Instant) {
        match self.take_state() {
            State::Registering { binding, attempt: Attempt { pending: Pending::Sent { .. }, .. } } => {
                self.fail(binding, Failure::Silence, None, now);
            }
            // Whether a REGISTER on its way was taken is unknown: only a binding known of is
            // worth an un-REGISTER, and the registrar is silent in any case.
            State::Unregistering { pending: Pending::Sent { .. }, .. } => self.set(State::Idle),
            other => self.state = other,
        }
    }

    /// To be called when [`Registration::poll_timeout`] is due; harmless at other times.
    pub fn on_timer(&mut self, now: Instant) {
        match self.take_state() {
            State::Idle => {}
            State::Registered { binding, refresh_at } if refresh_at <= now => {
                self.attempt(Some(binding), now);
            }
            State::Registering { binding, attempt } => self.registering_timer(binding, attempt, now),
            State::Waiting { binding, retry_at, .. } if retry_at <= now => {
                self.attempt(binding.filter(|b| b.expires_at > now), now);
            }
            State::Waiting { binding: Some(binding), retry_at, failure } if binding.expires_at <= now => {
                self.set(State::Waiting { binding: None, retry_at, failure });
            }
            State::Unregistering { give_up_at, .. } if give_up_at <= now => self.set(State::Idle),
            State::Unregistering { binding, pending: Pending::ToSend { at }, give_up_at } if at <= now => {
                self.send_removal(binding, give_up_at, now);
            }
            other => self.state = other,
        }
    }

    fn registering_timer(&mut self, binding: Option<Binding>, attempt: Attempt, now: Instant) {
        let bound = binding.is_some();
        let binding = binding.filter(|b| b.expires_at > now);
        let lost = bound && binding.is_none();
        match attempt.pending {
            Pending::ToSend { at } if at <= now => self.send_attempt(binding, attempt.min_expires_taken, now),
            Pending::Sent { at, .. } if at + ATTEMPT_LIMIT <= now => {
                self.fail(binding, Failure::Silence, None, now);
            }
            _ if lost => self.set(State::Registering { binding, attempt }),
            _ => self.state = State::Registering { binding, attempt },
        }
    }
}

/// Sending, within the rate.
impl Registration {
    /// Begins anew, with the first address that a new look-up gives.
    fn attempt(&mut self, binding: Option<Binding>, now: Instant) {
        self.registrar.begin(now);
        self.send_attempt(binding, false, now);
    }

    fn send_attempt(&mut self, binding: Option<Binding>, min_expires_taken: bool, now: Instant) {
        let pending = self.send(self.expires, MAX_REQUESTS - 1, now);
        self.set(State::Registering { binding, attempt: Attempt { min_expires_taken, pending } });
    }

    fn send_removal(&mut self, binding: Option<Binding>, give_up_at: Instant, now: Instant) {
        let pending = self.send(0, MAX_REQUESTS, now);
        self.set(State::Unregistering { binding, pending, give_up_at });
    }

    /// Sends if the rate, of `most` requests, allows it now, else says when it will.
    fn send(&mut self, expires: u32, most: usize, now: Instant) -> Pending {
        if let Err(at) = self.gate.pass(now, most) {
            return Pending::ToSend { at };
        }
        self.cseq = self.cseq % (MAX_CSEQ - 1) + 1;
        let cnonce = self.random.next_u128();
        let registrar = &self.config.registrar;
        let authorization =
            self.client.as_mut().map(|c| c.authorize(b"REGISTER", registrar, cnonce)).unwrap_or_default();
        self.outputs.push_back(Output::Send(RegisterRequest {
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            from_tag: self.from_tag.clone(),
            expires,
            authorization,
            turn: self.registrar.turn(),
            anew: self.registrar.take_anew(),
        }));
        Pending::Sent { cseq: self.cseq, at: now, expires }
    }

    /// Takes the state out to make the next one of it; each path puts one back.
    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Idle)
    }

    /// Every change that can be seen from outside goes through here.
    fn set(&mut self, state: State) {
        self.state = state;
        let phase = self.state.phase();
        if phase != self.announced {
            self.announced = phase;
            self.outputs.push_back(Output::PhaseChanged(phase));
        }
    }
}

#[cfg(test)]
mod tests;
