//! Whom the service listens to and how much: the `[defence]` and `[overload]` tables.

use std::time::Duration;

use super::address::Cidr;
use super::problem::{ProblemKind, Sink};
use super::reader::Table;
use super::value::Line;

/// The `[defence]` table: limits of each source that no trunk trusts. Zero stands for no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defence {
    /// Messages a second, whatever they are. Default 200.
    pub messages_per_second: u32,
    /// New calls a second, from sources that a trunk asks for a password. Default 10.
    pub invites_per_second: u32,
    /// Other requests outside dialogs a second, from the same. Default 20.
    pub requests_per_second: u32,
    /// Wrong passwords a minute before a ban. Default 10.
    pub wrong_passwords_per_minute: u32,
    /// Requests a minute from a source of no trunk before a ban. Default 10.
    pub probes_per_minute: u32,
    /// Messages a minute that are no SIP, or malformed, before a ban. Default 60.
    pub malformed_per_minute: u32,
    /// The first ban of a source; zero: nobody is banned. Default 300 s.
    pub ban: Duration,
    /// The longest, however often it doubled. Default a day.
    pub ban_most: Duration,
    /// What a scanner's `User-Agent` holds; whoever sends it is banned at once.
    pub scanner_user_agents: Vec<String>,
    /// Whether scanners are banned for that. Default true.
    pub ban_scanners: bool,
    /// Whether all this holds for sources that a trunk trusts too. Default false.
    pub limit_trusted: bool,
    /// Networks that none of it holds for. Default: none.
    pub exempt: Vec<Cidr>,
    /// Sources that are remembered at a time. Default 65,536.
    pub remembered_sources: u32,
}

/// The `[overload]` table: when new calls are turned away with 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overload {
    /// The wait of new calls that is taken for a sign of overload; zero: none is. Default 50 ms.
    pub delay: Duration,
    /// Calls that may be waiting for their answer at a time. Default 4,000.
    pub calls_setting_up: u32,
    /// What they are told to wait, as `Retry-After`. Default 5 s.
    pub retry_after: Duration,
}

/// What known scanners call themselves.
const SCANNERS: [&str; 14] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "sip-scan",
    "siparmyknife",
    "sipsak",
    "sivus",
    "sundayddr",
    "VaxSIPUserAgent",
    "VaxIPUserAgent",
    "pplsip",
    "iWar",
    "smap",
];

const MAX_RATE: u32 = 1_000_000;
/// Thirty days.
const MAX_BAN: u32 = 2_592_000;

impl Default for Defence {
    fn default() -> Self {
        Self {
            messages_per_second: 200,
            invites_per_second: 10,
            requests_per_second: 20,
            wrong_passwords_per_minute: 10,
            probes_per_minute: 10,
            malformed_per_minute: 60,
            ban: Duration::from_secs(300),
            ban_most: Duration::from_secs(86_400),
            scanner_user_agents: SCANNERS.map(str::to_owned).to_vec(),
            ban_scanners: true,
            limit_trusted: false,
            exempt: Vec::new(),
            remembered_sources: 65_536,
        }
    }
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(50),
            calls_setting_up: 4_000,
            retry_after: Duration::from_secs(5),
        }
    }
}

/// Reads `[defence]`.
pub(super) fn read(mut table: Table<'_>, sink: &mut Sink<'_>) -> Defence {
    let defaults = Defence::default();
    let mut rate = |key, default| table.whole(key, 0..=MAX_RATE, sink).map_or(default, |l| l.value);
    let messages_per_second = rate("messages_per_second", defaults.messages_per_second);
    let invites_per_second = rate("invites_per_second", defaults.invites_per_second);
    let requests_per_second = rate("requests_per_second", defaults.requests_per_second);
    let wrong_passwords_per_minute = rate("wrong_passwords_per_minute", defaults.wrong_passwords_per_minute);
    let probes_per_minute = rate("probes_per_minute", defaults.probes_per_minute);
    let malformed_per_minute = rate("malformed_per_minute", defaults.malformed_per_minute);
    let seconds = |l: super::value::Located<u32>| Duration::from_secs(l.value.into());
    let ban = table.whole("ban_seconds", 0..=MAX_BAN, sink).map_or(defaults.ban, seconds);
    let most = table.whole("ban_seconds_most", 1..=MAX_BAN, sink);
    let most_span = most.as_ref().map(|l| l.span.clone());
    let ban_most = most.map_or(defaults.ban_most.max(ban), seconds);
    if ban_most < ban {
        sink.problem(most_span, table.subject("ban_seconds_most"), ProblemKind::BelowBan);
    }
    let names = table.list::<Line>("scanner_user_agents", sink);
    let names = names.map(|l| l.value.into_iter().map(|Line(name)| name).collect());
    let defence = Defence {
        messages_per_second,
        invites_per_second,
        requests_per_second,
        wrong_passwords_per_minute,
        probes_per_minute,
        malformed_per_minute,
        ban,
        ban_most,
        scanner_user_agents: names.unwrap_or(defaults.scanner_user_agents),
        ban_scanners: table.or("ban_scanners", defaults.ban_scanners, sink),
        limit_trusted: table.or("limit_trusted", defaults.limit_trusted, sink),
        exempt: table.list::<Cidr>("exempt", sink).map(|l| l.value).unwrap_or_default(),
        remembered_sources: table
            .whole("remembered_sources", 1_024..=1_048_576, sink)
            .map_or(defaults.remembered_sources, |l| l.value),
    };
    table.finish(sink);
    defence
}

/// Reads `[overload]`.
pub(super) fn read_overload(mut table: Table<'_>, sink: &mut Sink<'_>) -> Overload {
    let defaults = Overload::default();
    let overload = Overload {
        delay: table
            .whole("delay_ms", 0..=1_000, sink)
            .map_or(defaults.delay, |l| Duration::from_millis(l.value.into())),
        calls_setting_up: table
            .whole("calls_setting_up", 1..=100_000, sink)
            .map_or(defaults.calls_setting_up, |l| l.value),
        retry_after: table
            .whole("retry_after_seconds", 1..=3_600, sink)
            .map_or(defaults.retry_after, |l| Duration::from_secs(l.value.into())),
    };
    table.finish(sink);
    overload
}
