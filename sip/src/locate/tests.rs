use std::net::SocketAddr;

use super::*;
use Transport::{Tcp, Tls, Udp};

fn query(host: &str) -> Query {
    Query { host: host.to_owned(), port: None, transport: None, sips: false, families: Families::V6First }
}

/// A name server that knows these answers and no others.
fn ask(query: Query, zone: &[(Question, Answer)]) -> (Result<Vec<Hop>, LocateError>, Vec<Question>) {
    let mut asked = Vec::new();
    let mut step = locate(query, [7; 32]);
    loop {
        match step {
            Step::Done(result) => return (result, asked),
            Step::Ask(pending) => {
                let tell = |question: &Question| {
                    let found = zone.iter().find(|(known, _)| known == question);
                    found.map_or(Answer::Nothing, |(_, answer)| answer.clone())
                };
                let answers = pending.questions().iter().map(tell).collect();
                asked.extend(pending.questions().to_vec());
                step = pending.answered(answers);
            }
        }
    }
}

fn found(query: Query, zone: &[(Question, Answer)]) -> Vec<(Transport, SocketAddr)> {
    ask(query, zone).0.unwrap().into_iter().map(|hop| (hop.transport, hop.address)).collect()
}

fn hops(texts: &[(Transport, &str)]) -> Vec<(Transport, SocketAddr)> {
    texts.iter().map(|(transport, text)| (*transport, text.parse().unwrap())).collect()
}

fn host(name: &str, addresses: &[&str]) -> (Question, Answer) {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    (Question::Addresses(name.to_owned()), Answer::Addresses(addresses))
}

fn srv(name: &str, records: &[(u16, u16, u16, &str)]) -> (Question, Answer) {
    let record = |(priority, weight, port, target): &(u16, u16, u16, &str)| Srv {
        priority: *priority,
        weight: *weight,
        port: *port,
        target: (*target).to_owned(),
    };
    (Question::Srv(name.to_owned()), Answer::Srv(records.iter().map(record).collect()))
}

fn naptr(name: &str, records: &[(u16, u16, &str, &str)]) -> (Question, Answer) {
    let record = |(order, preference, services, replacement): &(u16, u16, &str, &str)| Naptr {
        order: *order,
        preference: *preference,
        flags: "s".to_owned(),
        services: (*services).to_owned(),
        rewrites: false,
        replacement: (*replacement).to_owned(),
    };
    (Question::Naptr(name.to_owned()), Answer::Naptr(records.iter().map(record).collect()))
}

/// The example of RFC 3263 §4.1 and §4.2.
fn example() -> Vec<(Question, Answer)> {
    vec![
        naptr(
            "example.com.",
            &[
                (90, 50, "SIP+D2T", "_sip._tcp.example.com."),
                (100, 50, "SIP+D2U", "_sip._udp.example.com."),
                (50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
            ],
        ),
        srv("_sips._tcp.example.com.", &[(0, 1, 5061, "server1.example.com")]),
        srv(
            "_sip._tcp.example.com.",
            &[(0, 1, 5060, "server1.example.com"), (1, 0, 5070, "server2.example.com")],
        ),
        srv("_sip._udp.example.com.", &[(0, 1, 5080, "server2.example.com")]),
        host("server1.example.com", &["192.0.2.1", "2001:db8::1"]),
        host("server2.example.com", &["192.0.2.2"]),
        host("example.com", &["192.0.2.80"]),
    ]
}

#[test]
fn an_address_needs_no_question() {
    for (text, sips, transport, expected) in [
        ("192.0.2.1", false, None, (Udp, "192.0.2.1:5060")),
        ("[2001:db8::1]", false, Some(Tcp), (Tcp, "[2001:db8::1]:5060")),
        ("2001:db8::1", true, None, (Tls, "[2001:db8::1]:5061")),
        ("192.0.2.1", true, Some(Tcp), (Tls, "192.0.2.1:5061")),
    ] {
        let query = Query { sips, transport, ..query(text) };
        assert_eq!(found(query, &[]), hops(&[expected]));
    }
    let query = Query { port: Some(5099), ..query("192.0.2.1") };
    assert_eq!(found(query, &[]), hops(&[(Udp, "192.0.2.1:5099")]));
}

#[test]
fn a_port_leads_to_the_host_itself() {
    let with_port = |sips| Query { port: Some(5099), sips, ..query("example.com") };
    assert_eq!(found(with_port(false), &example()), hops(&[(Udp, "192.0.2.80:5099")]));
    assert_eq!(found(with_port(true), &example()), hops(&[(Tls, "192.0.2.80:5099")]));
    let (_, asked) = ask(with_port(false), &example());
    assert_eq!(asked, [Question::Addresses("example.com".to_owned())]);
}

#[test]
fn naptr_chooses_the_transport_and_no_other_order_is_looked_at() {
    let tls = [(Tls, "[2001:db8::1]:5061"), (Tls, "192.0.2.1:5061")];
    assert_eq!(found(query("example.com"), &example()), hops(&tls));
}

#[test]
fn naptr_services_that_are_not_spoken_here_are_passed_over() {
    let mut zone = example();
    zone[0] = naptr(
        "example.com.",
        &[
            (10, 10, "SIP+D2S", "_sip._sctp.example.com."),
            (10, 20, "SIP+D2W", "_sip._ws.example.com."),
            (20, 20, "SIP+D2U", "_sip._udp.example.com."),
            (20, 10, "sip+d2t", "_sip._tcp.example.com."),
        ],
    );
    let expected = [
        (Tcp, "[2001:db8::1]:5060"),
        (Tcp, "192.0.2.1:5060"),
        (Tcp, "192.0.2.2:5070"),
        (Udp, "192.0.2.2:5080"),
    ];
    assert_eq!(found(query("example.com"), &zone), hops(&expected));
}

#[test]
fn naptr_records_of_other_kinds_mean_nothing() {
    for spoil in [
        |record: &mut Naptr| record.flags = "u".to_owned(),
        |record: &mut Naptr| record.rewrites = true,
        |record: &mut Naptr| record.replacement = ".".to_owned(),
        |record: &mut Naptr| record.services = "E2U+sip".to_owned(),
    ] {
        let mut zone = example();
        let Answer::Naptr(records) = &mut zone[0].1 else { panic!() };
        records.iter_mut().for_each(spoil);
        // As if there were none: UDP first, then TCP, each by its SRV records.
        let got = found(query("example.com"), &zone);
        assert_eq!(got.first(), hops(&[(Udp, "192.0.2.2:5080")]).first());
        assert!(got.iter().all(|(transport, _)| *transport != Tls));
    }
}

#[test]
fn a_naptr_replacement_may_be_in_another_domain() {
    let zone = [
        naptr("example.com.", &[(1, 1, "SIP+D2T", "_sip._tcp.Carrier.Example.")]),
        srv("_sip._tcp.carrier.example.", &[(0, 0, 5060, "sbc.carrier.example")]),
        host("sbc.carrier.example", &["192.0.2.9"]),
    ];
    assert_eq!(found(query("example.com"), &zone), hops(&[(Tcp, "192.0.2.9:5060")]));
}

#[test]
fn sips_is_never_served_by_anything_but_tls() {
    let sips = |host: &str| Query { sips: true, ..query(host) };
    let tls = [(Tls, "[2001:db8::1]:5061"), (Tls, "192.0.2.1:5061")];
    assert_eq!(found(sips("example.com"), &example()), hops(&tls));
    // Without NAPTR, without SRV, with neither.
    assert_eq!(found(sips("example.com"), &example()[1..]), hops(&tls));
    assert_eq!(found(sips("example.com"), &example()[2..]), hops(&[(Tls, "192.0.2.80:5061")]));
    let udp = Query { transport: Some(Udp), ..sips("example.com") };
    assert_eq!(ask(udp, &example()).0, Err(LocateError::Insecure));
    let tcp = Query { transport: Some(Tcp), ..sips("example.com") };
    assert_eq!(found(tcp, &example()), hops(&tls));
}

#[test]
fn a_transport_that_is_named_is_asked_for_alone() {
    let tcp = Query { transport: Some(Tcp), ..query("example.com") };
    let (result, asked) = ask(tcp, &example());
    assert_eq!(result.unwrap().len(), 3);
    assert_eq!(asked[0], Question::Srv("_sip._tcp.example.com.".to_owned()));
    assert!(asked[1..].iter().all(|question| matches!(question, Question::Addresses(_))));
}

#[test]
fn without_records_the_host_is_the_server() {
    let zone = [host("example.com", &["192.0.2.80"])];
    assert_eq!(found(query("example.com"), &zone), hops(&[(Udp, "192.0.2.80:5060")]));
    for (transport, port) in [(Tcp, 5060), (Tls, 5061)] {
        let query = Query { transport: Some(transport), ..query("example.com") };
        assert_eq!(found(query, &zone), [(transport, SocketAddr::from(([192, 0, 2, 80], port)))]);
    }
}

#[test]
fn a_service_that_is_declared_absent_is_not_looked_for_elsewhere() {
    let absent = |name: &str| srv(name, &[(0, 0, 0, ".")]);
    let zone = [
        absent("_sip._udp.example.com."),
        absent("_sip._tcp.example.com."),
        host("example.com", &["192.0.2.80"]),
    ];
    assert_eq!(ask(query("example.com"), &zone).0, Err(LocateError::NotOffered));
    let zone = [absent("_sip._udp.example.com."), host("example.com", &["192.0.2.80"])];
    assert_eq!(found(query("example.com"), &zone), hops(&[(Tcp, "192.0.2.80:5060")]));
}

#[test]
fn families_take_turns_and_those_out_of_reach_are_left_out() {
    let zone = [host("example.com", &["192.0.2.1", "192.0.2.2", "2001:db8::1"])];
    for (families, expected) in [
        (Families::V6First, &["[2001:db8::1]:5060", "192.0.2.1:5060", "192.0.2.2:5060"][..]),
        (Families::V4First, &["192.0.2.1:5060", "[2001:db8::1]:5060", "192.0.2.2:5060"]),
        (Families::V4, &["192.0.2.1:5060", "192.0.2.2:5060"]),
        (Families::V6, &["[2001:db8::1]:5060"]),
    ] {
        let got = found(Query { families, ..query("example.com") }, &zone);
        let expected: Vec<SocketAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(got.into_iter().map(|(_, address)| address).collect::<Vec<_>>(), expected);
    }
    let only_v4 = [host("example.com", &["192.0.2.1"])];
    let v6 = Query { families: Families::V6, ..query("example.com") };
    assert_eq!(ask(v6, &only_v4).0, Err(LocateError::NoAddress));
}

#[test]
fn no_answer_and_no_address_are_told_apart() {
    assert_eq!(ask(query("example.com"), &[]).0, Err(LocateError::NoAddress));
    let failed = [(Question::Addresses("example.com".to_owned()), Answer::Failed)];
    assert_eq!(ask(query("example.com"), &failed).0, Err(LocateError::NoAnswer));
    // One server that can't be found out about doesn't hide the other.
    let zone = [
        srv("_sip._udp.example.com.", &[(0, 0, 5060, "a.example.com"), (1, 0, 5060, "b.example.com")]),
        (Question::Addresses("a.example.com".to_owned()), Answer::Failed),
        host("b.example.com", &["192.0.2.2"]),
    ];
    assert_eq!(found(query("example.com"), &zone), hops(&[(Udp, "192.0.2.2:5060")]));
}

#[test]
fn a_name_server_that_ignores_naptr_and_srv_still_gives_the_address() {
    let mut zone = example();
    for (_, answer) in &mut zone[..4] {
        *answer = Answer::Failed;
    }
    assert_eq!(found(query("example.com"), &zone), hops(&[(Udp, "192.0.2.80:5060")]));
}

#[test]
fn a_missing_answer_is_a_failed_one() {
    let Step::Ask(pending) = locate(query("example.com"), [0; 32]) else { panic!() };
    let Step::Ask(pending) = pending.answered(Vec::new()) else { panic!() };
    let Step::Done(result) = pending.answered(Vec::new()) else { panic!() };
    assert_eq!(result, Err(LocateError::NoAnswer));
}

#[test]
fn targets_that_are_addresses_are_taken_as_such() {
    let zone = [srv("_sip._udp.example.com.", &[(0, 0, 5062, "192.0.2.7.")])];
    assert_eq!(found(query("example.com"), &zone), hops(&[(Udp, "192.0.2.7:5062")]));
}

#[test]
fn what_a_hostile_zone_gives_is_bounded() {
    let names: Vec<String> = (0..500).map(|n| format!("h{n}.example.com")).collect();
    let records: Vec<(u16, u16, u16, &str)> = names.iter().map(|name| (0, 1, 5060, name.as_str())).collect();
    let mut zone = vec![srv("_sip._udp.example.com.", &records)];
    for (at, name) in names.iter().enumerate() {
        let addresses: Vec<String> = (0..250).map(|n| format!("10.{}.{}.{n}", at / 250, at % 250)).collect();
        zone.push(host(name, &addresses.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let (result, asked) = ask(query("example.com"), &zone);
    let result = result.unwrap();
    assert_eq!(result.len(), MAX_HOPS);
    assert_eq!(asked.len(), 3 + MAX_TARGETS);
    let services: Vec<String> = (0..500).map(|n| format!("_sip._udp.s{n}.example.")).collect();
    let records: Vec<(u16, u16, &str, &str)> =
        services.iter().map(|name| (1, 1, "SIP+D2U", name.as_str())).collect();
    let (_, asked) = ask(query("example.com"), &[naptr("example.com.", &records)]);
    assert_eq!(asked.len(), 3 + MAX_SERVICES + 1);
}

#[test]
fn what_is_no_name_is_not_asked_about() {
    let long = format!("{}.example", "a".repeat(64));
    let longer = vec!["abcdefgh"; 30].join(".");
    for name in ["", ".", "a..b", "a b", "exämple.com", "[::1", &long, &longer] {
        let (result, asked) = ask(query(name), &[]);
        assert_eq!((result, asked.len()), (Err(LocateError::NoName), 0), "{name}");
    }
    let zone = [host("example.com.", &["192.0.2.80"])];
    assert_eq!(found(query("example.com."), &zone), hops(&[(Udp, "192.0.2.80:5060")]));
}
