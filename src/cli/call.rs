//! `offhook call`: the agent calls somebody.

use clap::Args;
use serde_json::{Value, json};

use super::{Common, control};
use crate::ids::{TenantId, TrunkName};

/// Flags of `offhook call`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Whom to call, such as +33199000001.
    #[arg(value_name = "NUMBER")]
    number: String,
    /// Who calls. The tenant's `limits.outbound_allowed_prefixes` must hold the number.
    #[arg(long, value_name = "ID")]
    tenant: TenantId,
    /// Over which trunk [default: the first that is up].
    #[arg(long, value_name = "NAME")]
    trunk: Option<TrunkName>,
    /// How many seconds it may ring [default: 45].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=180))]
    ring: Option<u64>,
    /// Asked again with the same key within a day, no second call is made.
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(common: &Common, flags: &Flags) -> Result<(), String> {
    let data = super::serve::data_directory(common)?;
    let request = json!({
        "tenant_id": flags.tenant,
        "to_number": flags.number,
        "trunk": flags.trunk,
        "ring_seconds": flags.ring,
        "idempotency_key": flags.idempotency_key,
    });
    let answer = control::ask(&data, &format!("call {request}"))?;
    if flags.json {
        println!("{answer}");
        return Ok(());
    }
    let call = answer.get("call_id").and_then(Value::as_str).unwrap_or("-");
    println!("call {call}");
    println!("`offhook trace {call}` shows its signalling, `offhook calls` how it ended.");
    Ok(())
}
