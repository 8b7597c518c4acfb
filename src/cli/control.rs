//! Talking to the running service through the socket in its data directory.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::app::CONTROL_SOCKET;

/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends one command and gives the service's answer.
pub(crate) fn ask(data: &Path, command: &str) -> Result<serde_json::Value, String> {
    let mut lines = connect(data, command)?;
    let answer = lines.next().unwrap_or_else(|| Err("the service ended before it answered".to_owned()))?;
    refused(answer)
}

/// Sends one command and gives each line of the answer, until there are no more.
pub(crate) fn follow(
    data: &Path,
    command: &str,
) -> Result<impl Iterator<Item = Result<serde_json::Value, String>> + use<>, String> {
    Ok(connect(data, command)?.map(|line| line.and_then(refused)))
}

/// What the service refuses it says so.
fn refused(answer: serde_json::Value) -> Result<serde_json::Value, String> {
    match answer.get("error").and_then(serde_json::Value::as_str) {
        Some(error) => Err(format!("the service refuses: {error}")),
        None => Ok(answer),
    }
}

fn connect(
    data: &Path,
    command: &str,
) -> Result<impl Iterator<Item = Result<serde_json::Value, String>> + use<>, String> {
    let path = data.join(CONTROL_SOCKET);
    let shown = (path.display().to_string(), data.display().to_string());
    let not_running = move |error: std::io::Error| {
        let (path, data) = &shown;
        format!(
            "no service answers at {path} ({error}): start it with `offhook serve --data {data}`, \
             or name its data directory with --data"
        )
    };
    let mut stream = UnixStream::connect(&path).map_err(&not_running)?;
    // Whoever follows hears nothing while nothing happens.
    let patience = (!command.starts_with("follow ")).then_some(PATIENCE);
    stream.set_read_timeout(patience).map_err(&not_running)?;
    stream.write_all(format!("{command}\n").as_bytes()).map_err(&not_running)?;
    Ok(BufReader::new(stream).lines().map(move |line| {
        let line = line.map_err(&not_running)?;
        serde_json::from_str(&line).map_err(|error| format!("the service's answer can't be read: {error}"))
    }))
}
