//! Mutated messages as fast as they are taken, while somebody else asks OPTIONS.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::mutation::{Corpus, Random};
use crate::probe::{Latencies, Probe, question};
use crate::service::Service;

/// Datagrams before the service is asked whether it has read them: fewer than its buffer holds.
const WINDOW: u64 = 64;
/// How long the service is watched while it comes to rest.
const WATCHED: Duration = Duration::from_secs(150);
/// How long the service is asked before and after.
const CALM: Duration = Duration::from_secs(2);

/// A run.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    stream: bool,
    messages: u64,
    seeds: u64,
}

/// What it showed.
#[derive(Debug)]
pub struct Figures {
    run: Flood,
    seconds: f64,
    received: u64,
    lost_by_kernel: u64,
    connections: u64,
    cpu: f64,
    before: Latencies,
    meanwhile: Latencies,
    rss: [i64; 3],
    sockets: [usize; 2],
    /// Sockets for RTP that are kept for the next calls.
    media_sockets: usize,
    back_after: [Option<Duration>; 3],
    panics: usize,
    transactions_left: u64,
}

impl Flood {
    pub fn over_udp(messages: u64, seeds: u64) -> Self {
        Self { stream: false, messages, seeds }
    }

    pub fn over_tcp(messages: u64, seeds: u64) -> Self {
        Self { stream: true, messages, seeds }
    }

    /// Starts the service, floods it and waits until it has come to rest.
    pub fn run(self) -> Figures {
        let service = Service::start();
        let corpus = Corpus::load();
        let calm = Probe::start(service.sip);
        thread::sleep(CALM);
        let before = calm.stop();
        let (rss_before, sockets_before, cpu_before) = (service.rss_kb(), service.sockets(), service.cpu());
        let received_before = service.metric("offhook_sip_received_total");
        let probe = Probe::start(service.sip);
        let begun = Instant::now();
        let (peak, connections) = watched(&service, || {
            let mut connections = 0;
            for seed in 1..=self.seeds {
                let (mut random, share) = (Random::new(seed), self.messages / self.seeds);
                connections += if self.stream {
                    streams(service.sip, &corpus, &mut random, share)
                } else {
                    datagrams(service.sip, &corpus, &mut random, share);
                    0
                };
            }
            connections
        });
        let seconds = begun.elapsed().as_secs_f64();
        let meanwhile = probe.stop();
        let cpu = service.cpu() - cpu_before;
        let received = settled(|| service.metric("offhook_sip_received_total")) - received_before;
        let back_after = until_back(&service, sockets_before);
        Figures {
            run: self,
            seconds,
            received,
            lost_by_kernel: service.metric("offhook_sip_udp_lost_total"),
            connections,
            cpu,
            before,
            meanwhile,
            rss: [rss_before, peak, service.rss_kb()],
            sockets: [sockets_before, service.sockets()],
            media_sockets: service.media_sockets(),
            back_after,
            panics: service.panics(),
            transactions_left: service.metric("offhook_sip_transactions"),
        }
    }
}

/// Does something while the memory in use is looked at; gives its peak.
fn watched<T>(service: &Service, work: impl FnOnce() -> T) -> (i64, T) {
    let (done, peak) = (AtomicBool::new(false), AtomicI64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(service.rss_kb(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(200));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (peak.load(Ordering::Relaxed), result)
    })
}

/// Asks until the answer is the same twice.
fn settled(ask: impl Fn() -> u64) -> u64 {
    let mut last = ask();
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = ask();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// How long it took until there were no more connections, no more calls, and no more sockets than
/// before but those kept for RTP.
fn until_back(service: &Service, sockets: usize) -> [Option<Duration>; 3] {
    let begun = Instant::now();
    let mut back = [None; 3];
    while begun.elapsed() <= WATCHED && back.iter().any(Option::is_none) {
        let now = [
            service.metric("offhook_sip_tcp_connections") == 0,
            service.metric("offhook_calls") == 0 && service.metric("offhook_sip_transactions") == 0,
            service.sockets() - service.media_sockets() <= sockets,
        ];
        for (back, now) in back.iter_mut().zip(now) {
            *back = now.then(|| back.unwrap_or(begun.elapsed()));
        }
        thread::sleep(Duration::from_millis(250));
    }
    back
}

/// Sends as fast as the service reads: after each window it is asked a question, and the next one
/// opens with the answer, so that what is lost is not lost by the sender's haste.
fn datagrams(to: SocketAddr, corpus: &Corpus, random: &mut Random, messages: u64) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(to).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    for number in 1..=messages {
        // Larger than a datagram, or told that a port is closed: go on.
        let _ = socket.send(&corpus.message(random, false));
        if number % WINDOW == 0 || number == messages {
            caught_up(&socket, to, random.next());
        }
    }
}

/// Waits until everything sent so far has been read.
fn caught_up(socket: &UdpSocket, to: SocketAddr, number: u64) {
    let question = question(socket.local_addr().expect("bound"), to, number, "UDP");
    let own = format!("z9hG4bKprobe{number};");
    let mut answer = [0; 65_536];
    for _ in 0..50 {
        let _ = socket.send(question.as_bytes());
        while let Ok(length) = socket.recv(&mut answer) {
            if answer[..length].windows(own.len()).any(|w| w == own.as_bytes()) {
                return;
            }
        }
    }
    panic!("no answer for 10 s");
}

/// Sends over a connection until it is closed, then over another one; gives how many there were.
fn streams(to: SocketAddr, corpus: &Corpus, random: &mut Random, messages: u64) -> u64 {
    const AT_ONCE: usize = 16;
    let mut open: Vec<Option<TcpStream>> = (0..AT_ONCE).map(|_| None).collect();
    let mut connections = 0;
    for _ in 0..messages {
        let place = &mut open[random.below(AT_ONCE)];
        if place.is_none() {
            *place = TcpStream::connect(to).ok();
            connections += 1;
            if let Some(stream) = place {
                stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout");
                stream.set_nodelay(true).expect("a socket");
            }
        }
        let Some(stream) = place else { continue };
        let message = corpus.message(random, true);
        if stream.write_all(&message).is_err() || !drain(stream) || random.below(200) == 0 {
            *place = None;
        }
    }
    connections
}

/// Reads what has been answered so far; whether the connection is still open.
fn drain(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 16_384];
    stream.set_nonblocking(true).expect("a socket");
    let open = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) => break error.kind() == ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).expect("a socket");
    open
}

impl Figures {
    /// What holds on any machine and in any build: the figures themselves are for a quiet one.
    pub fn assert_harmless(&self) {
        assert_eq!(self.panics, 0, "{self}");
        assert!(self.back_after.iter().all(Option::is_some), "it comes to rest: {self}");
        assert!(self.meanwhile.count() > 0 && self.meanwhile.at(0.5) < Duration::from_millis(500), "{self}");
        // A debug build of a short run has its caches to fill, too.
        assert!(self.rss[2] - self.rss[0] < 80_000, "{self}");
        // Of a stream nothing is read after the first message without an end.
        let least = if self.run.stream { self.run.messages / 10 } else { self.run.messages * 9 / 10 };
        assert!(self.received > least, "most of it has arrived: {self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |latency: Duration| latency.as_secs_f64() * 1_000.0;
        let transport = if self.run.stream { "TCP" } else { "UDP" };
        writeln!(
            f,
            "{transport}: {} mutated messages over {} seeds in {:.1} s ({:.0}/s; {} read, {} lost by the kernel, {} connections); {:.1} µs processor time each",
            self.run.messages,
            self.run.seeds,
            self.seconds,
            self.run.messages as f64 / self.seconds,
            self.received,
            self.lost_by_kernel,
            self.connections,
            self.cpu * 1e6 / self.run.messages as f64,
        )?;
        for (when, latencies) in [("before", &self.before), ("meanwhile", &self.meanwhile)] {
            writeln!(
                f,
                "  OPTIONS {when}: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms, {} answered, {} lost",
                ms(latencies.at(0.5)),
                ms(latencies.at(0.99)),
                ms(latencies.at(1.0)),
                latencies.count(),
                latencies.lost,
            )?;
        }
        writeln!(
            f,
            "  RSS {} kB before, {} kB at most, {} kB after ({:+} kB)",
            self.rss[0],
            self.rss[1],
            self.rss[2],
            self.rss[2] - self.rss[0]
        )?;
        let back = |after: Option<Duration>| {
            after.map_or_else(
                || "not in time".to_owned(),
                |after| format!("after {:.1} s", after.as_secs_f64()),
            )
        };
        let [connections, calls, sockets] = self.back_after.map(back);
        write!(
            f,
            "  connections gone {connections}, calls and transactions {calls}, sockets closed {sockets} ({} before, {} after, {} of them kept open for RTP); {} transactions left; {} panics",
            self.sockets[0], self.sockets[1], self.media_sockets, self.transactions_left, self.panics
        )
    }
}
