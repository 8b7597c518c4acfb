//! The control socket in the data directory, for the commands that need the running service.
//! One line asks, one line of JSON answers. Only the owner of the directory gets in.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::WriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::reload;
use super::stop::stopped;
use crate::call::outbound::{Originate, Outbound};
use crate::call::record::CallStatus;
use crate::ids::{CallId, TenantId, TrunkName};
use crate::net::signalling::SignallingHandle;
use crate::routing::Admission;
use crate::trace::{Listed, Trace, TraceHandle};
use crate::trunk::Trunks;

/// Its name.
pub const SOCKET: &str = "control.sock";
/// How long an asker may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest that messages are followed.
const FOLLOWING: u64 = 86_400;
/// How many calls with their signalling are listed.
const LISTED: usize = 200;
/// The longest question.
const MAX_LINE: u64 = 4_096;

/// What can be asked for.
#[derive(Clone)]
pub(super) struct Shown {
    pub trunks: Arc<Trunks>,
    pub admission: Arc<Admission>,
    pub trace: TraceHandle,
    pub outbound: Arc<Outbound>,
    pub signalling: SignallingHandle,
    pub reload: mpsc::Sender<reload::Request>,
}

/// Answers until `stop` turns true.
pub(super) async fn serve(data: PathBuf, shown: Shown, mut stop: watch::Receiver<bool>) {
    let path = data.join(SOCKET);
    // One left by a process that was killed; that no other process runs here the journal's lock
    // has shown.
    let _ = std::fs::remove_file(&path);
    let listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "no control socket: `offhook trunks` won't work");
            return;
        }
    };
    if let Err(error) = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(%error, "the control socket's permissions can't be set");
    }
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let shown = shown.clone();
                    // The asker may have gone.
                    tokio::spawn(async move { drop(answer(stream, &shown).await) });
                }
                Err(error) => {
                    tracing::debug!(%error, "the control socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = stopped(&mut stop) => break,
        }
    }
    let _ = std::fs::remove_file(&path);
}

async fn answer(mut stream: UnixStream, shown: &Shown) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(MAX_LINE));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    if command == "follow" {
        return follow(rest, shown, &mut write).await;
    }
    tokio::time::timeout(PATIENCE, async {
        let answer = reply(command, rest, shown).await;
        say(&mut write, &answer).await
    })
    .await?
}

async fn say(write: &mut WriteHalf<'_>, answer: &Value) -> std::io::Result<()> {
    let mut line = answer.to_string();
    line.push('\n');
    write.write_all(line.as_bytes()).await
}

async fn reply(command: &str, rest: &str, shown: &Shown) -> Value {
    match (command, rest) {
        ("trunks", "") => {
            json!({ "trunks": shown.trunks.shown(|name| shown.admission.calls_on_trunk(name)) })
        }
        ("call", request) => call(request, &shown.outbound).await,
        ("traces", "") => {
            let listed = shown.trace.list(LISTED).await;
            json!({ "traces": listed.iter().map(listed_trace).collect::<Vec<Value>>() })
        }
        ("trace", call) => match shown.trace.find(call.to_owned()).await {
            Some(trace) => json!({ "trace": whole_trace(&trace) }),
            None => json!({ "trace": null }),
        },
        ("store-trace", call) => match store(call, &shown.trace).await {
            Some(path) => json!({ "stored": path }),
            None => json!({ "stored": null }),
        },
        ("bans", "") => json!({ "bans": shown.signalling.bans().await }),
        ("unban", address) => match address.parse() {
            Ok(address) => json!({ "lifted": shown.signalling.unban(address).await }),
            Err(_) => json!({ "error": "write an address, such as 192.0.2.7" }),
        },
        ("reload", "") => reload(shown).await,
        _ => json!({ "error": "unknown command" }),
    }
}

/// Makes a call: `{"tenant_id", "to_number", "trunk", "ring_seconds", "idempotency_key"}`, the first
/// two of them needed.
async fn call(request: &str, outbound: &Outbound) -> Value {
    let wanted = match serde_json::from_str::<CallRequest>(request) {
        Ok(wanted) => wanted,
        Err(error) => return json!({ "error": format!("the request can't be read: {error}") }),
    };
    let wanted = Originate {
        tenant: wanted.tenant_id,
        to_number: wanted.to_number,
        trunk: wanted.trunk,
        ring: wanted.ring_seconds.map(Duration::from_secs),
        idempotency_key: wanted.idempotency_key,
    };
    match outbound.originate(wanted).await {
        Ok(made) => json!({
            "call_id": made.call_id.to_string(),
            "sip_call_id": made.sip_call_id,
            "status": CallStatus::InProgress.as_str(),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CallRequest {
    tenant_id: TenantId,
    to_number: String,
    #[serde(default)]
    trunk: Option<TrunkName>,
    #[serde(default)]
    ring_seconds: Option<u64>,
    #[serde(default)]
    idempotency_key: Option<String>,
}

async fn store(call: &str, trace: &TraceHandle) -> Option<String> {
    let call: CallId = match trace.find(call.to_owned()).await {
        Some(trace) => trace.call?,
        None => return None,
    };
    trace.store(call).await.map(|path| path.display().to_string())
}

fn listed_trace(listed: &Listed) -> Value {
    json!({
        "call": listed.call.map(|call| call.to_string()),
        "sip_call_id": String::from_utf8_lossy(&listed.sip_call_id),
        "began": listed.began,
        "peer": listed.peer.to_string(),
        "messages": listed.messages,
        "first": listed.first,
        "last": listed.last,
        "running": listed.running,
    })
}

fn whole_trace(trace: &Trace) -> Value {
    json!({
        "call": trace.call.map(|call| call.to_string()),
        "sip_call_id": String::from_utf8_lossy(&trace.sip_call_id),
        "omitted": trace.omitted,
        "before_gap": trace.before_gap,
        "messages": trace.messages.iter().map(crate::trace::Message::to_wire).collect::<Vec<Value>>(),
    })
}

/// Every message as it comes, a line for each, for so many seconds; at the end how many were left
/// out.
async fn follow(seconds: &str, shown: &Shown, write: &mut WriteHalf<'_>) -> std::io::Result<()> {
    let Some(seconds) = seconds.parse().ok().filter(|seconds| (1..=FOLLOWING).contains(seconds)) else {
        return say(write, &json!({ "error": "follow takes a number of seconds, up to a day" })).await;
    };
    let Some(mut follower) = shown.trace.follow().await else {
        return say(write, &json!({ "error": "as many follow the messages already as may" })).await;
    };
    say(write, &json!({ "following": seconds })).await?;
    let end = tokio::time::sleep(Duration::from_secs(seconds));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            message = follower.next() => match message {
                Some(message) => say(write, &message.to_wire()).await?,
                None => break,
            },
        }
    }
    say(write, &json!({ "dropped": follower.dropped() })).await
}

async fn reload(shown: &Shown) -> Value {
    let (request, outcome) = oneshot::channel();
    // Another reload may be waiting: it reads the same files.
    if shown.reload.try_send(request).is_err() {
        return json!({ "error": "another reload is under way" });
    }
    match outcome.await {
        Ok(outcome) => json!(outcome),
        Err(_) => json!({ "error": "the service is stopping" }),
    }
}
