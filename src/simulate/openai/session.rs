//! One session: the protocol's rules, the conversation, and what is scheduled to be sent.

mod settings;
mod speaking;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::ear::{Ear, Edge, Format, Vad};
use super::events::{Ids, Objection, audio_delta, event};
use super::script::{Script, Turn};
use crate::agent::caller_audio::Law;

/// Items that are remembered.
const MOST_ITEMS: usize = 1_000;

/// What is to be done with the socket.
#[derive(Debug, PartialEq)]
pub(super) enum Out {
    Send(String),
    Close(u16, &'static str),
    Drop,
}

/// A response that has to be made: the server renders its sound and gives it back.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) turn: Turn,
    /// Said instead of what the script has: the words of `response.create`.
    pub(super) text: Option<String>,
    response: String,
    metadata: Value,
    apart: bool,
}

/// What is sent later.
#[derive(Debug)]
enum Later {
    Event(String),
    Audio { response: Arc<str>, item: Arc<str>, audio: Bytes },
    Finish(Box<Ending>),
    Close,
    Drop,
}

#[derive(Debug)]
struct Ending {
    response: String,
    text: String,
    call: Option<(String, String)>,
}

#[derive(Debug)]
struct Active {
    id: String,
    item: Arc<str>,
    /// The item was announced.
    begun: bool,
    text: String,
    metadata: Value,
    apart: bool,
}

/// The session.
pub(super) struct Session {
    script: Arc<Script>,
    ids: Ids,
    beta: bool,
    config: Value,
    vad: Option<Vad>,
    ear: Ear,
    output: Format,
    /// Audio since the last commit, in milliseconds.
    uncommitted_ms: u64,
    /// Milliseconds of audio of the assistant's items; others have none.
    items: HashMap<String, Option<u64>>,
    last_item: Option<String>,
    speech_item: Option<String>,
    active: Vec<Active>,
    later: BTreeMap<(Instant, u64), Later>,
    order: u64,
    turns: usize,
    /// It went wrong, as the script wants it.
    faulty: bool,
    spoken: bool,
    configured: bool,
    wanted: Vec<Wanted>,
}

impl Session {
    pub(super) fn new(
        script: Arc<Script>,
        number: u64,
        beta: bool,
        now: Instant,
        out: &mut Vec<Out>,
    ) -> Self {
        let format = Format::Pcm24;
        let vad = Vad {
            threshold: 0.5,
            prefix_ms: 300,
            silence_ms: 200,
            create_response: true,
            interrupt_response: true,
        };
        let mut session = Self {
            ids: Ids::new(number),
            beta,
            config: json!({
                "type": "realtime",
                "object": "realtime.session",
                "id": format!("sess_{number:06}"),
                "output_modalities": ["audio"],
                "instructions": "",
                "tools": [],
                "tool_choice": "auto",
                "audio": {
                    "input": {"format": {"type": "audio/pcm", "rate": 24_000}, "transcription": null},
                    "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin"},
                },
            }),
            vad: Some(vad),
            ear: Ear::new(format),
            output: format,
            uncommitted_ms: 0,
            items: HashMap::new(),
            last_item: None,
            speech_item: None,
            active: Vec::new(),
            later: BTreeMap::new(),
            order: 0,
            turns: 0,
            faulty: false,
            spoken: false,
            configured: false,
            wanted: Vec::new(),
            script,
        };
        let fields = json!({"session": session.config});
        session.send("session.created", fields, out);
        session.at(now + Duration::from_secs(session.script.session_seconds), Later::Close);
        session
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.later.keys().next().map(|(at, _)| *at)
    }

    /// The responses whose sound is needed.
    pub(super) fn take_wanted(&mut self) -> Vec<Wanted> {
        std::mem::take(&mut self.wanted)
    }

    /// Where a session that replaces this one goes on: after the turn that went wrong.
    pub(super) fn goes_on_at(&self) -> usize {
        if self.faulty { self.turns } else { 0 }
    }

    pub(super) fn start_at(&mut self, turns: usize) {
        self.turns = turns;
    }

    fn at(&mut self, at: Instant, later: Later) {
        self.order += 1;
        self.later.insert((at, self.order), later);
    }

    fn send(&mut self, kind: &str, fields: Value, out: &mut Vec<Out>) {
        out.push(Out::Send(event(&mut self.ids, kind, fields)));
    }

    fn event(&mut self, kind: &str, fields: Value) -> Later {
        Later::Event(event(&mut self.ids, kind, fields))
    }

    /// Sends what is due.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Out>) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            match entry.remove() {
                Later::Event(text) => out.push(Out::Send(text)),
                Later::Audio { response, item, audio } => {
                    let ms = (audio.len() / self.output.bytes_per_ms()) as u64;
                    if let Some(Some(sent)) = self.items.get_mut(&*item) {
                        *sent += ms;
                    }
                    self.spoken = true;
                    out.push(Out::Send(audio_delta(&mut self.ids, self.beta, &response, &item, &audio)));
                }
                Later::Finish(ending) => self.finish(&ending, out),
                Later::Close => {
                    out.push(Out::Close(1001, "Your session hit the maximum duration of 60 minutes."));
                }
                Later::Drop => out.push(Out::Drop),
            }
        }
    }

    /// Takes the caller's audio.
    pub(super) fn hear(&mut self, bytes: &[u8], now: Instant, out: &mut Vec<Out>) {
        self.uncommitted_ms += (bytes.len() / 8) as u64;
        let (vad, mut edges) = (self.vad, Vec::new());
        self.ear.hear(bytes, vad, |edge| edges.push(edge));
        for edge in edges {
            match edge {
                Edge::Started { at_ms } => {
                    let item = self.ids.make("item");
                    self.speech_item = Some(item.clone());
                    let fields = json!({"audio_start_ms": at_ms, "item_id": item});
                    self.send("input_audio_buffer.speech_started", fields, out);
                    if vad.is_some_and(|vad| vad.interrupt_response) {
                        self.cancel_all("turn_detected", out);
                    }
                }
                Edge::Stopped { at_ms } => {
                    let item = self.speech_item.take().unwrap_or_else(|| self.ids.make("item"));
                    let fields = json!({"audio_end_ms": at_ms, "item_id": item});
                    self.send("input_audio_buffer.speech_stopped", fields, out);
                    self.commit(item, now, out);
                    if vad.is_some_and(|vad| vad.create_response) && self.active_default().is_none() {
                        self.respond(&Value::Null, out);
                    }
                }
            }
        }
    }

    fn commit(&mut self, item: String, now: Instant, out: &mut Vec<Out>) {
        self.uncommitted_ms = 0;
        let fields = json!({"item_id": item, "previous_item_id": self.last_item});
        self.send("input_audio_buffer.committed", fields, out);
        let body = json!({
            "id": item, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": null}],
        });
        self.add_item(&item, &body, None, out);
        if self.config.pointer("/audio/input/transcription").is_none_or(Value::is_null) {
            return;
        }
        let turn = self.script.turn(self.turns).cloned().unwrap_or_default();
        let at = now + Duration::from_millis(self.script.pace.transcript_ms);
        const PREFIX: &str = "conversation.item.input_audio_transcription";
        let completed = match turn.heard {
            Some(text) => {
                let delta = self.event(
                    &format!("{PREFIX}.delta"),
                    json!({"item_id": item, "content_index": 0, "delta": text}),
                );
                self.at(at, delta);
                let usage = json!({"type": "duration", "seconds": 1});
                let fields = json!({"item_id": item, "content_index": 0, "transcript": text, "usage": usage});
                self.event(&format!("{PREFIX}.completed"), fields)
            }
            None => {
                let error = json!({"type": "transcription_error", "code": "audio_unintelligible", "message": "The audio could not be transcribed.", "param": null});
                let fields = json!({"item_id": item, "content_index": 0, "error": error});
                self.event(&format!("{PREFIX}.failed"), fields)
            }
        };
        self.at(at, completed);
    }

    fn add_item(&mut self, id: &str, body: &Value, audio: Option<u64>, out: &mut Vec<Out>) {
        let fields = json!({"item": body, "previous_item_id": self.last_item});
        if self.beta {
            self.send("conversation.item.created", fields, out);
        } else {
            self.send("conversation.item.added", fields.clone(), out);
            if audio.is_none() {
                self.send("conversation.item.done", fields, out);
            }
        }
        if self.items.len() < MOST_ITEMS {
            self.items.insert(id.to_owned(), audio);
        }
        self.last_item = Some(id.to_owned());
    }

    fn active_default(&self) -> Option<&Active> {
        self.active.iter().find(|one| !one.apart)
    }

    /// Takes an event of the client, other than audio.
    pub(super) fn take(&mut self, message: &Value, now: Instant, out: &mut Vec<Out>) {
        let about = message.get("event_id").and_then(Value::as_str).map(str::to_owned);
        let result = match message.get("type").and_then(Value::as_str).unwrap_or_default() {
            "session.update" => self.update(message.get("session").unwrap_or(&Value::Null), out),
            "input_audio_buffer.clear" => {
                self.uncommitted_ms = 0;
                self.send("input_audio_buffer.cleared", json!({}), out);
                Ok(())
            }
            "input_audio_buffer.commit" if self.uncommitted_ms < 100 => Err(Objection::request(
                "input_audio_buffer_commit_empty",
                format!(
                    "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but \
                     buffer only has {}.00ms of audio.",
                    self.uncommitted_ms
                ),
            )),
            "input_audio_buffer.commit" => {
                let item = self.ids.make("item");
                self.commit(item, now, out);
                Ok(())
            }
            "conversation.item.create" => self.create(message, out),
            "conversation.item.truncate" => self.truncate(message, out),
            "conversation.item.delete" => self.delete(message, out),
            "conversation.item.retrieve" => self.retrieve(message, out),
            "response.create" => {
                let response = message.get("response").unwrap_or(&Value::Null);
                let apart = response.get("conversation").and_then(Value::as_str) == Some("none");
                if !apart && self.active_default().is_some() {
                    Err(Objection::request(
                        "conversation_already_has_active_response",
                        "Conversation already has an active response in progress. Wait until the response is \
                         finished before creating a new one.",
                    ))
                } else {
                    self.respond(response, out);
                    Ok(())
                }
            }
            "response.cancel" => {
                let wanted = message.get("response_id").and_then(Value::as_str);
                let known = self.active.iter().any(|one| wanted.is_none_or(|id| one.id == id));
                if known {
                    let id = wanted.map(str::to_owned);
                    self.cancel(id.as_deref(), "client_cancelled", out);
                    Ok(())
                } else {
                    Err(Objection::request(
                        "response_cancel_not_active",
                        "Cancellation failed: no active response found",
                    ))
                }
            }
            "" => Err(Objection::request("invalid_event", "The event has no type.").about("type")),
            other => Err(Objection::request(
                "invalid_value",
                format!("Invalid value: '{other}'. It is no event that clients send."),
            )
            .about("type")),
        };
        if let Err(objection) = result {
            out.push(Out::Send(objection.event(&mut self.ids, about.as_deref())));
        }
    }

    fn create(&mut self, message: &Value, out: &mut Vec<Out>) -> Result<(), Objection> {
        let item = message.get("item").filter(|item| item.is_object());
        let Some(item) = item else {
            return Err(Objection::request(
                "missing_required_parameter",
                "Missing required parameter: 'item'.",
            ));
        };
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        let assistant_audio = item.get("role").and_then(Value::as_str) == Some("assistant")
            && item
                .pointer("/content/0/type")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.contains("audio"));
        if !["message", "function_call", "function_call_output"].contains(&kind) || assistant_audio {
            return Err(Objection::request("invalid_value", "Invalid item.").about("item"));
        }
        if kind == "function_call_output" && !item.get("output").is_some_and(Value::is_string) {
            return Err(Objection::request(
                "invalid_type",
                "Invalid type for 'item.output': expected a string.",
            )
            .about("item"));
        }
        let given = item.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = given.unwrap_or_else(|| self.ids.make("item"));
        let mut body = item.clone();
        if let Some(body) = body.as_object_mut() {
            body.insert("id".to_owned(), json!(id));
            body.insert("object".to_owned(), json!("realtime.item"));
            body.insert("status".to_owned(), json!("completed"));
        }
        self.add_item(&id, &body, None, out);
        Ok(())
    }

    fn truncate(&mut self, message: &Value, out: &mut Vec<Out>) -> Result<(), Objection> {
        let id = message.get("item_id").and_then(Value::as_str).unwrap_or_default();
        let end = message.get("audio_end_ms").and_then(Value::as_u64);
        let (Some(known), Some(end)) = (self.items.get_mut(id), end) else {
            return Err(Objection::request("invalid_value", format!("Item with item_id '{id}' not found.")));
        };
        match known {
            Some(ms) if end <= *ms => {
                *ms = end;
                let fields = json!({"item_id": id, "content_index": 0, "audio_end_ms": end});
                self.send("conversation.item.truncated", fields, out);
                Ok(())
            }
            Some(ms) => Err(Objection::request(
                "invalid_value",
                format!("Audio content of {ms}ms is already shorter than {end}ms"),
            )),
            None => {
                Err(Objection::request("invalid_value", "Only model output audio messages can be truncated."))
            }
        }
    }

    fn delete(&mut self, message: &Value, out: &mut Vec<Out>) -> Result<(), Objection> {
        let id = message.get("item_id").and_then(Value::as_str).unwrap_or_default();
        if self.items.remove(id).is_none() {
            let message = format!("Error deleting item: the item with id '{id}' does not exist.");
            return Err(Objection::request("item_delete_invalid_item_id", message));
        }
        self.send("conversation.item.deleted", json!({"item_id": id}), out);
        Ok(())
    }

    fn retrieve(&mut self, message: &Value, out: &mut Vec<Out>) -> Result<(), Objection> {
        let id = message.get("item_id").and_then(Value::as_str).unwrap_or_default();
        if !self.items.contains_key(id) {
            return Err(Objection::request("invalid_value", format!("Item '{id}' not found.")));
        }
        let item =
            json!({"id": id, "object": "realtime.item", "type": "message", "role": "user", "content": []});
        self.send("conversation.item.retrieved", json!({"item": item}), out);
        Ok(())
    }
}

/// Lays the fields of the second over the first, at any depth.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => base.clone_from(over),
    }
}
