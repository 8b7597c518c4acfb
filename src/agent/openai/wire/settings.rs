//! `session.update` in both dialects.

use serde_json::{Map, Value, json};

use super::Dialect;
use crate::agent::caller_audio::Law;

/// What a session is configured with, once, before any audio.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSettings {
    /// What the model is told.
    pub instructions: String,
    /// The law of the audio in both directions.
    pub law: Law,
    /// The voice; the server's own when absent.
    pub voice: Option<String>,
    /// How fast it speaks, 0.25 to 1.5.
    pub speed: f64,
    /// The model that transcribes the caller; `None`: there is no transcript.
    pub transcription: Option<String>,
    /// The language that the transcript is in, as two letters.
    pub language: Option<String>,
    /// When a turn ends.
    pub turns: TurnDetection,
    /// Functions: name, description, JSON Schema.
    pub tools: Vec<(&'static str, String, Value)>,
    /// Only the beta has one.
    pub temperature: f64,
}

/// When the server takes a turn for ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TurnDetection {
    /// Probability of speech, 0 to 1.
    pub threshold: f64,
    /// Audio kept from before speech was noticed.
    pub prefix_padding_ms: u64,
    /// Silence that ends a turn.
    pub silence_ms: u64,
}

/// A change of [`TurnDetection`] in the middle of a session. Audio formats are left out: sent
/// again they would flip a telephone call to noise on servers that take the default for them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VadChange(pub TurnDetection);

impl TurnDetection {
    /// Whoever speaks is decided by us, so the server neither answers nor stops by itself.
    fn to_json(self) -> Value {
        json!({
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_ms,
            "create_response": false,
            "interrupt_response": false,
        })
    }
}

impl VadChange {
    pub(super) fn to_json(self, dialect: Dialect) -> Value {
        let turns = self.0.to_json();
        match dialect {
            Dialect::Current => json!({"type": "realtime", "audio": {"input": {"turn_detection": turns}}}),
            Dialect::Beta => json!({"turn_detection": turns}),
        }
    }
}

impl SessionSettings {
    pub(super) fn to_json(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::Current => self.current(),
            Dialect::Beta => self.beta(),
        }
    }

    fn current(&self) -> Value {
        // G.711 formats have no `rate`: a strict server refuses one.
        let format = match self.law {
            Law::Mu => json!({"type": "audio/pcmu"}),
            Law::A => json!({"type": "audio/pcma"}),
        };
        let mut output = json!({"format": format, "speed": self.speed.clamp(0.25, 1.5)});
        if let (Some(voice), Some(output)) = (&self.voice, output.as_object_mut()) {
            output.insert("voice".to_owned(), voice_json(voice));
        }
        let input = json!({
            "format": format,
            "transcription": self.transcription(),
            "noise_reduction": null,
            "turn_detection": self.turns.to_json(),
        });
        json!({
            "type": "realtime",
            "instructions": self.instructions,
            "output_modalities": ["audio"],
            "audio": {"input": input, "output": output},
            "tools": self.tools(),
            "tool_choice": "auto",
        })
    }

    fn beta(&self) -> Value {
        let format = match self.law {
            Law::Mu => "g711_ulaw",
            Law::A => "g711_alaw",
        };
        let mut session = json!({
            "instructions": self.instructions,
            "modalities": ["text", "audio"],
            "input_audio_format": format,
            "output_audio_format": format,
            "input_audio_transcription": self.transcription(),
            "turn_detection": self.turns.to_json(),
            "tools": self.tools(),
            "tool_choice": "auto",
            "temperature": self.temperature.clamp(0.6, 1.2),
        });
        if let (Some(voice), Some(session)) = (&self.voice, session.as_object_mut()) {
            session.insert("voice".to_owned(), json!(voice));
        }
        session
    }

    fn transcription(&self) -> Value {
        let Some(model) = &self.transcription else { return Value::Null };
        let mut transcription = Map::new();
        transcription.insert("model".to_owned(), json!(model));
        if let Some(language) = &self.language {
            transcription.insert("language".to_owned(), json!(language));
        }
        Value::Object(transcription)
    }

    fn tools(&self) -> Vec<Value> {
        let tool = |(name, description, schema): &(&str, String, Value)| json!({"type": "function", "name": name, "description": description, "parameters": schema});
        self.tools.iter().map(tool).collect()
    }
}

/// A voice of one's own has an id, the others a name.
fn voice_json(voice: &str) -> Value {
    if voice.starts_with("voice_") { json!({"id": voice}) } else { json!(voice) }
}
