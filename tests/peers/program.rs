//! A program that runs beside the test: its output by lines, its end.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take for what it does at once.
pub const SOON: Duration = Duration::from_secs(15);

/// A running program. Dropping it kills it and whatever it started.
pub struct Program {
    name: &'static str,
    child: Child,
    output: Arc<Output>,
}

#[derive(Default)]
struct Output {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Streams that have ended, of two.
    ended: u8,
}

/// A program of this machine, or of one of its network namespaces.
pub fn command(program: &str, namespace: Option<&str>) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// A place in the output, to look for what comes after it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark(usize);

impl Program {
    /// Starts a program that comes with the Debian package.
    pub fn start(name: &'static str, package: &str, command: &mut Command) -> Self {
        Self::spawn(name, package, command.stdin(Stdio::null()))
    }

    /// The same for one that is told what to do on its standard input.
    pub fn start_with_input(name: &'static str, package: &str, command: &mut Command) -> (Self, ChildStdin) {
        let mut program = Self::spawn(name, package, command.stdin(Stdio::piped()));
        let input = program.child.stdin.take().unwrap();
        (program, input)
    }

    fn spawn(name: &'static str, package: &str, command: &mut Command) -> Self {
        // A group of its own: programs that fork are killed with their children.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("{name} is not installed: `apt-get install {package}`, as tests/run does")
            }
            Err(error) => panic!("{name} can't be started: {error}"),
        };
        let output = Arc::new(Output::default());
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        output.follow(stdout);
        output.follow(stderr);
        Self { name, child, output }
    }

    /// The end of the output so far.
    pub fn mark(&self) -> Mark {
        Mark(self.output.state.lock().unwrap().lines.len())
    }

    /// The first line with all of these texts, if it comes in time.
    pub fn line_within(&self, after: Mark, texts: &[&str], within: Duration) -> Option<String> {
        let deadline = Instant::now() + within;
        let mut seen = after.0;
        let mut state = self.output.state.lock().unwrap();
        loop {
            let fresh = state.lines.get(seen..).unwrap_or_default();
            if let Some(line) = fresh.iter().find(|line| texts.iter().all(|text| line.contains(text))) {
                return Some(line.clone());
            }
            seen = state.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended == 2 {
                return None;
            }
            state = self.output.grown.wait_timeout(state, left).unwrap().0;
        }
    }

    /// As [`Program::line_within`]; fails the test when the line doesn't come.
    pub fn line_after(&self, after: Mark, texts: &[&str], within: Duration) -> String {
        self.line_within(after, texts, within).unwrap_or_else(|| {
            panic!("{} did not print {texts:?} within {within:?}. It printed:\n{}", self.name, self.printed())
        })
    }

    /// As [`Program::line_after`], from the beginning.
    pub fn line(&self, texts: &[&str], within: Duration) -> String {
        self.line_after(Mark::default(), texts, within)
    }

    /// All lines with all of these texts.
    pub fn lines(&self, after: Mark, texts: &[&str]) -> Vec<String> {
        let state = self.output.state.lock().unwrap();
        let fresh = state.lines.get(after.0..).unwrap_or_default();
        fresh.iter().filter(|line| texts.iter().all(|text| line.contains(text))).cloned().collect()
    }

    /// Everything that it printed.
    pub fn printed(&self) -> String {
        self.output.state.lock().unwrap().lines.join("\n")
    }

    /// Sends it a signal. It must not have been waited for.
    pub fn signal(&self, signal: libc::c_int) {
        kill(self.pid(), signal);
    }

    /// Waits for its end.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        let mut state = self.output.state.lock().unwrap();
        while state.ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                panic!("{} did not end within {within:?}. It printed:\n{}", self.name, self.printed());
            }
            state = self.output.grown.wait_timeout(state, left).unwrap().0;
        }
        drop(state);
        self.child.wait().unwrap()
    }

    /// Ends it at once, as a power cut would, and whatever it started.
    pub fn kill(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            kill(-self.pid(), libc::SIGKILL);
            let _ = self.child.wait();
        }
    }

    fn pid(&self) -> libc::pid_t {
        libc::pid_t::try_from(self.child.id()).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Output {
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let output = Arc::clone(self);
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                output.state.lock().unwrap().lines.push(text);
                output.grown.notify_all();
                line.clear();
            }
            output.state.lock().unwrap().ended += 1;
            output.grown.notify_all();
        });
    }
}

fn kill(pid: libc::pid_t, signal: libc::c_int) {
    // SAFETY: the call takes two numbers and no memory. The process, or its group, is a child
    // that has not been waited for, so that its number can't be another's.
    unsafe { libc::kill(pid, signal) };
}

/// How many ports a program is given.
pub const PORTS: u16 = 40;

/// The first of forty ports for one program: other ones for each program of a test and for each
/// test that runs at the same time, and none that the kernel gives out by itself, so that a
/// program finds its port free when it starts again.
pub fn ports() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 100).unwrap();
    for _ in 0..400 {
        let block = (process * 4 + TAKEN.fetch_add(1, Ordering::Relaxed)) % 400;
        let first = 16_384 + block * PORTS;
        let free = |port| {
            let address = (Ipv4Addr::LOCALHOST, port);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        };
        if (first..first + PORTS).all(free) {
            return first;
        }
    }
    panic!("no forty ports in a row are free from 16384 to 32383");
}
