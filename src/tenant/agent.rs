//! The `agent` section: what voice and chat share.

use super::reader::Object;

/// The agent behind every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// How often it asks again before it gives up on a question.
    pub max_clarify_attempts: u32,
    /// How many earlier messages of a thread are given to the model.
    pub history_messages: u32,
    /// The chat model's temperature, 0 to 2.
    pub chat_temperature: f64,
    /// The model for conversation by text; the operator's when absent.
    pub chat_model: Option<String>,
    /// The model for classification; the operator's when absent.
    pub classification_model: Option<String>,
    /// The model for summaries; the operator's when absent.
    pub summary_model: Option<String>,
    /// The model for embeddings; the operator's when absent.
    pub embedding_model: Option<String>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            max_clarify_attempts: 2,
            history_messages: 10,
            chat_temperature: 0.2,
            chat_model: None,
            classification_model: None,
            summary_model: None,
            embedding_model: None,
        }
    }
}

impl Agent {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let own = Self::default();
        let model = |name: &str| object.field(name).text_up_to(200);
        Self {
            max_clarify_attempts: object
                .field("max_clarify_attempts")
                .whole(0..=20)
                .unwrap_or(own.max_clarify_attempts),
            history_messages: object.field("history_messages").whole(0..=200).unwrap_or(own.history_messages),
            chat_temperature: object
                .field("chat_temperature")
                .number(0.0..=2.0)
                .unwrap_or(own.chat_temperature),
            chat_model: model("chat_model"),
            classification_model: model("classification_model"),
            summary_model: model("summary_model"),
            embedding_model: model("embedding_model"),
        }
    }
}
