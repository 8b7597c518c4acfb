//! `offhook number`: the numbers in the database.

use clap::Subcommand;
use serde_json::json;

use super::Common;
use super::tenant::{say, unknown};
use crate::ids::{E164, TenantId};
use crate::store::NewNumber;
use crate::tenant::{NumberMapping, Tenant};

/// Numbers asked for at a time.
const PAGE: u32 = 500;

/// What can be done with numbers. A running service follows within a second.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the numbers.
    List {
        /// Only this tenant's.
        #[arg(long, value_name = "ID")]
        tenant: Option<TenantId>,
        /// As JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Map a number to a tenant.
    Add {
        /// The tenant.
        #[arg(value_name = "ID")]
        tenant: TenantId,
        /// The number, such as +33199000001.
        #[arg(value_name = "NUMBER")]
        number: E164,
        /// The language that is spoken on it, such as fr-FR.
        #[arg(long, value_name = "TAG")]
        language: Option<String>,
        /// Its name, for people.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
    },
    /// Take a number away from its tenant.
    Remove {
        /// The tenant.
        #[arg(value_name = "ID")]
        tenant: TenantId,
        /// The number.
        #[arg(value_name = "NUMBER")]
        number: E164,
    },
}

pub(crate) fn run(common: &Common, command: &Command) -> Result<(), String> {
    match command {
        Command::List { tenant, json } => list(common, tenant.as_ref(), *json),
        Command::Add { tenant, number, language, name } => {
            add(common, tenant, number, language.as_deref(), name.as_deref())
        }
        Command::Remove { tenant, number } => super::stored::writing(common, async |store| {
            match store.tenant(tenant).remove_number(number).await.map_err(|error| error.to_string())? {
                true => Ok(()),
                false => Err(format!("{} isn't a number of {tenant}", number.as_str())),
            }
        }),
    }
}

fn list(common: &Common, tenant: Option<&TenantId>, as_json: bool) -> Result<(), String> {
    super::stored::reading(common, async |store| {
        let mut after: Option<E164> = None;
        loop {
            let page = match tenant {
                // One tenant's come all at once.
                Some(_) if after.is_some() => return Ok(()),
                Some(tenant) => store.tenant(tenant).numbers().await,
                None => store.directory().numbers(after.as_ref(), PAGE).await,
            };
            let page = page.map_err(|error| error.to_string())?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.number.phone_number.clone());
            for row in &page {
                let number = &row.number;
                let state = if number.active { "" } else { " (off)" };
                say(&match as_json {
                    true => number.json.clone(),
                    false => format!("{:<17} {}{state}", number.phone_number.as_str(), row.tenant_id),
                });
            }
        }
    })
}

fn add(
    common: &Common,
    tenant: &TenantId,
    number: &E164,
    language: Option<&str>,
    name: Option<&str>,
) -> Result<(), String> {
    super::stored::writing(common, async |store| {
        let scope = store.tenant(tenant);
        let found = scope.document().await.map_err(|error| error.to_string())?;
        let found = found.ok_or_else(|| unknown(tenant))?;
        let document = Tenant::from_json(found.json.as_bytes()).map_err(|errors| errors.to_string())?;
        let mut mapping = serde_json::Map::new();
        mapping.insert("phone_number".to_owned(), json!(number.as_str()));
        mapping.insert("tenant_id".to_owned(), json!(tenant.as_str()));
        mapping.insert("client_id".to_owned(), json!(document.client_id));
        for (field, value) in [("language", language), ("display_name", name)] {
            if let Some(value) = value {
                mapping.insert(field.to_owned(), json!(value));
            }
        }
        let mapping = NumberMapping::from_value(&mapping.into()).map_err(|errors| errors.to_string())?;
        scope.save_number(&NewNumber::from(&mapping)).await.map_err(|error| error.to_string())
    })
}
