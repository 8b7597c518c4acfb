//! What the operator configures: one TOML file, under it the defaults, over it environment
//! variables and flags.
//!
//! The file is read into types that can't hold a wrong value. Every mistake in it is reported,
//! each with line, column, and what to write instead; unknown keys are mistakes. The tables are
//! walked by a reader of ours rather than by derived `Deserialize`, which stops at the first
//! mistake and gives a missing key no place.

mod address;
mod auth_inbound;
mod choice;
mod defence;
mod problem;
mod reader;
mod secret;
mod service;
mod suggest;
pub mod tls;
mod trace;
mod trunk;
mod trunk_file;
mod value;

use std::path::{Path, PathBuf};

pub use address::{Cidr, Host, HostPort, PortRange};
pub use defence::{Defence, Overload};
pub use problem::{ConfigError, PasswordProblem, Place, Problem, ProblemKind, Warning, WarningKind};
pub use service::{Connections, LogFormat, Overrides, Service, Workers};
pub use trace::{Hep, StoreTraces, Trace};
pub use trunk::{
    Admission, Authentication, CallerNumberSource, Codec, DialedNumberSource, DtmfMode, HealthCheck,
    Identity, MediaPolicy, MediaSource, Mode, Numbers, ReferPolicy, Registrar, SessionTimer,
    SessionTimerPolicy, ShownIdentity, Sources, SrtpMode, Transport, Trunk,
};

use problem::Sink;
use reader::Table;

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What concerns the process.
    pub service: Service,
    /// What is kept of the signalling.
    pub trace: Trace,
    /// Limits of each source.
    pub defence: Defence,
    /// When new calls are turned away.
    pub overload: Overload,
    /// The trunks, in the file's order; the implicit demo trunk last.
    pub trunks: Vec<Trunk>,
}

/// A configuration with what is questionable about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// To be logged at start and shown by `offhook check`.
    pub warnings: Vec<Warning>,
}

/// Reads an environment variable; [`std::env::var`] in the service, a table in tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// Reads the file, if one is given, and lays the overrides over it. Without a file the
    /// defaults hold. Relative `password_file` paths start at the file's directory.
    ///
    /// # Errors
    /// [`ConfigError::Read`] when the file can't be read, else [`ConfigError::Invalid`] with
    /// every mistake found.
    pub fn load(
        file: Option<&Path>,
        overrides: &Overrides,
        environment: Environment<'_>,
    ) -> Result<Loaded, ConfigError> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| ConfigError::Read { file: path.to_owned(), error: error.into() })?,
            None => String::new(),
        };
        Self::from_toml(&text, file, overrides, environment)
    }

    /// As [`Config::load`], from a text. `file` is what messages call it.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every mistake found.
    pub fn from_toml(
        text: &str,
        file: Option<&Path>,
        overrides: &Overrides,
        environment: Environment<'_>,
    ) -> Result<Loaded, ConfigError> {
        let mut sink = Sink::new(text);
        let base = file.and_then(Path::parent).map_or_else(PathBuf::new, Path::to_owned);
        let config = read(text, overrides, &secret::Surroundings { base, environment }, &mut sink);
        let (problems, warnings) = sink.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
            _ => Err(ConfigError::Invalid { file: file.map(Path::to_owned), problems }),
        }
    }

    /// The trunk of this name.
    #[must_use]
    pub fn trunk(&self, name: &crate::ids::TrunkName) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.name == *name)
    }
}

fn read(
    text: &str,
    overrides: &Overrides,
    surroundings: &secret::Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Config> {
    let (document, errors) = toml::de::DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What could be recovered would be reported a second time, in other words.
        errors.iter().for_each(|error| sink.syntax(error));
        return None;
    }
    let mut root = Table::root(&document);
    let service = root.table("service", sink);
    let trace = root.table("trace", sink);
    let defence = root.table("defence", sink);
    let overload = root.table("overload", sink);
    let entries = root.tables("trunk", sink);
    root.finish(sink);
    let trace = trace::read(trace, surroundings, sink);
    let (service, demo) = service::read(service, overrides, surroundings, sink);
    let defence = defence::read(defence, sink);
    let overload = defence::read_overload(overload, sink);
    let mut trunks = Vec::with_capacity(entries.len() + 1);
    let mut names = trunk_file::Names::default();
    for entry in entries {
        trunks.extend(trunk_file::read(entry, &mut names, surroundings, sink));
    }
    if demo.unwrap_or(names.is_empty()) && !names.holds(trunk::DEMO) {
        trunks.extend(Trunk::demo());
    }
    Some(Config { service, trace, defence, overload, trunks })
}

#[cfg(test)]
mod example_tests;
#[cfg(test)]
mod tests;
