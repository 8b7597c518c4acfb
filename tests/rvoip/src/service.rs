//! The service under test, as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

/// How long a record may take to be there.
const SOON: Duration = Duration::from_secs(10);

/// A running service and its data. Killed when it is dropped.
pub struct Service {
    pub sip: String,
    child: Child,
    data: TempDir,
}

impl Service {
    /// Starts it with this configuration and this tenant.
    pub fn start(config: &str, tenant: &Value, rtp: &str) -> Result<Self> {
        let data = TempDir::new()?;
        let path = data.path().join("tenant.json");
        std::fs::write(&path, tenant.to_string())?;
        run(data.path(), &["tenant", "import", &path.to_string_lossy()])?;
        let path = data.path().join("offhook.toml");
        std::fs::write(&path, config)?;
        let mut command = offhook(data.path());
        command.args(["--config", &path.to_string_lossy(), "--sip", "127.0.0.1:0"]);
        command.args(["--http", "127.0.0.1:0", "--rtp-ports", rtp]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("offhook doesn't start")?;
        let stdout = BufReader::new(child.stdout.take().context("no output")?);
        let mut sip = None;
        for line in stdout.lines() {
            let line = line?;
            if let Some(address) = line.trim().strip_prefix("SIP ") {
                sip = address.split_whitespace().next().map(str::to_owned);
            }
            // The last line of the banner: calls are taken.
            if line.contains("docs/first-call.md") {
                break;
            }
        }
        let sip = sip.context("offhook said no SIP address")?;
        Ok(Self { sip, child, data })
    }

    /// Has it call a number.
    pub fn call(&self, number: &str, tenant: &str) -> Result<Value> {
        Ok(serde_json::from_str(&run(self.data.path(), &["call", number, "--tenant", tenant, "--json"])?)?)
    }

    /// The records of the calls that have ended, once there are so many; oldest first.
    pub async fn ended(&self, count: usize) -> Result<Vec<Value>> {
        let deadline = Instant::now() + SOON;
        loop {
            let listed = run(self.data.path(), &["calls", "--json", "--limit", "1000"])?;
            let mut calls: Vec<Value> = listed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            calls.retain(|call| !call["ended_at"].is_null());
            if calls.len() >= count {
                calls.reverse();
                return Ok(calls);
            }
            if Instant::now() > deadline {
                bail!("{count} ended calls were expected: {listed}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn offhook(data: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("OFFHOOK").unwrap_or_else(|| "offhook".into()));
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

fn run(data: &Path, arguments: &[&str]) -> Result<String> {
    let output = offhook(data).args(arguments).output()?;
    if !output.status.success() {
        bail!("offhook {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
