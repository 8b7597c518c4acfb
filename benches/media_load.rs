//! The media run: concurrent G.711 calls through the real binary, `offhook load` as the
//! telephones, beside an echo that does one system call for each packet on one shared socket.
//!
//! ```text
//! cargo bench --bench media_load -- [SECONDS] [CALLS]…      default: 60 s of 100, 500 and 1,000
//! cargo bench --bench media_load -- --realtime [SECONDS] [CALLS]…
//! ```
//!
//! With `--realtime` the calls talk with the realtime agent, and that with `offhook simulate
//! openai` over a WebSocket each, which answers in bursts of a second.
//!
//! Prints, for each number of calls: processor time of the far end for each second of a call, RSS
//! for each call, packets lost, the gap between the packets of a call as they arrive, the time
//! from the answer to the first packet, and what the telephones themselves took and complained
//! of. Run it on a quiet machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
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
use std::time::Duration;

use serde_json::Value;

/// New calls a second.
const RATE: u32 = 100;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The argument with which this program plays the baseline.
const ECHO: &str = "--play-echo";
/// The argument that lets a realtime server answer.
const REALTIME: &str = "--realtime";
/// The number of the demo tenant that the built-in agent answers for.
const BUILTIN_NUMBER: &str = "+12025550101";
/// The number of the tenant that the realtime agent answers for.
const REALTIME_NUMBER: &str = "+33199000077";

fn main() {
    if std::env::args().any(|argument| argument == ECHO) {
        echo();
    }
    let numbers: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (seconds, calls) = match numbers.split_first() {
        Some((seconds, calls)) if !calls.is_empty() => (*seconds, calls.to_vec()),
        Some((seconds, _)) => (*seconds, vec![100, 500, 1_000]),
        None => (60, vec![100, 500, 1_000]),
    };
    println!("load average before: {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    let mut failed = false;
    let realtime = std::env::args().any(|argument| argument == REALTIME);
    for calls in calls {
        let service = if realtime {
            let (simulator, service) = Server::realtime();
            let figures = measure("offhook, realtime", &service, REALTIME_NUMBER, "shared", calls, seconds);
            println!("  the simulated server: {:.1} s of processor time", simulator.cpu_ms() / 1_000.0);
            figures
        } else {
            measure("offhook", &Server::offhook(), BUILTIN_NUMBER, "shared", calls, seconds)
        };
        // It has one address for all calls, so that only our own ports tell them apart.
        let echo = measure("echo, a call for each packet", &Server::echo(), "echo", "call", calls, seconds);
        println!(
            "{calls} calls: ratio offhook / echo, processor time {:.2}\n",
            service.cpu_ms / echo.cpu_ms.max(1e-6)
        );
        failed |= !service.success;
    }
    if failed {
        std::process::exit(1);
    }
}

struct Figures {
    cpu_ms: f64,
    success: bool,
}

fn measure(name: &str, server: &Server, user: &str, sockets: &str, calls: u32, seconds: u32) -> Figures {
    // What is made once, and the first calls' code and memory, isn't any call's.
    load(server, user, sockets, 20, 2).wait_with_output().expect("the first calls");
    let (before, busy) = (server.rss_kb(), server.cpu_ms());
    let mut telephones = load(server, user, sockets, calls, seconds);
    let mut highest = before;
    while telephones.try_wait().expect("a child").is_none() {
        std::thread::park_timeout(LOOK);
        highest = highest.max(server.rss_kb());
    }
    let busy = server.cpu_ms() - busy;
    let output = telephones.wait_with_output().expect("a report");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let call_seconds = report["calls"]["call_seconds"].as_f64().unwrap_or_default();
    let cpu_ms = busy / call_seconds.max(1e-6);
    let rtp = &report["rtp"];
    println!(
        "{name}: {calls} calls of {seconds} s: {cpu_ms:.3} ms processor time a call-second; \
         {:.1} kB a call (RSS {before} kB before, {highest} kB at most)",
        (highest - before) as f64 / f64::from(calls)
    );
    println!(
        "  ends {}; {} packets heard, {} lost ({} of them by the telephones), {} silent calls",
        report["calls"]["ends"], rtp["received"], rtp["lost"], rtp["lost_here"], rtp["silent_calls"]
    );
    for (what, spread) in [
        ("gap between packets", &rtp["gap_ms"]),
        ("answer to first packet", &rtp["answer_to_first_packet_ms"]),
        ("INVITE to 200", &report["invite_to_200_ms"]),
        ("round trip", &rtp["round_trip_ms"]),
    ] {
        if !spread.is_null() {
            println!(
                "  {what}: p50 {} ms, p99 {} ms, p99.9 {} ms, max {} ms",
                spread["p50"], spread["p99"], spread["p999"], spread["max"]
            );
        }
    }
    println!(
        "  telephones: {} ms a call-second, {} of {} turns late, latest {} ms; machine {} % busy",
        report["own"]["cpu_ms_per_call_second"],
        report["own"]["late_turns"],
        report["own"]["turns"],
        report["own"]["latest_turn_ms"],
        report["own"]["machine_busy_percent"]
    );
    for line in report["limits"].as_array().into_iter().chain(report["failures"].as_array()).flatten() {
        println!("  {}", line.as_str().unwrap_or_default());
    }
    Figures { cpu_ms, success: report["success"] == true }
}

fn load(server: &Server, user: &str, sockets: &str, calls: u32, seconds: u32) -> Child {
    Command::new(env!("CARGO_BIN_EXE_offhook"))
        .args(["load", &format!("sip:{user}@{}", server.address), "--json", "--sockets", sockets])
        .args(["--calls", &calls.to_string(), "--rate", &RATE.to_string(), "--seconds", &seconds.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("offhook load runs")
}

/// What the realtime server says: five seconds of sound, in bursts of one second.
const SCRIPT: &str = r#"
voice = "tone"

[pace]
first_audio_ms = 100
chunk_ms = 1000
speed = 1.0
burst_ms = 1000

[[turn]]
heard = "Tell me more."
say_ms = 5000
"#;

fn tenant_document() -> Value {
    serde_json::json!({
        "tenant": {
            "tenant_id": "realtime", "client_id": "realtime", "display_name": "The Shop", "summary_to": [],
            "timezone": "Europe/Paris", "locale": "en-US",
            "voice": {
                "provider": "openai",
                "language": "en-US",
                "greeting": "Hello, this is the shop.",
                "disclosure": {"enabled": false},
            },
        },
        "numbers": [{"phone_number": REALTIME_NUMBER, "tenant_id": "realtime", "client_id": "realtime"}],
    })
}

fn service(data: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.args(["--sip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--drain", "0"]);
    command.arg("--data").arg(data.path()).env("RUST_LOG", "warn");
    command
}

struct Server {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Server {
    fn offhook() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        Self::start(service(&data), data, "SIP")
    }

    /// A realtime server, and a service with a tenant that talks with it.
    fn realtime() -> (Self, Self) {
        let data = tempfile::tempdir().expect("a directory");
        let script = data.path().join("script.toml");
        fs::write(&script, SCRIPT).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        command.args(["simulate", "openai", "--listen", "127.0.0.1:0", "--script"]).arg(script);
        let simulator = Self::start(command, data, "ws://");
        let data = tempfile::tempdir().expect("a directory");
        let (tenant, config) = (data.path().join("tenant.json"), data.path().join("offhook.toml"));
        fs::write(&tenant, tenant_document().to_string()).expect("a file");
        let url = format!("ws://{}/v1", simulator.address);
        let agent = format!("[agent.openai]\nbase_url = \"{url}\"\napi_key = \"sk-load\"\n");
        fs::write(&config, agent).expect("a file");
        let mut import = Command::new(env!("CARGO_BIN_EXE_offhook"));
        import.args(["tenant", "import"]).arg(tenant).arg("--data").arg(data.path());
        assert!(
            import.stdout(Stdio::null()).status().expect("offhook runs").success(),
            "the tenant is taken in"
        );
        let mut command = service(&data);
        command.arg("--config").arg(config);
        (simulator, Self::start(command, data, "SIP"))
    }

    fn echo() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(ECHO);
        Self::start(command, tempfile::tempdir().expect("a directory"), "SIP")
    }

    /// Starts it and waits until it prints its address behind `word`.
    fn start(mut command: Command, data: tempfile::TempDir, word: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let banner = BufReader::new(child.stdout.take().expect("piped"));
        let address = banner.lines().map_while(Result::ok).find_map(|line| {
            line.trim().strip_prefix(word)?.split(['/', ' ']).find_map(|part| part.parse().ok())
        });
        Self { child, address: address.expect("an address in the banner"), _data: data }
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

/// The baseline: answers every call with the one RTP port it has and sends each packet back.
fn echo() -> ! {
    let sip = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let rtp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    println!("SIP {}", sip.local_addr().expect("an address"));
    let port = rtp.local_addr().expect("an address").port();
    socket2::SockRef::from(&rtp).set_recv_buffer_size(4 << 20).expect("a buffer");
    std::thread::spawn(move || {
        let mut packet = [0; 2_048];
        loop {
            let (length, from) = rtp.recv_from(&mut packet).expect("loopback");
            // Whoever has hung up hears no more.
            let _ = rtp.send_to(&packet[..length], from);
        }
    });
    let mut buffer = [0; 65_536];
    loop {
        let (length, from) = sip.recv_from(&mut buffer).expect("loopback");
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !request.starts_with("ACK") {
            let _ = sip.send_to(answer(&request, &sip, port).as_bytes(), from);
        }
    }
}

/// A 200 with everything of the request that has to come back (RFC 3261 §8.2.6).
fn answer(request: &str, sip: &UdpSocket, port: u16) -> String {
    let mut text = "SIP/2.0 200 OK\r\n".to_owned();
    for line in request.lines().take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        if ["Via", "From", "Call-ID", "CSeq"].contains(&name) {
            text += &format!("{line}\r\n");
        } else if name == "To" {
            let tag = if line.contains(";tag=") { "" } else { ";tag=echo" };
            text += &format!("{line}{tag}\r\n");
        }
    }
    let body = if request.starts_with("INVITE") {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        )
    } else {
        String::new()
    };
    let local = sip.local_addr().expect("an address");
    format!(
        "{text}Contact: <sip:echo@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
