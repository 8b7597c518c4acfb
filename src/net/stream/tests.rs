use super::*;
use crate::net::tcp::{Plain, TcpTransport};

use sip::endpoint::flow::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";

type Events = mpsc::Receiver<NetEvent<u32>>;

fn transport(limits: StreamLimits) -> (TcpTransport<u32>, Events) {
    let (sender, events) = mpsc::channel(64);
    let address = "127.0.0.1:0".parse().unwrap();
    (TcpTransport::bind(&[address], Arc::new(Plain), limits, sender).unwrap(), events)
}

async fn client(transport: &TcpTransport<u32>) -> TcpStream {
    TcpStream::connect(transport.local_addresses()[0]).await.unwrap()
}

async fn next(events: &mut Events) -> NetEvent<u32> {
    timeout(SOON, events.recv()).await.unwrap().unwrap()
}

async fn message(events: &mut Events) -> (Flow, Bytes) {
    match next(events).await {
        NetEvent::Message { flow, bytes } => (flow, bytes),
        closed => panic!("{closed:?}"),
    }
}

async fn closed(events: &mut Events) -> (CloseReason, Vec<u32>) {
    match next(events).await {
        NetEvent::Closed { reason, undelivered, .. } => (reason, undelivered),
        message => panic!("{message:?}"),
    }
}

async fn ended_by_us(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Unread input turns our close into a reset, which is an end as well.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
}

async fn read_exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(SOON, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn messages_are_cut_out_of_the_stream_however_it_comes() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let mut far = client(&tcp).await;
    far.write_all(&[OPTIONS, OPTIONS, &OPTIONS[..30]].concat()).await.unwrap();
    for _ in 0..2 {
        let (flow, bytes) = message(&mut events).await;
        assert_eq!(bytes, OPTIONS);
        assert_eq!(flow.transport, Transport::Tcp);
        assert_eq!(flow.peer, far.local_addr().unwrap());
        assert_eq!(flow.local, tcp.local_addresses()[0]);
    }
    for byte in &OPTIONS[30..] {
        far.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(message(&mut events).await.1, OPTIONS);
}

#[tokio::test]
async fn answers_go_back_on_the_connection_of_the_request() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let mut far = client(&tcp).await;
    far.write_all(OPTIONS).await.unwrap();
    let (flow, _) = message(&mut events).await;
    let elsewhere = "127.0.0.1:1".parse().unwrap();
    let used = tcp.send(flow.connection, elsewhere, &(), "answer".into(), 1).unwrap();
    assert_eq!(Some(used), flow.connection);
    assert_eq!(read_exactly(&mut far, 6).await, b"answer");
    let again = tcp.send(None, flow.peer, &(), "more".into(), 2).unwrap();
    assert_eq!(again, used);
    assert_eq!(tcp.counters().opened, 0);
}

#[tokio::test]
async fn one_connection_is_opened_for_an_address_and_used_again() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let first = tcp.send(None, to, &(), "one".into(), 1).unwrap();
    let second = tcp.send(None, to, &(), "two".into(), 2).unwrap();
    assert_eq!(first, second);
    let (mut far, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert_eq!(read_exactly(&mut far, 6).await, b"onetwo");
    far.write_all(OPTIONS).await.unwrap();
    assert_eq!(message(&mut events).await.0.connection, Some(first));
    drop(far);
    assert_eq!(closed(&mut events).await, (CloseReason::Finished, vec![]));
}

#[tokio::test]
async fn messages_for_an_unreachable_address_come_back() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = nobody.local_addr().unwrap();
    drop(nobody);
    tcp.send(None, to, &(), "one".into(), 1).unwrap();
    tcp.send(None, to, &(), "two".into(), 2).unwrap();
    let refused = CloseReason::Unreachable(io::ErrorKind::ConnectionRefused);
    assert_eq!(closed(&mut events).await, (refused, vec![1, 2]));
}

#[tokio::test]
async fn a_double_crlf_is_answered_with_one() {
    let (tcp, _events) = transport(StreamLimits::default());
    let mut far = client(&tcp).await;
    far.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_exactly(&mut far, 2).await, b"\r\n");
}

#[tokio::test]
async fn a_stream_cut_within_a_message_is_counted_as_that() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let mut far = client(&tcp).await;
    far.write_all(OPTIONS).await.unwrap();
    message(&mut events).await;
    far.write_all(&OPTIONS[..20]).await.unwrap();
    drop(far);
    assert_eq!(closed(&mut events).await.0, CloseReason::Cut);
    assert_eq!(tcp.counters().cut, 1);
    assert_eq!(tcp.counters().open, 0);
}

#[tokio::test]
async fn a_stream_that_is_no_sip_is_closed() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let mut far = client(&tcp).await;
    far.write_all(OPTIONS).await.unwrap();
    message(&mut events).await;
    far.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(closed(&mut events).await.0, CloseReason::Unframed);
    ended_by_us(&mut far).await;
    assert_eq!(tcp.counters().unframed, 1);
}

#[tokio::test]
async fn a_message_of_unknown_length_is_answered_before_its_stream_is_closed() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let mut far = client(&tcp).await;
    far.write_all(b"OPTIONS sip:a@b SIP/2.0\r\nFrom: <sip:a@b>\r\n\r\n").await.unwrap();
    let (flow, _) = message(&mut events).await;
    tcp.send(flow.connection, flow.peer, &(), "400".into(), 1).unwrap();
    assert_eq!(read_exactly(&mut far, 3).await, b"400");
    assert_eq!(closed(&mut events).await.0, CloseReason::Unframed);
}

#[tokio::test]
async fn who_says_nothing_or_trickles_is_closed_in_time() {
    let limits = StreamLimits { first_message: Duration::from_millis(50), ..StreamLimits::default() };
    let (tcp, _events) = transport(limits);
    let (mut silent, mut slow) = (client(&tcp).await, client(&tcp).await);
    slow.write_all(&OPTIONS[..20]).await.unwrap();
    ended_by_us(&mut silent).await;
    ended_by_us(&mut slow).await;
    assert_eq!(tcp.counters().timed_out, 2);
}

#[tokio::test]
async fn a_message_that_never_ends_is_not_waited_for() {
    let limits = StreamLimits { partial_message: Duration::from_millis(50), ..StreamLimits::default() };
    let (tcp, mut events) = transport(limits);
    let mut far = client(&tcp).await;
    far.write_all(&[OPTIONS, &OPTIONS[..20]].concat()).await.unwrap();
    message(&mut events).await;
    assert_eq!(closed(&mut events).await.0, CloseReason::TimedOut);
}

#[tokio::test]
async fn five_hundred_silent_connections_keep_nobody_out() {
    let limits = StreamLimits { per_source: 100, ..StreamLimits::default() };
    let (tcp, mut events) = transport(limits);
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(client(&tcp).await);
    }
    let mut far = client(&tcp).await;
    let sent = std::time::Instant::now();
    far.write_all(OPTIONS).await.unwrap();
    let (flow, _) = message(&mut events).await;
    tcp.send(flow.connection, flow.peer, &(), "answer".into(), 1).unwrap();
    assert_eq!(read_exactly(&mut far, 6).await, b"answer");
    assert!(sent.elapsed() < Duration::from_millis(250));
    assert_eq!((tcp.counters().evicted, tcp.counters().open), (401, 100));
}

#[tokio::test]
async fn a_far_end_that_does_not_read_loses_its_connection() {
    let limits = StreamLimits { queue: 2, write_stall: Duration::from_millis(50), ..StreamLimits::default() };
    let (tcp, mut events) = transport(limits);
    let mut far = client(&tcp).await;
    far.write_all(OPTIONS).await.unwrap();
    let (flow, _) = message(&mut events).await;
    let large = Bytes::from(vec![b'x'; 8 << 20]);
    let mut taken = vec![];
    for ticket in 0..5 {
        match tcp.send(flow.connection, flow.peer, &(), large.clone(), ticket) {
            Ok(_) => taken.push(ticket),
            Err(SendError::QueueFull(given_back)) => assert_eq!(given_back, ticket),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(taken.len() < 5);
    assert_eq!(closed(&mut events).await, (CloseReason::Stalled, taken));
}

#[tokio::test]
async fn connections_we_opened_are_kept_alive() {
    let limits = StreamLimits { keep_alive: Duration::from_millis(20), ..StreamLimits::default() };
    let (tcp, _events) = transport(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tcp.send(None, listener.local_addr().unwrap(), &(), "one".into(), 1).unwrap();
    let (mut far, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert_eq!(read_exactly(&mut far, 11).await, b"one\r\n\r\n\r\n\r\n");
}

#[tokio::test]
async fn shutdown_writes_what_is_queued_and_closes() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let mut far = client(&tcp).await;
    far.write_all(OPTIONS).await.unwrap();
    let (flow, _) = message(&mut events).await;
    tcp.send(flow.connection, flow.peer, &(), "last".into(), 1).unwrap();
    timeout(SOON, tcp.shutdown(SOON)).await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, far.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"last");
    assert_eq!(closed(&mut events).await, (CloseReason::Released, vec![]));
}

#[tokio::test]
async fn what_the_far_end_may_not_have_seen_comes_back_when_it_breaks() {
    let (tcp, mut events) = transport(StreamLimits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    tcp.send(None, to, &(), "one".into(), 1).unwrap();
    let (mut far, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert_eq!(read_exactly(&mut far, 3).await, b"one");
    far.write_all(OPTIONS).await.unwrap();
    message(&mut events).await;
    tcp.send(None, to, &(), "two".into(), 2).unwrap();
    assert_eq!(read_exactly(&mut far, 3).await, b"two");
    drop(far);
    // It has sent something after the first, and nothing after the second.
    assert_eq!(closed(&mut events).await, (CloseReason::Finished, vec![2]));
}

#[tokio::test]
async fn a_far_end_that_stops_answering_keep_alives_is_gone() {
    let short = Duration::from_millis(30);
    let limits = StreamLimits { keep_alive: short, pong: short, ..StreamLimits::default() };
    let (tcp, mut events) = transport(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tcp.send(None, listener.local_addr().unwrap(), &(), "one".into(), 1).unwrap();
    let (mut far, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert_eq!(read_exactly(&mut far, 7).await, b"one\r\n\r\n");
    far.write_all(b"\r\n").await.unwrap();
    assert_eq!(closed(&mut events).await, (CloseReason::Silent, vec![1]));
}

#[tokio::test]
async fn a_far_end_that_never_answers_keep_alives_is_not_given_up_for_it() {
    let short = Duration::from_millis(5);
    let limits = StreamLimits { keep_alive: short, pong: short, ..StreamLimits::default() };
    let (tcp, mut events) = transport(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tcp.send(None, listener.local_addr().unwrap(), &(), "one".into(), 1).unwrap();
    let (mut far, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    read_exactly(&mut far, 3 + 20 * 4).await;
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn both_families_are_listened_on() {
    let (sender, mut events) = mpsc::channel(64);
    let both = ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let tcp = TcpTransport::<u32>::bind(&both, Arc::new(Plain), StreamLimits::default(), sender).unwrap();
    let mut open = Vec::new();
    for local in tcp.local_addresses() {
        let mut far = TcpStream::connect(local).await.unwrap();
        far.write_all(OPTIONS).await.unwrap();
        let (flow, _) = message(&mut events).await;
        assert_eq!(flow.local, *local);
        tcp.send(flow.connection, flow.peer, &(), "answer".into(), 1).unwrap();
        assert_eq!(read_exactly(&mut far, 6).await, b"answer");
        open.push(far);
    }
}

/// An address of a network that nobody is on (RFC 5737) either answers nothing, which is the
/// limit's matter, or is refused by the router, which is sooner.
#[tokio::test]
async fn a_far_end_that_is_nowhere_is_given_up_in_time() {
    let limits = StreamLimits { connect: Duration::from_millis(200), ..StreamLimits::default() };
    let (tcp, mut events) = transport(limits);
    let begun = std::time::Instant::now();
    tcp.send(None, "192.0.2.1:9".parse().unwrap(), &(), "one".into(), 1).unwrap();
    let (reason, undelivered) = closed(&mut events).await;
    assert!(matches!(reason, CloseReason::Unreachable(_)), "{reason:?}");
    assert_eq!(undelivered, [1]);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(StreamLimits::default().connect < Duration::from_secs(4), "the next address gets its turn");
}
