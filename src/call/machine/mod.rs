//! The life of one call, as a machine without IO: inputs in, effects out.
//!
//! `Offered → Early → AwaitingAck → Established ⇄ Transferring → Releasing → Ended` for a call
//! that comes in, `Planned → Dialing → Ringing → Established …` for one of ours. Each state
//! owns what exists in it and nothing else; what lives as long as the call (its record, its
//! timers, the link to its agent) is in `call::Call`. Any state may go to `Releasing`, with
//! one reason. The dialog is given up with [`Effect::Forget`], after the record is durable.
//!
//! Rules of its own, where the specification leaves room:
//! - Keys go to the agent. While the handoff phrase is spoken only `*` counts: it cancels the
//!   transfer. Once the REFER is out keys are recorded and otherwise ignored. While a message is
//!   asked for or recorded only `#` counts: it skips the prompt, then ends the message.
//! - A key pressed while the caller is told that a transfer failed cuts that short and is the
//!   first key of the menu that follows.
//! - After a message the call ends with thanks and a goodbye, and without thanks when nothing
//!   was said. A caller who hangs up instead, as the prompt suggests, has left a message too.
//! - Requests of the agent wait for the ACK: REFER belongs into a confirmed dialog.
//! - We don't send BYE before the ACK or its timeout (RFC 3261 §15), save when the process ends
//!   that moment.
//! - The agent of a call of ours gets ready while it rings, and speaks from the answer on, whatever
//!   is played to us before.
//! - The end of the allowed duration waits for a transfer or a message that is under way; the
//!   end of the drain period doesn't.

mod call;
mod dialing;
mod early;
mod effect;
mod established;
mod input;
mod message;
mod releasing;
#[cfg(test)]
mod tests;
mod timer;
mod transferring;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use self::call::{Call, Context};
use self::dialing::{Dialing, Planned, Ringing};
use self::early::{Early, Offered};
use self::established::{AwaitingAck, Established};
use self::releasing::Releasing;
use self::transferring::Transferring;
use super::record::CallRecord;
use super::transfer::ReferPolicy;
use crate::tenant::document::Tenant;

pub use self::effect::{ByeReason, Effect, Sound};
pub use self::input::{Input, RecordingEnd};
pub use self::timer::TimerKind;

/// What a call begins with.
#[derive(Debug, Clone)]
pub struct CallSpec {
    /// The record as far as the INVITE tells it; not written yet.
    pub record: CallRecord,
    /// The tenant's document; the call keeps it.
    pub tenant: Arc<Tenant>,
    /// BCP 47 tag of the language spoken on the number that was dialed.
    pub locale: String,
    /// Whether the line can transfer.
    pub refer: ReferPolicy,
    /// Whether the INVITE came without an offer, so that audio can flow from the ACK on only
    /// (RFC 3261 §13.2.1).
    pub delayed_offer: bool,
    /// The longest call, counted from the answer.
    pub max_duration: Duration,
}

/// Where a call stands, for lists and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The INVITE came; nothing is decided.
    Offered,
    /// We call; nothing has been heard of whom.
    Dialing,
    /// We call, and their telephone rings.
    Ringing,
    /// Admitted; the agent gets ready.
    Early,
    /// The 200 is out.
    AwaitingAck,
    /// The caller talks with the agent, or leaves a message.
    Established,
    /// The caller is being handed over.
    Transferring,
    /// The call is ending.
    Releasing,
    /// Nothing is left to do.
    Ended,
}

/// One call.
#[derive(Debug)]
pub struct Machine {
    call: Call,
    state: State,
}

#[derive(Debug)]
enum State {
    Offered(Offered),
    Planned(Planned),
    Dialing(Dialing),
    Ringing(Ringing),
    Early(Early),
    AwaitingAck(AwaitingAck),
    Established(Established),
    Transferring(Transferring),
    Releasing(Releasing),
    Ended,
}

impl Machine {
    /// A call whose INVITE came at `now`. It waits for [`Input::Admitted`] or
    /// [`Input::Refused`].
    #[must_use]
    pub fn new(spec: CallSpec, now: Instant) -> Self {
        Self { call: Call::new(spec, now), state: State::Offered(Offered) }
    }

    /// A call of ours, that is to be answered within `ring`. It waits for [`Input::Admitted`].
    #[must_use]
    pub fn outbound(spec: CallSpec, ring: Duration, now: Instant) -> Self {
        Self { call: Call::new(spec, now), state: State::Planned(Planned { ring }) }
    }

    /// Takes one input; appends what is to be done to `effects`, in order. `now` and `wall` are
    /// the same moment on two clocks; `now` never goes back.
    pub fn handle(&mut self, input: Input, now: Instant, wall: DateTime<Utc>, effects: &mut Vec<Effect>) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        let mut cx = Context { call: &mut self.call, now, wall, effects };
        if matches!(state, State::Ended) || !cx.take_note(&input) {
            self.state = state;
            return;
        }
        self.state = state.on(input, &mut cx);
    }

    /// Whether the machine holds this timer for running.
    #[cfg(test)]
    fn waits_for(&self, kind: TimerKind) -> bool {
        self.call.waits_for(kind)
    }

    /// Where the call stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Offered(_) => Phase::Offered,
            State::Planned(_) | State::Dialing(_) => Phase::Dialing,
            State::Ringing(_) => Phase::Ringing,
            State::Early(_) => Phase::Early,
            State::AwaitingAck(_) => Phase::AwaitingAck,
            State::Established(_) => Phase::Established,
            State::Transferring(_) => Phase::Transferring,
            State::Releasing(_) => Phase::Releasing,
            State::Ended => Phase::Ended,
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The record as far as it is known.
    #[must_use]
    pub fn record(&self) -> &CallRecord {
        &self.call.record
    }

    /// The record, for what others measure (media quality, usage). What is added before the call
    /// ends is in the record that is made durable.
    pub fn record_mut(&mut self) -> &mut CallRecord {
        &mut self.call.record
    }
}

impl State {
    fn on(self, input: Input, cx: &mut Context<'_>) -> Self {
        match self {
            Self::Offered(state) => state.on(input, cx),
            Self::Planned(state) => state.on(input, cx),
            Self::Dialing(state) => state.on(input, cx),
            Self::Ringing(state) => state.on(input, cx),
            Self::Early(state) => state.on(input, cx),
            Self::AwaitingAck(state) => state.on(input, cx),
            Self::Established(state) => state.on(input, cx),
            Self::Transferring(state) => state.on(input, cx),
            Self::Releasing(state) => state.on(input, cx),
            Self::Ended => Self::Ended,
        }
    }
}
