//! `transfer_call`: hand the caller over to one of the tenant's destinations.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, TelephonyCommand, Tool, ToolAnswer, ToolContext, ToolOutcome, arguments};
use crate::tenant::refer::{Destination, Refer, Route};

/// Hands the caller over by destination id, never to a free URI.
#[derive(Debug, Clone, Copy)]
pub struct TransferCall;

/// Where to, and whether the caller agreed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferCallArguments {
    /// The destination's id.
    pub destination_id: String,
    /// True only after the caller has said yes to being put through to this destination.
    #[serde(default)]
    pub confirmed: bool,
}

impl Tool for TransferCall {
    type Arguments = TransferCallArguments;
    const NAME: &'static str = "transfer_call";
    const DESCRIPTION: &'static str = "Hands the caller over to a person or a department. The handoff phrase is spoken for \
         you. If it fails the caller stays with you and you are told why.";
    /// Choosing takes no time; how long the transfer itself may take is the machine's affair.
    const DEADLINE: Duration = Duration::from_secs(1);

    fn offered(&self, context: &ToolContext) -> bool {
        let refer = &context.tenant.features.refer;
        refer.enabled && enabled(refer).next().is_some()
    }

    fn schema(&self, context: &ToolContext) -> Value {
        let mut schema = arguments::schema::<TransferCallArguments>();
        let refer = &context.tenant.features.refer;
        let property = schema.pointer_mut("/properties/destination_id").and_then(Value::as_object_mut);
        if let Some(property) = property {
            let ids: Vec<&str> = enabled(refer).map(|one| one.destination_id.as_str()).collect();
            property.insert("enum".to_owned(), json!(ids));
            property.insert("description".to_owned(), json!(describe(refer)));
        }
        schema
    }

    async fn call(&self, context: &ToolContext, arguments: TransferCallArguments) -> ToolAnswer {
        let refer = &context.tenant.features.refer;
        let asked = arguments.destination_id.trim();
        let Some(chosen) = enabled(refer).find(|one| one.destination_id.as_str() == asked) else {
            let known = enabled(refer).map(|one| one.destination_id.clone()).collect();
            let refusal = Refusal::UnknownDestination { asked: asked.to_owned(), known };
            return ToolAnswer::Outcome(ToolOutcome::Refused(refusal));
        };
        if refer.require_confirmation && !arguments.confirmed {
            return ToolAnswer::Outcome(ToolOutcome::ConfirmFirst {
                destination: chosen.destination_id.clone(),
                label: who_answers(context, chosen),
            });
        }
        ToolAnswer::Command(TelephonyCommand::Transfer {
            destination: chosen.destination_id.clone(),
            confirmed: arguments.confirmed,
        })
    }
}

fn enabled(refer: &Refer) -> impl Iterator<Item = &Destination> {
    refer.destinations().iter().map(AsRef::as_ref).filter(|one| one.enabled)
}

/// The name of who is called at this hour: the destination, or who stands in for it.
fn who_answers(context: &ToolContext, chosen: &Destination) -> String {
    match context.tenant.features.refer.resolve(&chosen.destination_id, context.at) {
        Route::Open { destination, .. } => destination.label.clone(),
        Route::Closed { .. } => chosen.label.clone(),
    }
}

fn describe(refer: &Refer) -> String {
    let lines: Vec<String> = enabled(refer)
        .map(|one| format!("{}: {}. {}", one.destination_id.as_str(), one.label, one.description_for_model))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DestinationId;
    use crate::tool::testing::{context, run};
    use crate::tool::{Registry, ToolSpec};

    fn id(text: &str) -> DestinationId {
        DestinationId::new(text).unwrap()
    }

    fn offered(refer: &Value) -> Option<ToolSpec> {
        let specs = Registry::standard().specs(&context(refer));
        specs.into_iter().find(|spec| spec.name == TransferCall::NAME)
    }

    #[tokio::test]
    async fn an_unconfirmed_transfer_has_to_be_confirmed_first() {
        let answer = run(&context(&json!({})), "transfer_call", json!({"destination_id": "sales"})).await;
        let (destination, label) = (id("sales"), "the sales team".to_owned());
        assert_eq!(answer, ToolAnswer::Outcome(ToolOutcome::ConfirmFirst { destination, label }));
    }

    #[tokio::test]
    async fn the_confirmation_names_who_answers_at_this_hour() {
        let answer = run(&context(&json!({})), "transfer_call", json!({"destination_id": "planning"})).await;
        let (destination, label) = (id("planning"), "the sales team".to_owned());
        assert_eq!(answer, ToolAnswer::Outcome(ToolOutcome::ConfirmFirst { destination, label }));
    }

    #[tokio::test]
    async fn a_confirmed_transfer_is_a_command_and_so_is_one_that_needs_no_confirmation() {
        for (refer, confirmed) in [(json!({}), true), (json!({"require_confirmation": false}), false)] {
            let arguments = json!({"destination_id": "planning", "confirmed": confirmed});
            let answer = run(&context(&refer), "transfer_call", arguments).await;
            let command = TelephonyCommand::Transfer { destination: id("planning"), confirmed };
            assert_eq!(answer, ToolAnswer::Command(command));
        }
    }

    #[tokio::test]
    async fn a_destination_that_is_unknown_or_off_is_answered_with_those_there_are() {
        for asked in ["boss", "attic", "tel:+33199000100", "", "Sales"] {
            let arguments = json!({"destination_id": asked, "confirmed": true});
            let answer = run(&context(&json!({})), "transfer_call", arguments).await;
            let known = vec![id("planning"), id("sales")];
            let refusal = Refusal::UnknownDestination { asked: asked.to_owned(), known };
            assert_eq!(answer, ToolAnswer::Outcome(ToolOutcome::Refused(refusal)));
        }
    }

    #[test]
    fn it_is_offered_where_there_is_somebody_to_transfer_to() {
        assert!(offered(&json!({})).is_some());
        assert!(offered(&json!({"enabled": false})).is_none());
        assert!(offered(&json!({"destinations": []})).is_none());
    }

    #[test]
    fn its_schema_lists_the_destinations_and_when_to_choose_them() {
        let schema = offered(&json!({})).unwrap().schema;
        let destination = &schema["properties"]["destination_id"];
        assert_eq!(destination["enum"], json!(["planning", "sales"]));
        assert!(
            destination["description"].as_str().unwrap().contains("sales: the sales team. New customers.")
        );
        assert_eq!(schema["required"], json!(["destination_id"]));
    }
}
