//! What the server sends. Events and fields that aren't known are passed over; an event that is
//! known and lacks what it must have is an error, which costs that event and nothing else.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::BytesMut;
use serde::Deserialize;

use super::{MAX_ARGUMENTS, MAX_NAME};

/// An event of the server.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent<'a> {
    /// The session is there.
    SessionCreated,
    /// The session is as we want it.
    SessionUpdated,
    /// Something went wrong; the session goes on unless it is closed.
    Error(ServerError<'a>),
    /// The caller speaks, as far as the server hears.
    SpeechStarted,
    /// The caller stopped.
    SpeechStopped,
    /// The caller's turn became an item of the conversation.
    Committed {
        /// The item.
        item: Cow<'a, str>,
    },
    /// Part of what the caller said.
    HeardPart {
        /// The item.
        item: Cow<'a, str>,
        /// Some of its words.
        text: Cow<'a, str>,
    },
    /// All that the caller said.
    Heard {
        /// The item.
        item: Cow<'a, str>,
        /// Its words, or why there are none.
        transcript: Transcribed<'a>,
    },
    /// The model begins a response.
    ResponseCreated {
        /// The response.
        response: Cow<'a, str>,
        /// The tag of ours, if we asked for it with one.
        tag: Option<Cow<'a, str>>,
    },
    /// The model has ended it; what it made of it may not have been heard.
    ResponseDone {
        /// The response.
        response: Cow<'a, str>,
        /// How it ended.
        status: ResponseStatus,
        /// What it cost.
        usage: Usage,
        /// The functions it calls.
        calls: Vec<CallFunction<'a>>,
    },
    /// Audio of an item: base64 of the agreed format.
    Audio {
        /// The response it belongs to.
        response: Cow<'a, str>,
        /// The item it belongs to.
        item: Cow<'a, str>,
        /// The audio.
        base64: Cow<'a, str>,
    },
    /// The item's audio is complete.
    AudioDone {
        /// The item.
        item: Cow<'a, str>,
    },
    /// Part of what the item's audio says.
    SaidPart {
        /// The item.
        item: Cow<'a, str>,
        /// Some of its words.
        text: Cow<'a, str>,
    },
    /// All that the item's audio says.
    Said {
        /// The item.
        item: Cow<'a, str>,
        /// Its words.
        text: Cow<'a, str>,
    },
    /// A function is called, and its arguments are complete.
    Function {
        /// The response that calls it.
        response: Cow<'a, str>,
        /// Which function, with what.
        call: CallFunction<'a>,
    },
    /// An item is now as long as we said.
    Truncated {
        /// The item.
        item: Cow<'a, str>,
        /// Its length.
        audio_end_ms: u64,
    },
    /// Something that isn't needed, or isn't known.
    Other,
}

/// A transcript of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transcribed<'a> {
    /// The words.
    Words(Cow<'a, str>),
    /// It couldn't be transcribed.
    Failed,
}

/// How a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseStatus {
    /// As it should.
    Completed,
    /// It was stopped.
    Cancelled,
    /// A limit cut it.
    Incomplete,
    /// The model couldn't.
    Failed(Failure),
}

/// What a failure means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The account has nothing left.
    Quota,
    /// Too much at once.
    Throttled,
    /// The key or the model isn't accepted.
    Refused,
    /// The session is over its time.
    Expired,
    /// What we asked was too late or too early, and changes nothing.
    Benign,
    /// Something else.
    Other,
}

/// An `error` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError<'a> {
    /// What it means.
    pub failure: Failure,
    /// The server's code.
    pub code: Cow<'a, str>,
    /// In words.
    pub message: Cow<'a, str>,
    /// The event of ours that it is about.
    pub event: Option<Cow<'a, str>>,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFunction<'a> {
    /// The model's id for it.
    pub call: Cow<'a, str>,
    /// The function.
    pub name: Cow<'a, str>,
    /// JSON, as a text.
    pub arguments: Cow<'a, str>,
}

/// What a response cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Of them from the cache.
    pub cached_tokens: u64,
    /// Tokens made.
    pub output_tokens: u64,
}

/// A message that isn't what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is no JSON object with a type.
    #[error("a JSON object with a `type`")]
    NoEvent,
    /// A known event lacks a field, or has one of another kind.
    #[error("the fields of its event")]
    Fields,
    /// An id, a name or arguments are longer than any server makes them.
    #[error("names and arguments of a reasonable length")]
    TooLong,
    /// The audio isn't base64.
    #[error("audio in base64")]
    Base64,
}

impl<'a> ServerEvent<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is no event, or a known event without what it must have.
    pub fn read(text: &'a str) -> Result<Self, WireError> {
        // Nine of ten messages are audio: read those in one pass.
        let head = text.get(..text.len().min(96)).unwrap_or_default();
        if (head.contains("response.output_audio.delta\"") || head.contains("response.audio.delta\""))
            && let Ok(fields) = serde_json::from_str::<Delta<'_>>(text)
            && is_audio(&fields.kind)
        {
            return fields.audio();
        }
        let Kind { kind } = serde_json::from_str(text).map_err(|_| WireError::NoEvent)?;
        Self::of_kind(&kind, text)
    }

    fn of_kind(kind: &str, text: &'a str) -> Result<Self, WireError> {
        Ok(match kind {
            "session.created" => Self::SessionCreated,
            "session.updated" => Self::SessionUpdated,
            "error" => fields::<ErrorEvent<'_>>(text)?.error.into_event(),
            "input_audio_buffer.speech_started" => Self::SpeechStarted,
            "input_audio_buffer.speech_stopped" => Self::SpeechStopped,
            "input_audio_buffer.committed" => Self::Committed { item: item(text)? },
            "conversation.item.input_audio_transcription.delta" => {
                let Delta { item_id, delta, .. } = fields(text)?;
                Self::HeardPart { item: name(item_id)?, text: delta }
            }
            "conversation.item.input_audio_transcription.completed" => {
                let Text { item_id, transcript, .. } = fields(text)?;
                Self::Heard { item: name(item_id)?, transcript: Transcribed::Words(transcript) }
            }
            "conversation.item.input_audio_transcription.failed" => {
                Self::Heard { item: item(text)?, transcript: Transcribed::Failed }
            }
            "response.created" => {
                let ResponseEvent { response } = fields(text)?;
                let tag = response.metadata.and_then(|metadata| metadata.purpose);
                Self::ResponseCreated { response: name(response.id)?, tag }
            }
            "response.done" => fields::<ResponseEvent<'_>>(text)?.response.into_done()?,
            kind if is_audio(kind) => fields::<Delta<'_>>(text)?.audio()?,
            "response.output_audio.done" | "response.audio.done" => Self::AudioDone { item: item(text)? },
            "response.output_audio_transcript.delta" | "response.audio_transcript.delta" => {
                let Delta { item_id, delta, .. } = fields(text)?;
                Self::SaidPart { item: name(item_id)?, text: delta }
            }
            "response.output_audio_transcript.done" | "response.audio_transcript.done" => {
                let Text { item_id, transcript } = fields(text)?;
                Self::Said { item: name(item_id)?, text: transcript }
            }
            "response.output_item.done" => {
                let OutputItem { response_id, item } = fields(text)?;
                match item.into_call()? {
                    Some(call) => Self::Function { response: name(response_id)?, call },
                    None => Self::Other,
                }
            }
            "conversation.item.truncated" => {
                let Truncated { item_id, audio_end_ms } = fields(text)?;
                Self::Truncated { item: name(item_id)?, audio_end_ms }
            }
            _ => Self::Other,
        })
    }
}

impl ServerEvent<'_> {
    /// Appends the audio of [`ServerEvent::Audio`] to `out`. Returns how many bytes.
    ///
    /// # Errors
    /// When it isn't base64; `out` is as it was.
    pub fn decode(base64: &str, out: &mut BytesMut) -> Result<usize, WireError> {
        let before = out.len();
        // Padding or none: some servers cut it off.
        let most = base64.len().div_ceil(4) * 3;
        out.resize(before + most, 0);
        let place = out.get_mut(before..).unwrap_or_default();
        match ENGINE.decode_slice(base64, place) {
            Ok(length) => {
                out.truncate(before + length);
                Ok(length)
            }
            Err(_) => {
                out.truncate(before);
                Err(WireError::Base64)
            }
        }
    }
}

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn is_audio(kind: &str) -> bool {
    matches!(kind, "response.output_audio.delta" | "response.audio.delta")
}

fn fields<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, WireError> {
    serde_json::from_str(text).map_err(|_| WireError::Fields)
}

fn name(text: Cow<'_, str>) -> Result<Cow<'_, str>, WireError> {
    if text.len() <= MAX_NAME { Ok(text) } else { Err(WireError::TooLong) }
}

fn item(text: &str) -> Result<Cow<'_, str>, WireError> {
    name(fields::<OfItem<'_>>(text)?.item_id)
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct OfItem<'a> {
    #[serde(borrow)]
    item_id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    response_id: Cow<'a, str>,
    #[serde(borrow)]
    item_id: Cow<'a, str>,
    #[serde(borrow, default)]
    delta: Cow<'a, str>,
}

impl<'a> Delta<'a> {
    fn audio(self) -> Result<ServerEvent<'a>, WireError> {
        let (response, item) = (name(self.response_id)?, name(self.item_id)?);
        Ok(ServerEvent::Audio { response, item, base64: self.delta })
    }
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    item_id: Cow<'a, str>,
    #[serde(borrow)]
    transcript: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Truncated<'a> {
    #[serde(borrow)]
    item_id: Cow<'a, str>,
    audio_end_ms: u64,
}

#[derive(Deserialize)]
struct ErrorEvent<'a> {
    #[serde(borrow)]
    error: ErrorBody<'a>,
}

/// Every field may be missing or null.
#[derive(Deserialize, Default)]
struct ErrorBody<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event_id: Option<Cow<'a, str>>,
}

impl<'a> ErrorBody<'a> {
    fn into_event(self) -> ServerEvent<'a> {
        ServerEvent::Error(ServerError {
            failure: self.failure(),
            code: self.code.or(self.kind).unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            event: self.event_id,
        })
    }

    /// The codes that were seen; a text is looked at only where a server gives no code.
    fn failure(&self) -> Failure {
        let message = self.message.as_deref().unwrap_or_default();
        for word in [self.code.as_deref(), self.kind.as_deref()].into_iter().flatten() {
            match word {
                "insufficient_quota" | "billing_hard_limit_reached" => return Failure::Quota,
                "rate_limit_exceeded" | "rate_limit_error" | "tokens" => return Failure::Throttled,
                "invalid_api_key"
                | "model_not_found"
                | "authentication_error"
                | "permission_error"
                | "beta_api_shape_disabled" => return Failure::Refused,
                "session_expired" => return Failure::Expired,
                "response_cancel_not_active"
                | "conversation_already_has_active_response"
                | "input_audio_buffer_commit_empty"
                | "cannot_update_voice" => return Failure::Benign,
                _ => {}
            }
        }
        // Truncation beyond what the server counts: its count may be shorter than what it sent.
        if message.contains("already shorter than") { Failure::Benign } else { Failure::Other }
    }
}

#[derive(Deserialize)]
struct ResponseEvent<'a> {
    #[serde(borrow)]
    response: Response<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status_details: Option<StatusDetails<'a>>,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    output: Option<Vec<OutputEntry<'a>>>,
    #[serde(default)]
    usage: Option<UsageBody>,
}

#[derive(Deserialize)]
struct StatusDetails<'a> {
    #[serde(borrow, default)]
    error: Option<ErrorBody<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    purpose: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct UsageBody {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    input_token_details: Option<InputTokens>,
}

#[derive(Deserialize)]
struct InputTokens {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputItem<'a> {
    #[serde(borrow, default)]
    response_id: Cow<'a, str>,
    #[serde(borrow)]
    item: OutputEntry<'a>,
}

#[derive(Deserialize)]
struct OutputEntry<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

impl<'a> OutputEntry<'a> {
    /// The call, when it is one and complete: a cancelled response's arguments may be cut.
    fn into_call(self) -> Result<Option<CallFunction<'a>>, WireError> {
        let whole = self.status.as_deref().is_none_or(|status| status == "completed");
        if self.kind.as_deref() != Some("function_call") || !whole {
            return Ok(None);
        }
        let (Some(call), Some(function)) = (self.call_id, self.name) else { return Err(WireError::Fields) };
        let arguments = self.arguments.unwrap_or_default();
        if arguments.len() > MAX_ARGUMENTS {
            return Err(WireError::TooLong);
        }
        Ok(Some(CallFunction { call: name(call)?, name: name(function)?, arguments }))
    }
}

impl<'a> Response<'a> {
    fn into_done(self) -> Result<ServerEvent<'a>, WireError> {
        let status = match self.status.as_deref() {
            Some("cancelled") => ResponseStatus::Cancelled,
            Some("incomplete") => ResponseStatus::Incomplete,
            Some("failed") => {
                let error = self.status_details.and_then(|details| details.error).unwrap_or_default();
                ResponseStatus::Failed(error.failure())
            }
            _ => ResponseStatus::Completed,
        };
        let usage = self.usage.unwrap_or_default();
        let usage = Usage {
            input_tokens: usage.input_tokens.unwrap_or(0),
            cached_tokens: usage.input_token_details.and_then(|all| all.cached_tokens).unwrap_or(0),
            output_tokens: usage.output_tokens.unwrap_or(0),
        };
        let entries = self.output.unwrap_or_default().into_iter();
        let calls = entries.filter_map(|entry| entry.into_call().transpose()).collect::<Result<_, _>>()?;
        Ok(ServerEvent::ResponseDone { response: name(self.id)?, status, usage, calls })
    }
}
