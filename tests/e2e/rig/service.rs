//! `offhook` as a process with a data directory.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ports::RtpPorts;
use super::record::{self, Record};
use super::{SOON, http};

/// How long a start may take.
const START: Duration = Duration::from_secs(30);

/// A data directory, which outlives the services that run on it.
pub struct Home(TempDir);

/// How a process is told to stop.
#[derive(Clone, Copy)]
pub enum Signal {
    Interrupt,
    Terminate,
    HangUp,
    Kill,
}

/// A running service. Killed when it is dropped.
pub struct Service {
    pub sip: SocketAddr,
    pub http: SocketAddr,
    child: Child,
    stdout: Receiver<String>,
    stderr: Arc<Lines>,
    banner: String,
    _rtp: RtpPorts,
}

/// What was printed so far.
#[derive(Default)]
struct Lines {
    text: Mutex<String>,
    grew: Condvar,
}

impl Home {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("offhook-e2e-").tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// `offhook` with these arguments on this data directory, and free ports for everything.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OFFHOOK_") {
                command.env_remove(name);
            }
        }
        command.env("RUST_LOG", "info").arg("--data").arg(self.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the service and waits until it takes calls.
    pub fn start(&self) -> Service {
        self.start_with(&[])
    }

    pub fn start_with(&self, arguments: &[&str]) -> Service {
        self.start_logging("info", arguments)
    }

    /// Starts the service with another filter for its log.
    pub fn start_logging(&self, filter: &str, arguments: &[&str]) -> Service {
        let rtp = RtpPorts::lease();
        let range = rtp.range();
        let mut all = vec!["--sip", "127.0.0.1:0", "--http", "127.0.0.1:0", "--rtp-ports", &range];
        all.extend(arguments);
        let mut command = self.command(&all);
        command.env("RUST_LOG", filter);
        Service::spawn(command, rtp)
    }

    /// A start that ends in failure: what is printed on stderr.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let mut child = command.spawn().unwrap();
        let stderr = Arc::new(Lines::default());
        let reader = Lines::read(&stderr, child.stderr.take().unwrap());
        let stdout = lines(child.stdout.take().unwrap());
        let printed = match until_end(&stdout, Instant::now() + START) {
            Ok(printed) => printed,
            Err(printed) => {
                child.kill().unwrap();
                panic!("the service should not have started: {printed}");
            }
        };
        reader.join().unwrap();
        let status = child.wait().unwrap();
        let stderr = stderr.text();
        assert_eq!(status.code(), Some(1), "{printed}{stderr}");
        stderr
    }

    /// What `offhook calls --json` lists, oldest first.
    pub fn calls(&self) -> Vec<Record> {
        let output = self.command(&["calls", "--json", "--limit", "100000"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "offhook calls: {stderr}");
        let mut calls: Vec<Record> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| record::read(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        calls.reverse();
        calls
    }

    /// The only call on record.
    pub fn only_call(&self) -> Record {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls.remove(0)
    }
}

impl Signal {
    /// Sends it to a child that wasn't waited for yet, so that the id is its own.
    pub fn send(self, child: u32) {
        let number = match self {
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::HangUp => libc::SIGHUP,
            Self::Kill => libc::SIGKILL,
        };
        let pid = i32::try_from(child).unwrap();
        // SAFETY: a system call without memory.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
    }
}

impl Service {
    fn spawn(mut command: Command, rtp: RtpPorts) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = Arc::new(Lines::default());
        Lines::read(&stderr, child.stderr.take().unwrap());
        let stdout = lines(child.stdout.take().unwrap());
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut service =
            Self { sip: nowhere, http: nowhere, child, stdout, stderr, banner: String::new(), _rtp: rtp };
        service.read_banner();
        // The banner is printed once calls are taken, so this must hold at once.
        let (status, body) = http::get(service.http, "/health").unwrap();
        assert_eq!(status, 200, "{body}");
        service
    }

    fn read_banner(&mut self) {
        let deadline = Instant::now() + START;
        while !self.banner.contains("docs/first-call.md") {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stdout.recv_timeout(left) {
                Ok(line) => self.banner.push_str(&line),
                Err(error) => panic!("no start ({error}): {}{}", self.banner, self.log()),
            }
            self.banner.push('\n');
        }
        let word = |name: &str| {
            let line = self.banner.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
            line.trim().split([' ', '/']).find(|word| word.contains("127.0.0.1")).unwrap().to_owned()
        };
        (self.sip, self.http) = (word("SIP").parse().unwrap(), word("HTTP").parse().unwrap());
    }

    /// What was printed before the first call could be taken.
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits for something to be logged.
    pub fn wait_for_log(&self, text: &str) {
        self.stderr.wait_for(text, SOON);
    }

    pub fn signal(&self, signal: Signal) {
        signal.send(self.child.id());
    }

    /// Waits for the process to end.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        if until_end(&self.stdout, Instant::now() + within).is_err() {
            panic!("still running after {within:?}: {}", self.log());
        }
        self.child.wait().unwrap()
    }

    /// Stops it in order; gives what it logged.
    pub fn stop(mut self) -> String {
        self.signal(Signal::Terminate);
        let status = self.ended(SOON);
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }

    /// Stops it without a word.
    pub fn kill(mut self) {
        self.signal(Signal::Kill);
        self.ended(SOON);
    }

    /// A counter or gauge.
    pub fn metric(&self, name: &str) -> u64 {
        let (status, page) = http::get(self.http, "/metrics").unwrap();
        assert_eq!(status, 200);
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Waits until a counter or gauge has this value.
    pub fn wait_for_metric(&self, name: &str, value: u64) {
        super::eventually(&format!("{name} {value}"), SOON, || (self.metric(name) == value).then_some(()));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails when it has ended already, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the service's log ---\n{}---", self.log());
        }
    }
}

impl Lines {
    fn read(lines: &Arc<Self>, from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let lines = Arc::clone(lines);
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut text = lines.text.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
                lines.grew.notify_all();
            }
        })
    }

    fn text(&self) -> String {
        // A test that failed while it read has poisoned it.
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait_for(&self, wanted: &str, within: Duration) {
        let text = self.text.lock().unwrap();
        let (text, timeout) =
            self.grew.wait_timeout_while(text, within, |text| !text.contains(wanted)).unwrap();
        drop(text);
        assert!(!timeout.timed_out(), "{wanted:?} isn't in the log");
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Reads until the process has closed its output, which it does when it ends. What was read is an
/// error when that doesn't happen in time.
fn until_end(lines: &Receiver<String>, deadline: Instant) -> Result<String, String> {
    let mut printed = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => printed.push_str(&(line + "\n")),
            Err(RecvTimeoutError::Disconnected) => return Ok(printed),
            Err(RecvTimeoutError::Timeout) => return Err(printed),
        }
    }
}

/// A file of the data directory, as an argument.
pub fn write(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}
