//! A call comes in: which trunk, which tenant, is there room, what media; then the actor.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::codec::Codec;
use media::jitter_buffer::JitterRange;
use media::sdp::{CodecOrder, LocalMedia, SdpError, SrtpPolicy};
use media::session::{Prefix, SourcePolicy};
use media::srtp::Seed;
use rand::Rng;
use sip::message::{HeaderName, Method, NameAddr, Request, StatusCode};
use tokio::sync::mpsc;

use super::actor::{Actor, CallHandle, Line, Mail, Media, ReferForm, Services, Start, Terms};
use super::machine::{CallSpec, Input};
use super::ports::IncomingInvite;
use super::record::{CallRecord, Direction, EndReason, Party, RawText};
use super::transfer::ReferPolicy;
use crate::agent::Provider;
use crate::config::{self, CallerNumberSource, DialedNumberSource, MediaSource};
use crate::ids::{E164, TenantId};
use crate::routing::dialed::{DialedFrom, DialedParts, candidates};
use crate::routing::{Admission, Country, Directory, Refusal, Resolution, TenantSnapshot, number};
use crate::tenant::voice::ProviderKind;
use crate::trunk::{Trunk, Trunks};

/// What a caller is asked to wait when something of ours is full, as `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Takes calls.
pub struct Inbound {
    /// What every call uses.
    pub services: Arc<Services>,
    /// The trunks.
    pub trunks: Arc<Trunks>,
    /// Numbers and tenants.
    pub directory: Arc<Directory>,
    /// Limits.
    pub admission: Arc<Admission>,
    /// The agent that needs nothing but this process.
    pub builtin: Arc<dyn Provider>,
    /// The address that peers are told to send media to, where it isn't the one they called.
    pub advertised: Option<IpAddr>,
    /// What was refused before it became a call, for the counters.
    pub refused: Refused,
}

/// Calls that never got a record: nobody's number, nobody's source, nobody's fault.
#[derive(Debug, Default)]
pub struct Refused {
    /// 403: no trunk takes calls from there.
    pub unlisted: std::sync::atomic::AtomicU64,
    /// 404.
    pub unknown_number: std::sync::atomic::AtomicU64,
    /// 503: the store didn't answer, or a trunk's rate is reached.
    pub unavailable: std::sync::atomic::AtomicU64,
}

/// What the INVITE says of the call, read once.
struct Offered {
    invite: IncomingInvite,
    trunk: Arc<Trunk>,
}

impl Inbound {
    /// Takes one call from its INVITE to its end.
    pub async fn answer(&self, invite: IncomingInvite, handle: CallHandle, mailbox: mpsc::Receiver<Mail>) {
        let (source, local) = (invite.flow.peer.ip(), invite.flow.local.ip());
        let Some(trunk) = self.trunks.of_message(source, local) else {
            tracing::info!(source = %invite.flow.peer, "an INVITE from an address of no trunk");
            self.turn_away(&invite, StatusCode::FORBIDDEN, None, &self.refused.unlisted);
            return;
        };
        if trunk.admit(Instant::now()).is_err() {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            self.turn_away(&invite, status, Some(Duration::from_secs(1)), &self.refused.unavailable);
            return;
        }
        let numbers = dialed_numbers(&invite.request, &trunk.config);
        let offered = Offered { invite, trunk };
        match self.directory.resolve_first(numbers.iter().cloned()).await {
            Resolution::Found(snapshot) => self.take(offered, &snapshot, handle, mailbox).run().await,
            Resolution::UnknownNumber => {
                let dialed = numbers.first().map(ToString::to_string).unwrap_or_default();
                tracing::info!(call = %handle.call, dialed, "nobody's number");
                self.turn_away(&offered.invite, StatusCode::NOT_FOUND, None, &self.refused.unknown_number);
            }
            Resolution::Disabled(tenant) => {
                self.refuse_disabled(offered, &tenant, &numbers, handle, mailbox).await
            }
            Resolution::StoreUnavailable(error) => {
                tracing::error!(call = %handle.call, %error, "a call is refused: its tenant can't be looked up");
                let status = StatusCode::SERVICE_UNAVAILABLE;
                self.turn_away(&offered.invite, status, Some(RETRY_AFTER), &self.refused.unavailable);
            }
        }
    }

    fn turn_away(
        &self,
        invite: &IncomingInvite,
        status: StatusCode,
        retry_after: Option<Duration>,
        count: &std::sync::atomic::AtomicU64,
    ) {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.services.signalling.reject(invite.dialog, status, retry_after);
        self.services.signalling.forget(invite.dialog);
    }

    /// A disabled tenant's call gets a record too: its document is needed for nothing else.
    async fn refuse_disabled(
        &self,
        offered: Offered,
        tenant: &TenantId,
        numbers: &[E164],
        handle: CallHandle,
        mailbox: mpsc::Receiver<Mail>,
    ) {
        let Ok(Some(tenant)) = self.directory.tenant(tenant).await else {
            let status = StatusCode::TEMPORARILY_UNAVAILABLE;
            self.turn_away(&offered.invite, status, None, &self.refused.unavailable);
            return;
        };
        let mut record = self.record(&offered, &tenant.tenant_id, &handle);
        record.to.number = numbers.first().cloned();
        let refusal =
            Input::Refused { status: 480, retry_after: None, reason: EndReason::RejectedTenantDisabled };
        let locale = tenant.locale.clone().unwrap_or_else(|| tenant.voice.language().to_owned());
        let spec = spec(record, tenant, locale, ReferPolicy::TrunkForbids, false);
        self.actor(&offered, spec, Media::none(), refusal, Box::new(()), handle, mailbox).run().await;
    }

    fn take(
        &self,
        offered: Offered,
        snapshot: &TenantSnapshot,
        handle: CallHandle,
        mailbox: mpsc::Receiver<Mail>,
    ) -> Box<Actor> {
        let tenant = Arc::clone(&snapshot.tenant);
        let mut record = self.record(&offered, &tenant.tenant_id, &handle);
        record.to.number = Some(snapshot.mapping.phone_number.clone());
        record.provider = Some(self.provider(tenant.voice.provider).name().to_owned());
        let caller = record.from.number.clone();
        let (media, first, permit): (Media, Input, Box<dyn Send>) =
            match self.admit(&offered, &tenant, caller.as_ref()) {
                Err(refusal) => (Media::none(), refusal, Box::new(())),
                Ok(permit) => match self.media(&offered) {
                    Ok(media) => (media, Input::Admitted, Box::new(permit)),
                    Err(refusal) => (Media::none(), refusal, Box::new(permit)),
                },
            };
        let refer = refer_policy(&offered.invite.request, &offered.trunk.config);
        let delayed = offered.invite.offer.is_none();
        let spec = spec(record, tenant, snapshot.locale().to_owned(), refer, delayed);
        self.actor(&offered, spec, media, first, permit, handle, mailbox)
    }

    #[expect(clippy::too_many_arguments, reason = "what a call begins with; two callers, both above")]
    fn actor(
        &self,
        offered: &Offered,
        spec: CallSpec,
        media: Media,
        first: Input,
        permit: Box<dyn Send>,
        handle: CallHandle,
        mailbox: mpsc::Receiver<Mail>,
    ) -> Box<Actor> {
        let start = Start {
            line: Line::Inbound(offered.invite.dialog),
            provider: Arc::clone(self.provider(spec.tenant.voice.provider)),
            spec,
            media,
            refer_form: refer_form(offered),
            first: vec![first],
            permit,
            mailbox,
            handle,
        };
        Box::new(Actor::new(Arc::clone(&self.services), start))
    }

    /// The provider for a tenant's choice. Those that are reached over a network come with a
    /// later version; until then the builtin agent takes their calls.
    fn provider(&self, _kind: ProviderKind) -> &Arc<dyn Provider> {
        &self.builtin
    }

    fn admit(
        &self,
        offered: &Offered,
        tenant: &crate::tenant::Tenant,
        caller: Option<&E164>,
    ) -> Result<crate::routing::Permit, Input> {
        if caller.is_some_and(|caller| tenant.limits.blocked_callers.contains(caller)) {
            return Err(Input::Refused {
                status: 603,
                retry_after: None,
                reason: EndReason::RejectedBlocked,
            });
        }
        let refused = offered.trunk.refused();
        let trunk = &offered.trunk.config;
        let trunk_limit = trunk.admission.max_calls.map(std::num::NonZeroU32::get);
        self.admission
            .admit(&tenant.tenant_id, &tenant.limits, &trunk.name, trunk_limit, Instant::now())
            .inspect_err(|refusal| {
                if *refusal == Refusal::TrunkFull {
                    refused.full.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            })
            .map_err(|refusal| Input::Refused {
                status: refusal.status(),
                retry_after: refusal.retry_after(),
                reason: match refusal {
                    Refusal::Draining => EndReason::RejectedDraining,
                    Refusal::ServiceFull | Refusal::TrunkFull => EndReason::RejectedOverload,
                    Refusal::TenantFull | Refusal::TenantRate => EndReason::RejectedTenantBusy,
                },
            })
    }

    fn media(&self, offered: &Offered) -> Result<Media, Input> {
        let flow = offered.invite.flow;
        let port = self.services.media.open().map_err(|_| Input::Refused {
            status: 503,
            retry_after: Some(RETRY_AFTER),
            reason: EndReason::RejectedOverload,
        })?;
        let policy = &offered.trunk.config.media;
        let address = self.advertised.unwrap_or(flow.local.ip());
        let mut local = local_media(address, port.local().port(), policy);
        // The first of the offer's codecs that the trunk has, as RFC 3264 §6.1 suggests.
        local.order = CodecOrder::Offer;
        let terms = terms(policy, flow.peer.ip());
        Media::negotiate(port, local, terms, offered.invite.offer.as_ref()).map_err(|error| {
            tracing::info!(%error, "an offer can't be answered");
            Input::Refused { status: error.status(), retry_after: None, reason: reason_of(&error) }
        })
    }

    fn record(&self, offered: &Offered, tenant: &TenantId, handle: &CallHandle) -> CallRecord {
        let request = &offered.invite.request;
        let headers = request.headers();
        let call_id = RawText::new(headers.call_id().unwrap_or_default());
        self.services.trace.name(handle.call, call_id.as_bytes());
        let now = (self.services.clock)();
        let mut record = CallRecord::new(handle.call, tenant.clone(), Direction::Inbound, call_id, now);
        record.trunk = Some(offered.trunk.config.name.clone());
        record.from = caller(request, &offered.trunk.config);
        record.to = Party::new(request.uri().as_bytes());
        for field in headers.iter() {
            let name = field.raw_name();
            let custom = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"x-"));
            if custom || field.is(&HeaderName::Diversion) {
                record.keep_header(name, field.value());
            }
        }
        record
    }
}

fn spec(
    record: CallRecord,
    tenant: Arc<crate::tenant::Tenant>,
    locale: String,
    refer: ReferPolicy,
    delayed_offer: bool,
) -> CallSpec {
    let max_duration = tenant.voice.max_call_duration;
    CallSpec { record, tenant, locale, refer, delayed_offer, max_duration }
}

fn reason_of(error: &SdpError) -> EndReason {
    match error {
        SdpError::TooLarge | SdpError::Malformed(_) => EndReason::RejectedRequest,
        _ => EndReason::RejectedMedia,
    }
}

/// What we bring to the negotiations of one call on a trunk, with keys of its own.
pub(super) fn local_media(address: IpAddr, port: u16, policy: &config::MediaPolicy) -> LocalMedia {
    let mut random = rand::rng();
    let mut local = LocalMedia::new(address, port, random.random());
    local.codecs = policy.codecs.iter().filter_map(|codec| codec_of(*codec)).collect();
    local.ptime_ms = policy.ptime_ms;
    local.srtp = match policy.srtp {
        config::SrtpMode::Off => SrtpPolicy::Off,
        config::SrtpMode::Offer => SrtpPolicy::Offer(Seed::new(random.random())),
        config::SrtpMode::Require => SrtpPolicy::Require(Seed::new(random.random())),
    };
    local
}

/// `None` for one that this build hasn't; the configuration doesn't let it through.
fn codec_of(codec: config::Codec) -> Option<Codec> {
    match codec {
        config::Codec::Pcma => Some(Codec::Pcma),
        config::Codec::Pcmu => Some(Codec::Pcmu),
        config::Codec::G722 => Some(Codec::G722),
        #[cfg(feature = "opus")]
        config::Codec::Opus => Some(Codec::Opus),
        #[cfg(not(feature = "opus"))]
        config::Codec::Opus => None,
    }
}

/// What the trunk says of media beside that; the peer signals from `signalling`.
pub(super) fn terms(policy: &config::MediaPolicy, signalling: IpAddr) -> Terms {
    let jitter = JitterRange::new(policy.jitter_min_ms, policy.jitter_max_ms);
    Terms { source: source_policy(&policy.source), signalling, jitter }
}

fn source_policy(source: &MediaSource) -> SourcePolicy {
    match source {
        MediaSource::Exact => SourcePolicy::Exact,
        MediaSource::Address => SourcePolicy::Address,
        MediaSource::Latch { prefixes } => SourcePolicy::Latch(
            prefixes.iter().map(|net| Prefix { network: net.network(), bits: net.prefix() }).collect(),
        ),
    }
}

/// REFER needs the trunk's leave and a peer that knows it. A peer that sends no `Allow` at all
/// hasn't said that it doesn't (RFC 3261 §20.5).
fn refer_policy(request: &Request, trunk: &config::Trunk) -> ReferPolicy {
    if trunk.refer == config::ReferPolicy::BridgeOnly {
        return ReferPolicy::TrunkForbids;
    }
    let headers = request.headers();
    let silent = !headers.contains(HeaderName::Allow);
    let listed = headers.allow().is_ok_and(|methods| methods.contains(&Method::Refer));
    if silent || listed { ReferPolicy::Allowed } else { ReferPolicy::PeerCannot }
}

fn refer_form(offered: &Offered) -> ReferForm {
    let trunk = &offered.trunk.config;
    match (trunk.refer, trunk.mode.next_hop()) {
        (config::ReferPolicy::Sip, Some(peer)) => ReferForm::SipAt(peer.to_string()),
        (config::ReferPolicy::Sip, None) => ReferForm::SipAt(offered.invite.flow.peer.to_string()),
        _ => ReferForm::AsIs,
    }
}

/// Who calls, from the first header of the trunk's order that has a number; else `From`.
fn caller(request: &Request, trunk: &config::Trunk) -> Party {
    let headers = request.headers();
    let mut found: Option<Party> = None;
    for source in &trunk.identity.caller_number_from {
        let identity = match source {
            CallerNumberSource::PAssertedIdentity => {
                headers.p_asserted_identity().ok().and_then(|list| list.into_iter().next())
            }
            CallerNumberSource::RemotePartyId => {
                headers.list(HeaderName::RemotePartyId).next().and_then(NameAddr::parse)
            }
            CallerNumberSource::From => headers.from().ok(),
        };
        let Some(identity) = identity else { continue };
        let uri = String::from_utf8_lossy(identity.uri.as_bytes()).into_owned();
        let party = Party {
            number: number_in(&uri, trunk).filter(|_| identity.uri.user().is_some()),
            address: RawText::new(identity.uri.as_bytes()),
            display_name: identity.display.as_ref().map(|name| RawText::new(name)),
        };
        if party.number.is_some() {
            return party;
        }
        found = Some(party);
    }
    found.unwrap_or_default()
}

/// The country that numbers without one are of, and whether the trunk says so. The parser needs
/// one in any case; what it makes of a number that doesn't name its country is then dropped by
/// [`names_its_country`].
fn country_of(trunk: &config::Trunk) -> Option<(Country, bool)> {
    let configured = trunk.numbers.default_country;
    let code = configured.as_ref().map_or("FR", AsRef::as_ref);
    code.parse().ok().map(|country| (country, configured.is_some()))
}

/// Whether the text holds all the digits of the number, its country's included.
fn names_its_country(text: &str, number: &E164) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.contains(number.as_str().trim_start_matches('+'))
}

/// A number in a header, by the trunk's rules.
fn number_in(text: &str, trunk: &config::Trunk) -> Option<E164> {
    let (country, configured) = country_of(trunk)?;
    number::normalise(text, country).filter(|number| configured || names_its_country(text, number))
}

/// The numbers that may have been dialed, the likeliest first.
fn dialed_numbers(request: &Request, trunk: &config::Trunk) -> Vec<E164> {
    let headers = request.headers();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let list = |name| headers.list(name).take(16).map(text).collect::<Vec<String>>();
    let uri = text(request.uri().as_bytes());
    let to = headers.get(HeaderName::To).map(text).unwrap_or_default();
    let called = headers
        .iter()
        .find(|field| field.raw_name().eq_ignore_ascii_case(b"P-Called-Party-ID"))
        .map(|field| text(field.value()));
    let diversion = list(HeaderName::Diversion);
    let history = list(HeaderName::HistoryInfo);
    let diversion: Vec<&str> = diversion.iter().map(String::as_str).collect();
    let history: Vec<&str> = history.iter().map(String::as_str).collect();
    let parts = DialedParts {
        request_uri: &uri,
        to: &to,
        p_called_party_id: called.as_deref(),
        diversion: &diversion,
        history_info: &history,
    };
    let order: Vec<DialedFrom> = trunk
        .numbers
        .dialed_number_from
        .iter()
        .map(|from| match from {
            DialedNumberSource::RequestUri => DialedFrom::RequestUri,
            DialedNumberSource::To => DialedFrom::To,
            DialedNumberSource::PCalledPartyId => DialedFrom::PCalledPartyId,
            DialedNumberSource::Diversion => DialedFrom::Diversion,
        })
        .collect();
    let Some((country, configured)) = country_of(trunk) else { return Vec::new() };
    let texts =
        [&[uri.as_str(), to.as_str(), called.as_deref().unwrap_or_default()][..], &diversion, &history]
            .concat();
    candidates(&parts, &order, country)
        .filter(|number| configured || texts.iter().any(|text| names_its_country(text, number)))
        .collect()
}
