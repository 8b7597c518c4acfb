//! The task with real sockets, as far as it chooses ways.

use std::net::TcpListener;
use std::time::Duration;

use sip::endpoint::flow::PeerId;
use sip::locate::Families;

use super::*;
use crate::net::name_server::NameServer;

/// Nobody takes calls.
struct Nobody;

impl CallSink for Nobody {
    fn invite(&mut self, _: IncomingInvite) {}
    fn signal(&mut self, _: DialogId, _: Signal) {}
    fn adopt(&mut self, _: DialogId, _: crate::call::actor::CallHandle) {}
    fn forgotten(&mut self, _: DialogId) {}
}

fn signalling(dns: &NameServer) -> Signalling {
    let config = SignallingConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        listen_also: None,
        tls: None,
        endpoint: Config::default(),
        streams: StreamLimits::default(),
        defences: Defences {
            defence: Arc::default(),
            overload: crate::config::Overload::default(),
            trunks: Arc::new(crate::trunk::Trunks::new(&[])),
        },
    };
    let resolver = Resolver::with_servers(&[dns.address()], Families::V4);
    Signalling::bind(config, Arc::new(resolver), [7; 32], &tokio::runtime::Handle::current()).unwrap()
}

fn to(target: Target, transport: Transport) -> Transmit {
    Transmit { transport, target, connection: None, bytes: "OPTIONS".into(), ticket: None }
}

/// A port that nobody listens on.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_message_goes_to_the_first_server_of_a_domain_that_takes_it() {
    let dns = NameServer::start();
    let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = alive.local_addr().unwrap().port();
    dns.srv("_sip._tcp.carrier.test", 10, 0, dead_port(), "a.carrier.test")
        .srv("_sip._tcp.carrier.test", 20, 0, dead_port(), "a.carrier.test")
        .srv("_sip._tcp.carrier.test", 30, 0, port, "a.carrier.test")
        .host("a.carrier.test", "127.0.0.1");
    let mut signalling = signalling(&dns);
    let name = Target::Name { host: "carrier.test".to_owned(), port: None };
    signalling.transmit(to(name, Transport::Tcp));
    let (_stop, stopping) = watch::channel(false);
    let task = tokio::spawn(signalling.run(Nobody, stopping));
    let taken = async {
        let (stream, _) = alive.accept().await.unwrap();
        let mut bytes = [0; 7];
        while stream.try_read(&mut bytes).is_err() {
            stream.readable().await.unwrap();
        }
        bytes
    };
    assert_eq!(&tokio::time::timeout(Duration::from_secs(5), taken).await.unwrap(), b"OPTIONS");
    task.abort();
}

#[tokio::test]
async fn what_needs_tls_is_not_sent_without() {
    let mut signalling = signalling(&NameServer::start());
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    listening.set_nonblocking(true).unwrap();
    let address = listening.local_addr().unwrap();
    for target in [Target::Address(address), Target::Peer { address, peer: PeerId(0) }] {
        signalling.transmit(to(target, Transport::Tls));
    }
    assert_eq!(signalling.tcp.counters().opened, 0);
    assert_eq!(listening.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
