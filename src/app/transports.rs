//! From the configuration to the sockets of SIP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sip::endpoint::flow::PeerId;
use sip::locate::Families;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::stop::stopped;
use super::{StartError, listen_error};
use crate::config::{Config, Service, Transport, Trunk};
use crate::ids::TrunkName;
use crate::net::dns::Resolver;
use crate::net::signalling::{Signalling, SignallingConfig, TlsListening};
use crate::net::stream::StreamLimits;
use crate::net::tls::{PeerSettings, Tls, TlsError, TlsSettings};

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
    resolver: Arc<Resolver>,
    calls: &tokio::runtime::Handle,
) -> Result<(Signalling, Option<Arc<Tls>>), StartError> {
    let service = &config.service;
    let advertised = service.advertised_address.map(|ip| match ip {
        IpAddr::V4(ip) => (ip.to_string(), None),
        IpAddr::V6(ip) => (format!("[{ip}]"), None),
    });
    let endpoint = sip::endpoint::Config { advertised, ..sip::endpoint::Config::default() };
    let carrier = carrier(config)?.map(Arc::new);
    let tls = carrier.clone().map(|carrier| TlsListening { listen: service.tls.listen.clone(), carrier });
    let streams = StreamLimits {
        connections: service.connections.in_all,
        per_source: service.connections.per_source,
        ..StreamLimits::default()
    };
    let listening =
        SignallingConfig { listen: service.sip, listen_also: service.sip_also, tls, endpoint, streams };
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
    let peers: BTreeMap<PeerId, PeerSettings> = (0..)
        .zip(&config.trunks)
        .filter_map(|(number, trunk)| Some((PeerId(number), peer(trunk)?)))
        .collect();
    let tls = &config.service.tls;
    if peers.is_empty() && tls.certificates.is_empty() {
        return Ok(None);
    }
    let settings =
        TlsSettings { certificates: tls.certificates.clone(), clients: tls.clients.clone(), peers };
    Tls::load(settings).map(Some)
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

/// By which numbers the transport knows the servers of trunks.
pub(super) fn peers(config: &Config) -> Arc<BTreeMap<TrunkName, PeerId>> {
    let numbered = (0..).zip(&config.trunks);
    let known =
        numbered.filter_map(|(number, trunk)| peer(trunk).map(|_| (trunk.name.clone(), PeerId(number))));
    Arc::new(known.collect())
}

/// The listener of the family of `peer`, else the first.
pub(super) fn towards(listening: &[SocketAddr], peer: SocketAddr) -> Option<SocketAddr> {
    let same = listening.iter().find(|address| address.is_ipv4() == peer.is_ipv4());
    same.or(listening.first()).copied()
}

/// Reads certificates, keys and authorities again at each SIGHUP.
pub(super) async fn reload_on_hangup(tls: Arc<Tls>, mut stop: watch::Receiver<bool>) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::error!(%error, "SIGHUP can't be received: certificates are not reloaded");
            return;
        }
    };
    loop {
        tokio::select! {
            received = hangups.recv() => if received.is_none() { return },
            () = stopped(&mut stop) => return,
        }
        let tls = Arc::clone(&tls);
        // Files are read, the whole store of the system's authorities among them.
        let reloaded = tokio::task::spawn_blocking(move || tls.reload()).await;
        match reloaded {
            Ok(Ok(())) => tracing::info!("certificates, keys and authorities were read again"),
            Ok(Err(error)) => tracing::error!(%error, "nothing was reloaded; what was there before stays"),
            Err(error) => tracing::error!(%error, "nothing was reloaded"),
        }
    }
}
