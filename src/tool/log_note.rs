//! `log_note`: a line for whoever reads the call's record.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ArgumentError, Tool, ToolAnswer, ToolContext, ToolOutcome};

/// Keeps a note with the call.
#[derive(Debug, Clone, Copy)]
pub struct LogNote;

/// The note.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogNoteArguments {
    /// What to keep, in a sentence or two.
    pub text: String,
}

impl Tool for LogNote {
    type Arguments = LogNoteArguments;
    const NAME: &'static str = "log_note";
    const DESCRIPTION: &'static str =
        "Keeps a note with the call's record, for the people who read it later. The caller doesn't hear it.";
    const DEADLINE: Duration = Duration::from_secs(1);

    async fn call(&self, _context: &ToolContext, arguments: LogNoteArguments) -> ToolAnswer {
        let text = arguments.text.trim();
        if text.is_empty() {
            let error = ArgumentError::Empty { tool: Self::NAME, field: "text" };
            return ToolAnswer::Outcome(ToolOutcome::Invalid(error));
        }
        ToolAnswer::Note(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tool::testing::{context, run};

    #[tokio::test]
    async fn a_note_is_kept_without_its_margins() {
        let answer = run(&context(&json!({})), "log_note", json!({"text": " Prefers mornings.\n"})).await;
        assert_eq!(answer, ToolAnswer::Note("Prefers mornings.".to_owned()));
    }

    #[tokio::test]
    async fn an_empty_note_is_not_kept() {
        let answer = run(&context(&json!({})), "log_note", json!({"text": " \n"})).await;
        let ToolAnswer::Outcome(ToolOutcome::Invalid(error)) = answer else { panic!("{answer:?}") };
        assert!(error.to_string().contains("`text` must not be empty"));
    }
}
