//! `offhook calls`: the calls that were recorded.

use std::io::Write;

use clap::Args;

use super::Common;
use crate::call::record::CallRecord;
use crate::ids::{TenantId, masked};
use crate::store::{CallFilter, PageRequest, Store};

/// Records asked for at a time.
const PAGE: u32 = 500;

/// Flags of `offhook calls`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// As JSON, one record a line.
    #[arg(long)]
    json: bool,
    /// Only this tenant's.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u32,
}

pub(crate) fn run(common: &Common, flags: &Flags) -> Result<(), String> {
    super::stored::reading(common, async |store| {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        if !flags.json {
            let _ = writeln!(
                out,
                "{:<20} {:<13} {:<13} {:<18} {:>9} {:<12} {:<8} REASON",
                "STARTED (UTC)", "FROM", "DIALED", "TENANT", "SECONDS", "STATUS", "ENDED BY"
            );
        }
        list(store, flags, &mut out).await
    })
}

async fn list(store: &dyn Store, flags: &Flags, out: &mut impl Write) -> Result<(), String> {
    let filter = CallFilter::default();
    let mut left = flags.limit;
    let mut page = PageRequest::first(left.min(PAGE));
    while left > 0 {
        let calls = match &flags.tenant {
            Some(tenant) => store.tenant(tenant).calls(&filter, &page).await,
            None => store.operator().calls(&filter, &page).await,
        };
        let calls = calls.map_err(|error| error.to_string())?;
        for record in &calls.records {
            let text = if flags.json {
                serde_json::to_string(record).map_err(|error| error.to_string())?
            } else {
                line(record)
            };
            // Whoever reads has had enough, as `head` has.
            if writeln!(out, "{text}").is_err() {
                return Ok(());
            }
        }
        left = left.saturating_sub(u32::try_from(calls.records.len()).unwrap_or(u32::MAX));
        match calls.next {
            Some(next) => page = PageRequest { limit: left.min(PAGE), after: Some(next) },
            None => break,
        }
    }
    Ok(())
}

fn line(record: &CallRecord) -> String {
    let number = |party: &crate::call::record::Party| match &party.number {
        Some(number) => number.as_str().to_owned(),
        None => masked(&party.address.to_text()),
    };
    let named = |value: Option<serde_json::Value>| {
        value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_else(|| "-".to_owned())
    };
    let side = named(record.end_side.and_then(|side| serde_json::to_value(side).ok()));
    let reason = named(record.end_reason.and_then(|reason| serde_json::to_value(reason).ok()));
    let seconds = record
        .duration_ms
        .map_or_else(|| "-".to_owned(), |ms| format!("{}.{:01}", ms / 1_000, ms % 1_000 / 100));
    format!(
        "{:<20} {:<13.13} {:<13} {:<18} {:>9} {:<12} {:<8} {}",
        record.started_at.format("%Y-%m-%d %H:%M:%S"),
        number(&record.from),
        number(&record.to),
        record.tenant_id.as_str(),
        seconds,
        record.status.as_str(),
        side,
        reason,
    )
}
