//! The agents that are reached over a network: the tables under `[agent]`.

use super::choice::choice;
use super::problem::Sink;
use super::reader::Table;
use super::secret::{self, Surroundings};
use super::value::Line;
use crate::agent::OpenAiConfig;
use crate::agent::openai::{ApiKey, Dialect};

/// The `[agent]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agents {
    /// OpenAI's Realtime API, or a server that speaks it. Default: there is none.
    pub openai: Option<OpenAiConfig>,
}

choice! {
    /// Which names the server wants.
    DialectName {
        /// Those of today.
        Current = "ga",
        /// Those of the beta.
        Beta = "beta",
    }
}

const BASE_URL: &str = "wss://api.openai.com/v1";
const MODEL: &str = "gpt-realtime-2.1-mini";
const VOICE: &str = "marin";
const TRANSCRIPTION: &str = "gpt-4o-mini-transcribe";
/// As many frames as make a message of 100 ms.
const MOST_FRAMES: u32 = 5;

/// Reads the table.
pub(super) fn read(mut table: Table<'_>, around: &Surroundings<'_>, sink: &mut Sink<'_>) -> Agents {
    let openai = table.has("openai").then(|| table.table("openai", sink));
    table.finish(sink);
    Agents { openai: openai.map(|table| openai_table(table, around, sink)) }
}

fn openai_table(mut table: Table<'_>, around: &Surroundings<'_>, sink: &mut Sink<'_>) -> OpenAiConfig {
    let names = ["api_key_file", "api_key_env", "api_key"];
    let written = names.iter().any(|name| table.has(name));
    let key = secret::read_text(&mut table, names, around, sink)
        .or_else(|| (around.environment)("OPENAI_API_KEY").filter(|key| !written && !key.is_empty()));
    let mut line = |key, default: &str| {
        let written = table.take::<Line>(key, sink).map(|l| l.value.0);
        written.unwrap_or_else(|| default.to_owned())
    };
    let (base_url, model, voice) = (line("base_url", BASE_URL), line("model", MODEL), line("voice", VOICE));
    let transcription = line("transcription_model", TRANSCRIPTION);
    let dialect = match table.or("dialect", DialectName::Current, sink) {
        DialectName::Current => Dialect::Current,
        DialectName::Beta => Dialect::Beta,
    };
    let frames = table.whole("frames_per_message", 1..=MOST_FRAMES, sink);
    let frames = frames.and_then(|l| usize::try_from(l.value).ok());
    table.finish(sink);
    let named = |text: String| Some(text).filter(|text| !text.is_empty());
    OpenAiConfig {
        base_url,
        key: key.map(ApiKey::new),
        model,
        voice: named(voice),
        transcription: named(transcription),
        dialect,
        frames,
    }
}
