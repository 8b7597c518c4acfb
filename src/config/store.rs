//! Where everything is kept: the `[store]` table.

use std::path::Path;

use super::problem::{ProblemKind, Sink, WarningKind};
use super::reader::Table;
use super::secret::{self, Surroundings};
use super::service::Overrides;
use super::value::Line;
use crate::store::{Place, PostgresUrl};

/// The `[store]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreConfig {
    /// The PostgreSQL server, if it isn't SQLite.
    pub postgres: Option<PostgresUrl>,
    /// The most connections to it. Default 10.
    pub connections: u32,
    /// What this process is called among those that share a server. Default: a name of its own,
    /// kept in the data directory.
    pub node: Option<String>,
}

/// The database's file in the data directory, on SQLite.
pub const DATABASE: &str = "offhook.db";

const DEFAULT_CONNECTIONS: u32 = 10;
const WANTED: &str = "an address such as \"postgres://offhook@db.example.com/offhook\"";

impl StoreConfig {
    /// Where the store of a service with this data directory is.
    #[must_use]
    pub fn place(&self, data: &Path) -> Place {
        match &self.postgres {
            Some(url) => Place::Postgres { url: url.clone(), connections: self.connections },
            None => Place::Sqlite(data.join(DATABASE)),
        }
    }
}

/// Reads the table.
pub(super) fn read(
    mut table: Table<'_>,
    overrides: &Overrides,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> StoreConfig {
    let written = url(&mut table, around, sink);
    let connections =
        table.whole("connections", 2..=200, sink).map_or(DEFAULT_CONNECTIONS, |located| located.value);
    let node = table.take::<Line>("node", sink).map(|located| located.value.0);
    table.finish(sink);
    StoreConfig { postgres: overrides.store.clone().or(written), connections, node }
}

/// The address: written here, or elsewhere since it may hold a password.
fn url(table: &mut Table<'_>, around: &Surroundings<'_>, sink: &mut Sink<'_>) -> Option<PostgresUrl> {
    let (key, span, text) = match table.take::<Line>("url", sink) {
        Some(line) => ("url", Some(line.span), line.value.0),
        // The key itself isn't there, or was wrong and is reported.
        None => {
            let key = if table.has("url_env") { "url_env" } else { "url_file" };
            let text = secret::read_text(table, ["url_file", "url_env", "url"], around, sink)?;
            (key, table.key_span(key), text)
        }
    };
    for other in ["url_file", "url_env"] {
        if key == "url" && table.take::<Line>(other, sink).is_some() {
            let kind = ProblemKind::NotHere("the address is in `url`: write one of the two");
            sink.problem(table.key_span(other), table.subject(other), kind);
        }
    }
    let url = PostgresUrl::new(text.trim());
    match &url {
        // What was found isn't shown: it may hold a password.
        None => {
            let kind = ProblemKind::WrongType { found: "another address", wanted: WANTED };
            sink.problem(span, table.subject(key), kind);
        }
        Some(url) if key == "url" && url.has_password() => {
            sink.warn(span, table.subject(key), WarningKind::InlineDatabasePassword);
        }
        Some(_) => {}
    }
    url
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Overrides, WarningKind};
    use crate::store::Place;

    fn place(text: &str) -> Result<(Place, Vec<WarningKind>), String> {
        let environment = |name: &str| (name == "DB").then(|| "postgres://u:p@db/x".to_owned());
        let loaded = Config::from_toml(text, None, &Overrides::default(), &environment)
            .map_err(|error| error.to_string())?;
        let warnings = loaded.warnings.into_iter().map(|warning| warning.kind).collect();
        Ok((loaded.config.store.place(Path::new("/d")), warnings))
    }

    #[test]
    fn sqlite_in_the_data_directory_unless_a_server_is_named() {
        assert_eq!(place("").unwrap(), (Place::Sqlite("/d/offhook.db".into()), vec![]));
        let (named, warnings) = place("[store]\nurl = \"postgres://u@db/x\"\nconnections = 4").unwrap();
        assert!(matches!(named, Place::Postgres { connections: 4, .. }));
        assert_eq!(warnings, []);
    }

    #[test]
    fn a_password_belongs_elsewhere_and_is_never_shown() {
        let (_, warnings) = place("[store]\nurl = \"postgres://u:p@db/x\"").unwrap();
        assert_eq!(warnings, [WarningKind::InlineDatabasePassword]);
        let (named, warnings) = place("[store]\nurl_env = \"DB\"").unwrap();
        assert!(matches!(named, Place::Postgres { .. }) && warnings.is_empty());
        let said = place("[store]\nurl = \"mysql://u:secret@db/x\"").unwrap_err();
        assert!(said.contains("postgres://") && !said.contains("secret"), "{said}");
        assert!(place("[store]\nurl = \"postgres://db/x\"\nurl_env = \"DB\"").is_err());
    }
}
