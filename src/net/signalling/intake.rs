//! What comes in, sorted before the endpoint sees it: what belongs to a call goes first, what
//! begins one waits in a bounded queue, and what nobody asked for is dropped.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::Suspicion;
use sip::endpoint::flow::Flow;

use crate::config;
use crate::net::defence::overload::{Overload, OverloadCounters};
use crate::net::defence::{BanShown, Dropped, Guard, GuardCounters, Kind, Offence, Taken, Verdict};
use crate::trunk::{Origin, Trunks};

/// Messages that wait at most, and their bytes; beyond, the newest is dropped, as the network
/// would have done.
const WAITING: usize = 2_048;
const WAITING_BYTES: usize = 16 << 20;
/// How often the audio's state is asked for.
const AUDIO: Duration = Duration::from_millis(100);

/// Asks for the packets of audio sent so far, and how many of them late.
pub type AudioGauge = Box<dyn Fn() -> (u64, u64) + Send>;

/// Limits and who is subject to them.
#[derive(Debug, Clone)]
pub struct Defences {
    /// Limits of each source.
    pub defence: Arc<config::Defence>,
    /// When new calls are turned away.
    pub overload: config::Overload,
    /// Whose sources are listed.
    pub trunks: Arc<Trunks>,
}

/// What was counted on the way in.
#[derive(Debug, Clone, Copy, Default)]
pub struct IntakeCounters {
    /// By the guard.
    pub guard: GuardCounters,
    /// By the overload control.
    pub overload: OverloadCounters,
    /// Messages dropped because 2,048 of them were waiting.
    pub dropped: u64,
}

/// A message on its way to the endpoint.
#[derive(Debug)]
pub(super) struct Arrival {
    pub flow: Flow,
    pub bytes: Bytes,
    /// Whom it is from.
    pub origin: Origin,
    /// Answer 503, if it begins a call.
    pub shed: bool,
}

/// What became of a message that came in.
#[derive(Debug)]
pub(super) enum Sorted {
    /// It is to be handled at once.
    Now(Arrival),
    /// It waits, or there was no room for it.
    Later,
    /// Nobody listens to its source, or to that.
    Dropped(Dropped),
}

/// The machine in front of the endpoint.
pub(super) struct Intake {
    guard: Guard,
    overload: Overload,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Calls without an answer, and since when; `None` once their task has done something.
    setting_up: HashMap<DialogId, Option<Instant>>,
    audio: Option<AudioGauge>,
    audio_asked: Instant,
    dropped: u64,
}

struct Waiting {
    flow: Flow,
    bytes: Bytes,
    taken: Taken,
    arrived: Instant,
}

impl Intake {
    pub fn new(defences: Defences, now: Instant) -> Self {
        Self {
            guard: Guard::new(defences.defence, defences.trunks, now),
            overload: Overload::new(defences.overload, now),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            setting_up: HashMap::new(),
            audio: None,
            audio_asked: now,
            dropped: 0,
        }
    }

    pub fn watch_audio(&mut self, gauge: AudioGauge) {
        self.audio = Some(gauge);
    }

    pub fn set(&mut self, defence: Arc<config::Defence>, overload: config::Overload) {
        self.guard.set(defence);
        self.overload.set(overload);
    }

    /// Takes a message that was `queued_for` so long already. Whatever belongs to a transaction or
    /// dialog that is there, or says so, is to be handled at once.
    pub fn sort(&mut self, flow: Flow, bytes: Bytes, queued_for: Duration, now: Instant) -> Sorted {
        let taken = match self.guard.inspect(flow.peer, flow.local, &bytes, now) {
            Verdict::Take(taken) => taken,
            Verdict::Drop(dropped) => return Sorted::Dropped(dropped),
        };
        // A CANCEL must not overtake its INVITE.
        let cancels = taken.kind == Kind::Cancel && self.waiting.is_empty();
        if taken.in_dialog || cancels || matches!(taken.kind, Kind::Response | Kind::Ack | Kind::KeepAlive) {
            return Sorted::Now(Arrival { flow, bytes, origin: taken.origin, shed: false });
        }
        if self.waiting.len() >= WAITING || self.waiting_bytes + bytes.len() > WAITING_BYTES {
            self.dropped += 1;
            return Sorted::Later;
        }
        self.waiting_bytes += bytes.len();
        let arrived = now.checked_sub(queued_for).unwrap_or(now);
        self.waiting.push_back(Waiting { flow, bytes, taken, arrived });
        Sorted::Later
    }

    /// The next message that has waited; whether a call among the first few of a turn.
    pub fn next(&mut self, favoured: bool, now: Instant) -> Option<Arrival> {
        let Waiting { flow, bytes, taken, arrived } = self.waiting.pop_front()?;
        self.waiting_bytes -= bytes.len();
        let shed = taken.kind == Kind::Invite && (taken.too_many || self.sheds(arrived, favoured, now));
        Some(Arrival { flow, bytes, origin: taken.origin, shed })
    }

    fn sheds(&mut self, arrived: Instant, favoured: bool, now: Instant) -> bool {
        if let Some(audio) = &self.audio
            && now.saturating_duration_since(self.audio_asked) >= AUDIO
        {
            self.audio_asked = now;
            let (sent, late) = audio();
            self.overload.audio(sent, late);
        }
        let before = self.overload.is_overloaded();
        let waited = now.saturating_duration_since(arrived);
        let shed = self.overload.admit(waited, favoured, now).is_err();
        if before != self.overload.is_overloaded() {
            let counters = self.overload.counters();
            tracing::info!(
                overloaded = counters.overloaded,
                message_wait_us = counters.message_wait_us,
                call_wait_us = counters.call_wait_us,
                setting_up = counters.setting_up,
                "load"
            );
        }
        shed
    }

    /// How long the message has waited that waits longest.
    pub fn longest_wait(&self, now: Instant) -> Duration {
        self.waiting.front().map_or(Duration::ZERO, |first| now.saturating_duration_since(first.arrived))
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A call was handed to its task.
    pub fn handed_over(&mut self, dialog: DialogId, now: Instant) {
        self.overload.handed_over();
        if self.setting_up.insert(dialog, Some(now)).is_some() {
            self.overload.settled();
        }
    }

    /// Its task did something.
    pub fn begun(&mut self, dialog: DialogId, now: Instant) {
        if let Some(since) = self.setting_up.get_mut(&dialog).and_then(Option::take) {
            self.overload.begun(now.saturating_duration_since(since), now);
        }
    }

    /// It was answered, turned away, or is gone.
    pub fn settled(&mut self, dialog: DialogId, now: Instant) {
        self.begun(dialog, now);
        if self.setting_up.remove(&dialog).is_some() {
            self.overload.settled();
        }
        if self.setting_up.len() * 8 < self.setting_up.capacity() && self.setting_up.capacity() > 1_024 {
            let room = self.setting_up.len() * 2;
            self.setting_up.shrink_to(room);
        }
    }

    /// The endpoint found something in what a source sent. `local` is where we listen.
    pub fn suspect(&mut self, source: SocketAddr, local: SocketAddr, kind: &Suspicion, now: Instant) {
        let offence = match kind {
            Suspicion::AuthenticationFailed { user } => {
                tracing::info!(%source, user, "wrong password");
                Offence::WrongPassword
            }
            Suspicion::Guessing => Offence::WrongPassword,
            Suspicion::Malformed => Offence::Malformed,
            Suspicion::UnknownMethod
            | Suspicion::Registration
            | Suspicion::MethodNotServed
            | Suspicion::StrayRequest
            | Suspicion::WrongSource
            | Suspicion::Replaces => Offence::Stray,
        };
        self.guard.note(source, local, offence, now);
    }

    pub fn bans(&self, now: Instant) -> Vec<BanShown> {
        self.guard.bans(now)
    }

    pub fn unban(&mut self, address: IpAddr, now: Instant) -> bool {
        self.guard.unban(address, now)
    }

    pub fn counters(&self, now: Instant) -> IntakeCounters {
        IntakeCounters {
            guard: self.guard.counters(now),
            overload: self.overload.counters(),
            dropped: self.dropped,
        }
    }
}
