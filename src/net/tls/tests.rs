//! TLS between two of our own transports, and with raw rustls where the far end misbehaves.

#[path = "../../../tests/support/pki.rs"]
mod pki;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::HandshakeKind;
use sip::endpoint::flow::Flow;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::pki::{Authority, Issued, self_signed};
use super::*;
use crate::config::tls::ClientPolicy;
use crate::net::stream::{CloseReason, NetEvent, StreamLimits};

const SOON: Duration = Duration::from_secs(5);
const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";

struct Side {
    transport: TlsTransport<u32>,
    events: mpsc::Receiver<NetEvent<u32>>,
    carrier: Arc<Tls>,
}

impl Side {
    fn new(settings: TlsSettings, limits: StreamLimits) -> Self {
        let carrier = Arc::new(Tls::load(settings).unwrap());
        let (sender, events) = mpsc::channel(64);
        let listen = if carrier.settings.load().certificates.is_empty() { &[][..] } else { &["127.0.0.1:0"] };
        let listen: Vec<SocketAddr> = listen.iter().map(|address| address.parse().unwrap()).collect();
        let transport = TlsTransport::bind(&listen, Arc::clone(&carrier), limits, sender).unwrap();
        Self { transport, events, carrier }
    }

    fn server(certificates: &[&Issued]) -> Self {
        Self::new(served(certificates), StreamLimits::default())
    }

    /// A client whose peers are numbered from 0.
    fn client(peers: Vec<PeerSettings>) -> Self {
        let peers = (0..).map(PeerId).zip(peers).collect();
        Self::new(TlsSettings { peers, ..TlsSettings::default() }, StreamLimits::default())
    }

    fn address(&self) -> SocketAddr {
        self.transport.local_addresses()[0]
    }

    fn send(&self, to: &Side, peer: u32, ticket: u32) {
        let whom = Whom::Peer(PeerId(peer));
        self.transport.send(None, to.address(), &whom, OPTIONS.into(), ticket).unwrap();
    }

    async fn message(&mut self) -> (Flow, Bytes) {
        match timeout(SOON, self.events.recv()).await.unwrap().unwrap() {
            NetEvent::Message { flow, bytes } => (flow, bytes),
            closed => panic!("{closed:?}"),
        }
    }

    async fn closed(&mut self) -> (CloseReason, Vec<u32>) {
        match timeout(SOON, self.events.recv()).await.unwrap().unwrap() {
            NetEvent::Closed { reason, undelivered, .. } => (reason, undelivered),
            message => panic!("{message:?}"),
        }
    }
}

fn files(issued: &Issued) -> CertificateFiles {
    CertificateFiles { certificate: issued.certificate.clone(), key: issued.key.clone() }
}

fn served(certificates: &[&Issued]) -> TlsSettings {
    TlsSettings {
        certificates: certificates.iter().map(|issued| files(issued)).collect(),
        ..TlsSettings::default()
    }
}

fn peer(name: &str, authority: &Authority) -> PeerSettings {
    PeerSettings { name: name.to_owned(), ca: Some(authority.file.clone()), client: None, wildcards: false }
}

fn authority() -> (TempDir, Authority) {
    let directory = TempDir::new().unwrap();
    let authority = Authority::new(directory.path(), "authority");
    (directory, authority)
}

#[tokio::test]
async fn messages_go_both_ways_over_one_connection() {
    let (_directory, authority) = authority();
    let mut server = Side::server(&[&authority.issue("server", &["carrier.test"])]);
    let mut client = Side::client(vec![peer("carrier.test", &authority)]);
    client.send(&server, 0, 1);
    client.send(&server, 0, 2);
    let (flow, bytes) = server.message().await;
    assert_eq!((flow.transport, &bytes[..]), (Transport::Tls, OPTIONS));
    let (again, _) = server.message().await;
    assert_eq!(flow.connection, again.connection);
    let unnamed = Whom::Address("127.0.0.1".parse().unwrap());
    server.transport.send(flow.connection, flow.peer, &unnamed, OPTIONS.into(), 3).unwrap();
    let (back, bytes) = client.message().await;
    assert_eq!((back.peer, &bytes[..]), (server.address(), OPTIONS));
    assert_eq!((client.transport.counters().opened, server.transport.counters().accepted), (1, 1));
}

#[tokio::test]
async fn a_certificate_of_another_name_or_authority_delivers_nothing() {
    let (directory, authority) = authority();
    let other = Authority::new(directory.path(), "other");
    // The names of the servers that the domain's records lead to prove nothing (RFC 5922 §4).
    let mut server = Side::server(&[&authority.issue("server", &["sbc1.carrier.test", "*.carrier.test"])]);
    for wrong in [
        peer("carrier.test", &authority),
        peer("a.carrier.test", &authority),
        peer("sbc1.carrier.test", &other),
    ] {
        let mut client = Side::client(vec![wrong]);
        client.send(&server, 0, 7);
        let (reason, undelivered) = client.closed().await;
        assert!(matches!(reason, CloseReason::Unreachable(_)), "{reason:?}");
        assert_eq!(undelivered, [7]);
    }
    let mut client =
        Side::client(vec![PeerSettings { wildcards: true, ..peer("a.carrier.test", &authority) }]);
    client.send(&server, 0, 8);
    server.message().await;
    assert!(client.events.try_recv().is_err());
}

#[tokio::test]
async fn a_domain_without_settings_has_to_satisfy_the_system_s_authorities() {
    let (_directory, authority) = authority();
    let server = Side::server(&[&authority.issue("server", &["carrier.test", "127.0.0.1"])]);
    let mut client = Side::client(vec![]);
    for whom in [Whom::Domain("carrier.test".into()), Whom::Address("127.0.0.1".parse().unwrap())] {
        client.transport.send(None, server.address(), &whom, OPTIONS.into(), 9).unwrap();
        assert_eq!(client.closed().await.1, [9]);
    }
}

#[tokio::test]
async fn a_server_that_signed_its_own_certificate_is_known_by_it() {
    let directory = TempDir::new().unwrap();
    let own = self_signed(directory.path(), "pbx", &["pbx.test", "127.0.0.1"]);
    let mut server = Side::server(&[&own]);
    let mut clients = Vec::new();
    for name in ["pbx.test", "127.0.0.1"] {
        let pinned = PeerSettings {
            name: name.to_owned(),
            ca: Some(own.certificate.clone()),
            client: None,
            wildcards: false,
        };
        let client = Side::client(vec![pinned]);
        client.send(&server, 0, 1);
        server.message().await;
        clients.push(client);
    }
}

#[tokio::test]
async fn the_certificate_shown_is_that_of_the_name_asked_for() {
    let (_directory, authority) = authority();
    let (a, b) = (authority.issue("a", &["a.test"]), authority.issue("b", &["b.test"]));
    let mut server = Side::server(&[&a, &b]);
    let mut client = Side::client(vec![peer("b.test", &authority), peer("a.test", &authority)]);
    for number in 0..2 {
        client.send(&server, number, number);
        server.message().await;
    }
    // One connection for each name, though the address is the same.
    assert_eq!(client.transport.counters().opened, 2);
    assert!(client.events.try_recv().is_err());
}

#[tokio::test]
async fn a_client_without_a_good_certificate_stays_out_where_one_is_required() {
    let (directory, authority) = authority();
    let other = Authority::new(directory.path(), "other");
    let good = authority.issue("good", &["client.test"]);
    let bad = other.issue("bad", &["client.test"]);
    for (policy, shown, let_in) in [
        (ClientPolicy::Require, None, false),
        (ClientPolicy::Require, Some(&bad), false),
        (ClientPolicy::Require, Some(&good), true),
        (ClientPolicy::Verify, None, true),
        (ClientPolicy::Verify, Some(&bad), false),
        (ClientPolicy::Verify, Some(&good), true),
    ] {
        let certificate = authority.issue("server", &["carrier.test"]);
        let clients = Some(Clients { ca: authority.file.clone(), policy });
        let settings = TlsSettings { clients, ..served(&[&certificate]) };
        let mut server = Side::new(settings, StreamLimits::default());
        let client = shown.map(files);
        let mut client = Side::client(vec![PeerSettings { client, ..peer("carrier.test", &authority) }]);
        client.send(&server, 0, 5);
        if let_in {
            server.message().await;
        } else {
            assert_eq!(client.closed().await.1, [5], "{policy:?} {shown:?}");
            assert_eq!(server.transport.counters().handshakes_failed, 1);
        }
    }
}

/// What a handshake came to, and how.
async fn handshake(client: &Tls, server: SocketAddr, number: u32) -> io::Result<Option<HandshakeKind>> {
    let socket = TcpStream::connect(server).await?;
    let mut stream = client.connect(socket, &Whom::Peer(PeerId(number))).await?;
    // The ticket of a session comes with the first bytes after the handshake.
    stream.write_all(b"\r\n\r\n").await?;
    timeout(SOON, stream.read_exact(&mut [0; 2])).await.unwrap()?;
    Ok(stream.get_ref().1.handshake_kind())
}

#[tokio::test]
async fn a_second_connection_resumes_the_session_of_the_first() {
    let (_directory, authority) = authority();
    let server = Side::server(&[&authority.issue("server", &["carrier.test"])]);
    let client = Side::client(vec![peer("carrier.test", &authority)]);
    let first = handshake(&client.carrier, server.address(), 0).await.unwrap();
    let second = handshake(&client.carrier, server.address(), 0).await.unwrap();
    assert_eq!((first, second), (Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)));
}

#[tokio::test]
async fn reloaded_certificates_serve_new_connections_and_a_wrong_file_changes_nothing() {
    let (directory, authority) = authority();
    let certificate = authority.issue("server", &["carrier.test"]);
    let mut server = Side::server(&[&certificate]);
    let mut client = Side::client(vec![peer("carrier.test", &authority), peer("moved.test", &authority)]);
    client.send(&server, 0, 1);
    let (flow, _) = server.message().await;
    assert!(handshake(&client.carrier, server.address(), 1).await.is_err());
    authority.issue("server", &["moved.test"]);
    server.carrier.reload().unwrap();
    handshake(&client.carrier, server.address(), 1).await.unwrap();
    // The connection of before goes on.
    let unnamed = Whom::Address("127.0.0.1".parse().unwrap());
    server.transport.send(flow.connection, flow.peer, &unnamed, OPTIONS.into(), 2).unwrap();
    client.message().await;
    std::fs::write(directory.path().join("server.key"), "nothing").unwrap();
    assert!(matches!(server.carrier.reload(), Err(TlsError::NoKey(_))));
    handshake(&client.carrier, server.address(), 1).await.unwrap();
}

#[tokio::test]
async fn an_authority_taken_away_is_not_believed_after_a_reload() {
    let (directory, authority) = authority();
    let server = Side::server(&[&authority.issue("server", &["carrier.test"])]);
    let client = Side::client(vec![peer("carrier.test", &authority)]);
    handshake(&client.carrier, server.address(), 0).await.unwrap();
    Authority::new(directory.path(), "authority");
    client.carrier.reload().unwrap();
    // Not even by the session that was made before.
    assert!(handshake(&client.carrier, server.address(), 0).await.is_err());
}

#[tokio::test]
async fn who_does_not_finish_its_handshake_is_closed_in_time() {
    let (_directory, authority) = authority();
    let settings = served(&[&authority.issue("server", &["carrier.test"])]);
    let limits = StreamLimits { first_message: Duration::from_millis(50), ..StreamLimits::default() };
    let server = Side::new(settings, limits);
    let (mut silent, mut slow, mut other) = (
        TcpStream::connect(server.address()).await.unwrap(),
        TcpStream::connect(server.address()).await.unwrap(),
        TcpStream::connect(server.address()).await.unwrap(),
    );
    slow.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").await.unwrap();
    other.write_all(OPTIONS).await.unwrap();
    for stream in [&mut silent, &mut slow, &mut other] {
        let mut rest = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
    }
    let counters = server.transport.counters();
    assert_eq!((counters.timed_out, counters.handshakes_failed, counters.open), (2, 1, 0));
}

#[tokio::test]
async fn five_hundred_unfinished_handshakes_keep_nobody_out() {
    let (_directory, authority) = authority();
    let mut server = Side::server(&[&authority.issue("server", &["carrier.test"])]);
    let mut slow = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").await.unwrap();
        }
        slow.push(stream);
    }
    let mut client = Side::client(vec![peer("carrier.test", &authority)]);
    let begun = Instant::now();
    client.send(&server, 0, 1);
    let (flow, _) = server.message().await;
    let unnamed = Whom::Address("127.0.0.1".parse().unwrap());
    server.transport.send(flow.connection, flow.peer, &unnamed, OPTIONS.into(), 2).unwrap();
    client.message().await;
    // A handshake, a request and its answer; the figure to keep is 250 ms.
    assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn requests_do_not_go_over_connections_whose_far_end_has_proven_nothing() {
    let (_directory, authority) = authority();
    let mut server = Side::server(&[&authority.issue("server", &["carrier.test"])]);
    let client = Side::client(vec![peer("carrier.test", &authority)]);
    client.send(&server, 0, 1);
    let (flow, _) = server.message().await;
    let whom = Whom::Domain("carrier.test".into());
    let used = server.transport.send(None, flow.peer, &whom, OPTIONS.into(), 2).unwrap();
    assert_ne!(Some(used), flow.connection);
}

#[tokio::test]
async fn a_dialog_whose_connection_is_gone_goes_on_with_the_same_server() {
    let (_directory, authority) = authority();
    let mut server = Side::server(&[&authority.issue("server", &["carrier.test"])]);
    let mut client = Side::client(vec![peer("carrier.test", &authority)]);
    client.send(&server, 0, 1);
    let (flow, _) = server.message().await;
    let unnamed = Whom::Address("127.0.0.1".parse().unwrap());
    server.transport.send(flow.connection, flow.peer, &unnamed, OPTIONS.into(), 2).unwrap();
    let (back, _) = client.message().await;
    client.transport.close(back.connection.unwrap());
    client.closed().await;
    server.closed().await;
    // The dialog has the address and the connection, not the name.
    let again = client.transport.send(back.connection, back.peer, &unnamed, OPTIONS.into(), 3).unwrap();
    assert_ne!(Some(again), back.connection);
    server.message().await;
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_what_to_do() {
    let (directory, authority) = authority();
    let good = authority.issue("server", &["carrier.test"]);
    let path = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let told = |certificate: &std::path::Path, key: &std::path::Path| {
        let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        let settings = TlsSettings { certificates: vec![files], ..TlsSettings::default() };
        Tls::load(settings).err().unwrap().to_string()
    };
    let missing = directory.path().join("missing.pem");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (text, expected) in [
        (told(&missing, &good.key), "can't read"),
        (told(&good.key, &good.key), "holds no certificate"),
        (told(&good.certificate, &good.certificate), "holds no private key"),
        (told(&good.certificate, &path("enc.key", encrypted)), "openssl pkey"),
        (told(&good.certificate, &authority.issue("b", &["b.test"]).key), "doesn't belong to"),
        (told(&path("cut.crt", "-----BEGIN CERTIFICATE-----\nAAAA"), &good.key), "damaged"),
    ] {
        assert!(text.contains(expected), "{text}\nwanted: {expected}");
        assert!(text.contains(directory.path().to_str().unwrap()), "{text}");
    }
    let wrong_ca = PeerSettings { ca: Some(good.key.clone()), ..peer("carrier.test", &authority) };
    let peers = BTreeMap::from([(PeerId(0), wrong_ca)]);
    let told = Tls::load(TlsSettings { peers, ..TlsSettings::default() }).err().unwrap().to_string();
    assert!(told.contains("holds no certificate"), "{told}");
}
