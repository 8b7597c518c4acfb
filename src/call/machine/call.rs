//! What lives as long as the call, and what every state does with it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use media::playout::UtteranceId;

use super::CallSpec;
use super::effect::{Effect, Sound};
use super::input::{Input, RecordingEnd};
use super::timer::{self, TimerKind, Timers};
use crate::agent::AgentInput;
use crate::agent::phrases::{self, Phrase};
use crate::call::record::{CallRecord, MessageLeft, TransferAttempt};
use crate::call::transfer::{AttemptId, ReferPolicy};
use crate::ids::DestinationId;
use crate::tenant::document::Tenant;
use crate::tool::{ToolCallId, ToolOutcome};

/// How many requests of the agent are remembered, to tell a repeated one.
const MOST_REQUESTS_KNOWN: usize = 64;

/// What lives as long as the call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) record: CallRecord,
    pub(super) tenant: Arc<Tenant>,
    pub(super) refer: ReferPolicy,
    pub(super) delayed_offer: bool,
    pub(super) max_duration: Duration,
    pub(super) agent: AgentLink,
    /// Destinations called before whose fate is unknown.
    pub(super) tried: Vec<DestinationId>,
    /// Requests carried out, the last ones.
    carried_out: VecDeque<ToolCallId>,
    pub(super) recorder: Recorder,
    line: Line,
    locale: String,
    began: Instant,
    timers: Timers,
    /// The utterance begun last, until the caller has heard its end. Playout keeps the order,
    /// so nothing said before it is left then.
    speaking: Option<UtteranceId>,
    sentences: u64,
}

/// The session with the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgentLink {
    /// It isn't open yet.
    Connecting,
    /// It is open and waits for the answer.
    Ready,
    /// It was told that the caller is there.
    Connected,
    /// It failed, or was closed.
    Gone,
}

/// The recording of a message.
#[derive(Debug)]
pub(super) enum Recorder {
    Idle,
    /// Since when.
    Running(DateTime<Utc>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    Held,
}

/// An utterance whose end is waited for: see [`Context::is_over`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sentence(UtteranceId);

/// A state's hands: the call, the moment, and where effects go.
pub(super) struct Context<'a> {
    pub(super) call: &'a mut Call,
    pub(super) now: Instant,
    pub(super) wall: DateTime<Utc>,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Call {
    pub(super) fn new(spec: CallSpec, now: Instant) -> Self {
        Self {
            record: spec.record,
            tenant: spec.tenant,
            refer: spec.refer,
            delayed_offer: spec.delayed_offer,
            max_duration: spec.max_duration,
            agent: AgentLink::Connecting,
            tried: Vec::new(),
            carried_out: VecDeque::new(),
            recorder: Recorder::Idle,
            line: Line::Open,
            locale: spec.locale,
            began: now,
            timers: Timers::default(),
            speaking: None,
            sentences: 0,
        }
    }

    /// Whether the request is new. A provider that reconnects may repeat one.
    pub(super) fn is_first(&mut self, call: &ToolCallId) -> bool {
        if self.carried_out.contains(call) {
            return false;
        }
        if self.carried_out.len() >= MOST_REQUESTS_KNOWN {
            self.carried_out.pop_front();
        }
        self.carried_out.push_back(call.clone());
        true
    }

    /// What the caller hasn't heard to its end.
    pub(super) fn speaking(&self) -> Option<Sentence> {
        self.speaking.map(Sentence)
    }

    pub(super) fn is_held(&self) -> bool {
        self.line == Line::Held
    }

    /// Whether the timer runs.
    #[cfg(test)]
    pub(super) fn waits_for(&self, kind: TimerKind) -> bool {
        self.timers.running().any(|known| known == kind)
    }

    /// The attempt with this number, while it is in the record.
    pub(super) fn attempt(&mut self, id: AttemptId) -> Option<&mut TransferAttempt> {
        let at = usize::try_from(id.0).ok()?.checked_sub(1)?;
        self.record.transfers.get_mut(at)
    }
}

impl Context<'_> {
    /// Notes what is worth noting in any state. False for an expiry of a timer that doesn't run:
    /// it was overtaken by what stopped it, and nobody needs it.
    pub(super) fn take_note(&mut self, input: &Input) -> bool {
        match input {
            Input::Timer(kind) => return self.call.timers.expire(*kind, self.now),
            Input::Digit(digit) => self.note_key(digit.as_char()),
            Input::Speaking { utterance } => self.call.speaking = Some(*utterance),
            Input::Drained { utterance, sent_ms } | Input::Cleared { utterance, sent_ms, .. } => {
                self.call.speaking.take_if(|speaking| *speaking == *utterance);
                self.tell(AgentInput::Played { utterance: *utterance, sent_ms: *sent_ms });
            }
            Input::Held => self.call.line = Line::Held,
            Input::Resumed => self.call.line = Line::Open,
            Input::ReferResponse { attempt, status } => self.note_refer(*attempt, Some(*status), None),
            Input::ReferNotify { attempt, report } => self.note_refer(*attempt, None, report.status),
            Input::AgentFailed => self.call.agent = AgentLink::Gone,
            Input::AgentReady if self.call.agent == AgentLink::Connecting => {
                self.call.agent = AgentLink::Ready;
            }
            Input::Note { call, text } => {
                self.effects.push(Effect::Note { text: text.clone() });
                self.answer_tool(call, ToolOutcome::Done(crate::tool::Done::NoteKept));
            }
            _ => {}
        }
        true
    }

    fn note_key(&mut self, key: char) {
        let since = self.now.saturating_duration_since(self.call.began);
        if self.call.record.answered_at.is_some() && self.call.record.ended_at.is_none() {
            self.call.record.keys.press(key, u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// Reports that come after we gave up belong to the attempt's history too.
    fn note_refer(&mut self, attempt: AttemptId, response: Option<u16>, notified: Option<u16>) {
        let wall = self.wall;
        let Some(attempt) = self.call.attempt(attempt) else { return };
        if let Some(status) = response.filter(|status| *status >= 200) {
            attempt.refer_status.get_or_insert(status);
        }
        if let Some(status) = notified {
            attempt.notified(status, wall);
        }
    }

    pub(super) fn start(&mut self, kind: TimerKind, after: Duration) {
        self.call.timers.start(kind, self.now + after);
        self.effects.push(Effect::StartTimer { kind, after });
    }

    pub(super) fn cancel(&mut self, kind: TimerKind) {
        if self.call.timers.stop(kind) {
            self.effects.push(Effect::CancelTimer(kind));
        }
    }

    pub(super) fn cancel_all(&mut self) {
        let running: Vec<TimerKind> = self.call.timers.running().collect();
        for kind in running {
            self.cancel(kind);
        }
    }

    /// Tells the agent something, when it can hear it.
    pub(super) fn tell(&mut self, input: AgentInput) {
        if self.call.agent == AgentLink::Connected {
            self.effects.push(Effect::Agent(input));
        }
    }

    /// Tells an agent that is ready that the caller is there.
    pub(super) fn greet(&mut self) {
        if self.call.agent == AgentLink::Ready {
            self.call.agent = AgentLink::Connected;
            self.effects.push(Effect::Agent(AgentInput::Connected));
            self.cancel(TimerKind::AgentLate);
        }
    }

    /// Ends the session with the agent, whatever it stands at.
    pub(super) fn close_agent(&mut self) {
        if self.call.agent != AgentLink::Gone {
            self.call.agent = AgentLink::Gone;
            self.effects.push(Effect::Agent(AgentInput::Close));
        }
    }

    pub(super) fn answer_tool(&mut self, call: &ToolCallId, outcome: ToolOutcome) {
        self.tell(AgentInput::ToolResult { call: call.clone(), outcome });
    }

    /// Says the phrases, in the call's language. The end of the last of them is waited for.
    pub(super) fn say(&mut self, phrases: &[Phrase<'_>]) -> Sentence {
        self.say_texts(phrases.iter().map(|phrase| self.phrase(*phrase)).collect())
    }

    /// Says the texts, each as an utterance of its own, since each may be known by heart. The
    /// end of the last of them is waited for.
    pub(super) fn say_texts(&mut self, texts: Vec<String>) -> Sentence {
        let mut last = Sentence(UtteranceId(0));
        for text in texts {
            last = Sentence(self.announce(text));
        }
        self.wait_for(last)
    }

    /// Waits for the end of an utterance, for as long as the longest sentence may take; not at
    /// all when there is nobody to speak it.
    pub(super) fn wait_for(&mut self, sentence: Sentence) -> Sentence {
        let spoken = self.call.agent == AgentLink::Connected;
        self.start(TimerKind::Speech, if spoken { timer::SPEECH } else { Duration::ZERO });
        sentence
    }

    /// Says a text; nothing waits for its end.
    pub(super) fn announce(&mut self, text: String) -> UtteranceId {
        let utterance = UtteranceId(self.call.sentences.saturating_mul(2).saturating_add(1));
        self.call.sentences = self.call.sentences.saturating_add(1);
        self.tell(AgentInput::Say { utterance, text });
        utterance
    }

    /// Whether this input is the end of the sentence: heard, cut, impossible to say, or lost.
    pub(super) fn is_over(&mut self, sentence: Sentence, input: &Input) -> bool {
        match input {
            Input::Drained { utterance, .. } | Input::Cleared { utterance, .. }
                if *utterance == sentence.0 =>
            {
                self.cancel(TimerKind::Speech);
                true
            }
            Input::SayFailed { utterance } if *utterance == sentence.0 => {
                self.start(TimerKind::Speech, timer::SPEECH_IN_DOUBT);
                false
            }
            Input::Spoken { utterance } if *utterance == sentence.0 => {
                self.start(TimerKind::Speech, timer::SPEECH);
                false
            }
            Input::AgentFailed => {
                self.cancel(TimerKind::Speech);
                true
            }
            Input::Timer(TimerKind::Speech) => true,
            _ => false,
        }
    }

    /// Cuts what the caller is hearing of us, and doesn't wait for it any more. What the agent
    /// says is cut by the agent when it hears of something to say.
    pub(super) fn cut(&mut self) {
        self.cancel(TimerKind::Speech);
        self.play(Sound::Clear);
    }

    /// Cuts a sentence of ours, if the caller is hearing one: another follows.
    pub(super) fn cut_own(&mut self) {
        if self.call.speaking.is_some_and(is_ours) {
            self.cut();
        }
    }

    pub(super) fn phrase(&self, phrase: Phrase<'_>) -> String {
        phrases::text(&self.call.locale, phrase)
    }

    pub(super) fn play(&mut self, sound: Sound) {
        self.effects.push(Effect::Playout(sound));
    }

    /// Writes the record as it is now.
    pub(super) fn save(&mut self) {
        let event = self.call.record.updated(self.wall);
        self.effects.push(Effect::Record(event));
    }

    pub(super) fn stop_recording(&mut self) {
        if matches!(self.call.recorder, Recorder::Running(_)) {
            self.effects.push(Effect::StopRecording);
            self.start(TimerKind::Recording, timer::RECORDING_GRACE);
        }
    }

    /// The recorder is done, or with `None` given up. Keeps what the caller said, and tells how
    /// long it is; `None` when there is nothing to keep.
    pub(super) fn recording_over(&mut self, end: Option<RecordingEnd>) -> Option<Duration> {
        self.cancel(TimerKind::Recording);
        let Recorder::Running(at) = std::mem::replace(&mut self.call.recorder, Recorder::Idle) else {
            return None;
        };
        match end {
            Some(RecordingEnd::Kept { file, duration }) if duration >= timer::SHORTEST_MESSAGE => {
                let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                self.call.record.messages.push(MessageLeft { file, duration_ms, at });
                Some(duration)
            }
            Some(RecordingEnd::Kept { .. }) => {
                self.effects.push(Effect::DiscardRecording);
                None
            }
            Some(RecordingEnd::Failed) => None,
            None => {
                self.effects.push(Effect::StopRecording);
                None
            }
        }
    }
}

fn is_ours(utterance: UtteranceId) -> bool {
    !utterance.0.is_multiple_of(2)
}
