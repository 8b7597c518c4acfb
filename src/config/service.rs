//! What concerns the process as a whole: the `[service]` table, and what is laid over it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use media::recording::sealed::SealingKey;

use super::address::PortRange;
use super::choice::choice;
use super::problem::{ProblemKind, Sink, WarningKind};
use super::reader::Table;
use super::secret::{self, Surroundings};
use super::tls::{self, ServiceTls};
use super::value::Located;

/// The `[service]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where SIP is served, over UDP and over TCP. Default `127.0.0.1:5060`.
    pub sip: SocketAddr,
    /// The same in the other family of addresses, when there is a second one.
    pub sip_also: Option<SocketAddr>,
    /// SIP over TLS. Default: not served.
    pub tls: ServiceTls,
    /// How many TCP connections there may be, and as many of TLS.
    pub connections: Connections,
    /// The name servers. Default: those of the system.
    pub dns_servers: Vec<SocketAddr>,
    /// Where the HTTP API, console, health and metrics are served. Default `127.0.0.1:8080`.
    pub http: SocketAddr,
    /// The directory for database, journal, recordings and control socket. Default `data`, in
    /// the working directory.
    pub data: PathBuf,
    /// How long running calls may go on after the first signal to stop. Default 60 s.
    pub drain: Duration,
    /// The address that peers reach us at, for Via, Contact and SDP; needed behind NAT and with
    /// a wildcard `sip`. Default: the address that the route to the peer leaves from.
    pub advertised_address: Option<IpAddr>,
    /// The UDP ports for RTP and RTCP. Default 16384-32767.
    pub rtp_ports: PortRange,
    /// How many workers there are.
    pub workers: Workers,
    /// How log lines look. Default `text`.
    pub log_format: LogFormat,
    /// The key that recordings of calls are sealed with. Default: none, they are plain.
    pub recording_key: Option<SealingKey>,
}

/// How many threads do what. `None` stands for one per core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Workers {
    /// Threads for connections, HTTP and storage; signalling and calls have one of their own.
    pub service: Option<NonZeroU16>,
    /// Threads for RTP.
    pub media: Option<NonZeroU16>,
}

/// How many connections there may be, of TCP and of TLS each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// At a time, of which an eighth is kept for those that we open. Default 4096.
    pub in_all: usize,
    /// At a time, opened from one address. Default 1024.
    pub per_source: usize,
}

choice! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// What flags and environment set; it wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--sip`, `OFFHOOK_SIP`.
    pub sip: Option<SocketAddr>,
    /// `--http`, `OFFHOOK_HTTP`.
    pub http: Option<SocketAddr>,
    /// `--data`, `OFFHOOK_DATA`.
    pub data: Option<PathBuf>,
    /// `--drain`, `OFFHOOK_DRAIN`, in seconds there.
    pub drain: Option<Duration>,
    /// `--advertised-address`, `OFFHOOK_ADVERTISED_ADDRESS`.
    pub advertised_address: Option<IpAddr>,
    /// `--rtp-ports`, `OFFHOOK_RTP_PORTS`.
    pub rtp_ports: Option<PortRange>,
    /// `--service-workers`, `OFFHOOK_SERVICE_WORKERS`.
    pub service_workers: Option<NonZeroU16>,
    /// `--media-workers`, `OFFHOOK_MEDIA_WORKERS`.
    pub media_workers: Option<NonZeroU16>,
    /// `--log-format`, `OFFHOOK_LOG_FORMAT`.
    pub log_format: Option<LogFormat>,
}

impl std::str::FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(word: &str) -> Result<Self, UnknownLogFormat> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownLogFormat),
        }
    }
}

/// Neither `text` nor `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write text or json")]
pub struct UnknownLogFormat;

const DEFAULT_DRAIN_SECONDS: u32 = 60;
/// A day: who wants to wait longer doesn't want to stop.
const MAX_DRAIN_SECONDS: u32 = 86_400;
const MAX_WORKERS: u32 = 256;
/// As many open files as a process is allowed at most on common systems.
const MAX_CONNECTIONS: u32 = 1_000_000;

/// Reads the table and lays the overrides over it. The second value is `demo_trunk`.
pub(super) fn read(
    mut table: Table<'_>,
    overrides: &Overrides,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> (Service, Option<bool>) {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (sip, http) = (table.one_or_more("sip", sink), table.take::<SocketAddr>("http", sink));
    if let Some(sip) = &sip {
        tls::one_of_each_family(sip, table.subject("sip"), sink);
    }
    let drain = table.whole("drain_seconds", 0..=MAX_DRAIN_SECONDS, sink).map(|l| l.value);
    let advertised = table.take::<IpAddr>("advertised_address", sink);
    let ports = table.take::<PortRange>("rtp_ports", sink);
    let places = Places {
        sip: place(sip.as_ref(), overrides.sip.is_some()),
        http: place(http.as_ref(), overrides.http.is_some()),
        advertised: place(advertised.as_ref(), overrides.advertised_address.is_some()),
        rtp_ports: place(ports.as_ref(), overrides.rtp_ports.is_some()),
    };
    let written = sip.map(|l| l.value).filter(|_| overrides.sip.is_none());
    let mut listen = written.unwrap_or_else(|| vec![overrides.sip.unwrap_or(local(5060))]).into_iter();
    let (sip, sip_also) = (listen.next().unwrap_or(local(5060)), listen.next());
    let both: Vec<SocketAddr> = [Some(sip), sip_also].into_iter().flatten().collect();
    let dns_servers = table.list("dns_servers", sink).map(|l| l.value).unwrap_or_default();
    let service = Service {
        sip,
        sip_also,
        tls: tls::service(&mut table, &both, around, sink),
        connections: connections(&mut table, sink),
        dns_servers,
        http: overrides.http.or(http.map(|l| l.value)).unwrap_or(local(8080)),
        data: overrides.data.clone().unwrap_or(table.or("data", PathBuf::from("data"), sink)),
        drain: overrides
            .drain
            .unwrap_or(Duration::from_secs(u64::from(drain.unwrap_or(DEFAULT_DRAIN_SECONDS)))),
        advertised_address: overrides.advertised_address.or(advertised.map(|l| l.value)),
        rtp_ports: overrides.rtp_ports.or(ports.map(|l| l.value)).unwrap_or(PortRange::standard()),
        workers: Workers {
            service: workers(&mut table, "service_workers", overrides.service_workers, sink),
            media: workers(&mut table, "media_workers", overrides.media_workers, sink),
        },
        log_format: overrides.log_format.unwrap_or(table.or("log_format", LogFormat::Text, sink)),
        recording_key: recording_key(&mut table, around, sink),
    };
    let demo = table.take("demo_trunk", sink).map(|l| l.value);
    check(&service, &table, &places, sink);
    table.finish(sink);
    (service, demo)
}

/// Where values were set, when it was in the file and they aren't overridden.
struct Places {
    sip: Option<Range<usize>>,
    http: Option<Range<usize>>,
    advertised: Option<Range<usize>>,
    rtp_ports: Option<Range<usize>>,
}

fn place<T>(located: Option<&Located<T>>, overridden: bool) -> Option<Range<usize>> {
    located.filter(|_| !overridden).map(|located| located.span.clone())
}

fn check(service: &Service, table: &Table<'_>, places: &Places, sink: &mut Sink<'_>) {
    let both = [Some(service.sip), service.sip_also];
    let listening = both.iter().flatten().chain(&service.tls.listen);
    if listening.into_iter().any(|address| *address == service.http && address.port() != 0) {
        sink.problem(
            places.http.clone().or(places.sip.clone()),
            table.subject("http"),
            ProblemKind::SamePort,
        );
    }
    if both.iter().flatten().any(|sip| service.rtp_ports.contains(sip.port())) {
        let place = places.rtp_ports.clone().or(places.sip.clone());
        sink.problem(place, table.subject("rtp_ports"), ProblemKind::HoldsSipPort);
    }
    if both.iter().flatten().any(|sip| sip.ip().is_unspecified()) && service.advertised_address.is_none() {
        sink.warn(places.sip.clone(), table.subject("sip"), WarningKind::NoAdvertisedAddress);
    }
    if service.advertised_address.is_some_and(|a| a.is_unspecified() || a.is_multicast()) {
        let place = places.advertised.clone();
        sink.problem(place, table.subject("advertised_address"), ProblemKind::NotAnAddress);
    }
}

fn recording_key(
    table: &mut Table<'_>,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<SealingKey> {
    let text =
        secret::read_text(table, ["recording_key_file", "recording_key_env", "recording_key"], around, sink)?;
    let key = parse_key(&text);
    if key.is_none() {
        let place = ["recording_key_file", "recording_key_env", "recording_key"];
        let key = place.into_iter().find(|key| table.has(key)).unwrap_or("recording_key_file");
        sink.problem(table.key_span(key), table.subject(key), ProblemKind::NotAKey);
    }
    key
}

/// 32 bytes in hexadecimal.
pub(crate) fn parse_key(text: &str) -> Option<SealingKey> {
    let text = text.trim();
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(SealingKey::new(key))
}

fn connections(table: &mut Table<'_>, sink: &mut Sink<'_>) -> Connections {
    let mut number = |key, default| {
        let written = table.whole(key, 1..=MAX_CONNECTIONS, sink);
        written.and_then(|l| usize::try_from(l.value).ok()).unwrap_or(default)
    };
    Connections {
        in_all: number("max_connections", 4_096),
        per_source: number("max_connections_per_source", 1_024),
    }
}

fn workers(
    table: &mut Table<'_>,
    key: &'static str,
    over: Option<NonZeroU16>,
    sink: &mut Sink<'_>,
) -> Option<NonZeroU16> {
    let count = table.whole(key, 1..=MAX_WORKERS, sink);
    over.or(count.and_then(|l| u16::try_from(l.value).ok()).and_then(NonZeroU16::new))
}
