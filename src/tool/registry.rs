//! The tools there are, which of them a call is offered, and how one is run.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    EndCall, LogNote, Refusal, TakeMessage, TelephonyCommand, ToolOutcome, ToolRequest, TransferCall,
    arguments,
};
use crate::ids::CallId;
use crate::tenant::document::Tenant;

/// What a tool knows of the call that it runs for.
#[derive(Debug, Clone)]
pub struct ToolContext {
    /// The call.
    pub call: CallId,
    /// Its tenant, as the document was when the call began.
    pub tenant: Arc<Tenant>,
    /// The moment of the request.
    pub at: DateTime<Utc>,
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolAnswer {
    /// The matter is settled: the agent gets this.
    Outcome(ToolOutcome),
    /// The call machine carries this out and gives the outcome itself.
    Command(TelephonyCommand),
    /// To be kept with the call's record; the call machine says when it is.
    Note(String),
}

/// A tool as an agent is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name, `[a-z_]+`.
    pub name: &'static str,
    /// What it does and when to use it, for a model.
    pub description: &'static str,
    /// The JSON Schema of its arguments, an object.
    pub schema: Value,
    /// How long a run may take.
    pub deadline: Duration,
}

/// One tool. Its arguments are read into [`Tool::Arguments`] before it runs.
pub trait Tool: Send + Sync + 'static {
    /// The arguments; the JSON Schema is derived from the type.
    type Arguments: DeserializeOwned + JsonSchema + Send;
    /// The name, `[a-z_]+`, unique in the registry.
    const NAME: &'static str;
    /// What it does and when to use it, for a model.
    const DESCRIPTION: &'static str;
    /// How long a run may take.
    const DEADLINE: Duration;

    /// Whether it can be of use on this call.
    fn offered(&self, _context: &ToolContext) -> bool {
        true
    }

    /// The schema for this call, where it says more than the type does.
    fn schema(&self, _context: &ToolContext) -> Value {
        arguments::schema::<Self::Arguments>()
    }

    /// Runs it.
    fn call(
        &self,
        context: &ToolContext,
        arguments: Self::Arguments,
    ) -> impl Future<Output = ToolAnswer> + Send;
}

/// The tools, in the order in which an agent is told of them.
pub struct Registry {
    tools: Vec<Box<dyn AnyTool>>,
}

impl Registry {
    /// All tools of the service.
    #[must_use]
    pub fn standard() -> Self {
        Self::empty().with(TransferCall).with(TakeMessage).with(LogNote).with(EndCall)
    }

    /// A registry without tools.
    #[must_use]
    pub fn empty() -> Self {
        Self { tools: Vec::new() }
    }

    /// Adds a tool; it takes the place of an earlier one of the same name.
    #[must_use]
    pub fn with<T: Tool>(mut self, tool: T) -> Self {
        self.tools.retain(|known| known.name() != T::NAME);
        self.tools.push(Box::new(tool));
        self
    }

    /// The tools offered on this call.
    #[must_use]
    pub fn specs(&self, context: &ToolContext) -> Vec<ToolSpec> {
        self.offered(context).map(|tool| tool.spec(context)).collect()
    }

    /// Validates the arguments and runs the tool, for as long as its deadline allows. What
    /// can't be run is answered with what would be right.
    pub async fn run(&self, context: &ToolContext, request: ToolRequest) -> ToolAnswer {
        let Some(tool) = self.offered(context).find(|tool| tool.name() == request.name) else {
            let offered = self.offered(context).map(AnyTool::name).collect();
            let refusal = Refusal::UnknownTool { name: request.name, offered };
            return ToolAnswer::Outcome(ToolOutcome::Refused(refusal));
        };
        match tokio::time::timeout(tool.deadline(), tool.run(context, request.arguments)).await {
            Ok(answer) => answer,
            Err(_elapsed) => ToolAnswer::Outcome(ToolOutcome::TimedOut),
        }
    }

    fn offered<'a>(&'a self, context: &'a ToolContext) -> impl Iterator<Item = &'a dyn AnyTool> {
        self.tools.iter().map(AsRef::as_ref).filter(|tool| tool.offered(context))
    }
}

/// A [`Tool`] whose argument type is hidden, so that they fit in one list.
trait AnyTool: Send + Sync {
    fn name(&self) -> &'static str;
    fn deadline(&self) -> Duration;
    fn offered(&self, context: &ToolContext) -> bool;
    fn spec(&self, context: &ToolContext) -> ToolSpec;
    fn run<'a>(&'a self, context: &'a ToolContext, arguments: Value) -> BoxFuture<'a, ToolAnswer>;
}

impl<T: Tool> AnyTool for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn deadline(&self) -> Duration {
        T::DEADLINE
    }

    fn offered(&self, context: &ToolContext) -> bool {
        Tool::offered(self, context)
    }

    fn spec(&self, context: &ToolContext) -> ToolSpec {
        ToolSpec {
            name: T::NAME,
            description: T::DESCRIPTION,
            schema: self.schema(context),
            deadline: T::DEADLINE,
        }
    }

    fn run<'a>(&'a self, context: &'a ToolContext, arguments: Value) -> BoxFuture<'a, ToolAnswer> {
        match arguments::parse::<T::Arguments>(T::NAME, arguments) {
            Ok(arguments) => self.call(context, arguments).boxed(),
            Err(error) => std::future::ready(ToolAnswer::Outcome(ToolOutcome::Invalid(error))).boxed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tool::testing::{context, run};
    use crate::tool::{Done, ToolCallId};

    struct Stuck;

    #[derive(serde::Deserialize, JsonSchema)]
    struct Nothing {}

    impl Tool for Stuck {
        type Arguments = Nothing;
        const NAME: &'static str = "stuck";
        const DESCRIPTION: &'static str = "Never answers.";
        const DEADLINE: Duration = Duration::ZERO;

        async fn call(&self, _context: &ToolContext, _arguments: Nothing) -> ToolAnswer {
            std::future::pending::<()>().await;
            ToolAnswer::Outcome(ToolOutcome::Done(Done::NoteKept))
        }
    }

    #[test]
    fn every_tool_has_a_closed_object_schema_and_a_deadline() {
        let specs = Registry::standard().specs(&context(&json!({})));
        let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
        assert_eq!(names, ["transfer_call", "take_message", "log_note", "end_call"]);
        for spec in specs {
            assert_eq!(spec.schema["type"], "object", "{}", spec.name);
            assert_eq!(spec.schema["additionalProperties"], false, "{}", spec.name);
            assert!(spec.schema["properties"].is_object(), "{}", spec.name);
            assert!(!spec.deadline.is_zero() && !spec.description.contains("  "), "{}", spec.name);
        }
    }

    #[tokio::test]
    async fn an_unknown_tool_is_answered_with_those_there_are() {
        let answer = run(&context(&json!({"enabled": false})), "transfer_call", json!({})).await;
        let ToolAnswer::Outcome(ToolOutcome::Refused(Refusal::UnknownTool { name, offered })) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(name, "transfer_call");
        assert_eq!(offered, ["take_message", "log_note", "end_call"]);
    }

    #[tokio::test]
    async fn a_tool_is_given_no_longer_than_its_deadline() {
        let request =
            ToolRequest { id: ToolCallId::new("1"), name: "stuck".to_owned(), arguments: Value::Null };
        let answer = Registry::empty().with(Stuck).run(&context(&json!({})), request).await;
        assert_eq!(answer, ToolAnswer::Outcome(ToolOutcome::TimedOut));
    }

    #[tokio::test]
    async fn the_tools_of_the_line_answer_with_a_command() {
        let context = context(&json!({}));
        let answer = run(&context, "take_message", json!({})).await;
        assert_eq!(answer, ToolAnswer::Command(TelephonyCommand::TakeMessage));
        let answer = run(&context, "end_call", Value::Null).await;
        assert_eq!(answer, ToolAnswer::Command(TelephonyCommand::EndCall));
        let answer = run(&context, "end_call", json!({"reason": "bored"})).await;
        assert!(matches!(answer, ToolAnswer::Outcome(ToolOutcome::Invalid(_))));
    }
}
