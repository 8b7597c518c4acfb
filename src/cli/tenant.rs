//! `offhook tenant`: the tenants in the database.

use std::io::Write;
use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Common;
use crate::ids::TenantId;
use crate::store::{AccessKey, Expected, ImportRows, NewAccessKey, NewTenant, Store};
use crate::tenant::access::{KeySecret, Role, key_id};
use crate::tenant::{Tenant, import};

/// Tenants asked for at a time.
const PAGE: u32 = 500;

/// What can be done with tenants. A running service follows within a second.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the tenants.
    List {
        /// As JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Make a tenant.
    Create(Create),
    /// Print a tenant's document.
    Show {
        /// The tenant.
        #[arg(value_name = "ID")]
        tenant: TenantId,
    },
    /// Take in documents, all or nothing: files as they stand in config/tenants, JSON, JSON Lines,
    /// and what `mongoexport` writes. Those that are there already are replaced.
    Import {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print tenants with their numbers and prompts, one a line, as `import` takes them.
    Export {
        /// Which; all of them, if none is named.
        #[arg(value_name = "ID")]
        tenants: Vec<TenantId>,
    },
    /// Delete a tenant with its numbers, prompts, keys and calls.
    Delete {
        /// The tenant.
        #[arg(value_name = "ID")]
        tenant: TenantId,
        /// Really: there is no way back.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Make an access key for the HTTP API, and print it this once.
    Key {
        /// The tenant.
        #[arg(value_name = "ID")]
        tenant: TenantId,
        /// What it allows.
        #[arg(long, value_enum, default_value = "admin")]
        role: Allows,
        /// What it is for.
        #[arg(long, default_value = "", value_name = "TEXT")]
        label: String,
    },
}

/// A tenant to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its id, such as tenant-prod-0042.
    #[arg(value_name = "ID")]
    tenant: TenantId,
    /// Its name.
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// Its business identifier [default: its id].
    #[arg(long, value_name = "TEXT")]
    client_id: Option<String>,
    /// Its zone.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Paris")]
    timezone: String,
    /// Its locale, such as fr-FR.
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    /// What callers hear first [default: a standard sentence].
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
}

/// What a key allows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Allows {
    /// To read and change the tenant.
    Admin,
    /// To read it.
    ReadOnly,
}

pub(crate) fn run(common: &Common, command: &Command) -> Result<(), String> {
    match command {
        Command::List { json } => super::stored::reading(common, async |store| list(store, *json).await),
        Command::Create(wanted) => create(common, wanted),
        Command::Show { tenant } => super::stored::reading(common, async |store| {
            let found = store.tenant(tenant).document().await.map_err(|error| error.to_string())?;
            let found = found.ok_or_else(|| unknown(tenant))?;
            say(&found.json);
            Ok(())
        }),
        Command::Import { files } => take_in(common, files),
        Command::Export { tenants } => {
            super::stored::reading(common, async |store| export(store, tenants).await)
        }
        Command::Delete { tenant, .. } => super::stored::writing(common, async |store| {
            match store.tenant(tenant).delete().await.map_err(|error| error.to_string())? {
                true => Ok(()),
                false => Err(unknown(tenant)),
            }
        }),
        Command::Key { tenant, role, label } => key(common, tenant, *role, label),
    }
}

/// There is no such tenant.
pub(super) fn unknown(tenant: &TenantId) -> String {
    format!("there is no tenant {tenant}: `offhook tenant list` shows them")
}

/// Whoever reads may have had enough, as `head` has.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn list(store: &dyn Store, as_json: bool) -> Result<(), String> {
    let mut after: Option<TenantId> = None;
    loop {
        let page =
            store.directory().tenants(after.as_ref(), PAGE).await.map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.tenant_id.clone());
        for found in page {
            if as_json {
                say(&found.json);
                continue;
            }
            let value: Value = serde_json::from_str(&found.json).unwrap_or_default();
            let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            let status = value.get("status").and_then(Value::as_str).unwrap_or("active");
            say(&format!("{:<32} {:<10} {}", found.tenant_id.as_str(), status, text("display_name")));
        }
    }
}

fn create(common: &Common, wanted: &Create) -> Result<(), String> {
    let id = wanted.tenant.as_str();
    let mut document = json!({
        "_id": id, "tenant_id": id, "client_id": wanted.client_id.as_deref().unwrap_or(id),
        "display_name": wanted.name, "summary_to": [], "timezone": wanted.timezone, "status": "active",
        "schema_version": crate::tenant::document::SCHEMA_VERSION,
    });
    if let Some(fields) = document.as_object_mut() {
        let locale = wanted.locale.iter().map(|locale| ("locale".to_owned(), json!(locale)));
        fields.extend(locale);
        let greeting = wanted.greeting.iter().map(|text| json!({ "greeting": { "text": text } }));
        fields.extend(greeting.map(|voice| ("voice".to_owned(), voice)));
    }
    let tenant = Tenant::from_value(document).map_err(|errors| errors.to_string())?;
    super::stored::writing(common, async |store| {
        let saved = store.tenant(&wanted.tenant).save_if(&NewTenant::from(&tenant), Expected::New).await;
        saved.map_err(|_| format!("there is a tenant {} already", wanted.tenant))?;
        say(&format!("{}: made. Next: offhook number add {} +NUMBER", wanted.tenant, wanted.tenant));
        Ok(())
    })
}

fn take_in(common: &Common, files: &[PathBuf]) -> Result<(), String> {
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path.display().to_string(), bytes))
    };
    let files = files.iter().map(read).collect::<Result<Vec<(String, Vec<u8>)>, String>>()?;
    let named = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let import = import::read(named).map_err(|errors| format!("nothing was taken in:\n{errors}"))?;
    let rows = ImportRows::new(&import, "import", Utc::now());
    super::stored::writing(common, async |store| {
        store.operator().import(&rows).await.map_err(|error| format!("nothing was taken in: {error}"))?;
        for tenant in &import.tenants {
            let numbers = import.numbers.iter().filter(|number| number.tenant_id == tenant.tenant_id).count();
            say(&format!("{}: {numbers} number(s)", tenant.tenant_id));
        }
        Ok(())
    })
}

async fn export(store: &dyn Store, named: &[TenantId]) -> Result<(), String> {
    for tenant in named {
        let whole = whole(store, tenant).await?;
        say(&whole.ok_or_else(|| unknown(tenant))?.to_string());
    }
    let mut after: Option<TenantId> = None;
    while named.is_empty() {
        let page =
            store.directory().tenants(after.as_ref(), PAGE).await.map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { break };
        after = Some(last.tenant_id.clone());
        for found in &page {
            if let Some(whole) = whole(store, &found.tenant_id).await? {
                say(&whole.to_string());
            }
        }
    }
    Ok(())
}

async fn whole(store: &dyn Store, id: &TenantId) -> Result<Option<Value>, String> {
    crate::store::export(store.tenant(id).as_ref()).await.map_err(|error| error.to_string())
}

fn key(common: &Common, tenant: &TenantId, role: Allows, label: &str) -> Result<(), String> {
    let role = match role {
        Allows::Admin => Role::Admin,
        Allows::ReadOnly => Role::ReadOnly,
    };
    let secret = KeySecret::generate();
    let shown = AccessKey {
        key_id: key_id(),
        tenant_id: tenant.clone(),
        role,
        label: label.to_owned(),
        created_at: Utc::now(),
    };
    let key = NewAccessKey { shown, hash: secret.hash() };
    super::stored::writing(common, async |store| {
        let scope = store.tenant(tenant);
        if scope.document().await.map_err(|error| error.to_string())?.is_none() {
            return Err(unknown(tenant));
        }
        scope.add_access_key(&key, None).await.map_err(|error| error.to_string())?;
        say(secret.reveal());
        Ok(())
    })
}
