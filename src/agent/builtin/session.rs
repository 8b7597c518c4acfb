//! The task around the menu: one per call. It turns lines into audio, hands audio to playout and
//! events to the call, and never waits for one of them without reading its input too.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::BoxFuture;
use media::SAMPLES_PER_MS;
use media::playout::{Chunk, PlayoutCommand, UtteranceId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

use super::menu::{Input, Menu, Output};
use super::script::Line;
use crate::agent::phrases;
use crate::agent::provider::{AgentEvent, AgentInput, EVENT_CAPACITY, SessionSpec, WallClock};
use crate::agent::speech::{Audio, Speech, SpeechError};

/// Before the first words: telephones open their loudspeaker a moment after the answer.
static LEAD_IN: LazyLock<Audio> = LazyLock::new(|| vec![0; 200 * SAMPLES_PER_MS].into());
/// Between two sentences, beside the silence they carry themselves.
static PAUSE: LazyLock<Audio> = LazyLock::new(|| vec![0; 200 * SAMPLES_PER_MS].into());

/// The task's state.
pub(super) struct Session {
    menu: Menu,
    speech: Speech,
    locale: String,
    clock: WallClock,
    inputs: Receiver<AgentInput>,
    events: Sender<AgentEvent>,
    playout: Sender<PlayoutCommand>,
    outputs: Vec<Output>,
    /// What is still to be turned into audio, in order.
    to_say: VecDeque<Step>,
    /// The utterance that is being turned into audio.
    current: Option<Current>,
    /// Whether anything has been said on this call.
    opened: bool,
    rendering: Option<BoxFuture<'static, Result<Audio, SpeechError>>>,
    /// What playout and the call had no room for yet. Both stay small: audio is queued by the
    /// sentence, and input isn't read while events wait.
    to_play: VecDeque<PlayoutCommand>,
    to_tell: VecDeque<AgentEvent>,
}

#[derive(Debug)]
enum Step {
    Begin { utterance: UtteranceId, text: String },
    Line(Line),
    End,
}

#[derive(Debug)]
struct Current {
    utterance: UtteranceId,
    /// Samples handed over of it.
    samples: usize,
}

enum Next {
    Input(Option<AgentInput>),
    Rendered(Result<Audio, SpeechError>),
    Room,
    Expired,
}

impl Session {
    pub(super) fn new(
        spec: SessionSpec,
        speech: Speech,
        inputs: Receiver<AgentInput>,
        events: Sender<AgentEvent>,
    ) -> Self {
        Self {
            menu: Menu::new(spec.tenant, spec.locale.clone()),
            speech,
            locale: spec.locale,
            clock: spec.clock,
            inputs,
            events,
            playout: spec.playout,
            outputs: Vec::new(),
            to_say: VecDeque::new(),
            current: None,
            opened: false,
            rendering: None,
            to_play: VecDeque::new(),
            to_tell: VecDeque::new(),
        }
    }

    /// Runs until the input closes, or nobody takes the events any more.
    pub(super) async fn run(mut self) {
        while !self.events.is_closed() {
            self.work();
            match self.next().await {
                Next::Input(None | Some(AgentInput::Close)) => break,
                Next::Input(Some(input)) => self.take(input),
                Next::Rendered(result) => {
                    self.rendering = None;
                    self.add(result);
                }
                Next::Expired => self.tell_menu(Input::Expired),
                Next::Room => {}
            }
        }
        // Best effort: who closed the input knows.
        let _ = self.events.try_send(AgentEvent::Ended);
    }

    async fn next(&mut self) -> Next {
        let deadline = self.menu.deadline().map(Instant::from_std);
        let rendering = self.rendering.as_mut();
        tokio::select! {
            biased;
            input = self.inputs.recv(), if self.to_tell.len() < EVENT_CAPACITY => Next::Input(input),
            _ = self.events.reserve(), if !self.to_tell.is_empty() => Next::Room,
            _ = self.playout.reserve(), if !self.to_play.is_empty() => Next::Room,
            result = async { match rendering {
                Some(rendering) => rendering.await,
                None => std::future::pending().await,
            } } => Next::Rendered(result),
            () = async { match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            } } => Next::Expired,
        }
    }

    fn take(&mut self, input: AgentInput) {
        match input {
            AgentInput::Connected => self.tell_menu(Input::Connected),
            AgentInput::Digit(digit) => self.tell_menu(Input::Key(digit.as_char())),
            AgentInput::Say { utterance, text } => self.tell_menu(Input::Say { utterance, text }),
            AgentInput::ToolResult { call, outcome } => self.tell_menu(Input::Result { call, outcome }),
            AgentInput::Played { utterance, .. } => self.tell_menu(Input::Played(utterance)),
            AgentInput::Resume => self.tell_menu(Input::Resume),
            // It listens to keys only.
            AgentInput::SpeechStarted { .. } | AgentInput::SpeechStopped { .. } | AgentInput::Close => {}
        }
    }

    fn tell_menu(&mut self, input: Input) {
        let now = Instant::now().into_std();
        let mut outputs = std::mem::take(&mut self.outputs);
        self.menu.handle(input, now, (self.clock)(), &mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Clear => self.clear(),
                Output::Say { utterance, lines } => self.say(utterance, lines),
                Output::Tool { id, name, arguments } => {
                    self.to_tell.push_back(AgentEvent::ToolCall { id, name: name.to_owned(), arguments });
                }
            }
        }
        self.outputs = outputs;
    }

    fn say(&mut self, utterance: UtteranceId, lines: Vec<Line>) {
        let texts: Vec<&str> = lines.iter().map(Line::text).collect();
        self.to_say.push_back(Step::Begin { utterance, text: texts.join(" ") });
        self.to_say.extend(lines.into_iter().map(Step::Line));
        self.to_say.push_back(Step::End);
    }

    /// Everything stops. Playout reports each utterance once it has its `End`, so those that
    /// lose theirs here get another: one that playout never heard of ends without audio, one
    /// that it is playing is cut.
    fn clear(&mut self) {
        self.rendering = None;
        let unsent = self.to_play.drain(..).filter_map(|command| match command {
            PlayoutCommand::End { utterance } => Some(utterance),
            PlayoutCommand::Audio { .. }
            | PlayoutCommand::Clear
            | PlayoutCommand::Pause
            | PlayoutCommand::Resume => None,
        });
        let mut unended: Vec<UtteranceId> = unsent.collect();
        unended.extend(self.current.take().map(|current| current.utterance));
        unended.extend(self.to_say.drain(..).filter_map(|step| match step {
            Step::Begin { utterance, .. } => Some(utterance),
            Step::Line(_) | Step::End => None,
        }));
        self.to_play.push_back(PlayoutCommand::Clear);
        self.to_play.extend(unended.into_iter().map(|utterance| PlayoutCommand::End { utterance }));
    }

    /// Turns lines into audio as far as it is at hand, and hands over what there is room for.
    fn work(&mut self) {
        while self.rendering.is_none() {
            let Some(step) = self.to_say.pop_front() else { break };
            match step {
                Step::Begin { utterance, text } => {
                    self.current = Some(Current { utterance, samples: 0 });
                    self.to_tell.push_back(AgentEvent::Speaking { utterance, text });
                }
                Step::Line(line) => self.voice(&line),
                Step::End => self.finish(),
            }
        }
        self.hand_over();
    }

    /// Says a line, from audio at hand or by rendering it.
    fn voice(&mut self, line: &Line) {
        let voice_locale = line.voice_locale(&self.locale);
        // The call machine's sentences are standard ones as a rule, in English where the call's
        // language isn't written.
        let at_hand = self
            .speech
            .cached(voice_locale, line.text())
            .or_else(|| self.speech.cached(phrases::spoken_locale(&self.locale), line.text()));
        if let Some(audio) = at_hand {
            self.add(Ok(audio));
            return;
        }
        let parts = self.speech.parts(voice_locale, line.text());
        match parts.as_slice() {
            [] | [_] => self.rendering = Some(self.speech.speak(voice_locale, line.text())),
            parts => {
                for part in parts.iter().rev() {
                    self.to_say.push_front(Step::Line(line.part(part)));
                }
            }
        }
    }

    fn add(&mut self, result: Result<Audio, SpeechError>) {
        let Some(current) = &mut self.current else { return };
        let utterance = current.utterance;
        match result {
            Ok(audio) => {
                let before = match current.samples {
                    0 if self.opened => None,
                    0 => Some(&*LEAD_IN),
                    _ => Some(&*PAUSE),
                };
                self.opened = true;
                for samples in before.into_iter().chain([&audio]) {
                    current.samples += samples.len();
                    let chunk = Chunk::Pcm(samples.clone());
                    self.to_play.push_back(PlayoutCommand::Audio { utterance, chunk });
                }
            }
            Err(error) => self.to_tell.push_back(AgentEvent::SayFailed { utterance, error }),
        }
    }

    fn finish(&mut self) {
        let Some(Current { utterance, samples }) = self.current.take() else { return };
        self.to_play.push_back(PlayoutCommand::End { utterance });
        self.to_tell.push_back(AgentEvent::Spoken { utterance });
        let ms = u64::try_from(samples / SAMPLES_PER_MS).unwrap_or(u64::MAX);
        self.tell_menu(Input::Queued { utterance, length: Duration::from_millis(ms) });
    }

    fn hand_over(&mut self) {
        while let Some(command) = self.to_play.pop_front() {
            match self.playout.try_send(command) {
                Ok(()) => {}
                Err(TrySendError::Full(command)) => {
                    self.to_play.push_front(command);
                    break;
                }
                // The media path is gone, so nobody hears it; the call will close the input.
                Err(TrySendError::Closed(_)) => self.to_play.clear(),
            }
        }
        while let Some(event) = self.to_tell.pop_front() {
            if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
                self.to_tell.push_front(event);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests;
