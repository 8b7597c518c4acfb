//! One session: the protocol's rules, the conversation, and what is scheduled to be sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::audio::Samples;
use super::ear::{Ear, Edge, Format, Vad};
use super::events::{Ids, Objection, audio_delta, event, usage};
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

    fn update(&mut self, session: &Value, out: &mut Vec<Out>) -> Result<(), Objection> {
        let missing = |param: &'static str| {
            Objection::request(
                "missing_required_parameter",
                format!("Missing required parameter: '{param}'."),
            )
            .about(param)
        };
        let Some(fields) = session.as_object() else { return Err(missing("session")) };
        if self.beta {
            self.update_beta(session)?;
        } else {
            match session.get("type").and_then(Value::as_str) {
                Some("realtime") => {}
                Some(_) => {
                    return Err(Objection::request("invalid_value", "Passing a transcription session here.")
                        .about("session.type"));
                }
                None => return Err(missing("session.type")),
            }
            self.update_current(session)?;
        }
        let unchanged = self.config.clone();
        merge(&mut self.config, &Value::Object(fields.clone()));
        let voice = |config: &Value| config.pointer("/audio/output/voice").cloned();
        if self.spoken && voice(&unchanged) != voice(&self.config) {
            self.config = unchanged;
            return Err(Objection::request(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
            )
            .about("session.audio.output.voice"));
        }
        self.configured = true;
        let fields = json!({"session": self.config});
        self.send("session.updated", fields, out);
        Ok(())
    }

    fn update_current(&mut self, session: &Value) -> Result<(), Objection> {
        const KNOWN: [&str; 14] = [
            "type",
            "model",
            "instructions",
            "output_modalities",
            "audio",
            "tools",
            "tool_choice",
            "max_output_tokens",
            "truncation",
            "tracing",
            "include",
            "prompt",
            "reasoning",
            "parallel_tool_calls",
        ];
        let unknown =
            session.as_object().into_iter().flatten().find(|(name, _)| !KNOWN.contains(&name.as_str()));
        if let Some((name, _)) = unknown {
            let message = format!("Unknown parameter: 'session.{name}'.");
            return Err(Objection::request("unknown_parameter", message).about("session"));
        }
        if let Some(format) = session.pointer("/audio/input/format") {
            let format = format_of(format, "session.audio.input.format")?;
            self.ear.set_format(format);
        }
        if let Some(format) = session.pointer("/audio/output/format") {
            self.output = format_of(format, "session.audio.output.format")?;
        }
        if let Some(turns) = session.pointer("/audio/input/turn_detection") {
            self.vad = vad_of(turns)?;
        }
        Ok(())
    }

    fn update_beta(&mut self, session: &Value) -> Result<(), Objection> {
        let format = |name: &str| match session.get(name).and_then(Value::as_str) {
            None => Ok(None),
            Some("g711_ulaw") => Ok(Some(Format::G711(Law::Mu))),
            Some("g711_alaw") => Ok(Some(Format::G711(Law::A))),
            Some("pcm16") => Ok(Some(Format::Pcm24)),
            Some(other) => Err(Objection::request("invalid_value", format!("Invalid value: '{other}'."))),
        };
        if let Some(format) = format("input_audio_format")? {
            self.ear.set_format(format);
        }
        if let Some(format) = format("output_audio_format")? {
            self.output = format;
        }
        if let Some(turns) = session.get("turn_detection") {
            self.vad = vad_of(turns)?;
        }
        if let Some(transcription) = session.get("input_audio_transcription") {
            merge(&mut self.config, &json!({"audio": {"input": {"transcription": transcription}}}));
        }
        Ok(())
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

    fn respond(&mut self, asked: &Value, out: &mut Vec<Out>) {
        let instructions = asked.get("instructions").and_then(Value::as_str);
        // A model that is told to say something says it: the words are the last line.
        let text = instructions.map(|text| text.rsplit('\n').next().unwrap_or(text).to_owned());
        let turn = if text.is_some() {
            Turn::default()
        } else {
            let turn = self.script.turn(self.turns).cloned().unwrap_or_default();
            self.turns += 1;
            turn
        };
        if turn.hang {
            self.faulty = true;
            return;
        }
        let response = self.ids.make("resp");
        let metadata = asked.get("metadata").cloned().unwrap_or(Value::Null);
        let apart = asked.get("conversation").and_then(Value::as_str) == Some("none");
        let body = response_body(&response, "in_progress", &Value::Null, &metadata, &[], &Value::Null);
        self.send("response.created", json!({"response": body}), out);
        let item: Arc<str> = self.ids.make("item").into();
        self.active.push(Active {
            id: response.clone(),
            item,
            begun: false,
            text: String::new(),
            metadata: metadata.clone(),
            apart,
        });
        self.wanted.push(Wanted { turn, text, response, metadata, apart });
    }

    /// The sound of a response is there: schedules all of it.
    pub(super) fn speak(&mut self, wanted: &Wanted, samples: &Samples, random: f64, now: Instant) {
        let pace = self.script.pace;
        let turn = &wanted.turn;
        let Some(active) = self.active.iter_mut().find(|one| one.id == wanted.response) else { return };
        let text = wanted.text.clone().or_else(|| turn.say.clone()).unwrap_or_default();
        active.text.clone_from(&text);
        let item = Arc::clone(&active.item);
        let wait = turn.first_audio_ms.unwrap_or(pace.first_audio_ms) as f64 + random * pace.jitter_ms as f64;
        let first = now + Duration::from_secs_f64(wait.max(0.0) / 1_000.0);
        for _ in 0..turn.garbage {
            self.at(first, Later::Event("{\"type\": garbage".to_owned()));
        }
        if let Some(code) = &turn.fail {
            let error =
                json!({"type": "server_error", "code": code, "message": "The simulator was told to fail."});
            let details = json!({"type": "failed", "reason": null, "error": error});
            let body =
                response_body(&wanted.response, "failed", &details, &wanted.metadata, &[], &usage(0, 0));
            let done = self.event("response.done", json!({"response": body}));
            self.at(first, done);
            self.active.retain(|one| one.id != wanted.response);
            return;
        }
        let audio = Bytes::from(self.output.encode(samples));
        if !audio.is_empty() {
            self.announce_item(wanted, &item, first);
        }
        let last = self.schedule_audio(wanted, &item, &audio, first);
        let call = turn.call.as_ref().map(|call| {
            let arguments = if call.arguments.is_null() { json!({}) } else { call.arguments.clone() };
            (call.name.clone(), arguments.to_string())
        });
        let ending = Ending { response: wanted.response.clone(), text, call };
        self.at(last, Later::Finish(Box::new(ending)));
    }

    fn announce_item(&mut self, wanted: &Wanted, item: &Arc<str>, at: Instant) {
        if let Some(active) = self.active.iter_mut().find(|one| one.id == wanted.response) {
            active.begun = true;
        }
        self.items.insert(item.to_string(), Some(0));
        let body = assistant(item, "in_progress", None);
        let response = &wanted.response;
        let added = json!({"response_id": response, "output_index": 0, "item": body});
        let added = self.event("response.output_item.added", added);
        self.at(at, added);
        if !wanted.apart {
            let name = if self.beta { "conversation.item.created" } else { "conversation.item.added" };
            let created = self.event(name, json!({"item": body, "previous_item_id": self.last_item}));
            self.at(at, created);
            self.last_item = Some(item.to_string());
        }
        let part = json!({"type": "audio", "transcript": ""});
        let fields = json!({"response_id": response, "item_id": &**item, "output_index": 0, "content_index": 0, "part": part});
        let part = self.event("response.content_part.added", fields);
        self.at(at, part);
    }

    /// Cuts the audio into events. Returns when the last is sent.
    fn schedule_audio(&mut self, wanted: &Wanted, item: &Arc<str>, audio: &Bytes, first: Instant) -> Instant {
        let pace = self.script.pace;
        let turn = &wanted.turn;
        let response: Arc<str> = wanted.response.as_str().into();
        let name = format!("response.{}audio_transcript.delta", if self.beta { "" } else { "output_" });
        let size = usize::try_from(pace.chunk_ms).unwrap_or(100).max(1) * self.output.bytes_per_ms();
        let (mut at, mut sent_ms, mut stalled) = (first, 0_u64, false);
        let text = wanted.text.as_deref().or(turn.say.as_deref()).unwrap_or_default();
        for (number, from) in (0..audio.len()).step_by(size).enumerate() {
            let piece = audio.slice(from..(from + size).min(audio.len()));
            if number == 0 && !text.is_empty() {
                let fields = json!({"response_id": &*response, "item_id": &**item, "output_index": 0, "content_index": 0, "delta": text});
                let delta = self.event(&name, fields);
                self.at(at, delta);
            }
            let piece_ms = (piece.len() / self.output.bytes_per_ms()) as u64;
            self.at(
                at,
                Later::Audio { response: Arc::clone(&response), item: Arc::clone(item), audio: piece },
            );
            sent_ms += piece_ms;
            if turn.drop_after_ms.is_some_and(|after| sent_ms >= after) {
                self.faulty = true;
                self.at(at, Later::Drop);
            }
            if turn.stall_after_ms.is_some_and(|after| sent_ms >= after) && !stalled {
                stalled = true;
                at += Duration::from_millis(turn.stall_ms);
            }
            if pace.speed > 0.0 && sent_ms > pace.burst_ms {
                at += Duration::from_secs_f64(piece_ms as f64 / 1_000.0 / pace.speed);
            }
        }
        at
    }

    /// All audio is out: the events that end a response, in their order.
    fn finish(&mut self, ending: &Ending, out: &mut Vec<Out>) {
        let Some(at) = self.active.iter().position(|one| one.id == ending.response) else { return };
        let active = self.active.remove(at);
        let mut output = Vec::new();
        let mut ms = 0;
        if active.begun {
            ms = self.items.get(&*active.item).copied().flatten().unwrap_or(0);
            output.push(self.end_item(&active, &ending.text, "completed", out));
        }
        if let Some((name, arguments)) = &ending.call {
            output.push(self.call(&active, name, arguments, out));
        }
        let usage = usage(self.ear.heard_ms(), ms);
        let body = response_body(&active.id, "completed", &Value::Null, &active.metadata, &output, &usage);
        self.send("response.done", json!({"response": body}), out);
        let limits =
            json!([{"name": "tokens", "limit": 200_000, "remaining": 199_000, "reset_seconds": 0.3}]);
        self.send("rate_limits.updated", json!({"rate_limits": limits}), out);
    }

    fn end_item(&mut self, active: &Active, text: &str, status: &str, out: &mut Vec<Out>) -> Value {
        let prefix = if self.beta { "" } else { "output_" };
        let place = json!({"response_id": active.id, "item_id": &*active.item, "output_index": 0, "content_index": 0});
        let with = |more: Value| {
            let mut fields = place.clone();
            merge(&mut fields, &more);
            fields
        };
        self.send(&format!("response.{prefix}audio.done"), place.clone(), out);
        self.send(&format!("response.{prefix}audio_transcript.done"), with(json!({"transcript": text})), out);
        let part = json!({"part": {"type": "audio", "transcript": text}});
        self.send("response.content_part.done", with(part), out);
        let body = assistant(&active.item, status, Some(text));
        let fields = json!({"response_id": active.id, "output_index": 0, "item": body});
        self.send("response.output_item.done", fields, out);
        if !active.apart && !self.beta {
            self.send("conversation.item.done", json!({"item": body}), out);
        }
        body
    }

    fn call(&mut self, active: &Active, name: &str, arguments: &str, out: &mut Vec<Out>) -> Value {
        let (item, call) = (self.ids.make("item"), self.ids.make("call"));
        let body = |status: &str, arguments: &str| json!({"id": item, "object": "realtime.item", "type": "function_call", "status": status, "name": name, "call_id": call, "arguments": arguments});
        let place = json!({"response_id": active.id, "item_id": item, "output_index": 1, "call_id": call});
        let with = |more: Value| {
            let mut fields = place.clone();
            merge(&mut fields, &more);
            fields
        };
        let added = json!({"response_id": active.id, "output_index": 1, "item": body("in_progress", "")});
        self.send("response.output_item.added", added, out);
        self.add_item(&item, &body("in_progress", ""), None, out);
        self.send("response.function_call_arguments.delta", with(json!({"delta": arguments})), out);
        let done = with(json!({"name": name, "arguments": arguments}));
        self.send("response.function_call_arguments.done", done, out);
        let whole = body("completed", arguments);
        let fields = json!({"response_id": active.id, "output_index": 1, "item": whole});
        self.send("response.output_item.done", fields, out);
        whole
    }

    fn cancel_all(&mut self, reason: &str, out: &mut Vec<Out>) {
        while self.active_default().is_some() {
            let id = self.active_default().map(|one| one.id.clone());
            self.cancel(id.as_deref(), reason, out);
        }
    }

    fn cancel(&mut self, id: Option<&str>, reason: &str, out: &mut Vec<Out>) {
        let Some(at) = self.active.iter().position(|one| id.is_none_or(|id| one.id == id)) else { return };
        let active = self.active.remove(at);
        self.forget_scheduled(&active);
        let mut output = Vec::new();
        if active.begun {
            let text = active.text.clone();
            output.push(self.end_item(&active, &text, "incomplete", out));
        }
        let details = json!({"type": "cancelled", "reason": reason});
        let body = response_body(&active.id, "cancelled", &details, &active.metadata, &output, &usage(0, 0));
        self.send("response.done", json!({"response": body}), out);
    }

    fn forget_scheduled(&mut self, active: &Active) {
        self.later.retain(|_, later| match later {
            Later::Audio { response, .. } => **response != *active.id,
            Later::Finish(ending) => ending.response != active.id,
            Later::Event(text) => !text.contains(&active.id),
            Later::Close | Later::Drop => true,
        });
    }
}

fn assistant(id: &str, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> =
        text.iter().map(|text| json!({"type": "output_audio", "transcript": text})).collect();
    json!({"id": id, "object": "realtime.item", "type": "message", "status": status, "role": "assistant", "content": content})
}

fn response_body(
    id: &str,
    status: &str,
    details: &Value,
    metadata: &Value,
    output: &[Value],
    usage: &Value,
) -> Value {
    json!({
        "object": "realtime.response", "id": id, "status": status, "status_details": details,
        "output": output, "output_modalities": ["audio"], "max_output_tokens": "inf",
        "metadata": metadata, "usage": usage,
    })
}

fn format_of(format: &Value, param: &'static str) -> Result<Format, Objection> {
    let Some(fields) = format.as_object() else {
        let message = format!("Invalid type for '{param}': expected an object, but got null instead.");
        return Err(Objection::request("invalid_type", message).about(param));
    };
    let known = match format.get("type").and_then(Value::as_str) {
        Some("audio/pcmu") => Format::G711(Law::Mu),
        Some("audio/pcma") => Format::G711(Law::A),
        Some("audio/pcm") if format.get("rate").and_then(Value::as_u64).unwrap_or(24_000) == 24_000 => {
            return Ok(Format::Pcm24);
        }
        _ => {
            return Err(
                Objection::request("invalid_value", format!("Invalid value for '{param}'.")).about(param)
            );
        }
    };
    match fields.keys().find(|name| *name != "type") {
        Some(name) => {
            let message = format!("Unknown parameter: '{param}.{name}'.");
            Err(Objection::request("unknown_parameter", message).about(param))
        }
        None => Ok(known),
    }
}

fn vad_of(turns: &Value) -> Result<Option<Vad>, Objection> {
    if turns.is_null() {
        return Ok(None);
    }
    let number = |name: &str, default: u64| turns.get(name).and_then(Value::as_u64).unwrap_or(default);
    let flag = |name: &str| turns.get(name).and_then(Value::as_bool).unwrap_or(true);
    let threshold = turns.get("threshold").and_then(Value::as_f64).unwrap_or(0.5);
    if !(0.0..=1.0).contains(&threshold) {
        let message = format!("Invalid 'threshold': expected a number from 0 to 1, but got {threshold}.");
        return Err(Objection::request("invalid_value", message).about("session.audio.input.turn_detection"));
    }
    Ok(Some(Vad {
        threshold,
        prefix_ms: number("prefix_padding_ms", 300),
        silence_ms: number("silence_duration_ms", 500),
        create_response: flag("create_response"),
        interrupt_response: flag("interrupt_response"),
    }))
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
