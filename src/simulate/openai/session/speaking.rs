//! Responses: what is sent when, how they end, and how they are cut short.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::audio::Samples;
use super::super::events::usage;
use super::super::script::Turn;
use super::{Active, Ending, Later, Out, Session, Wanted, merge};

impl Session {
    pub(super) fn respond(&mut self, asked: &Value, out: &mut Vec<Out>) {
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
    pub(in crate::simulate::openai) fn speak(
        &mut self,
        wanted: &Wanted,
        samples: &Samples,
        random: f64,
        now: Instant,
    ) {
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

    pub(super) fn announce_item(&mut self, wanted: &Wanted, item: &Arc<str>, at: Instant) {
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
    pub(super) fn schedule_audio(
        &mut self,
        wanted: &Wanted,
        item: &Arc<str>,
        audio: &Bytes,
        first: Instant,
    ) -> Instant {
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
    pub(super) fn finish(&mut self, ending: &Ending, out: &mut Vec<Out>) {
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

    pub(super) fn end_item(
        &mut self,
        active: &Active,
        text: &str,
        status: &str,
        out: &mut Vec<Out>,
    ) -> Value {
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

    pub(super) fn call(&mut self, active: &Active, name: &str, arguments: &str, out: &mut Vec<Out>) -> Value {
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

    pub(super) fn cancel_all(&mut self, reason: &str, out: &mut Vec<Out>) {
        while self.active_default().is_some() {
            let id = self.active_default().map(|one| one.id.clone());
            self.cancel(id.as_deref(), reason, out);
        }
    }

    pub(super) fn cancel(&mut self, id: Option<&str>, reason: &str, out: &mut Vec<Out>) {
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

    pub(super) fn forget_scheduled(&mut self, active: &Active) {
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
