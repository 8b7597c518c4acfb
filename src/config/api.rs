//! The HTTP API: the `[api]` table.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Sink;
use super::reader::Table;
use super::secret::Surroundings;

/// The `[api]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Requests a minute, and at once, with one key. Default 600; 0: no limit.
    pub requests_per_minute: u32,
    /// Refused attempts a minute, from one address. Default 10; 0: no limit.
    pub failures_per_minute: u32,
    /// How long an operator's token lasts. Default 60 min.
    pub token_for: Duration,
    /// Where the operator's master key is. Default: `master.key` in the data directory, made at
    /// the first start.
    pub master_key_file: Option<PathBuf>,
    /// Where the vault's keys are. Default: `vault.key` in the data directory, made at the first
    /// start.
    pub vault_key_file: Option<PathBuf>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            requests_per_minute: 600,
            failures_per_minute: 10,
            token_for: Duration::from_secs(3_600),
            master_key_file: None,
            vault_key_file: None,
        }
    }
}

const MAX_RATE: u32 = 1_000_000;

/// Reads the table.
pub(super) fn read(mut table: Table<'_>, around: &Surroundings<'_>, sink: &mut Sink<'_>) -> ApiConfig {
    let defaults = ApiConfig::default();
    let mut rate = |key, default| table.whole(key, 0..=MAX_RATE, sink).map_or(default, |l| l.value);
    let requests_per_minute = rate("requests_per_minute", defaults.requests_per_minute);
    let failures_per_minute = rate("failures_per_minute", defaults.failures_per_minute);
    let api = ApiConfig {
        requests_per_minute,
        failures_per_minute,
        token_for: table
            .whole("token_minutes", 1..=1_440, sink)
            .map_or(defaults.token_for, |l| Duration::from_secs(u64::from(l.value) * 60)),
        master_key_file: table.take::<PathBuf>("master_key_file", sink).map(|l| around.base.join(l.value)),
        vault_key_file: table.take::<PathBuf>("vault_key_file", sink).map(|l| around.base.join(l.value)),
    };
    table.finish(sink);
    api
}
