//! Where a request inside a dialog is sent (RFC 3261 §8.1.2).

use std::net::{IpAddr, SocketAddr};

use crate::dialog::Dialog;
use crate::endpoint::flow::{Target, Transport};
use crate::endpoint::{RequestPath, Size};
use crate::message::{Host, Scheme, Uri};

/// The way to the next hop. `maddr` is never followed: it would let the far end have our requests
/// sent to whom it likes.
pub(super) fn request_path(dialog: &Dialog, next_hop: &Uri) -> RequestPath {
    let flow = dialog.flow;
    let address = match next_hop.host() {
        Some(Host::V4(ip)) => Some(IpAddr::V4(*ip)),
        Some(Host::V6(ip)) => Some(IpAddr::V6(*ip)),
        Some(Host::Domain(_)) | None => None,
    };
    let direct = dialog.route_set.is_empty();
    let here = direct || address == Some(flow.peer.ip());
    let transport = transport_of(next_hop).unwrap_or(if here { flow.transport } else { Transport::Udp });
    let port = next_hop.port();
    // A peer that names an address of narrower reach than the one it signals from is behind a
    // NAT, and a bare host name in a Contact is often not to be resolved from here: both are
    // reached the way they came. With a route set the proxies know better.
    let target = match address {
        Some(ip) if !direct || reach(ip) >= reach(flow.peer.ip()) => {
            Target::Address(SocketAddr::new(ip, port.unwrap_or(transport.default_port())))
        }
        None if !direct => match next_hop.host() {
            Some(host) => Target::Name { host: host.to_string(), port },
            None => Target::Address(flow.peer),
        },
        _ => Target::Address(flow.peer),
    };
    // An open connection to the same host is used again, whatever port it names (RFC 5923 in
    // spirit): its own port is rarely one that it listens on.
    let same_host = matches!(&target, Target::Address(address) if address.ip() == flow.peer.ip());
    let connection = flow.connection.filter(|_| transport == flow.transport && (direct || same_host));
    RequestPath { transport, target, connection, local: flow.local, size: Size::Counts }
}

/// The transport that a URI demands, if it does.
fn transport_of(uri: &Uri) -> Option<Transport> {
    // `sips:` is TLS whatever transport it names (RFC 3261 §26.2.2).
    if uri.scheme() == Scheme::Sips {
        return Some(Transport::Tls);
    }
    let name = uri.param("transport")??;
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    if is(b"tls") {
        Some(Transport::Tls)
    } else if is(b"tcp") {
        Some(Transport::Tcp)
    } else if is(b"udp") {
        Some(Transport::Udp)
    } else {
        None
    }
}

/// How far an address reaches: nowhere, this host, a private network, everywhere.
fn reach(ip: IpAddr) -> u8 {
    let (nowhere, host, private) = match ip {
        IpAddr::V4(ip) => (ip.is_unspecified(), ip.is_loopback(), ip.is_private() || ip.is_link_local()),
        IpAddr::V6(ip) => {
            (ip.is_unspecified(), ip.is_loopback(), ip.is_unique_local() || ip.is_unicast_link_local())
        }
    };
    match (nowhere, host, private) {
        (true, ..) => 0,
        (_, true, _) => 1,
        (.., true) => 2,
        _ => 3,
    }
}
