//! How long a client of TCP and of TLS waits for its answer while 500 others are slow: some say
//! nothing, some stop within a handshake or a message, and some ask on and on and don't read.
//!
//! `cargo bench --bench streams -- [slow] [clients]`. The far ends run in the same process and
//! cost processor time of their own. The figure to keep is 250 ms.

#![allow(clippy::unwrap_used, reason = "a benchmark measures itself: nothing here comes from outside")]

#[path = "../tests/support/pki.rs"]
mod pki;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook::config::tls::CertificateFiles;
use offhook::net::stream::{Carrier, NetEvent, StreamLimits, StreamTransport};
use offhook::net::tcp::Plain;
use offhook::net::tls::{PeerSettings, Tls, TlsSettings, Whom};
use sip::endpoint::flow::PeerId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const REQUEST: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";
const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";
/// The beginning of a ClientHello.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let slow = numbers.first().copied().unwrap_or(500);
    let clients = numbers.get(1).copied().unwrap_or(400);
    offhook::net::batch::raise_descriptor_limit().unwrap();
    run("TCP", Arc::new(Plain), &Plain, &(), slow, clients).await;

    let directory = tempfile::TempDir::new().unwrap();
    let authority = pki::Authority::new(directory.path(), "authority");
    let issued = authority.issue("server", &["bench.test"]);
    let files = CertificateFiles { certificate: issued.certificate, key: issued.key };
    let server = TlsSettings { certificates: vec![files], ..TlsSettings::default() };
    let peer = PeerSettings {
        name: "bench.test".to_owned(),
        ca: Some(authority.file.clone()),
        client: None,
        wildcards: false,
    };
    let peers = BTreeMap::from([(PeerId(0), peer)]);
    let client = Tls::load(TlsSettings { peers, ..TlsSettings::default() }).unwrap();
    let server = Arc::new(Tls::load(server).unwrap());
    run("TLS", server, &client, &Whom::Peer(PeerId(0)), slow, clients).await;
}

async fn run<C: Carrier>(
    name: &str,
    server: Arc<C>,
    client: &C,
    whom: &C::Peer,
    slow: usize,
    clients: usize,
) {
    let (sender, events) = mpsc::channel(1_024);
    let listen = ["127.0.0.1:0".parse().unwrap()];
    let transport = StreamTransport::bind(&listen, server, StreamLimits::default(), sender).unwrap();
    let address = transport.local_addresses().first().copied().unwrap();
    let answering = tokio::spawn(answer(transport, events, whom.clone()));
    let alone = measure(address, client, whom, clients).await;
    let mut held = Vec::new();
    for number in 0..slow {
        held.push(slow_client(address, client, whom, number % 4).await);
    }
    let beside = measure(address, client, whom, clients).await;
    println!("{name}: {clients} clients, each connects, asks and is answered");
    println!("  alone                       {alone}");
    println!("  beside {slow:4} slow ones       {beside}");
    answering.abort();
}

/// A far end that is kept open.
enum Slow<S> {
    Bare { _held: TcpStream },
    Made { _held: S },
}

async fn slow_client<C: Carrier>(
    address: SocketAddr,
    client: &C,
    whom: &C::Peer,
    kind: usize,
) -> Slow<C::Stream> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    match kind {
        0 => Slow::Bare { _held: socket },
        1 => {
            socket.write_all(HELLO).await.unwrap();
            Slow::Bare { _held: socket }
        }
        2 => {
            let mut stream = client.connect(socket, whom).await.unwrap();
            stream.write_all(REQUEST.get(..20).unwrap()).await.unwrap();
            stream.flush().await.unwrap();
            Slow::Made { _held: stream }
        }
        // It asks on and on, and reads nothing.
        _ => {
            let mut stream = client.connect(socket, whom).await.unwrap();
            stream.write_all(&REQUEST.repeat(50)).await.unwrap();
            stream.flush().await.unwrap();
            Slow::Made { _held: stream }
        }
    }
}

async fn answer<C: Carrier>(
    transport: StreamTransport<C, ()>,
    mut events: mpsc::Receiver<NetEvent<()>>,
    whom: C::Peer,
) {
    while let Some(event) = events.recv().await {
        if let NetEvent::Message { flow, .. } = event {
            // A slow one's full queue is its own matter.
            let _ = transport.send(flow.connection, flow.peer, &whom, ANSWER.into(), ());
        }
    }
}

struct Times(Vec<Duration>);

async fn measure<C: Carrier>(address: SocketAddr, client: &C, whom: &C::Peer, clients: usize) -> Times {
    let mut times = Vec::new();
    for _ in 0..clients {
        let begun = Instant::now();
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream = client.connect(socket, whom).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0; ANSWER.len()]).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Times(times)
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: usize| self.0.get(self.0.len() * share / 1_000).or(self.0.last()).copied();
        let shown = |share| at(share).unwrap_or_default().as_secs_f64() * 1_000.0;
        write!(f, "p50 {:.2} ms  p99 {:.2} ms  longest {:.2} ms", shown(500), shown(990), shown(1_000))
    }
}
