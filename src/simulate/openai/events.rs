//! The server's events as text, as the reference has them.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Numbers for ids and events of one session.
#[derive(Debug, Default)]
pub(super) struct Ids {
    session: u64,
    next: u64,
}

impl Ids {
    pub(super) fn new(session: u64) -> Self {
        Self { session, next: 0 }
    }

    pub(super) fn make(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}_{:06}{:06}", self.session, self.next)
    }
}

/// An event with an id of its own.
pub(super) fn event(ids: &mut Ids, kind: &str, fields: Value) -> String {
    let mut event = json!({"type": kind, "event_id": ids.make("event")});
    if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
        event.extend(fields);
    }
    event.to_string()
}

/// An objection.
pub(super) struct Objection {
    pub(super) kind: &'static str,
    pub(super) code: Option<&'static str>,
    pub(super) message: String,
    pub(super) param: Option<&'static str>,
}

impl Objection {
    pub(super) fn request(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: "invalid_request_error", code: Some(code), message: message.into(), param: None }
    }

    pub(super) fn about(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    pub(super) fn event(&self, ids: &mut Ids, about: Option<&str>) -> String {
        event(
            ids,
            "error",
            json!({"error": {
                "type": self.kind,
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "event_id": about,
            }}),
        )
    }
}

/// `response.output_audio.delta`, the one event that there are thousands of.
pub(super) fn audio_delta(ids: &mut Ids, beta: bool, response: &str, item: &str, audio: &[u8]) -> String {
    let name = if beta { "response.audio.delta" } else { "response.output_audio.delta" };
    let mut text = String::with_capacity(240 + audio.len() * 4 / 3);
    let _ = write!(
        text,
        r#"{{"type":"{name}","event_id":"{}","response_id":"{response}","item_id":"{item}","output_index":0,"content_index":0,"delta":""#,
        ids.make("event"),
    );
    STANDARD.encode_string(audio, &mut text);
    text.push_str("\"}");
    text
}

/// What a response cost.
pub(super) fn usage(input_audio_ms: u64, output_audio_ms: u64) -> Value {
    // About ten tokens a second in, twenty out.
    let (input, output) = (input_audio_ms / 100, output_audio_ms / 50);
    json!({
        "total_tokens": input + output,
        "input_tokens": input,
        "output_tokens": output,
        "input_token_details": {"text_tokens": 0, "audio_tokens": input, "image_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 0, "audio_tokens": output},
    })
}
