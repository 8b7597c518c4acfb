use std::net::{SocketAddr, UdpSocket};

use bytes::Bytes;
use sip::endpoint::flow::{Flow, Transport};

use super::*;
use crate::config::Hep;
use crate::trace::hep::{Agent, Key};

const INVITE: &str = "INVITE sip:+33199000001@h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK1\r\n\
                      Call-ID: a@b\r\nCSeq: 1 INVITE\r\n\r\n";
const INFO: &str =
    "INFO sip:a SIP/2.0\r\nCall-ID: a@b\r\nCSeq: 2 INFO\r\nContent-Type: application/dtmf\r\n\r\n7";

fn flow() -> Flow {
    let address = |text: &str| text.parse().unwrap();
    Flow {
        transport: Transport::Udp,
        peer: address("192.0.2.7:5060"),
        local: address("192.0.2.9:5062"),
        connection: None,
    }
}

struct Running {
    tap: Tap,
    handle: TraceHandle,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    data: tempfile::TempDir,
}

impl Running {
    fn start(settings: Settings) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (tap, collector, handle) = start(settings, data.path().to_owned());
        let (stop, stopping) = watch::channel(false);
        Self { tap, handle, stop, task: tokio::spawn(collector.run(stopping)), data }
    }

    fn see(&mut self, text: &str) {
        self.tap.received(&flow(), &Bytes::copy_from_slice(text.as_bytes()));
        self.tap.flush();
    }

    /// Asked for until it is there: the tap and the asker reach the collector on two ways.
    async fn trace(&self, call: &str, messages: usize) -> Trace {
        loop {
            match self.handle.find(call.to_owned()).await {
                Some(trace) if trace.messages.len() >= messages => return trace,
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

#[tokio::test]
async fn a_call_is_held_masked_and_found_by_both_its_names() {
    let mut running = Running::start(Settings::default());
    running.see(INVITE);
    running.see(INFO);
    let trace = running.trace("a@b", 2).await;
    assert_eq!(
        &*trace.messages[0].bytes,
        INVITE.as_bytes(),
        "numbers are shown in a trace that is asked for"
    );
    assert!(trace.messages[1].bytes.ends_with(b"\r\n\r\n."));
    let call = CallId::generate();
    running.handle.name(call, b"a@b");
    assert_eq!(running.trace(&call.to_string(), 2).await.call, Some(call));
    let listed = running.handle.list(10).await;
    assert_eq!((listed.len(), listed[0].messages, listed[0].first.as_str()), (1, 2, "INVITE"));
}

#[tokio::test]
async fn a_follower_gets_every_message_even_when_nothing_is_held() {
    let mut running = Running::start(Settings { memory: 0, ..Settings::default() });
    running.see(INVITE);
    let mut follower = running.handle.follow().await.unwrap();
    running.see(INFO);
    let message = follower.next().await.unwrap();
    assert_eq!((message.source, message.way), (flow().peer, Way::In));
    assert!(message.bytes.starts_with(b"INFO") && running.handle.find("a@b".to_owned()).await.is_none());
    let mut more = Vec::new();
    while let Some(follower) = running.handle.follow().await {
        more.push(follower);
    }
    assert_eq!(more.len() + 1, MAX_FOLLOWERS);
    drop(more);
    assert!(running.handle.follow().await.is_some(), "those who have gone make room");
}

#[tokio::test]
async fn a_trace_is_stored_as_the_policy_says_at_the_latest_when_the_service_stops() {
    let mut running = Running::start(Settings { store: StoreTraces::Failed, ..Settings::default() });
    let (fine, failed) = (CallId::generate(), CallId::generate());
    running.see(INVITE);
    running.trace("a@b", 1).await;
    running.see(&INVITE.replace("a@b", "c@d"));
    running.trace("c@d", 1).await;
    running.handle.name(fine, b"a@b");
    running.handle.name(failed, b"c@d");
    assert_eq!(running.handle.ended(fine, false), None);
    let file = running.handle.ended(failed, true).unwrap();
    running.stop.send_replace(true);
    running.task.await.unwrap();
    // The writing thread ends by itself; on a drop of the runtime it is waited for.
    let path = running.data.path().join(file);
    while !path.with_extension("txt").exists() {
        tokio::task::yield_now().await;
    }
    assert!(!running.data.path().join(files::pcap_file(fine)).exists());
}

#[tokio::test]
async fn a_trace_is_stored_when_it_is_asked_for() {
    let mut running = Running::start(Settings::default());
    running.see(INVITE);
    running.trace("a@b", 1).await;
    let call = CallId::generate();
    running.handle.name(call, b"a@b");
    let path = running.handle.store(call).await.unwrap();
    assert!(std::fs::read(path).unwrap().ends_with(INVITE.as_bytes()));
    assert_eq!(running.handle.store(CallId::generate()).await, None);
}

#[tokio::test]
async fn the_hep_collector_gets_every_message() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = collector.local_addr().unwrap().port();
    let hep = Hep {
        address: format!("127.0.0.1:{port}").parse().unwrap(),
        agent: Agent { id: 2001, key: Some(Key::new("myhep")), node: Some("node-1".to_owned()) },
    };
    let mut running = Running::start(Settings { memory: 0, hep: Some(hep), ..Settings::default() });
    running.see(INVITE);
    running.see(INFO);
    let reading = tokio::task::spawn_blocking(move || {
        let mut buffer = [0; 2_048];
        let mut packets = Vec::new();
        for _ in 0..2 {
            let length = collector.recv(&mut buffer).unwrap();
            packets.push(buffer[..length].to_vec());
        }
        packets
    });
    let packets = reading.await.unwrap();
    assert!(packets[0].starts_with(b"HEP3") && packets[0].ends_with(INVITE.as_bytes()));
    assert!(packets[1].ends_with(b"\r\n\r\n."), "keys are masked here too");
    let holds = |wanted: &[u8]| packets[0].windows(wanted.len()).any(|window| window == wanted);
    for wanted in [&b"\0\0\0\x0e\0\x0bmyhep"[..], b"\0\0\0\x13\0\x0cnode-1", b"\0\0\0\x11\0\x09a@b"] {
        assert!(holds(wanted), "{wanted:?}");
    }
    assert_eq!(running.handle.counters().hep_sent.load(Ordering::Relaxed), 2);
}

#[test]
fn on_a_wildcard_socket_our_address_is_where_the_peer_sent_to_or_what_our_via_says() {
    let (_, mut collector, _) = start(Settings::default(), PathBuf::new());
    let seen = |local: &str, way| Seen {
        at: 0,
        way,
        transport: Transport::Udp,
        peer: flow().peer,
        local: local.parse().unwrap(),
        bytes: Bytes::new(),
    };
    let mut local = |seen: Seen| -> SocketAddr {
        let text = INVITE.as_bytes();
        collector.local_address(&seen, text, &scan::parts(text))
    };
    assert_eq!(local(seen("0.0.0.0:5060", Way::Out)), "192.0.2.9:5062".parse().unwrap());
    assert_eq!(local(seen("192.0.2.1:5060", Way::In)), "192.0.2.1:5060".parse().unwrap());
    assert_eq!(local(seen("0.0.0.0:5060", Way::Out)), "192.0.2.1:5060".parse().unwrap());
}
