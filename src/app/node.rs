//! What this process is called among those that share a database.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::StartError;
use crate::config::Config;

/// Where it is kept, in the data directory.
const FILE: &str = "node";
/// The one name where nobody shares: SQLite is one process's.
const ALONE: &str = "main";

/// The configured name, else one that is made once and kept: at its next start the same process
/// has to find the calls that it left open, and none of another's.
pub(super) fn name(config: &Config) -> Result<String, StartError> {
    match (&config.store.node, &config.store.postgres) {
        (Some(node), _) => Ok(node.clone()),
        (None, None) => Ok(ALONE.to_owned()),
        (None, Some(_)) => {
            let path = config.service.data.join(FILE);
            kept(&path).map_err(|error| StartError::Data { path, error })
        }
    }
}

fn kept(path: &Path) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let name = format!("node-{}", uuid::Uuid::now_v7());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{name}")?;
    file.sync_all()?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_once_and_kept() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join(FILE);
        let first = kept(&path).unwrap();
        assert!(first.starts_with("node-"));
        assert_eq!(kept(&path).unwrap(), first);
    }
}
