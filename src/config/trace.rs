//! What is kept of the signalling, and who else is told: the `[trace]` table.

use std::time::Duration;

use super::address::HostPort;
use super::choice::choice;
use super::problem::{ProblemKind, Sink};
use super::reader::Table;
use super::secret::{self, Surroundings};
use super::value::{FromValue, Line, text};
use crate::trace::hep::{Agent, Key};
use toml::de::DeValue;

/// The `[trace]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Bytes of messages held in memory; 0: none are. Default 32 MiB.
    pub memory: usize,
    /// Bytes held of one call. Default 64 KiB.
    pub per_call: usize,
    /// How long a call is held after its end, as far as memory allows. Default 10 min.
    pub keep: Duration,
    /// Which calls' messages are written to files. Default `none`.
    pub store: StoreTraces,
    /// How long those files are kept. Default 30 days.
    pub store_for: Duration,
    /// Whether keys in INFO are masked. Default true.
    pub mask_digits: bool,
    /// A HEP collector that gets every message. Default none.
    pub hep: Option<Hep>,
}

choice! {
    /// Which calls' messages are written to files.
    StoreTraces {
        /// None, unless somebody asks for one.
        None = "none",
        /// Those that failed or were refused.
        Failed = "failed",
        /// All.
        All = "all",
    }
}

/// A HEP collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hep {
    /// Where it is; over UDP.
    pub address: HostPort,
    /// Who we are to it.
    pub agent: Agent,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            per_call: 64 << 10,
            keep: Duration::from_secs(600),
            store: StoreTraces::None,
            store_for: Duration::from_secs(30 * DAY),
            mask_digits: true,
            hep: None,
        }
    }
}

const DAY: u64 = 86_400;
/// The capture id of a collector that is told none.
const DEFAULT_ID: u32 = 2_001;

/// Where a HEP collector is, with the way to it; `udp` is the only one so far.
struct HepAddress(HostPort);

impl FromValue for HepAddress {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        const WANTED: &str =
            "udp: and a host with an optional port in quotes, such as \"udp:homer.example.com:9060\"";
        let found = text(value, WANTED)?;
        let address = found.strip_prefix("udp:").and_then(|host| host.parse().ok());
        address.map(Self).ok_or_else(|| ProblemKind::Form { found: found.to_owned(), wanted: WANTED })
    }
}

/// Reads the table.
pub(super) fn read(mut table: Table<'_>, around: &Surroundings<'_>, sink: &mut Sink<'_>) -> Trace {
    let defaults = Trace::default();
    let size = |number: u32, unit: usize| usize::try_from(number).unwrap_or(0).saturating_mul(unit);
    let trace = Trace {
        memory: table.whole("memory_mb", 0..=4_096, sink).map_or(defaults.memory, |l| size(l.value, 1 << 20)),
        per_call: table
            .whole("call_kb", 4..=4_096, sink)
            .map_or(defaults.per_call, |l| size(l.value, 1 << 10)),
        keep: table
            .whole("keep_minutes", 1..=1_440, sink)
            .map_or(defaults.keep, |l| Duration::from_secs(u64::from(l.value) * 60)),
        store: table.or("store", defaults.store, sink),
        store_for: table
            .whole("store_days", 1..=3_650, sink)
            .map_or(defaults.store_for, |l| Duration::from_secs(u64::from(l.value) * DAY)),
        mask_digits: table.or("mask_digits", defaults.mask_digits, sink),
        hep: hep(&mut table, around, sink),
    };
    table.finish(sink);
    trace
}

fn hep(table: &mut Table<'_>, around: &Surroundings<'_>, sink: &mut Sink<'_>) -> Option<Hep> {
    const OTHERS: [&str; 5] = ["hep_id", "hep_node", "hep_password_file", "hep_password_env", "hep_password"];
    let address = table.take::<HepAddress>("hep", sink);
    let id = table.whole("hep_id", 0..=u32::MAX, sink).map_or(DEFAULT_ID, |l| l.value);
    let node = table.take::<Line>("hep_node", sink).map(|l| l.value.0);
    let names = ["hep_password_file", "hep_password_env", "hep_password"];
    let key = secret::read_text(table, names, around, sink).map(Key::new);
    if !table.has("hep") {
        for key in OTHERS {
            if table.has(key) {
                let kind = ProblemKind::NotHere("it goes with `hep`, the collector's address");
                sink.problem(table.key_span(key), table.subject(key), kind);
            }
        }
    }
    Some(Hep { address: address?.value.0, agent: Agent { id, key, node } })
}
