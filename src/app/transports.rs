//! From the configuration to the sockets of SIP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sip::endpoint::flow::PeerId;
use sip::locate::Families;

use super::{StartError, listen_error};
use crate::config::tls::ServiceTls;
use crate::config::{Config, Service, Transport, Trunk};
use crate::ids::TrunkName;
use crate::net::dns::Resolver;
use crate::net::signalling::{Defences, Signalling, SignallingConfig, TlsListening};
use crate::net::stream::StreamLimits;
use crate::net::tls::{PeerSettings, Tls, TlsError, TlsSettings};
use crate::trunk::{TrunkId, Trunks};

/// The resolver, for the families that SIP listens on; the one named first is tried first.
pub(super) fn resolver(service: &Service) -> Resolver {
    let families = match (service.sip.is_ipv4(), service.sip_also.is_some()) {
        (true, false) => Families::V4,
        (true, true) => Families::V4First,
        (false, false) => Families::V6,
        (false, true) => Families::V6First,
    };
    match service.dns_servers.as_slice() {
        [] => Resolver::from_system(families),
        servers => Resolver::with_servers(servers, families),
    }
}

/// The sockets, and what may be reloaded of them.
pub(super) fn bind(
    config: &Config,
    trunks: Arc<Trunks>,
    resolver: Arc<Resolver>,
    calls: &tokio::runtime::Handle,
) -> Result<(Signalling, Option<Arc<Tls>>), StartError> {
    let service = &config.service;
    let advertised = service.advertised_address.map(|ip| match ip {
        IpAddr::V4(ip) => (ip.to_string(), None),
        IpAddr::V6(ip) => (format!("[{ip}]"), None),
    });
    let retry_after = config.overload.retry_after;
    let endpoint = sip::endpoint::Config { advertised, retry_after, ..sip::endpoint::Config::default() };
    let settings = settings(service, &config.trunks, |name| trunks.id_of(name));
    let carrier = load(settings)?.map(Arc::new);
    let defences = Defences { defence: Arc::new(config.defence.clone()), overload: config.overload, trunks };
    let tls = carrier.clone().map(|carrier| TlsListening { listen: service.tls.listen.clone(), carrier });
    let streams = StreamLimits {
        connections: service.connections.in_all,
        per_source: service.connections.per_source,
        ..StreamLimits::default()
    };
    let listening = SignallingConfig {
        listen: service.sip,
        listen_also: service.sip_also,
        tls,
        endpoint,
        streams,
        defences,
    };
    let signalling = Signalling::bind(listening, resolver, rand::random(), calls).map_err(|failed| {
        let secure = service.tls.listen.contains(&failed.address);
        let (what, flag) = if secure { ("SIP over TLS", "sips") } else { ("SIP", "--sip") };
        listen_error(what, flag, failed.address, failed.error)
    })?;
    Ok((signalling, carrier))
}

/// What TLS is done with; `None` when neither the service nor a trunk has any. Reads the files,
/// so that `offhook check` tells what is wrong with them.
///
/// # Errors
/// What is wrong with which file.
pub fn carrier(config: &Config) -> Result<Option<Tls>, TlsError> {
    let fresh = Trunks::new(&config.trunks);
    load(settings(&config.service, &config.trunks, |name| fresh.id_of(name)))
}

fn load(settings: TlsSettings) -> Result<Option<Tls>, TlsError> {
    if is_needed(&settings) { Tls::load(settings).map(Some) } else { Ok(None) }
}

/// Whether there is anything to be done with TLS.
pub(super) fn is_needed(settings: &TlsSettings) -> bool {
    !settings.peers.is_empty() || !settings.certificates.is_empty()
}

/// What TLS is done with, as a server and towards these trunks.
pub(super) fn settings(
    service: &Service,
    trunks: &[Trunk],
    id: impl Fn(&TrunkName) -> TrunkId,
) -> TlsSettings {
    let peers: BTreeMap<PeerId, PeerSettings> =
        trunks.iter().filter_map(|trunk| Some((PeerId(id(&trunk.name).0), peer(trunk)?))).collect();
    let ServiceTls { listen: _, certificates, clients } = service.tls.clone();
    TlsSettings { certificates, clients, peers }
}

/// By which number the transport knows the server of a trunk, if it has to prove anything.
pub(super) fn peer_id(trunk: &crate::trunk::Trunk) -> Option<PeerId> {
    peer(&trunk.config).map(|_| PeerId(trunk.id.0))
}

/// What the server of a trunk has to prove.
fn peer(trunk: &Trunk) -> Option<PeerSettings> {
    if !matches!(trunk.transport, Transport::Tls | Transport::Auto) {
        return None;
    }
    let tls = &trunk.tls;
    let host = match &trunk.mode.next_hop()?.host {
        crate::config::Host::Name(name) => name.clone(),
        crate::config::Host::Address(address) => address.to_string(),
    };
    Some(PeerSettings {
        name: tls.server_name.clone().unwrap_or(host),
        ca: tls.ca.clone(),
        client: tls.client.clone(),
        wildcards: tls.wildcards,
    })
}

/// The listener of the family of `peer`, else the first.
pub(super) fn towards(listening: &[SocketAddr], peer: SocketAddr) -> Option<SocketAddr> {
    let same = listening.iter().find(|address| address.is_ipv4() == peer.is_ipv4());
    same.or(listening.first()).copied()
}
