//! What we send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde_json::{Value, json};

use super::{Dialect, SessionSettings, VadChange};

/// An event of ours.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent<'a> {
    /// The whole configuration of the session.
    Configure(&'a SessionSettings),
    /// How the server waits for the end of a turn, and nothing else.
    Patience(VadChange),
    /// Put something into the conversation; starts nothing.
    Create(Item<'a>),
    /// Forget what the caller didn't hear of an item.
    Truncate {
        /// The item.
        item: &'a str,
        /// What was heard of it.
        audio_end_ms: u64,
    },
    /// Take an item out of the conversation.
    Delete {
        /// The item.
        item: &'a str,
    },
    /// Let the model speak.
    Respond(Reply<'a>),
    /// Stop what the model is saying.
    Cancel {
        /// The response.
        response: &'a str,
    },
    /// Drop the caller's audio that belongs to no turn yet.
    ClearInput,
}

/// Something in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// The caller said it.
    Caller(&'a str),
    /// The agent said it.
    Agent(&'a str),
    /// We tell the model.
    System(&'a str),
    /// What came of a function.
    FunctionOutput {
        /// The model's id for the call.
        call: &'a str,
        /// JSON, as a text.
        output: &'a str,
    },
}

/// How the model shall answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What to do this once, in place of the session's instructions.
    pub instructions: Option<&'a str>,
    /// Comes back with the response, so that it is known again.
    pub tag: Option<&'a str>,
    /// Beside the conversation: neither sees it nor is kept in it, and may run while another
    /// response does.
    pub apart: bool,
    /// Without functions.
    pub speech_only: bool,
}

impl ClientEvent<'_> {
    /// The event as text.
    #[must_use]
    pub fn to_text(&self, dialect: Dialect) -> String {
        let event = match self {
            Self::Configure(settings) => {
                json!({"type": "session.update", "event_id": "configure", "session": settings.to_json(dialect)})
            }
            Self::Patience(change) => {
                json!({"type": "session.update", "event_id": "patience", "session": change.to_json(dialect)})
            }
            Self::Create(item) => json!({"type": "conversation.item.create", "item": item.to_json(dialect)}),
            Self::Truncate { item, audio_end_ms } => json!({
                "type": "conversation.item.truncate",
                "event_id": "truncate",
                "item_id": item,
                "content_index": 0,
                "audio_end_ms": audio_end_ms,
            }),
            Self::Delete { item } => json!({"type": "conversation.item.delete", "item_id": item}),
            Self::Respond(reply) => reply.to_json(dialect),
            Self::Cancel { response } => {
                json!({"type": "response.cancel", "event_id": "cancel", "response_id": response})
            }
            Self::ClearInput => json!({"type": "input_audio_buffer.clear"}),
        };
        event.to_string()
    }
}

impl Item<'_> {
    fn to_json(self, dialect: Dialect) -> Value {
        let message = |role: &str, kind: &str, text: &str| json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
        match self {
            Self::Caller(text) => message("user", "input_text", text),
            Self::System(text) => message("system", "input_text", text),
            Self::Agent(text) => {
                let kind = match dialect {
                    Dialect::Current => "output_text",
                    Dialect::Beta => "text",
                };
                message("assistant", kind, text)
            }
            Self::FunctionOutput { call, output } => {
                json!({"type": "function_call_output", "call_id": call, "output": output})
            }
        }
    }
}

impl Reply<'_> {
    fn to_json(self, dialect: Dialect) -> Value {
        let mut response = serde_json::Map::new();
        if let Some(instructions) = self.instructions {
            response.insert("instructions".to_owned(), json!(instructions));
        }
        if self.speech_only {
            response.insert("tool_choice".to_owned(), json!("none"));
        }
        if self.apart {
            response.insert("conversation".to_owned(), json!("none"));
            response.insert("input".to_owned(), json!([]));
        }
        if let Some(tag) = self.tag {
            response.insert("metadata".to_owned(), json!({"purpose": tag}));
        }
        if self.apart && dialect == Dialect::Beta {
            response.insert("modalities".to_owned(), json!(["text", "audio"]));
        }
        match response.is_empty() {
            true => json!({"type": "response.create", "event_id": "respond"}),
            false => json!({"type": "response.create", "event_id": "respond", "response": response}),
        }
    }
}

/// Writes `input_audio_buffer.append` into a buffer that is used again: no other event is sent
/// fifty times a second.
#[derive(Debug, Default)]
pub struct Append {
    buffer: BytesMut,
}

impl Append {
    const HEAD: &'static [u8] = br#"{"type":"input_audio_buffer.append","audio":""#;
    const TAIL: &'static [u8] = br#""}"#;

    /// The event with these codewords. The memory is used again once what this gives is gone.
    pub fn event(&mut self, codewords: &[u8]) -> bytes::Bytes {
        let encoded = codewords.len().div_ceil(3) * 4;
        let length = Self::HEAD.len() + encoded + Self::TAIL.len();
        self.buffer.clear();
        self.buffer.reserve(length);
        self.buffer.extend_from_slice(Self::HEAD);
        self.buffer.resize(Self::HEAD.len() + encoded, 0);
        if let Some(place) = self.buffer.get_mut(Self::HEAD.len()..) {
            // The room is what base64 needs, so that there is no error to have.
            let _ = STANDARD.encode_slice(codewords, place);
        }
        self.buffer.extend_from_slice(Self::TAIL);
        self.buffer.split().freeze()
    }
}
