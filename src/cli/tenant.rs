//! `offhook tenant`: the tenants in the database.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::Common;
use crate::app::tenant_rows;
use crate::store::Store;
use crate::tenant::file::TenantFile;

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take in tenant files as they stand in config/tenants; those that are there already are
    /// replaced. The running service follows within a second.
    Import {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub(crate) fn run(common: &Common, command: &Command) -> Result<(), String> {
    let Command::Import { files } = command;
    // Every file is read before the first is taken in.
    let tenants = files.iter().map(read).collect::<Result<Vec<TenantFile>, String>>()?;
    super::stored::writing(common, async |store| {
        for tenant in &tenants {
            take_in(store, tenant).await?;
        }
        Ok(())
    })
}

fn read(path: &PathBuf) -> Result<TenantFile, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    TenantFile::from_json(&bytes).map_err(|errors| format!("{}:\n{errors}", path.display()))
}

async fn take_in(store: &dyn Store, file: &TenantFile) -> Result<(), String> {
    let (document, numbers) = tenant_rows(file);
    let tenant = store.tenant(&document.tenant_id);
    tenant.save(&document).await.map_err(|error| error.to_string())?;
    for row in &numbers {
        tenant.save_number(&row.number).await.map_err(|error| error.to_string())?;
    }
    let _ = writeln!(std::io::stdout(), "{}: {} number(s)", document.tenant_id, numbers.len());
    Ok(())
}
