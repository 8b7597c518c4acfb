//! Reads a `[[trunk]]` and checks that its keys make sense together.

use std::num::NonZeroU32;
use std::time::Duration;

use sip::ua::digest::{Credentials, Password};

use super::address::{Cidr, Host, HostPort};
use super::problem::{ProblemKind, Sink, WarningKind};
use super::reader::Table;
use super::secret::{self, Surroundings};
use super::tls;
use super::trunk::{
    Admission, Codec, HealthCheck, Identity, MediaPolicy, MediaSource, Mode, ModeWord, Numbers, ReferPolicy,
    Registrar, SessionTimer, SourceWord, Sources, SrtpMode, Transport, Trunk,
};
use super::value::{Line, Located};
use crate::ids::TrunkName;

const DEFAULT_EXPIRES: u32 = 600;
/// RFC 4028 §4: no session interval is shorter.
const LEAST_SESSION: u32 = 90;
const DAY: u32 = 86_400;
const MAX_CALLS: u32 = 1_000_000;

/// The names of the trunks read so far, with the line of each.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(TrunkName, usize)>);

impl Names {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn holds(&self, name: &str) -> bool {
        self.0.iter().any(|(held, _)| held.as_str() == name)
    }

    /// Takes the name, reporting one that is taken already.
    fn take(&mut self, name: &Located<TrunkName>, subject: String, sink: &mut Sink<'_>) {
        let line = sink.place(name.span.start).line;
        match self.0.iter().find(|(held, _)| *held == name.value) {
            Some((held, first)) => {
                let kind = ProblemKind::SameName { name: held.as_str().to_owned(), line: *first };
                sink.problem(Some(name.span.clone()), subject, kind);
            }
            None => self.0.push((name.value.clone(), line)),
        }
    }
}

/// Reads one trunk. `None` when a key without default is missing or wrong; that is reported, as
/// is everything else that is wrong.
pub(super) fn read(
    mut table: Table<'_>,
    names: &mut Names,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Trunk> {
    let trunk = read_keys(&mut table, names, around, sink);
    table.finish(sink);
    trunk
}

fn read_keys(
    table: &mut Table<'_>,
    names: &mut Names,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Trunk> {
    let name = table.take::<TrunkName>("name", sink);
    if let Some(name) = &name {
        table.rename(format!("trunk \"{}\", ", name.value));
        names.take(name, table.subject("name"), sink);
    } else if !table.has("name") {
        missing(table, "name", "give the trunk a name, such as name = \"carrier\"", sink);
    }
    let word = table.take::<ModeWord>("mode", sink).map(|l| l.value);
    if !table.has("mode") {
        missing(table, "mode", "write mode = \"register\", \"peer\" or \"open\"", sink);
    }
    let user = text(table, "username", sink);
    let mode = mode(table, word, user.as_deref(), sink);
    let credentials = credentials(table, word, user.clone(), around, sink);
    let transport = table.or("transport", Transport::Udp, sink);
    let authentication = super::auth_inbound::read(table, around, sink);
    let media = media(table, sink);
    let clear = matches!(transport, Transport::Udp | Transport::Tcp) && word != Some(ModeWord::Open);
    if clear && media.srtp != SrtpMode::Off {
        sink.warn(table.key_span("srtp"), table.subject("srtp"), WarningKind::KeysInTheClear);
    }
    let trunk = Trunk {
        transport,
        tls: tls::trunk(table, mode.as_ref(), transport, around, sink),
        credentials,
        identity: identity(table, user, mode.as_ref(), sink),
        numbers: numbers(table, sink),
        media,
        session_timer: session_timer(table, sink),
        refer: table.or("refer", ReferPolicy::Sip, sink),
        admission: admission(table, mode.as_ref(), authentication.is_some(), sink),
        authentication,
        reliable_provisional: table.or("reliable_provisional", false, sink),
        health: health(table, word, sink),
        // Last, so that every key was read, and what is wrong with it reported, before giving up.
        mode: mode?,
        name: name?.value,
    };
    Some(trunk)
}

fn mode(
    table: &mut Table<'_>,
    word: Option<ModeWord>,
    user: Option<&str>,
    sink: &mut Sink<'_>,
) -> Option<Mode> {
    let registrar = table.take::<HostPort>("registrar", sink).map(|l| l.value);
    let peer = table.take::<HostPort>("peer", sink).map(|l| l.value);
    let outbound_proxy = table.take::<HostPort>("outbound_proxy", sink).map(|l| l.value);
    let expires = table.whole("expires", 30..=DAY, sink).map_or(DEFAULT_EXPIRES, |l| l.value);
    let word = word?;
    if word != ModeWord::Register {
        refuse(table, &["registrar", "expires"], "it belongs to mode = \"register\"", sink);
    }
    if word != ModeWord::Peer {
        refuse(table, &["peer"], "it belongs to mode = \"peer\"", sink);
    }
    match word {
        ModeWord::Register => {
            need(
                table,
                "registrar",
                "write the registrar's host, such as registrar = \"sip.example.com\"",
                sink,
            );
            need(
                table,
                "username",
                "write the user that is registered, such as username = \"33123456789\"",
                sink,
            );
            let user = user?.to_owned();
            Some(Mode::Register(Registrar { address: registrar?, outbound_proxy, user, expires }))
        }
        ModeWord::Peer => {
            need(table, "peer", "write the peer's host, such as peer = \"192.0.2.1:5060\"", sink);
            Some(Mode::Peer { address: peer?, outbound_proxy })
        }
        ModeWord::Open => {
            refuse(table, &["outbound_proxy"], "an open trunk makes no calls; use mode = \"peer\"", sink);
            Some(Mode::Open)
        }
    }
}

fn credentials(
    table: &mut Table<'_>,
    word: Option<ModeWord>,
    user: Option<String>,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Credentials> {
    const KEYS: [&str; 6] =
        ["username", "auth_username", "password_file", "password_env", "password", "realm"];
    let auth_user = text(table, "auth_username", sink);
    let realm = text(table, "realm", sink);
    let password: Option<Password> = secret::read(table, around, sink);
    if word == Some(ModeWord::Open) {
        refuse(table, &KEYS, "an open trunk trusts its `sources` and asks for no password", sink);
        return None;
    }
    if !table.has("password_file") && !table.has("password_env") && !table.has("password") {
        let reason = "it goes with a password: add `password_file` or `password_env`";
        refuse(table, &["auth_username", "realm"], reason, sink);
    } else if !table.has("username") && !table.has("auth_username") && word != Some(ModeWord::Register) {
        missing(table, "username", "a password goes with a user name: add `username`", sink);
    }
    Some(Credentials { username: auth_user.or(user)?, password: password?, realm })
}

fn identity(
    table: &mut Table<'_>,
    user: Option<String>,
    mode: Option<&Mode>,
    sink: &mut Sink<'_>,
) -> Identity {
    let defaults = Identity::default();
    let home = match mode {
        Some(Mode::Register(registrar)) => Some(&registrar.address.host),
        Some(Mode::Peer { address, .. }) => Some(&address.host),
        Some(Mode::Open) | None => None,
    };
    let domain = table.take::<HostPort>("from_domain", sink);
    if let Some(located) = domain.as_ref().filter(|l| l.value.port.is_some()) {
        let kind = ProblemKind::NotHere("a domain has no port here: leave it out");
        sink.problem(Some(located.span.clone()), table.subject("from_domain"), kind);
    }
    let order = table.list("caller_number_from", sink);
    let shown_in = table.list("caller_id_in", sink);
    Identity {
        from_user: text(table, "from_user", sink).or(user).unwrap_or(defaults.from_user),
        from_domain: domain.map(|l| l.value.host).as_ref().or(home).map(Host::to_string),
        caller_id: text(table, "caller_id", sink),
        caller_id_in: shown_in.map_or(defaults.caller_id_in, |l| l.value),
        caller_number_from: order.map_or(defaults.caller_number_from, |l| l.value),
    }
}

fn numbers(table: &mut Table<'_>, sink: &mut Sink<'_>) -> Numbers {
    let country = table.take("default_country", sink).map(|l| l.value);
    let order = table.list("dialed_number_from", sink).map(|l| l.value);
    Numbers {
        default_country: country,
        dialed_number_from: order.unwrap_or_else(|| Numbers::default().dialed_number_from),
    }
}

fn media(table: &mut Table<'_>, sink: &mut Sink<'_>) -> MediaPolicy {
    let defaults = MediaPolicy::default();
    let codecs = codecs(table, defaults.codecs, sink);
    let srtp = table.or("srtp", defaults.srtp, sink);
    let ptime_ms = ptime(table, sink).unwrap_or(defaults.ptime_ms);
    let (jitter_min_ms, jitter_max_ms) =
        jitter(table, (defaults.jitter_min_ms, defaults.jitter_max_ms), sink);
    let dtmf = table.or("dtmf", defaults.dtmf, sink);
    let source = table.or("media_source", SourceWord::Address, sink);
    let prefixes = table.list::<Cidr>("media_prefixes", sink).map(|l| l.value);
    if source == SourceWord::Latch {
        need(table, "media_prefixes", "list the networks that media may come from", sink);
    } else {
        refuse(table, &["media_prefixes"], "it belongs to media_source = \"latch\"", sink);
    }
    let source = match source {
        SourceWord::Exact => MediaSource::Exact,
        SourceWord::Address => MediaSource::Address,
        SourceWord::Latch => MediaSource::Latch { prefixes: prefixes.unwrap_or_default() },
    };
    MediaPolicy { codecs, dtmf, source, srtp, ptime_ms, jitter_min_ms, jitter_max_ms }
}

fn codecs(table: &mut Table<'_>, default: Vec<Codec>, sink: &mut Sink<'_>) -> Vec<Codec> {
    let Some(listed) = table.list::<Codec>("codecs", sink) else { return default };
    if !cfg!(feature = "opus") && listed.value.contains(&Codec::Opus) {
        let reason = "this build has no Opus: leave it out, or build with `--features opus`";
        refuse(table, &["codecs"], reason, sink);
    }
    listed.value
}

fn jitter(table: &mut Table<'_>, default: (u16, u16), sink: &mut Sink<'_>) -> (u16, u16) {
    let mut bound = |key, default: u16| {
        let asked = table.whole(key, 20..=200, sink);
        asked.and_then(|l| u16::try_from(l.value).ok()).unwrap_or(default)
    };
    let (least, most) = (bound("jitter_min_ms", default.0), bound("jitter_max_ms", default.1));
    if least > most {
        refuse(table, &["jitter_min_ms"], "it is above `jitter_max_ms`, which is 120 by default", sink);
    }
    (least, most)
}

fn ptime(table: &mut Table<'_>, sink: &mut Sink<'_>) -> Option<u8> {
    let asked = table.whole("ptime_ms", 10..=60, sink)?;
    if asked.value % 10 != 0 {
        refuse(
            table,
            &["ptime_ms"],
            "packets are a multiple of 10 ms long: write 10, 20, 30, 40, 50 or 60",
            sink,
        );
        return None;
    }
    u8::try_from(asked.value).ok()
}

fn session_timer(table: &mut Table<'_>, sink: &mut Sink<'_>) -> SessionTimer {
    let defaults = SessionTimer::default();
    let policy = table.or("session_timer", defaults.policy, sink);
    let expires = table.whole("session_expires", LEAST_SESSION..=DAY, sink);
    let min_se = table.whole("min_se", LEAST_SESSION..=DAY, sink);
    let seconds = |l: &Located<u32>| Duration::from_secs(u64::from(l.value));
    let timer = SessionTimer {
        policy,
        expires: expires.as_ref().map_or(defaults.expires, seconds),
        min_se: min_se.as_ref().map_or(defaults.min_se, seconds),
    };
    if timer.min_se > timer.expires {
        sink.problem(min_se.map(|l| l.span), table.subject("min_se"), ProblemKind::AboveExpires);
    }
    timer
}

fn health(table: &mut Table<'_>, word: Option<ModeWord>, sink: &mut Sink<'_>) -> HealthCheck {
    let defaults = HealthCheck::default();
    let interval = table.whole("options_ping_seconds", 0..=3_600, sink);
    let failures = table.whole("options_ping_failures", 1..=100, sink);
    if word.is_some_and(|word| word != ModeWord::Peer) {
        let keys = ["options_ping_seconds", "options_ping_failures"];
        refuse(table, &keys, "it belongs to mode = \"peer\"", sink);
    }
    HealthCheck {
        interval: interval.map_or(defaults.interval, |l| Duration::from_secs(l.value.into())),
        failures: failures.map_or(defaults.failures, |l| l.value),
    }
}

fn admission(
    table: &mut Table<'_>,
    mode: Option<&Mode>,
    authenticated: bool,
    sink: &mut Sink<'_>,
) -> Admission {
    let listed = table.list::<Cidr>("sources", sink);
    let open = matches!(mode, Some(Mode::Open));
    if open {
        need(
            table,
            "sources",
            "list the networks that calls may come from, such as sources = [\"192.0.2.0/24\"]",
            sink,
        );
    }
    let to_all = |listed: &&Located<Vec<Cidr>>| listed.value.iter().any(|network| network.prefix() == 0);
    if !authenticated && let Some(listed) = listed.as_ref().filter(to_all) {
        sink.warn(Some(listed.span.clone()), table.subject("sources"), WarningKind::OpenToAll);
    }
    let next_hop = mode.and_then(Mode::next_hop).and_then(HostPort::address);
    let sources = match (listed, next_hop) {
        (Some(listed), _) => Sources::Listed(listed.value),
        (None, Some(address)) => Sources::Listed(vec![Cidr::host(address)]),
        (None, None) => Sources::Resolved,
    };
    let mut limit = |key| table.whole(key, 1..=MAX_CALLS, sink).and_then(|l| NonZeroU32::new(l.value));
    Admission { sources, max_calls: limit("max_calls"), max_calls_per_second: limit("max_calls_per_second") }
}

fn text(table: &mut Table<'_>, key: &'static str, sink: &mut Sink<'_>) -> Option<String> {
    table.take::<Line>(key, sink).map(|l| l.value.0)
}

/// Reports a key that must be there and isn't.
fn need(table: &Table<'_>, key: &str, what_to_do: &'static str, sink: &mut Sink<'_>) {
    if !table.has(key) {
        missing(table, key, what_to_do, sink);
    }
}

fn missing(table: &Table<'_>, key: &str, what_to_do: &'static str, sink: &mut Sink<'_>) {
    sink.problem(Some(table.span()), table.subject(key), ProblemKind::Missing(what_to_do));
}

/// Reports keys that are there and mustn't be, at their own places.
fn refuse(table: &Table<'_>, keys: &[&str], reason: &'static str, sink: &mut Sink<'_>) {
    for key in keys {
        if let Some(span) = table.key_span(key) {
            sink.problem(Some(span), table.subject(key), ProblemKind::NotHere(reason));
        }
    }
}
