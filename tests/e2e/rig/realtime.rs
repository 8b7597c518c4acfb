//! `offhook simulate openai` as a process, and a service whose tenant talks with it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Home, Service, eventually};

/// The number of the tenant.
pub const NUMBER: &str = "+33199000077";

/// A simulated server. Killed when it is dropped.
pub struct Simulator {
    child: Child,
    pub url: String,
    log: PathBuf,
}

/// An event that the service sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub session: u64,
    pub event: Value,
}

impl Simulator {
    /// Runs a script, given as TOML.
    pub fn start(home: &Home, script: &str) -> Self {
        Self::listen(home, script, "127.0.0.1:0")
    }

    pub fn listen(home: &Home, script: &str, address: &str) -> Self {
        let (file, log) = (home.path().join("script.toml"), home.path().join("realtime.log"));
        std::fs::write(&file, script).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_offhook"))
            .args(["simulate", "openai", "--listen", address, "--script"])
            .arg(&file)
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned(), log }
    }

    /// What the service has sent so far, audio left out.
    pub fn sent(&self) -> Vec<Sent> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let parse = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some(Sent { session: line["session"].as_u64()?, event: line["event"].clone() })
        };
        text.lines().filter_map(parse).collect()
    }

    /// The events of this type.
    pub fn all(&self, kind: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.event["type"] == kind).collect()
    }

    /// Waits until so many events of this type were sent; gives the last of them.
    pub fn wait_for(&self, kind: &str, count: usize) -> Sent {
        eventually(&format!("{count} {kind}"), Duration::from_secs(20), || {
            self.all(kind).into_iter().nth(count - 1)
        })
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service whose tenant [`NUMBER`] has the provider `openai` there. `voice` is laid over its
/// voice section.
pub fn service(home: &Home, url: &str, voice: &Value) -> Service {
    let mut section = json!({
        "provider": "openai",
        "language": "en-US",
        "greeting": "Hello, this is the shop.",
        "disclosure": {"enabled": false},
    });
    section.as_object_mut().unwrap().extend(voice.as_object().unwrap().clone());
    let tenant = json!({
        "tenant": {
            "tenant_id": "realtime", "client_id": "realtime", "display_name": "The Shop", "summary_to": [],
            "timezone": "Europe/Paris", "locale": "en-US", "voice": section,
            "features": {"refer": {"enabled": true, "require_confirmation": false, "destinations": [{
                "destination_id": "sales", "label": "the sales team", "target_uri": "tel:+33199000099",
                "description_for_model": "Anything about buying.",
            }]}},
        },
        "numbers": [{"phone_number": NUMBER, "tenant_id": "realtime", "client_id": "realtime"}],
    });
    let file = home.path().join("tenant.json");
    std::fs::write(&file, tenant.to_string()).unwrap();
    let output = home.command(&["tenant", "import", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config = home.path().join("offhook.toml");
    std::fs::write(&config, format!("[agent.openai]\nbase_url = \"{url}\"\napi_key = \"sk-test\"\n"))
        .unwrap();
    home.start_with(&["--config", config.to_str().unwrap()])
}
