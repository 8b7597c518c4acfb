//! What the call tells the session, what the turn machine orders, and what time makes due.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use media::SAMPLES_PER_MS;
use media::playout::{Chunk, PlayoutCommand, UtteranceId};

use super::super::connection::Said;
use super::super::instructions;
use super::super::talk::{Forget, Purpose};
use super::super::wire::{ClientEvent, Item, Reply, TurnDetection, VadChange};
use super::link::{HUNG, STALLED};
use super::{AgentEvent, AgentInput, Audio, Caller, Local, Response, Session, SpeechError};
use crate::agent::turn::{HANGOVER, Input as Turn, Output, Speech};
use crate::tool::{Done, Refusal, ToolCallId, ToolOutcome};

/// How late our ear tells that the caller began to speak.
const ONSET: Duration = Duration::from_millis(100);
/// After the last key, before keys are answered.
const KEYS: Duration = Duration::from_millis(1_500);
/// How long a response may be silent before the caller is told that it takes a moment.
const SLOW: Duration = Duration::from_millis(1_800);
/// Things to say that wait at most; the call machine has two or three.
const MOST_QUEUED: usize = 8;
/// The id of the tool call that ends the call after a goodbye.
const GOODBYE: &str = "offhook-goodbye";

impl Session {
    pub(super) fn take_input(&mut self, input: AgentInput) {
        match input {
            AgentInput::Connected => self.connected(),
            AgentInput::Digit(digit) => self.key(digit.as_char()),
            AgentInput::SpeechStarted { .. } => {
                let now = Instant::now();
                self.tell_turns(Turn::SpeechStarted(now.checked_sub(ONSET).unwrap_or(now)));
            }
            AgentInput::SpeechStopped { .. } => {
                let now = Instant::now();
                let ended = now.checked_sub(HANGOVER).unwrap_or(now);
                self.clock.speech_ended(ended);
                self.tell_turns(Turn::SpeechStopped(ended));
            }
            AgentInput::Say { utterance, text } => self.announce(utterance, text),
            AgentInput::ToolResult { call, outcome } => self.tool_done(&call, &outcome),
            AgentInput::Played { utterance, sent_ms } => self.played(utterance, sent_ms),
            AgentInput::Resume => self.resumed(),
            AgentInput::Close => {}
        }
    }

    fn connected(&mut self) {
        if self.caller != Caller::Awaited {
            return;
        }
        self.caller = Caller::Here;
        self.audio.skip();
        if self.takes_over {
            self.tell_turns(Turn::Resumed);
        } else {
            self.tell_turns(Turn::Connected);
        }
    }

    fn key(&mut self, key: char) {
        if self.caller != Caller::Here {
            return;
        }
        self.tell_turns(Turn::Key);
        let text = format!("(The caller pressed the key {key} on the telephone.)");
        self.send(&ClientEvent::Create(Item::Caller(&text)));
        self.talk.remember(Said::Caller(text));
        self.keys_due = Some(Instant::now() + KEYS);
    }

    /// The call machine wants this said, in place of what the agent is saying.
    fn announce(&mut self, utterance: UtteranceId, text: String) {
        let between = self.talk.under_way().any(|one| is_machines(one.id));
        if !between {
            self.hush();
        }
        self.tell_turns(Turn::Announcement);
        self.ask(Purpose::Announcement { utterance, text });
    }

    fn tool_done(&mut self, call: &ToolCallId, outcome: &ToolOutcome) {
        let before = self.tools.len();
        self.tools.retain(|known| known != call);
        if call.as_str() == GOODBYE || self.tools.len() == before {
            return;
        }
        let output = outcome.to_json().to_string();
        self.send(&ClientEvent::Create(Item::FunctionOutput { call: call.as_str(), output: &output }));
        self.talk.remember(Said::Note(format!("A tool answered: {output}")));
        if leaves_the_caller_to_us(outcome) {
            self.tell_turns(Turn::ToolFinished);
            if self.tools.is_empty() {
                self.ask(Purpose::Reply);
            }
        } else {
            // The call has the caller until it says otherwise.
            self.caller = Caller::Away;
            self.tell_turns(Turn::GivenAway);
        }
    }

    fn resumed(&mut self) {
        if self.caller == Caller::Awaited {
            return;
        }
        if self.caller == Caller::Away {
            self.send(&ClientEvent::ClearInput);
            self.audio.skip();
        }
        self.caller = Caller::Here;
        self.tell_turns(Turn::Resumed);
    }

    fn played(&mut self, utterance: UtteranceId, sent_ms: u64) {
        let Some((utterance, forget)) = self.talk.played(utterance, sent_ms) else { return };
        if forget != Forget::Nothing {
            self.tell(AgentEvent::Cut { utterance: utterance.id, heard: utterance.text.clone() });
        }
        match forget {
            Forget::Nothing => {}
            Forget::All { item } => self.forget(&ClientEvent::Delete { item: &item }),
            Forget::After { item, audio_end_ms } => {
                self.forget(&ClientEvent::Truncate { item: &item, audio_end_ms });
            }
        }
        if utterance.purpose == Purpose::Goodbye && !utterance.cut {
            self.end_call();
        }
        self.settle();
    }

    /// Whether the model is asked nothing and nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.talk.is_quiet()
            && self.queue.is_empty()
            && self.tools.is_empty()
            && self.outage.is_none()
            && matches!(self.response, Response::None)
    }

    /// Everything asked for was said and heard: it is somebody else's turn.
    pub(super) fn settle(&mut self) {
        let still = self.talk.is_quiet() && self.queue.is_empty() && self.local.is_none();
        if still && matches!(self.response, Response::None) && self.tools.is_empty() {
            self.tell_turns(Turn::Quiet);
        }
    }

    fn end_call(&mut self) {
        let id = ToolCallId::new(GOODBYE);
        self.tell(AgentEvent::ToolCall { id, name: "end_call".to_owned(), arguments: serde_json::json!({}) });
    }

    pub(super) fn follow(&mut self, order: Output, now: Instant) {
        match order {
            Output::Greet => self.ask(Purpose::Greeting),
            Output::Respond => {
                self.clock.asked(now);
                self.ask(Purpose::Reply);
            }
            Output::Pause => self.hold(),
            Output::Resume => self.go_on(),
            Output::Interrupt => {
                self.shared.counters.interruptions.fetch_add(1, Ordering::Relaxed);
                self.hush();
            }
            Output::Filler => self.ask(Purpose::Filler),
            Output::Reprompt => self.ask(Purpose::Reprompt),
            Output::Goodbye => self.ask(Purpose::Goodbye),
            Output::Patience(silence) => {
                let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
                let turns = TurnDetection { silence_ms, ..self.settings.turns };
                self.send(&ClientEvent::Patience(VadChange(turns)));
            }
        }
    }

    /// Before whatever waits for playout: it is about what is being heard.
    fn hold(&mut self) {
        self.to_play.push_front(PlayoutCommand::Pause);
    }

    fn go_on(&mut self) {
        if self.to_play.front() == Some(&PlayoutCommand::Pause) {
            self.to_play.pop_front();
        } else {
            self.to_play.push_front(PlayoutCommand::Resume);
        }
    }

    /// Drops what isn't heard yet and stops the model. Playout reports each utterance once it has
    /// its end, so those that lose theirs here get another.
    pub(super) fn hush(&mut self) {
        self.local = None;
        self.queue.clear();
        self.to_play.clear();
        self.unplayed = 0;
        self.play(PlayoutCommand::Clear);
        let cut: Vec<UtteranceId> = self
            .talk
            .under_way()
            .map(|one| {
                one.cut = true;
                one.ended = true;
                one.id
            })
            .collect();
        for utterance in cut {
            self.play(PlayoutCommand::End { utterance });
        }
        let cancelled = match &mut self.response {
            Response::None => None,
            Response::Asked { cancelled, .. } => {
                *cancelled = true;
                None
            }
            Response::Running { id, cancelled, .. } => {
                (!std::mem::replace(cancelled, true)).then(|| id.clone())
            }
        };
        if let Some(response) = cancelled {
            self.send(&ClientEvent::Cancel { response: &response });
        }
    }

    /// Has the model say something, now or when it has finished what it is at.
    pub(super) fn ask(&mut self, purpose: Purpose) {
        if !matches!(self.response, Response::None) || !matches!(self.link, super::Link::Up(_)) {
            if self.queue.len() < MOST_QUEUED {
                self.queue.push_back(purpose);
            }
            return;
        }
        let locale = &self.locale;
        let text = match &purpose {
            Purpose::Reply => None,
            Purpose::Greeting => Some(instructions::say(&instructions::greeting(&self.tenant, locale))),
            Purpose::Announcement { text, .. } => Some(instructions::say(text)),
            Purpose::Filler => Some(instructions::filler(locale)),
            Purpose::Reprompt => Some(instructions::reprompt(locale)),
            Purpose::Goodbye => Some(instructions::goodbye(locale)),
        };
        let tag = purpose.tag();
        self.send(&ClientEvent::Respond(Reply {
            instructions: text.as_deref(),
            tag: Some(&tag),
            apart: purpose.apart(),
            speech_only: purpose != Purpose::Reply,
        }));
        self.response =
            Response::Asked { purpose, since: Instant::now(), cancelled: false, reassured: false };
    }

    pub(super) fn next_in_queue(&mut self) {
        if let Some(purpose) = self.queue.pop_front() {
            self.ask(purpose);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let response = match &self.response {
            Response::None => None,
            Response::Asked { since, reassured, .. } => Some(*since + if *reassured { HUNG } else { SLOW }),
            Response::Running { heard_of, .. } => Some(*heard_of + STALLED),
        };
        let outage = self.outage.as_ref().and_then(super::Outage::reassure_at);
        let renewal = self.renewal.due().filter(|_| self.is_idle());
        [self.turns.deadline(), response, outage, self.keys_due, renewal].into_iter().flatten().min()
    }

    pub(super) fn expired(&mut self) {
        let now = Instant::now();
        if self.renewal.due().is_some_and(|due| now >= due) && self.is_idle() {
            self.renew();
        }
        if self.keys_due.is_some_and(|due| now >= due) {
            self.keys_due = None;
            if matches!(self.response, Response::None) {
                self.ask(Purpose::Reply);
            }
        }
        if self.outage.as_ref().and_then(super::Outage::reassure_at).is_some_and(|due| now >= due) {
            if let Some(outage) = &mut self.outage {
                outage.reassured = true;
            }
            self.reassure();
        }
        match &mut self.response {
            Response::Asked { since, .. } if now >= *since + HUNG => self.hung(HUNG),
            Response::Asked { since, reassured, .. } if !*reassured && now >= *since + SLOW => {
                *reassured = true;
                self.reassure();
            }
            Response::Running { heard_of, .. } if now >= *heard_of + STALLED => self.hung(STALLED),
            _ => {}
        }
        if self.turns.deadline().is_some_and(|due| now >= due) {
            self.tell_turns(Turn::Expired);
        }
    }

    /// Says a sentence without the server.
    pub(super) fn say_locally(&mut self, purpose: Purpose, text: String) {
        let at = self.talk.begin(None, purpose);
        let Some(utterance) = self.talk.under_way().nth(at).map(|one| one.id) else { return };
        let rendering = self.shared.speech.speak(&self.locale, &text);
        self.tell(AgentEvent::Speaking { utterance, text: text.clone() });
        self.local = Some(Local { utterance, text, rendering });
    }

    pub(super) fn rendered(&mut self, result: Result<Audio, SpeechError>) {
        let Some(Local { utterance, text, .. }) = self.local.take() else { return };
        let mut samples = 0;
        let machines = self.talk.find(utterance).is_some_and(|one| is_machines(one.id));
        let speech = if machines { Speech::Uncuttable } else { Speech::Reply };
        match result {
            Ok(audio) => {
                samples = audio.len();
                self.play(PlayoutCommand::Audio { utterance, chunk: Chunk::Pcm(audio) });
                self.tell_turns(Turn::Speaking(speech));
            }
            Err(error) => self.tell(AgentEvent::SayFailed { utterance, error }),
        }
        if let Some(one) = self.talk.find(utterance) {
            one.received = u64::try_from(samples).unwrap_or(0) / (SAMPLES_PER_MS as u64) * 8;
            one.ended = true;
            one.text = text;
        }
        self.play(PlayoutCommand::End { utterance });
        self.tell(AgentEvent::Spoken { utterance });
    }
}

/// The call machine's utterances are odd.
fn is_machines(utterance: UtteranceId) -> bool {
    !utterance.0.is_multiple_of(2)
}

/// Whether the agent has the caller after this, or the call machine.
fn leaves_the_caller_to_us(outcome: &ToolOutcome) -> bool {
    match outcome {
        ToolOutcome::Done(done) => matches!(done, Done::NoteKept),
        ToolOutcome::TransferFailed(_) => false,
        ToolOutcome::Refused(refusal) => !matches!(refusal, Refusal::CallEnding | Refusal::NoMessage),
        ToolOutcome::ConfirmFirst { .. } | ToolOutcome::Invalid(_) | ToolOutcome::TimedOut => true,
    }
}
