use hickory_resolver::proto::rr::{RData, RecordType, rdata::A};

use super::*;
use crate::net::name_server::{Manner, NameServer};
use Transport::{Tcp, Tls, Udp};

fn resolver(server: &NameServer) -> Resolver {
    Resolver::with_servers(&[server.address()], Families::V6First)
}

fn addresses(hops: &[Hop]) -> Vec<(Transport, String)> {
    hops.iter().map(|hop| (hop.transport, hop.address.to_string())).collect()
}

fn expected(hops: &[(Transport, &str)]) -> Vec<(Transport, String)> {
    hops.iter().map(|(transport, address)| (*transport, (*address).to_owned())).collect()
}

/// A domain with two priorities, two families, and all kinds of records.
fn carrier() -> NameServer {
    let server = NameServer::start();
    server
        .naptr("carrier.test", 10, "SIPS+D2T", "_sips._tcp.carrier.test")
        .naptr("carrier.test", 20, "SIP+D2U", "_sip._udp.carrier.test")
        .srv("_sips._tcp.carrier.test", 10, 0, 5061, "sbc1.carrier.test")
        .srv("_sip._udp.carrier.test", 20, 0, 5070, "sbc2.carrier.test")
        .srv("_sip._udp.carrier.test", 10, 70, 5060, "sbc1.carrier.test")
        .srv("_sip._udp.carrier.test", 10, 30, 5060, "sbc3.carrier.test")
        .host("sbc1.carrier.test", "192.0.2.1")
        .host("sbc1.carrier.test", "2001:db8::1")
        .host("sbc2.carrier.test", "192.0.2.2")
        .alias("sbc3.carrier.test", "pool.carrier.test")
        .alias("pool.carrier.test", "host3.carrier.test")
        .host("host3.carrier.test", "192.0.2.3");
    server
}

#[tokio::test]
async fn naptr_leads_to_srv_and_that_to_both_families() {
    let server = carrier();
    let hops = resolver(&server).locate("carrier.test", None, None, false).await.unwrap();
    let tls = [(Tls, "[2001:db8::1]:5061"), (Tls, "192.0.2.1:5061")];
    assert_eq!(addresses(&hops), expected(&tls));
}

#[tokio::test]
async fn servers_of_one_priority_share_the_requests_by_weight_and_the_worse_comes_last() {
    let server = carrier();
    let resolver = Resolver::with_servers(&[server.address()], Families::V4);
    let mut first = 0;
    for n in 0..200_u8 {
        let hops = resolver.locate_seeded("carrier.test", None, Some(Udp), false, [n; 32]).await.unwrap();
        let hops = addresses(&hops);
        assert_eq!(hops.len(), 3);
        assert_eq!(hops[2], (Udp, "192.0.2.2:5070".to_owned()));
        first += u32::from(hops[0].1 == "192.0.2.1:5060");
    }
    assert!((110..170).contains(&first), "{first} of 200 at weight 70");
    // Asked once, whatever the number of look-ups.
    let srv = server.asked().iter().filter(|(_, kind, _)| *kind == RecordType::SRV).count();
    assert_eq!(srv, 1);
}

#[tokio::test]
async fn a_name_without_services_leads_to_its_host() {
    let server = carrier();
    let resolver = resolver(&server);
    let hops = resolver.locate("sbc3.carrier.test", None, Some(Tcp), false).await.unwrap();
    assert_eq!(addresses(&hops), expected(&[(Tcp, "192.0.2.3:5060")]));
    let hops = resolver.locate("sbc1.carrier.test", Some(5099), Some(Udp), false).await.unwrap();
    assert_eq!(addresses(&hops), expected(&[(Udp, "[2001:db8::1]:5099"), (Udp, "192.0.2.1:5099")]));
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_is_fetched_over_tcp() {
    let server = carrier();
    server.manner("_sip._udp.carrier.test", RecordType::SRV, Manner::Truncated);
    let hops = resolver(&server).locate("carrier.test", None, Some(Udp), false).await.unwrap();
    assert_eq!(hops.len(), 4);
    assert!(server.asked().iter().any(|(_, kind, tcp)| *kind == RecordType::SRV && *tcp));
}

#[tokio::test]
async fn an_unknown_name_is_an_error_that_names_it() {
    let server = carrier();
    let error = resolver(&server).locate("no.carrier.test", None, Some(Udp), false).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("no.carrier.test") && error.contains("no such name"), "{error}");
}

#[tokio::test]
async fn a_silent_name_server_costs_no_more_than_the_limit() {
    let server = NameServer::start();
    server.answer_all(Some(Manner::Silent));
    let begun = Instant::now();
    let error = resolver(&server).locate("carrier.test", None, None, false).await.unwrap_err();
    assert!(begun.elapsed() < LIMIT + Duration::from_millis(500), "{:?}", begun.elapsed());
    assert!(matches!(error, DnsError::NotLocated { error: LocateError::NoAnswer, .. }), "{error}");
}

#[tokio::test]
async fn a_name_server_that_knows_only_addresses_still_gives_them() {
    for manner in [Manner::Silent, Manner::Garbage, Manner::Failing] {
        let server = NameServer::start();
        server
            .host("carrier.test", "192.0.2.9")
            .manner("carrier.test", RecordType::NAPTR, manner)
            .manner("_sip._udp.carrier.test", RecordType::SRV, manner)
            .manner("_sip._tcp.carrier.test", RecordType::SRV, manner);
        let hops = resolver(&server).locate("carrier.test", None, None, false).await.unwrap();
        assert_eq!(addresses(&hops), expected(&[(Udp, "192.0.2.9:5060")]), "{manner:?}");
    }
}

#[tokio::test]
async fn one_name_server_of_two_is_enough() {
    let (away, server) = (NameServer::start(), carrier());
    away.answer_all(Some(Manner::Silent));
    for order in [[&away, &server], [&server, &away]] {
        let resolver = Resolver::with_servers(&order.map(NameServer::address), Families::V4First);
        let hops = resolver.locate("carrier.test", None, Some(Udp), false).await.unwrap();
        assert_eq!(hops.len(), 4);
    }
}

#[tokio::test]
async fn the_last_answer_serves_while_no_name_server_answers() {
    let server = NameServer::start();
    // Its answer has run out as soon as it is there.
    server.record("carrier.test", 0, RData::A(A::new(192, 0, 2, 9)));
    let resolver = resolver(&server);
    let look_up = || resolver.locate("carrier.test", Some(5060), Some(Udp), false);
    look_up().await.unwrap();
    server.answer_all(Some(Manner::Failing));
    let hops = look_up().await.unwrap();
    assert_eq!(addresses(&hops), expected(&[(Udp, "192.0.2.9:5060")]));
    // What it says when it is back counts again, a name that has gone included, once the wait
    // of 30 s before it is asked again is over.
    let asked = server.asked().len();
    look_up().await.unwrap();
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test]
async fn literals_need_no_name_server() {
    let server = NameServer::start();
    let resolver = resolver(&server);
    let hops = resolver.locate("[2001:db8::1]", None, Some(Tls), false).await.unwrap();
    assert_eq!(addresses(&hops), expected(&[(Tls, "[2001:db8::1]:5061")]));
    assert!(server.asked().is_empty());
}
