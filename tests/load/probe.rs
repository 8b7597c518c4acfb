//! Somebody who asks politely all the while: OPTIONS, and how long the answer takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two questions.
const PACE: Duration = Duration::from_millis(10);
/// How long an answer is waited for; then the question counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the asking showed.
#[derive(Debug, Default, Clone)]
pub struct Latencies {
    sorted: Vec<Duration>,
    pub lost: usize,
}

impl Latencies {
    /// The latency that this share of the questions stays within; lost ones count as endless.
    pub fn at(&self, share: f64) -> Duration {
        let all = self.sorted.len() + self.lost;
        let index = (all as f64 * share) as usize;
        self.sorted.get(index.min(all.saturating_sub(1))).copied().unwrap_or(PATIENCE)
    }

    pub fn count(&self) -> usize {
        self.sorted.len()
    }
}

/// Asks in a thread of its own until it is stopped.
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Latencies>,
}

impl Probe {
    pub fn start(service: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || ask(service, &stopped));
        Self { stop, thread }
    }

    pub fn stop(self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the probe doesn't panic")
    }
}

fn ask(service: SocketAddr, stop: &AtomicBool) -> Latencies {
    // An address of its own: what others do is not held against it.
    let socket = UdpSocket::bind("127.0.0.2:0").expect("a port");
    socket.connect(service).expect("loopback");
    let mut found = Latencies::default();
    let mut buffer = [0; 4_096];
    let mut due = Instant::now();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due = Instant::now() + PACE;
        let own = format!("z9hG4bKprobe{number};");
        let sent = Instant::now();
        let question = question(socket.local_addr().expect("bound"), service, number, "UDP");
        // A full send buffer is this side's affair.
        if socket.send(question.as_bytes()).is_err() {
            continue;
        }
        let answered = loop {
            let Some(left) = PATIENCE.checked_sub(sent.elapsed()).filter(|left| !left.is_zero()) else {
                break false;
            };
            socket.set_read_timeout(Some(left)).expect("a timeout");
            match socket.recv(&mut buffer) {
                Ok(length) if String::from_utf8_lossy(&buffer[..length]).contains(&own) => break true,
                _ => {}
            }
        };
        if answered { found.sorted.push(sent.elapsed()) } else { found.lost += 1 }
    }
    found.sorted.sort_unstable();
    found
}

/// An OPTIONS.
pub fn question(local: SocketAddr, service: SocketAddr, number: u64, transport: &str) -> String {
    format!(
        "OPTIONS sip:{service} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bKprobe{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:probe@{local}>;tag=p{number}\r\nTo: <sip:{service}>\r\n\
         Call-ID: probe-{number}-{}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        local.port()
    )
}

/// Asks once over a connection of its own: how long connecting, asking and being answered took.
pub fn ask_over_tcp(service: SocketAddr, number: u64) -> Option<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect_timeout(&service, PATIENCE * 5).ok()?;
    stream.set_read_timeout(Some(PATIENCE * 5)).ok()?;
    let question = question(stream.local_addr().ok()?, service, number, "TCP");
    stream.write_all(question.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 2_048];
    while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        answer.extend_from_slice(&buffer[..length]);
    }
    answer.starts_with(b"SIP/2.0 200").then(|| begun.elapsed())
}
