//! Watches the trunks in peer mode: looks up where they are, and asks whether they are there.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rand::Rng;
use sip::endpoint::flow::Hop;
use sip::message::{HeaderName, Method, Uri};
use tokio::sync::watch;

use super::outward::{Outward, outside};
use super::stop::stopped;
use crate::config::HostPort;
use crate::trunk::{Change, Status, is_alive};

/// How often the addresses are looked up again where nobody is pinged.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How long an answer may take: four tries over UDP (RFC 3261 §17.1.2.2, Timer E).
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches one trunk until `stop` turns true.
pub(super) async fn run(out: Outward, peer: HostPort, mut stop: watch::Receiver<bool>) {
    let interval = out.trunk.config.health.interval;
    loop {
        let resolved = out.look_up(rand::random()).await;
        // The addresses of before are kept: a name server that is away closes no trunk.
        let hops = resolved.as_ref().map_or_else(|_| out.trunk.hops(), Clone::clone);
        if !interval.is_zero() {
            tokio::select! {
                () = ping_all(&out, &peer, &hops) => {}
                () = stopped(&mut stop) => return,
            }
        }
        out.trunk.set_status(status(&out, resolved.err()));
        let pause = if interval.is_zero() { LOOK_UP } else { spread(interval) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

/// A tenth more or less, so that many trunks don't ping at once.
fn spread(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.9..1.1))
}

async fn ping_all(out: &Outward, peer: &HostPort, hops: &[Hop]) {
    let pings = hops.iter().map(|hop| async move {
        let alive = tokio::time::timeout(PATIENCE, ping(out, peer, *hop)).await.unwrap_or(false);
        let change = out.trunk.health(|health| match alive {
            true => health.answered(hop.address),
            false => health.failed(hop.address),
        });
        let trunk = &out.trunk.config.name;
        match change {
            Some(Change::Up) => tracing::info!(%trunk, address = %hop.address, "a trunk's address answers"),
            Some(Change::Down) => {
                tracing::warn!(%trunk, address = %hop.address, "a trunk's address doesn't answer any more");
            }
            None => {}
        }
    });
    join_all(pings).await;
}

/// Whether the address answers OPTIONS (RFC 3261 §11) as somebody who takes calls.
async fn ping(out: &Outward, peer: &HostPort, hop: Hop) -> bool {
    let identity = &out.trunk.config.identity;
    let Some(local) = out.reachable.local_towards(&hop) else { return false };
    let host = out.reachable.advertised(local);
    let uri = Uri::sip(None, &peer.host.to_string(), peer.port);
    let domain = identity.from_domain.clone().unwrap_or_else(|| host.to_string());
    let from = Uri::sip(Some(&identity.from_user), &domain, None);
    let (tag, call_id): (u64, u128) = rand::rng().random();
    let text = |uri: &Uri| String::from_utf8_lossy(uri.as_bytes()).into_owned();
    let headers = vec![
        (HeaderName::From, Bytes::from(format!("<{}>;tag={tag:x}", text(&from)))),
        (HeaderName::To, Bytes::from(format!("<{}>", text(&uri)))),
        (HeaderName::CallId, Bytes::from(format!("{call_id:032x}"))),
        (HeaderName::CSeq, Bytes::from_static(b"1 OPTIONS")),
        (HeaderName::Accept, Bytes::from_static(b"application/sdp")),
    ];
    let request = outside(Method::Options, uri, vec![hop], local, headers);
    let answer = out.signalling.request(request).await;
    answer.is_some_and(|response| is_alive(response.status().as_u16()))
}

fn status(out: &Outward, unresolved: Option<String>) -> Status {
    out.trunk.health(|health| {
        let down: Vec<String> = health.down().iter().map(|address| format!("{address} is down")).collect();
        let up = health.is_up();
        let state = match (&unresolved, up) {
            (Some(_), false) if !health.is_known() => "unresolved",
            (_, false) => "down",
            (_, true) if health.is_known() => "up",
            (_, true) => "ready",
        };
        let detail = unresolved.into_iter().chain(down).collect::<Vec<_>>().join("; ");
        Status { state, detail, up }
    })
}
