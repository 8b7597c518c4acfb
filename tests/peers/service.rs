//! The service under test: the real binary, as an operator starts it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Mark, PORTS, Program, SOON, ports};

/// A running service.
pub struct Service {
    pub program: Program,
    /// Where it takes SIP.
    pub sip: SocketAddr,
    data: TempDir,
}

impl Service {
    /// Starts it with a configuration file, or with the defaults.
    pub fn start(config: Option<&Path>) -> Self {
        Self::start_at("127.0.0.1:0", None, &[], config)
    }

    /// Starts it at an address of a network namespace, with more flags.
    pub fn start_at(sip: &str, namespace: Option<&str>, flags: &[&str], config: Option<&Path>) -> Self {
        let data = TempDir::new().unwrap();
        let mut command = crate::program::command(env!("CARGO_BIN_EXE_offhook"), namespace);
        command.args(["--sip", sip, "--http", "127.0.0.1:0", "--log-format", "json"]).args(flags);
        let first = ports();
        command.args(["--rtp-ports", &format!("{first}-{}", first + PORTS - 1)]);
        command.arg("--data").arg(data.path());
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let program = Program::start("offhook", "offhook", &mut command);
        let line = program.line(&["  SIP   "], SOON);
        let sip = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { program, sip, data }
    }

    /// Waits until a trunk's registration comes to a phase.
    pub fn phase_after(&self, mark: Mark, phase: &str, within: std::time::Duration) {
        self.program.line_after(mark, &["\"registration\"", &format!("\"phase\":\"{phase}\"")], within);
    }

    /// What `offhook trunks --json` says of a trunk.
    pub fn trunk(&self, name: &str) -> Value {
        let trunks: Vec<Value> = serde_json::from_str(&self.run("trunks")).unwrap();
        trunks.into_iter().find(|trunk| trunk["name"] == name).unwrap()
    }

    /// What `offhook calls --json` says, the latest call first.
    pub fn calls(&self) -> Vec<Value> {
        self.run("calls").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Stops it as Ctrl-C does; it must end well.
    pub fn stop(&mut self) {
        self.program.signal(libc::SIGINT);
        let status = self.program.ended(SOON);
        assert!(status.success(), "{status}:\n{}", self.program.printed());
    }

    fn run(&self, command: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_offhook"))
            .args([command, "--json", "--data"])
            .arg(self.data.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
