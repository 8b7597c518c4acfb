//! A call record as `offhook calls --json` prints it, read without the service's own types.

use serde::Deserialize;

/// The part of a record that the tests look at.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    pub call_id: String,
    pub tenant_id: String,
    pub sip_call_id: String,
    #[serde(default)]
    pub sip_status: Option<u16>,
    pub status: String,
    pub direction: String,
    #[serde(default)]
    pub trunk: Option<String>,
    pub from: Party,
    pub to: Party,
    pub started_at: String,
    #[serde(default)]
    pub answered_at: Option<String>,
    #[serde(default)]
    pub ended_at: Option<String>,
    #[serde(default)]
    pub duration_ms: Option<u64>,
    #[serde(default)]
    pub end_side: Option<String>,
    #[serde(default)]
    pub end_reason: Option<String>,
    #[serde(default)]
    pub transfers: Vec<Transfer>,
    #[serde(default)]
    keys: Keys,
    #[serde(default)]
    pub messages: Vec<MessageLeft>,
    #[serde(default)]
    pub recordings: Vec<MessageLeft>,
    #[serde(default)]
    pub trace: Option<String>,
    #[serde(default)]
    pub media: Option<Media>,
    #[serde(default)]
    pub transcript: Vec<Said>,
    #[serde(default)]
    pub agent_faults: Vec<Fault>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    pub fault: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Said {
    pub text: String,
    #[serde(default)]
    pub latency_ms: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Party {
    #[serde(default)]
    pub number: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Transfer {
    pub destination_id: String,
    pub target: String,
    #[serde(default)]
    pub refer_status: Option<u16>,
    #[serde(default)]
    notifies: Vec<Notify>,
    #[serde(default)]
    pub outcome: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Notify {
    status: u16,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Keys {
    digits: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct MessageLeft {
    pub file: String,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Media {
    #[serde(default)]
    pub codec: Option<String>,
    #[serde(default)]
    pub srtp: Option<String>,
    pub packets_received: u64,
    pub packets_refused: u64,
    pub packets_sent: u64,
    pub concealed_ms: u64,
    #[serde(default)]
    pub mos: Option<f64>,
}

/// Reads one line.
pub fn read(line: &str) -> Result<Record, serde_json::Error> {
    serde_json::from_str(line)
}

impl Record {
    /// The keys pressed.
    pub fn keys(&self) -> &str {
        &self.keys.digits
    }

    /// Status, side and reason of the end.
    pub fn end(&self) -> (&str, &str, &str) {
        let side = self.end_side.as_deref().unwrap_or("-");
        (&self.status, side, self.end_reason.as_deref().unwrap_or("-"))
    }

    /// Destination and outcome of every attempt to hand the caller over.
    pub fn outcomes(&self) -> Vec<(&str, &str)> {
        self.transfers
            .iter()
            .map(|one| (one.destination_id.as_str(), one.outcome.as_deref().unwrap_or("-")))
            .collect()
    }
}

impl Transfer {
    /// The statuses that NOTIFY reported.
    pub fn notified(&self) -> Vec<u16> {
        self.notifies.iter().map(|notify| notify.status).collect()
    }
}
