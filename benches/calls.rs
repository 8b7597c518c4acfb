//! The load run: whole calls against the real binary, beside SIPp's own UAS on the same machine
//! in the same run.
//!
//! ```text
//! cargo bench --bench calls -- [RATE] [CALLS]      default: 2000 calls/s, 100,000 calls
//! ```
//!
//! Prints INVITE → 200 at 100 calls a second (this program is the caller, so that microseconds
//! count), then calls/s, failures, processor time and memory of each side under load (SIPp is
//! the caller). Needs `sipp` (Debian: sip-tester). Run it on a quiet machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark ends at the first surprise"
)]

#[path = "support/process.rs"]
mod process;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Calls of the latency phase, and how many a second.
const PROBES: u32 = 1_000;
const PROBE_RATE: u32 = 100;
/// How long finished calls are remembered (Timers J and L are 32 s), and a little more.
const FORGOTTEN: Duration = Duration::from_secs(36);

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let rate = numbers.first().copied().unwrap_or(2_000);
    let calls = numbers.get(1).copied().unwrap_or(100_000);
    if Command::new("sipp").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("the load run needs sipp: install Debian's sip-tester");
        std::process::exit(1);
    }
    let ours = measure("offhook", Server::offhook, rate, calls);
    let baseline = measure("sipp -sn uas", Server::sipp, rate, calls);
    println!(
        "\nratio offhook / sipp -sn uas: INVITE to 200 p50 {:.2}, processor time a call {:.2}",
        ours.p50_us as f64 / baseline.p50_us.max(1) as f64,
        ours.cpu_ms / baseline.cpu_ms.max(1e-6),
    );
    if ours.failed > 0 {
        std::process::exit(1);
    }
}

struct Figures {
    p50_us: u128,
    cpu_ms: f64,
    failed: u64,
}

fn measure(name: &str, start: fn() -> Server, rate: u32, calls: u32) -> Figures {
    let server = start();
    let before = server.rss_kb();
    let mut latencies = probe(server.address);
    latencies.sort_unstable();
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize];
    println!(
        "{name}: INVITE to 200 at {PROBE_RATE} calls/s: p50 {} µs, p90 {} µs, p99 {} µs ({} calls)",
        at(0.5),
        at(0.9),
        at(0.99),
        latencies.len()
    );
    let (busy, began) = (server.cpu_ms(), Instant::now());
    let failed = sipp(server.address, rate, calls);
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ms = (server.cpu_ms() - busy) / f64::from(calls);
    let peak = server.rss_kb();
    println!(
        "{name}: {calls} calls answered and ended at {:.0}/s, {failed} failed; {cpu_ms:.3} ms processor time a call; \
         RSS {before} kB before, {peak} kB at the end",
        f64::from(calls) / seconds
    );
    let end = Instant::now() + FORGOTTEN;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
    println!(
        "{name}: RSS {} kB once the calls are forgotten ({:+} kB)",
        server.rss_kb(),
        server.rss_kb() - before
    );
    Figures { p50_us: at(0.5), cpu_ms, failed }
}

/// Places calls one after the other and gives INVITE → 200 of each, in microseconds.
fn probe(server: SocketAddr) -> Vec<u128> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let local = socket.local_addr().expect("an address");
    let begin = Instant::now();
    let mut latencies = Vec::new();
    for number in 0..PROBES {
        let due = begin + Duration::from_secs(1) * number / PROBE_RATE;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
            local.port()
        );
        let sent = Instant::now();
        send(&socket, local, number, "INVITE", 1, "", &sdp);
        let ok = final_response(&socket, "INVITE");
        latencies.push(sent.elapsed().as_micros());
        let tag = ok
            .lines()
            .find_map(|line| line.strip_prefix("To:")?.split_once(";tag="))
            .map(|(_, tag)| tag.trim());
        let tag = format!(";tag={}", tag.expect("a To tag"));
        send(&socket, local, number, "ACK", 1, &tag, "");
        send(&socket, local, number, "BYE", 2, &tag, "");
        final_response(&socket, "BYE");
    }
    latencies
}

fn send(socket: &UdpSocket, local: SocketAddr, call: u32, method: &str, cseq: u32, tag: &str, body: &str) {
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let message = format!(
        "{method} sip:+12025550101@{peer} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{call}{method};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:probe@{local}>;tag={call}\r\nTo: <sip:+12025550101@{peer}>{tag}\r\n\
         Call-ID: {call}-{port}@probe\r\nCSeq: {cseq} {method}\r\nContact: <sip:probe@{local}>\r\n{content}\
         Content-Length: {length}\r\n\r\n{body}",
        peer = socket.peer_addr().expect("connected"),
        port = local.port(),
        length = body.len(),
    );
    socket.send(message.as_bytes()).expect("loopback");
}

fn final_response(socket: &UdpSocket, method: &str) -> String {
    let mut buffer = [0; 65_536];
    loop {
        let length = socket.recv(&mut buffer).expect("an answer within 2 s");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let ours = text.lines().any(|line| line.starts_with("CSeq:") && line.ends_with(method));
        if ours && text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1") {
            assert!(text.starts_with("SIP/2.0 200"), "{text}");
            return text;
        }
    }
}

/// Runs SIPp's caller; gives how many calls failed.
fn sipp(server: SocketAddr, rate: u32, calls: u32) -> u64 {
    let directory = tempfile::tempdir().expect("a directory");
    let status = Command::new("sipp")
        .args(["-sn", "uac", &server.to_string(), "-s", "+12025550101", "-d", "0", "-nostdin", "-l", "50000"])
        .args(["-r", &rate.to_string(), "-m", &calls.to_string(), "-i", "127.0.0.1"])
        .args(["-trace_stat", "-stf", "stat.csv", "-fd", "1"])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("sipp runs");
    let stat = fs::read_to_string(directory.path().join("stat.csv")).unwrap_or_default();
    let mut lines = stat.lines();
    let column = lines.next().and_then(|head| head.split(';').position(|name| name == "FailedCall(C)"));
    let failed = column.and_then(|column| lines.last()?.split(';').nth(column)?.parse().ok());
    failed.unwrap_or(if status.success() { 0 } else { u64::from(calls) })
}

struct Server {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Server {
    fn offhook() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_offhook"))
            .args(["--sip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--drain", "0"])
            .arg("--data")
            .arg(data.path())
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let banner = BufReader::new(child.stdout.take().expect("piped"));
        let address = banner
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.trim().strip_prefix("SIP")?.split_whitespace().next()?.parse().ok());
        Self { child, address: address.expect("a SIP address in the banner"), _data: data }
    }

    fn sipp() -> Self {
        let port =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let child = Command::new("sipp")
            .args(["-sn", "uas", "-i", "127.0.0.1", "-p", &port.to_string(), "-nostdin"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp runs");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // It answers from when its port is taken.
        while UdpSocket::bind(address).is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Self { child, address, _data: tempfile::tempdir().expect("a directory") }
    }

    fn rss_kb(&self) -> i64 {
        process::rss_kb(self.child.id())
    }

    fn cpu_ms(&self) -> f64 {
        process::cpu_ms(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
