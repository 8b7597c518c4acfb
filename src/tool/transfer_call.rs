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
                label: who_answers(context, chosen).to_owned(),
            });
        }
        ToolAnswer::Command(TelephonyCommand::Transfer {
            destination: chosen.destination_id.clone(),
            confirmed: arguments.confirmed,
        })
    }
}

fn enabled(refer: &Refer) -> impl Iterator<Item = &Destination> {
    refer.destinations.iter().filter(|one| one.enabled)
}

/// The name of who is called at this hour: the destination, or who stands in for it.
fn who_answers<'a>(context: &'a ToolContext, chosen: &'a Destination) -> &'a str {
    match context.tenant.features.refer.resolve(&chosen.destination_id, context.at) {
        Route::Open { destination, .. } => &destination.label,
        Route::Closed { .. } => &chosen.label,
    }
}

fn describe(refer: &Refer) -> String {
    let lines: Vec<String> = enabled(refer)
        .map(|one| {
            format!("{}: {}. {}", one.destination_id.as_str(), one.label, one.description_for_model)
        })
        .collect();
    lines.join("\n")
}
