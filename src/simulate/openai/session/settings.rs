//! What a session may be configured with, and how mistakes are answered.

use serde_json::{Value, json};

use super::super::ear::{Format, Vad};
use super::super::events::Objection;
use super::{Law, Out, Session, merge};

impl Session {
    pub(super) fn update(&mut self, session: &Value, out: &mut Vec<Out>) -> Result<(), Objection> {
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
