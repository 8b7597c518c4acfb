//! The control socket in the data directory, for the commands that need the running service.
//! One line asks, one line of JSON answers. Only the owner of the directory gets in.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::reload;
use super::stop::stopped;
use crate::net::signalling::SignallingHandle;
use crate::routing::Admission;
use crate::trunk::Trunks;

/// Its name.
pub const SOCKET: &str = "control.sock";
/// How long an asker may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest question.
const MAX_LINE: u64 = 4_096;

/// What can be asked for.
#[derive(Clone)]
pub(super) struct Shown {
    pub trunks: Arc<Trunks>,
    pub admission: Arc<Admission>,
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
                    tokio::spawn(async move {
                        // The asker has gone, or never asked.
                        let _ = tokio::time::timeout(PATIENCE, answer(stream, &shown)).await;
                    });
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
    BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await?;
    let mut answer = reply(line.trim(), shown).await.to_string();
    answer.push('\n');
    write.write_all(answer.as_bytes()).await
}

async fn reply(command: &str, shown: &Shown) -> Value {
    match command.split_once(' ').unwrap_or((command, "")) {
        ("trunks", "") => {
            json!({ "trunks": shown.trunks.shown(|name| shown.admission.calls_on_trunk(name)) })
        }
        ("bans", "") => json!({ "bans": shown.signalling.bans().await }),
        ("unban", address) => match address.parse() {
            Ok(address) => json!({ "lifted": shown.signalling.unban(address).await }),
            Err(_) => json!({ "error": "write an address, such as 192.0.2.7" }),
        },
        ("reload", "") => reload(shown).await,
        _ => json!({ "error": "unknown command" }),
    }
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
