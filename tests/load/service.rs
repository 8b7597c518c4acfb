//! `offhook` as a process under load, and what the system knows of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The running program. Killed when it is dropped.
pub struct Service {
    pub sip: SocketAddr,
    http: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
    rtp: RangeInclusive<u16>,
    _data: tempfile::TempDir,
    _ports: TcpListener,
}

impl Service {
    /// The binary of this build, or the one that `OFFHOOK_BINARY` names, on free ports.
    pub fn start() -> Self {
        let binary =
            std::env::var_os("OFFHOOK_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_offhook").into());
        let data = tempfile::tempdir().expect("a directory");
        let (ports, rtp) = rtp_ports();
        let range = format!("{}-{}", rtp.start(), rtp.end());
        let mut child = Command::new(binary)
            .args(["--sip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--drain", "0", "--rtp-ports", &range])
            .arg("--data")
            .arg(data.path())
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("piped"), Arc::clone(&log));
        let (mut sip, mut http) = (None, None);
        let mut banner = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        for line in banner.by_ref() {
            let word = |name: &str| {
                line.trim().strip_prefix(name)?.trim().split([' ', '/']).find_map(|w| w.parse().ok())
            };
            sip = sip.or_else(|| word("SIP"));
            http = http.or_else(|| word("HTTP"));
            if line.contains("docs/first-call.md") {
                break;
            }
        }
        // Whatever it prints later must not fill the pipe.
        thread::spawn(move || banner.for_each(drop));
        let sip = sip.unwrap_or_else(|| panic!("no start: {}", text(&log)));
        Self { sip, http: http.expect("a banner"), child, log, rtp, _data: data, _ports: ports }
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Memory in use, in kilobytes.
    pub fn rss_kb(&self) -> i64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Open sockets. Files of the store and the journal are others' affair.
    pub fn sockets(&self) -> usize {
        let all = fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
        let is_socket = |path: std::path::PathBuf| path.to_string_lossy().starts_with("socket:");
        all.filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter(|path| is_socket(path.clone()))
            .count()
    }

    /// Its UDP sockets for RTP.
    pub fn media_sockets(&self) -> usize {
        let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
        let port =
            |line: &str| u16::from_str_radix(line.split_whitespace().nth(1)?.split_once(':')?.1, 16).ok();
        table.lines().filter_map(port).filter(|port| self.rtp.contains(port)).count()
    }

    /// Processor time used so far, in seconds.
    pub fn cpu(&self) -> f64 {
        let stat = self.proc("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
        ticks.sum::<f64>() / 100.0
    }

    /// A counter or gauge.
    pub fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.http).expect("HTTP is served");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("loopback");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("a page");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    /// Lines of a panic in what was logged.
    pub fn panics(&self) -> usize {
        text(&self.log).lines().filter(|line| line.contains("panicked at")).count()
    }

    /// Still running, and nothing in it has panicked.
    pub fn assert_sound(&self) {
        assert!(
            self.proc("status").contains("State:\tS") || self.proc("status").contains("State:\tR"),
            "it is gone"
        );
        assert_eq!(self.panics(), 0, "{}", text(&self.log));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps what matters of the log: the beginning, and every panic.
fn collect(from: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() < 100_000 || line.contains("panicked") {
                log.push_str(&line);
                log.push('\n');
            }
        }
    });
}

/// A range of RTP ports, and what keeps others of these runs from taking it: the TCP port of the
/// same number.
fn rtp_ports() -> (TcpListener, RangeInclusive<u16>) {
    const PORTS: u16 = 512;
    let begin = u16::try_from(std::process::id() % 32).unwrap_or(0);
    (0..32)
        .map(|step| 16_384 + (begin + step) % 32 * PORTS)
        .find_map(|first| {
            let lock = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
            Some((lock, first..=first + PORTS - 1))
        })
        .expect("one of 32 ranges is free")
}
