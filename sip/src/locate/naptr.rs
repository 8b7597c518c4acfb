//! Choosing the transport by NAPTR (RFC 3263 §4.1).

use super::{Naptr, domain};
use crate::endpoint::flow::Transport;

/// The services that can be used, best first: those of the lowest order that has any. A client
/// that found a match must not go on to another order (RFC 3403 §4.1).
pub(super) fn services(records: &[Naptr], sips: bool) -> Vec<(Transport, String)> {
    let mut usable: Vec<(&Naptr, Transport)> = records
        .iter()
        .filter(|record| record.flags.eq_ignore_ascii_case("s") && !record.rewrites)
        .filter_map(|record| Some((record, transport(&record.services)?)))
        // `sip:` may be served by TLS too, `sips:` by nothing else.
        .filter(|(_, transport)| !sips || *transport == Transport::Tls)
        .filter(|(record, _)| domain(&record.replacement).is_some())
        .collect();
    usable.sort_by_key(|(record, _)| (record.order, record.preference));
    let order = usable.first().map(|(record, _)| record.order);
    let mut services = Vec::new();
    for (record, transport) in usable.into_iter().filter(|(record, _)| Some(record.order) == order) {
        let name = record.replacement.trim_end_matches('.').to_ascii_lowercase();
        let service = (transport, format!("{name}."));
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

/// The transports that are spoken here; SCTP (`D2S`) and WebSocket (`D2W`) are not.
fn transport(services: &str) -> Option<Transport> {
    let is = |name: &str| services.eq_ignore_ascii_case(name);
    if is("SIP+D2U") {
        Some(Transport::Udp)
    } else if is("SIP+D2T") {
        Some(Transport::Tcp)
    } else if is("SIPS+D2T") {
        Some(Transport::Tls)
    } else {
        None
    }
}
