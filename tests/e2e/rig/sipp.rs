//! SIPp, with the scenarios of `sipp-scenarios`.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ports::{free_media_ports, free_port};
use super::{Service, root};

/// A SIPp that runs.
pub struct Sipp {
    scenario: String,
    child: Child,
    /// Where it says what went wrong.
    reports: TempDir,
}

/// Plays a caller's scenario against the service, with SIPp's flags as the scenario's line in the
/// README has them. It must succeed.
pub fn call(service: &Service, scenario: &str, number: &str, flags: &[&str]) {
    let server = service.sip.to_string();
    let mut arguments = vec![server.as_str(), "-s", number];
    if !flags.contains(&"-m") {
        arguments.extend(["-m", "1"]);
    }
    arguments.extend(flags);
    start(&format!("uac/{scenario}"), free_port(), &arguments).succeeds();
}

/// Starts a scenario on a port of ours.
pub fn start(scenario: &str, port: u16, arguments: &[&str]) -> Sipp {
    let reports = tempfile::Builder::new().prefix("offhook-sipp-").tempdir().unwrap();
    let media = free_media_ports();
    let mut command = Command::new("sipp");
    command
        .current_dir(root().join("sipp-scenarios"))
        .args(["-sf", &format!("{scenario}.xml"), "-nostdin", "-i", "127.0.0.1", "-mi", "127.0.0.1"])
        .args(["-p", &port.to_string(), "-mp", &media.to_string()])
        .args(["-timeout", "90s", "-timeout_error", "-trace_err", "-error_file"])
        .arg(reports.path().join("errors"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| {
        panic!("SIPp can't be started ({error}): install it (Debian: apt-get install sip-tester), or run tests/run, which does")
    });
    Sipp { scenario: scenario.to_owned(), child, reports }
}

impl Sipp {
    /// Waits for its end; it must have seen all that the scenario expects.
    pub fn succeeds(self) {
        let output = self.child.wait_with_output().unwrap();
        if output.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = read(&self.reports.path().join("errors")) + &String::from_utf8_lossy(&output.stderr);
        assert!(
            !errors.contains("raw IPv4 socket"),
            "SIPp may not send keys: play_dtmf needs a raw socket. Run the tests as root, or: \
             setcap cap_net_raw+ep $(command -v sipp)"
        );
        let tail: Vec<&str> = said.lines().rev().take(60).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        panic!("{}: {}\n{errors}\n{}", self.scenario, output.status, tail.join("\n"));
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
