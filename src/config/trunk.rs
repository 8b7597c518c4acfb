//! A trunk: where calls come from and go to, and what is agreed with whoever is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use phonenumber::country;
use sip::ua::digest::Credentials;

use super::address::{Cidr, HostPort};
use super::choice::choice;
use super::tls::TrunkTls;
use crate::ids::TrunkName;

/// The name of the implicit trunk that takes calls from this machine.
pub(super) const DEMO: &str = "demo";

/// One `[[trunk]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    /// Its name, unique.
    pub name: TrunkName,
    /// How it is connected.
    pub mode: Mode,
    /// What SIP to it is carried by. Default `udp`.
    pub transport: Transport,
    /// What its server has to prove, under TLS.
    pub tls: TrunkTls,
    /// What its challenges are answered with. The user name is `auth_username`, else `username`.
    pub credentials: Option<Credentials>,
    /// Who we are on it.
    pub identity: Identity,
    /// How telephone numbers are read.
    pub numbers: Numbers,
    /// What is offered and taken as media.
    pub media: MediaPolicy,
    /// RFC 4028 session timers.
    pub session_timer: SessionTimer,
    /// How callers are handed over. Default `sip`.
    pub refer: ReferPolicy,
    /// Which calls are let in.
    pub admission: Admission,
    /// Who has to give a password. Default: nobody, the source address is trusted.
    pub authentication: Option<Authentication>,
    /// Whether provisional responses are sent reliably to who can take that (RFC 3262).
    /// Default false: only to who demands it.
    pub reliable_provisional: bool,
    /// How a peer's life is watched.
    pub health: HealthCheck,
}

/// How a trunk is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// We register, and calls come through the registration.
    Register(Registrar),
    /// No registration; the other side knows our address.
    Peer {
        /// Where requests are sent.
        address: HostPort,
        /// Where they are sent instead, with the peer in the Request-URI.
        outbound_proxy: Option<HostPort>,
    },
    /// Calls are taken from a trusted network; none are made.
    Open,
}

choice! {
    /// The `mode` of the file.
    ModeWord {
        /// See [`Mode::Register`].
        Register = "register",
        /// See [`Mode::Peer`].
        Peer = "peer",
        /// See [`Mode::Open`].
        Open = "open",
    }
}

impl Mode {
    /// The word that stands for it in the file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Register(_) => ModeWord::Register,
            Self::Peer { .. } => ModeWord::Peer,
            Self::Open => ModeWord::Open,
        }
        .as_str()
    }

    /// Registrar or peer: whose numbers are called. None for an open trunk.
    #[must_use]
    pub fn home(&self) -> Option<&HostPort> {
        match self {
            Self::Register(registrar) => Some(&registrar.address),
            Self::Peer { address, .. } => Some(address),
            Self::Open => None,
        }
    }

    /// Where requests outside a dialog are sent first: the outbound proxy, else registrar or
    /// peer. None for an open trunk.
    #[must_use]
    pub fn next_hop(&self) -> Option<&HostPort> {
        match self {
            Self::Register(registrar) => registrar.outbound_proxy.as_ref().or(Some(&registrar.address)),
            Self::Peer { address, outbound_proxy } => outbound_proxy.as_ref().or(Some(address)),
            Self::Open => None,
        }
    }
}

/// The registrar of a trunk in register mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registrar {
    /// Where it is; its host is the domain that is registered with.
    pub address: HostPort,
    /// Where the REGISTER is sent instead.
    pub outbound_proxy: Option<HostPort>,
    /// The user that is registered: `username` of the file.
    pub user: String,
    /// The expiry to ask for, in seconds. Default 600.
    pub expires: u32,
}

choice! {
    /// What SIP is carried by.
    Transport {
        /// UDP.
        Udp = "udp",
        /// TCP.
        Tcp = "tcp",
        /// TLS.
        Tls = "tls",
        /// What the DNS records of the next hop say (RFC 3263 §4.1).
        Auto = "auto",
    }
}

/// Who we are on a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user of our From and Contact. Default: `username`, else `offhook`.
    pub from_user: String,
    /// The domain of our From. Default: the host of registrar or peer; without one, our address.
    pub from_domain: Option<String>,
    /// The number shown to people we call. Default: `from_user`.
    pub caller_id: Option<String>,
    /// Where the number shown to people we call is put. Default: From, P-Asserted-Identity.
    pub caller_id_in: Vec<ShownIdentity>,
    /// Where a caller's number is read from: the first of these that has one.
    /// Default: P-Asserted-Identity, Remote-Party-ID, From.
    pub caller_number_from: Vec<CallerNumberSource>,
}

choice! {
    /// Where a caller's number can stand.
    CallerNumberSource {
        /// `P-Asserted-Identity` (RFC 3325).
        PAssertedIdentity = "p_asserted_identity",
        /// `Remote-Party-ID`, its predecessor.
        RemotePartyId = "remote_party_id",
        /// `From`.
        From = "from",
    }
}

choice! {
    /// Where the number shown to people we call can stand.
    ShownIdentity {
        /// `From`; without it our account stands there.
        From = "from",
        /// `P-Asserted-Identity` (RFC 3325), for a carrier that trusts us.
        PAssertedIdentity = "p_asserted_identity",
        /// `P-Preferred-Identity` (RFC 3325), for a carrier that checks.
        PPreferredIdentity = "p_preferred_identity",
        /// `Remote-Party-ID`, their predecessor.
        RemotePartyId = "remote_party_id",
    }
}

/// How telephone numbers are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// The country of numbers that name none. Default: none, so that only numbers with a
    /// country code are understood.
    pub default_country: Option<country::Id>,
    /// Where the dialed number is read from: the first of these that leads to a tenant.
    /// Default: Request-URI, To, P-Called-Party-ID, Diversion.
    pub dialed_number_from: Vec<DialedNumberSource>,
}

choice! {
    /// Where the dialed number can stand.
    DialedNumberSource {
        /// The user of the Request-URI.
        RequestUri = "request_uri",
        /// The user of To.
        To = "to",
        /// `P-Called-Party-ID` (RFC 7315).
        PCalledPartyId = "p_called_party_id",
        /// `Diversion` or `History-Info`: the number first dialed.
        Diversion = "diversion",
    }
}

/// What is offered and taken as media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPolicy {
    /// The codecs, first choice first. Default: A-law, µ-law.
    pub codecs: Vec<Codec>,
    /// How digits are sent; both ways are understood. Default `rfc4733`.
    pub dtmf: DtmfMode,
    /// Where media may come from. Default `address`.
    pub source: MediaSource,
    /// Whether media is encrypted. Default `off`.
    pub srtp: SrtpMode,
    /// Packet time that our own offers ask for, in milliseconds. Default 20.
    pub ptime_ms: u8,
    /// Bounds of the jitter buffer's delay in milliseconds. Default 40 to 120.
    pub jitter_min_ms: u16,
    /// See `jitter_min_ms`.
    pub jitter_max_ms: u16,
}

choice! {
    /// A codec.
    Codec {
        /// G.711 A-law.
        Pcma = "pcma",
        /// G.711 µ-law.
        Pcmu = "pcmu",
        /// G.722 at 64 kbit/s: wide-band.
        G722 = "g722",
        /// Opus; only in builds with the feature `opus`.
        Opus = "opus",
    }
}

choice! {
    /// Whether media is encrypted (SRTP with keys from SDP, RFC 4568).
    SrtpMode {
        /// Never: offers of SRTP alone are refused.
        Off = "off",
        /// With who can.
        Offer = "offer",
        /// Always: calls without it are refused.
        Require = "require",
    }
}

choice! {
    /// How digits are sent.
    DtmfMode {
        /// As telephone-events in RTP.
        Rfc4733 = "rfc4733",
        /// In SIP INFO.
        Info = "info",
    }
}

/// Where media may come from. It is locked once it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaSource {
    /// From the address and port of the SDP.
    Exact,
    /// From the address of the SDP, any port: the first stable one.
    Address,
    /// From the first stable address within these networks, for callers behind NAT.
    Latch {
        /// The networks.
        prefixes: Vec<Cidr>,
    },
}

choice! {
    /// The `media_source` of the file.
    SourceWord {
        /// See [`MediaSource::Exact`].
        Exact = "exact",
        /// See [`MediaSource::Address`].
        Address = "address",
        /// See [`MediaSource::Latch`].
        Latch = "latch",
    }
}

impl MediaSource {
    /// The word that stands for it in the file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Exact => SourceWord::Exact,
            Self::Address => SourceWord::Address,
            Self::Latch { .. } => SourceWord::Latch,
        }
        .as_str()
    }
}

/// Session timers (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// Whether they are used. Default `request`.
    pub policy: SessionTimerPolicy,
    /// The interval we ask for. Default 1800 s.
    pub expires: Duration,
    /// The shortest we accept. Default 90 s, which is the RFC's least.
    pub min_se: Duration,
}

choice! {
    /// Whether session timers are used.
    SessionTimerPolicy {
        /// Not at all.
        Off = "off",
        /// When the other side asks for them.
        Accept = "accept",
        /// We ask for them.
        Request = "request",
    }
}

choice! {
    /// How callers are handed over.
    ReferPolicy {
        /// REFER, to `tel:` targets as they are.
        Tel = "tel",
        /// REFER, `tel:` targets rewritten to `sip:` at the trunk.
        Sip = "sip",
        /// No REFER: the call is bridged.
        BridgeOnly = "bridge_only",
    }
}

/// Which calls are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where they may come from.
    pub sources: Sources,
    /// Calls at once. Default: no limit of the trunk's own.
    pub max_calls: Option<NonZeroU32>,
    /// New calls a second. Default: no limit of the trunk's own.
    pub max_calls_per_second: Option<NonZeroU32>,
}

/// Who may call, by password (RFC 3261 §22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The realm of our challenges. Default `offhook`.
    pub realm: String,
    /// Everybody who has a password.
    pub users: Vec<Credentials>,
}

/// OPTIONS sent to a peer at intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthCheck {
    /// How often; zero: never. Default 30 s.
    pub interval: Duration,
    /// Failures in a row after which an address is taken for down. Default 3.
    pub failures: u32,
}

/// Where calls may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// From the addresses that registrar, peer or outbound proxy resolve to.
    Resolved,
    /// From these networks.
    Listed(Vec<Cidr>),
}

impl Sources {
    /// How closely the list names the address: the bits of its narrowest network that holds it.
    /// `None` when none does, and always when the sources are to be resolved.
    #[must_use]
    pub fn closeness(&self, source: IpAddr) -> Option<u8> {
        match self {
            Self::Resolved => None,
            Self::Listed(networks) => networks.iter().filter(|n| n.contains(source)).map(Cidr::prefix).max(),
        }
    }
}

impl Trunk {
    /// The trunk that is there without configuration: open to this machine, no limit of its own.
    pub(super) fn demo() -> Option<Self> {
        let loopback = [Cidr::of(Ipv4Addr::LOCALHOST.into(), 8), Cidr::of(Ipv6Addr::LOCALHOST.into(), 128)];
        let loopback: Vec<Cidr> = loopback.into_iter().flatten().collect();
        Some(Self {
            name: TrunkName::new(DEMO).ok()?,
            mode: Mode::Open,
            transport: Transport::Udp,
            tls: TrunkTls::default(),
            credentials: None,
            identity: Identity::default(),
            numbers: Numbers::default(),
            // Softphones name the machine's address on the network in their SDP and yet send from
            // 127.0.0.1 to 127.0.0.1.
            media: MediaPolicy {
                source: MediaSource::Latch { prefixes: loopback.clone() },
                ..MediaPolicy::default()
            },
            session_timer: SessionTimer::default(),
            // A softphone is given the target as the tenant wrote it.
            refer: ReferPolicy::Tel,
            admission: Admission {
                sources: Sources::Listed(loopback),
                max_calls: None,
                max_calls_per_second: None,
            },
            authentication: None,
            reliable_provisional: false,
            health: HealthCheck::default(),
        })
    }

    /// Whether the other one is connected in the same way: what is known of one trunk's
    /// registration and addresses holds for the other as well.
    #[must_use]
    pub fn connects_as(&self, other: &Self) -> bool {
        self.mode == other.mode
            && self.transport == other.transport
            && self.tls == other.tls
            && self.credentials == other.credentials
            && self.identity.from_domain == other.identity.from_domain
            && self.health == other.health
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), failures: 3 }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            from_user: "offhook".to_owned(),
            from_domain: None,
            caller_id: None,
            caller_id_in: vec![ShownIdentity::From, ShownIdentity::PAssertedIdentity],
            caller_number_from: vec![
                CallerNumberSource::PAssertedIdentity,
                CallerNumberSource::RemotePartyId,
                CallerNumberSource::From,
            ],
        }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            default_country: None,
            dialed_number_from: vec![
                DialedNumberSource::RequestUri,
                DialedNumberSource::To,
                DialedNumberSource::PCalledPartyId,
                DialedNumberSource::Diversion,
            ],
        }
    }
}

impl Default for MediaPolicy {
    fn default() -> Self {
        Self {
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            dtmf: DtmfMode::Rfc4733,
            source: MediaSource::Address,
            srtp: SrtpMode::Off,
            ptime_ms: 20,
            jitter_min_ms: 40,
            jitter_max_ms: 120,
        }
    }
}

impl Default for SessionTimer {
    fn default() -> Self {
        Self {
            policy: SessionTimerPolicy::Request,
            expires: Duration::from_secs(1800),
            min_se: Duration::from_secs(90),
        }
    }
}
