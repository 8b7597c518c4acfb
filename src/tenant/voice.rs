//! The `voice` section: how the agent sounds, greets, takes turns, and when a call has to end.

use std::time::Duration;

use super::reader::{Field, Object, words};

words! {
    /// Who says the first word.
    FirstSpeaker {
        /// The agent greets.
        Agent = "agent",
        /// The agent waits for the caller.
        Caller = "caller",
    } default Agent
}

words! {
    /// Which protocol speaks for the agent.
    ProviderKind {
        /// In the process, without network or key.
        Builtin = "builtin",
        /// OpenAI's Realtime API, or a server compatible with it.
        Openai = "openai",
        /// Azure Voice Live.
        Azure = "azure",
        /// Ultravox.
        Ultravox = "ultravox",
        /// Recognition, language model and speech as three services.
        Cascade = "cascade",
        /// Our own protocol-faithful servers, for tests and demonstrations.
        Simulator = "simulator",
    } default Builtin
}

/// The agent's voice and manners on the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Voice {
    /// Whether calls are answered.
    pub enabled: bool,
    /// Who speaks for the agent.
    pub provider: ProviderKind,
    /// Who stands in when the provider fails.
    pub fallback_provider: Option<ProviderKind>,
    /// The provider's model; its own default when absent.
    pub model: Option<String>,
    /// The provider's voice; its own default when absent.
    pub voice_id: Option<String>,
    /// BCP 47, when the document says it; see [`Voice::language`].
    pub language: Option<String>,
    /// E.g. `british`.
    pub accent: Option<String>,
    /// 0.25 to 4.0; 1.0 is the voice's own.
    pub speaking_rate: f64,
    /// 0.25 to 4.0; 1.0 is the voice's own.
    pub pitch: f64,
    /// 0 to 2, where the provider has one.
    pub temperature: f64,
    /// The first words.
    pub greeting: Greeting,
    /// The name by which the agent introduces itself.
    pub agent_name: Option<String>,
    /// "You are talking to an AI."
    pub disclosure: Disclosure,
    /// When the agent speaks, stops and waits.
    pub turn_taking: TurnTaking,
    /// The longest call.
    pub max_call_duration: Duration,
    /// The most turns of a conversation.
    pub max_turns: u32,
    /// Failed attempts to help after which escalation applies.
    pub max_ai_attempts: u32,
    /// Whether calls are recorded.
    pub recording: bool,
}

/// The first words of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Greeting {
    /// What is said; the standard sentence in the tenant's locale when absent.
    pub text: Option<String>,
    /// An audio file to play instead of speaking the text, relative to the audio directory.
    pub audio_file: Option<String>,
    /// Who says the first word.
    pub first_speaker: FirstSpeaker,
}

/// Says that the caller talks to a machine, and whether the call is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Disclosure {
    /// Whether it is said.
    pub enabled: bool,
    /// What is said; the standard sentence in the tenant's locale when absent.
    pub text: Option<String>,
    /// Whether the law asks for it: then it can't be interrupted.
    pub required_by_law: bool,
}

/// When the agent speaks, stops and waits.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnTaking {
    /// Probability of speech above which sound counts as speech, 0 to 1.
    pub vad_threshold: f64,
    /// Sound kept from before speech was noticed.
    pub prefix_padding: Duration,
    /// Silence that ends the caller's turn.
    pub end_silence: Duration,
    /// The same while the caller dictates digits, an address or an e-mail.
    pub dictation_silence: Duration,
    /// Speech after which the agent's voice is faded.
    pub barge_in_candidate: Duration,
    /// Speech after which the agent is interrupted.
    pub barge_in_confirm: Duration,
    /// Silence after a false interruption before the agent goes on.
    pub resume_after: Duration,
    /// The start of the greeting that can't be interrupted.
    pub greeting_protected: Duration,
    /// Silence of the caller before the agent asks again.
    pub silence_prompt: Duration,
    /// Further silence before the agent says goodbye.
    pub silence_hangup: Duration,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            enabled: true,
            provider: ProviderKind::default(),
            fallback_provider: None,
            model: None,
            voice_id: None,
            language: None,
            accent: None,
            speaking_rate: 1.0,
            pitch: 1.0,
            temperature: 0.7,
            greeting: Greeting::default(),
            agent_name: None,
            disclosure: Disclosure::default(),
            turn_taking: TurnTaking::default(),
            max_call_duration: Duration::from_secs(15 * 60),
            max_turns: 50,
            max_ai_attempts: 3,
            recording: false,
        }
    }
}

impl Default for Disclosure {
    fn default() -> Self {
        Self { enabled: true, text: None, required_by_law: false }
    }
}

impl Default for TurnTaking {
    fn default() -> Self {
        Self {
            vad_threshold: 0.5,
            prefix_padding: Duration::from_millis(300),
            end_silence: Duration::from_millis(500),
            dictation_silence: Duration::from_millis(800),
            barge_in_candidate: Duration::from_millis(200),
            barge_in_confirm: Duration::from_millis(500),
            resume_after: Duration::from_secs(2),
            greeting_protected: Duration::from_secs(2),
            silence_prompt: Duration::from_secs(30),
            silence_hangup: Duration::from_secs(15),
        }
    }
}

impl Voice {
    /// The section's language, `en-US` when the document names none. What is spoken on a call
    /// also depends on the number and the tenant's locale: see `TenantSnapshot::locale`.
    #[must_use]
    pub fn language(&self) -> &str {
        self.language.as_deref().unwrap_or(DEFAULT_LANGUAGE)
    }

    pub(crate) fn read(object: &Object<'_>) -> Self {
        Self::default().overridden(object)
    }

    /// This voice with whatever fields `object` has in place of its own: how a number's `voice`
    /// changes its tenant's.
    pub(crate) fn overridden(self, object: &Object<'_>) -> Self {
        let field = |name| object.field(name);
        let duration = field("max_call_duration_seconds").whole(10..=86_400_u64);
        Self {
            enabled: field("enabled").boolean(self.enabled),
            provider: field("provider").choice(ProviderKind::WORDS).unwrap_or(self.provider),
            fallback_provider: field("fallback_provider")
                .choice(ProviderKind::WORDS)
                .or(self.fallback_provider),
            model: field("model").text_up_to(200).or(self.model),
            voice_id: field("voice_id").text_up_to(200).or(self.voice_id),
            language: language(&field("language")).or(self.language),
            accent: field("accent").text_up_to(200).or(self.accent),
            speaking_rate: field("speaking_rate").number(0.25..=4.0).unwrap_or(self.speaking_rate),
            pitch: field("pitch").number(0.25..=4.0).unwrap_or(self.pitch),
            temperature: field("temperature").number(0.0..=2.0).unwrap_or(self.temperature),
            greeting: self.greeting.overridden(&field("greeting")),
            agent_name: field("agent_name").text_up_to(100).or(self.agent_name),
            disclosure: self.disclosure.overridden(&field("disclosure")),
            turn_taking: match field("turn_taking").object() {
                Some(object) => self.turn_taking.overridden(&object),
                None => self.turn_taking,
            },
            max_call_duration: duration.map_or(self.max_call_duration, Duration::from_secs),
            max_turns: field("max_turns").whole(1..=10_000).unwrap_or(self.max_turns),
            max_ai_attempts: field("max_ai_attempts").whole(1..=100).unwrap_or(self.max_ai_attempts),
            recording: field("recording").boolean(self.recording),
        }
    }
}

/// The language where nothing says another.
pub const DEFAULT_LANGUAGE: &str = "en-US";

/// A BCP 47 tag (RFC 5646 §2.1), by its shape only: subtags of one to eight letters and digits,
/// the first of two or three letters.
pub(crate) fn language(field: &Field<'_>) -> Option<String> {
    field.parsed("a language tag such as \"fr-FR\"", |text| {
        let mut subtags = text.split('-');
        let first = subtags.next().unwrap_or_default();
        let fits = (2..=3).contains(&first.len())
            && first.bytes().all(|b| b.is_ascii_alphabetic())
            && subtags
                .all(|tag| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()))
            && text.len() <= 35;
        if fits { Ok(text.to_owned()) } else { Err("is no language tag") }
    })
}

impl Greeting {
    /// An object, or the text alone.
    fn overridden(self, field: &Field<'_>) -> Self {
        if field.value().is_some_and(serde_json::Value::is_string) {
            return Self { text: field.text_up_to(1_000), ..self };
        }
        let Some(object) = field.object() else { return self };
        let audio = object.field("audio_file");
        Self {
            text: object.field("text").text_up_to(1_000).or(self.text),
            audio_file: audio.parsed("a file name such as \"greeting.wav\"", file_name).or(self.audio_file),
            first_speaker: object
                .field("first_speaker")
                .choice(FirstSpeaker::WORDS)
                .unwrap_or(self.first_speaker),
        }
    }
}

/// A relative path that stays below its directory: documents come from tenants.
fn file_name(text: &str) -> Result<String, &'static str> {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if text.len() <= 200 && text.split('/').all(part) {
        Ok(text.to_owned())
    } else {
        Err("is no plain relative file name")
    }
}

impl Disclosure {
    fn overridden(self, field: &Field<'_>) -> Self {
        let Some(object) = field.object() else { return self };
        Self {
            enabled: object.field("enabled").boolean(self.enabled),
            text: object.field("text").text_up_to(1_000).or(self.text),
            required_by_law: object.field("required_by_law").boolean(self.required_by_law),
        }
    }
}

impl TurnTaking {
    fn overridden(self, object: &Object<'_>) -> Self {
        let millis = |name: &str, own: Duration| {
            object.field(name).whole(0..=600_000_u64).map_or(own, Duration::from_millis)
        };
        Self {
            vad_threshold: object.field("vad_threshold").number(0.0..=1.0).unwrap_or(self.vad_threshold),
            prefix_padding: millis("prefix_padding_ms", self.prefix_padding),
            end_silence: millis("end_silence_ms", self.end_silence),
            dictation_silence: millis("dictation_silence_ms", self.dictation_silence),
            barge_in_candidate: millis("barge_in_candidate_ms", self.barge_in_candidate),
            barge_in_confirm: millis("barge_in_confirm_ms", self.barge_in_confirm),
            resume_after: millis("resume_after_ms", self.resume_after),
            greeting_protected: millis("greeting_protected_ms", self.greeting_protected),
            silence_prompt: millis("silence_prompt_ms", self.silence_prompt),
            silence_hangup: millis("silence_hangup_ms", self.silence_hangup),
        }
    }
}
