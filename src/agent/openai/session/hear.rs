//! What the server sends, and what it means.

use std::sync::atomic::Ordering;
use std::time::Instant;

use media::playout::{Chunk, PlayoutCommand};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::super::connection::{Said, dropped, fault, garbled, refusal};
use super::super::talk::Purpose;
use super::super::wire::{
    CallFunction, ClientEvent, Failure, MAX_TRANSCRIPT, ResponseStatus, ServerError, ServerEvent,
    Transcribed, Usage,
};
use super::{AgentEvent, Caller, MOST_UNPLAYED, Response, Session};
use crate::agent::caller_audio::Law;
use crate::agent::turn::{Input as Turn, Speech};
use crate::tool::ToolCallId;

/// Tools that may run at the same time; more are refused.
const MOST_TOOLS: usize = 16;
/// Messages in a row that aren't what the protocol says before the server is given up.
const MOST_GARBLED: u32 = 20;

impl Session {
    pub(super) fn take_message(&mut self, message: Option<Result<Message, Error>>) {
        match message {
            None => self.lose(dropped(None)),
            Some(Err(error)) => self.lose(fault(&error)),
            Some(Ok(Message::Text(text))) => match ServerEvent::read(&text) {
                Ok(event) => {
                    self.garbled = 0;
                    self.take_event(event);
                }
                Err(error) => self.take_garbage(&error),
            },
            Some(Ok(Message::Close(frame))) => self.closed_by_server(frame.map(|frame| frame.code.into())),
            Some(Ok(Message::Binary(_))) => {
                self.take_garbage(&super::super::wire::WireError::NoEvent);
            }
            // A ping is answered by the socket; the answer has to be written.
            Some(Ok(Message::Ping(_))) => self.unflushed = true,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
        }
    }

    fn take_garbage(&mut self, error: &super::super::wire::WireError) {
        self.shared.counters.garbled.fetch_add(1, Ordering::Relaxed);
        self.garbled += 1;
        tracing::debug!(call = %self.call, expected = %error, "a message of the realtime server can't be used");
        if self.garbled >= MOST_GARBLED {
            self.garbled = 0;
            self.lose(garbled("events"));
        }
    }

    fn take_event(&mut self, event: ServerEvent<'_>) {
        if let Response::Running { heard_of, .. } = &mut self.response {
            *heard_of = Instant::now();
        }
        match event {
            ServerEvent::Audio { response, item, base64 } => self.audio_of(&response, &item, &base64),
            ServerEvent::AudioDone { item } => self.audio_done(&item),
            ServerEvent::SaidPart { item, text } => self.said_part(&item, &text),
            ServerEvent::Said { item, text } => self.said(&item, &text),
            ServerEvent::Committed { .. } if self.caller == Caller::Here => {
                self.clock.endpoint(Instant::now());
                self.tell_turns(Turn::Committed);
            }
            ServerEvent::HeardPart { text, .. } => self.tell_turns(Turn::Partial(&text)),
            ServerEvent::Heard { transcript, .. } => self.heard(&transcript),
            ServerEvent::ResponseCreated { response, tag } => {
                self.response_created(&response, tag.as_deref())
            }
            ServerEvent::ResponseDone { response, status, usage, calls } => {
                self.response_done(&response, &status, usage, calls);
            }
            ServerEvent::Function { response, call } => self.function(&response, call),
            ServerEvent::Error(error) => self.objection(&error),
            _ => {}
        }
    }

    fn objection(&mut self, error: &ServerError<'_>) {
        if error.failure == Failure::Benign {
            tracing::debug!(call = %self.call, code = %error.code, "the realtime server objects");
            return;
        }
        tracing::warn!(
            call = %self.call, code = %error.code, message = %error.message, event = error.event.as_deref(),
            "the realtime server objects"
        );
        match error.failure {
            Failure::Quota | Failure::Refused | Failure::Expired => self.lose(refusal(error.failure)),
            // What was asked for isn't coming.
            _ if error.event.as_deref() == Some("respond") => {
                if let Response::Asked { .. } = self.response {
                    self.lose(refusal(error.failure));
                }
            }
            _ => {}
        }
    }

    fn heard(&mut self, transcript: &Transcribed<'_>) {
        let text = match transcript {
            Transcribed::Words(text) => clipped(text.trim()),
            Transcribed::Failed => "",
        };
        if !text.is_empty() {
            self.talk.remember(Said::Caller(text.to_owned()));
            self.tell(AgentEvent::Heard { text: text.to_owned() });
        }
        self.tell_turns(Turn::Final(text));
    }

    fn response_created(&mut self, response: &str, tag: Option<&str>) {
        let (purpose, cancelled) = match &self.response {
            Response::Asked { purpose, cancelled, .. } => (purpose.clone(), *cancelled),
            // One that we didn't ask for: servers that answer by themselves.
            Response::None => (Purpose::Reply, false),
            Response::Running { .. } => return,
        };
        if tag.is_some_and(|tag| tag != purpose.tag()) {
            tracing::debug!(call = %self.call, "a response comes under another's name");
        }
        self.response = running(response, purpose, cancelled);
        if cancelled {
            self.send(&ClientEvent::Cancel { response });
        }
    }

    fn response_done(
        &mut self,
        response: &str,
        status: &ResponseStatus,
        usage: Usage,
        calls: Vec<CallFunction<'_>>,
    ) {
        self.tell(AgentEvent::Used { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens });
        let ours = match &self.response {
            Response::Running { id, .. } => **id == *response,
            // Some servers don't say that a response begins.
            Response::Asked { .. } => true,
            Response::None => false,
        };
        if !ours {
            return;
        }
        let (purpose, cancelled, audible) = match std::mem::replace(&mut self.response, Response::None) {
            Response::Running { purpose, cancelled, audible, .. } => (purpose, cancelled, audible),
            Response::Asked { purpose, cancelled, .. } => (purpose, cancelled, false),
            Response::None => return,
        };
        if !cancelled && *status == ResponseStatus::Completed {
            for call in calls {
                self.call_tool(call);
            }
        }
        self.abandon_response();
        if let ResponseStatus::Failed(failure) = status {
            // A failure that passes is got over by a new session; the others are the fallback's.
            let since = Instant::now();
            self.response = Response::Asked { purpose, since, cancelled, reassured: true };
            self.lose(refusal(*failure));
            return;
        }
        if !audible && !cancelled && self.tools.is_empty() {
            self.came_to_nothing(purpose);
        }
        self.next_in_queue();
        self.settle();
    }

    /// A response without a sound: nothing was to be said, or the sentence is said by ourselves.
    fn came_to_nothing(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Announcement { text, utterance } => {
                self.say_locally(Purpose::Announcement { text: text.clone(), utterance }, text);
            }
            _ => self.tell_turns(Turn::Failed),
        }
    }

    fn audio_of(&mut self, response: &str, item: &str, base64: &str) {
        let purpose = match &mut self.response {
            Response::Running { id, cancelled: false, purpose, audible, .. } if **id == *response => {
                *audible = true;
                purpose.clone()
            }
            Response::Asked { cancelled: false, purpose, .. } => {
                // The server doesn't say that a response begins.
                let purpose = purpose.clone();
                self.response = running(response, purpose.clone(), false);
                purpose
            }
            _ => return,
        };
        let received = match ServerEvent::decode(base64, &mut self.decoded) {
            Ok(received) => received,
            Err(error) => return self.take_garbage(&error),
        };
        let (utterance, begun) = self.talk.of_item(item, || purpose.clone());
        if utterance.cut || utterance.ended || received == 0 {
            self.decoded.clear();
            return;
        }
        utterance.received += received as u64;
        let utterance = utterance.id;
        let now = Instant::now();
        if begun {
            self.clock.first_audio(now);
            self.tell(AgentEvent::Speaking { utterance, text: String::new() });
            let speech = self.kind_of(&purpose);
            self.tell_turns(Turn::Speaking(speech));
        }
        if self.unplayed > MOST_UNPLAYED {
            tracing::warn!(call = %self.call, "the realtime server speaks without end; it is cut short");
            return self.hush();
        }
        let codewords = self.decoded.split().freeze();
        let chunk = match self.audio.law() {
            Law::Mu => Chunk::Pcmu(codewords),
            Law::A => Chunk::Pcma(codewords),
        };
        self.play(PlayoutCommand::Audio { utterance, chunk });
        self.hand_over();
        if begun && let Some(latency) = self.clock.handed_on(Instant::now()) {
            self.tell(AgentEvent::Answered(latency));
        }
    }

    fn kind_of(&self, purpose: &Purpose) -> Speech {
        let disclosure = &self.tenant.voice.disclosure;
        match purpose {
            Purpose::Greeting if disclosure.enabled && disclosure.required_by_law => Speech::Uncuttable,
            Purpose::Greeting => Speech::Greeting,
            Purpose::Announcement { .. } | Purpose::Goodbye => Speech::Uncuttable,
            Purpose::Reply | Purpose::Filler | Purpose::Reprompt => Speech::Reply,
        }
    }

    fn audio_done(&mut self, item: &str) {
        let Some(utterance) = self.talk.known(item).filter(|one| !one.ended) else { return };
        utterance.ended = true;
        let utterance = utterance.id;
        self.play(PlayoutCommand::End { utterance });
        self.tell(AgentEvent::Spoken { utterance });
    }

    fn said_part(&mut self, item: &str, text: &str) {
        if let Some(utterance) = self.talk.known(item)
            && utterance.text.len() + text.len() <= MAX_TRANSCRIPT
        {
            utterance.text.push_str(text);
        }
    }

    fn said(&mut self, item: &str, text: &str) {
        let text = clipped(text);
        let Some(utterance) = self.talk.known(item) else { return };
        if utterance.cut {
            return;
        }
        text.clone_into(&mut utterance.text);
        let (utterance, apart) = (utterance.id, utterance.purpose.apart());
        self.tell(AgentEvent::Said { utterance, text: text.to_owned() });
        if !apart {
            self.tell_turns(Turn::Said(text));
        }
    }

    fn function(&mut self, response: &str, call: CallFunction<'_>) {
        if let Response::Running { id, cancelled: false, .. } = &self.response
            && **id == *response
        {
            self.call_tool(call);
        }
    }

    /// Runs a tool once, however often it is told of.
    fn call_tool(&mut self, call: CallFunction<'_>) {
        let id = ToolCallId::new(&call.call);
        if self.called.contains(&id) || self.tools.len() >= MOST_TOOLS {
            return;
        }
        if self.called.len() >= MOST_TOOLS {
            self.called.pop_front();
        }
        self.called.push_back(id.clone());
        self.tools.push(id.clone());
        // What is no JSON is refused where arguments are validated, in words that the model gets.
        let arguments = match serde_json::from_str(&call.arguments) {
            Ok(arguments) => arguments,
            Err(_) if call.arguments.trim().is_empty() => serde_json::Value::Null,
            Err(_) => serde_json::Value::String(call.arguments.into_owned()),
        };
        self.tell(AgentEvent::ToolCall { id, name: call.name.into_owned(), arguments });
        self.tell_turns(Turn::ToolStarted);
    }
}

fn running(response: &str, purpose: Purpose, cancelled: bool) -> Response {
    let heard_of = Instant::now();
    Response::Running { id: response.into(), purpose, cancelled, heard_of, audible: false }
}

/// The text, as far as it is kept.
fn clipped(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TRANSCRIPT)).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}
