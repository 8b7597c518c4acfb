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
    let path = data.join(CONTROL_SOCKET);
    let not_running = |error: std::io::Error| {
        format!(
            "no service answers at {} ({error}): start it with `offhook serve --data {}`, \
             or name its data directory with --data",
            path.display(),
            data.display()
        )
    };
    let mut stream = UnixStream::connect(&path).map_err(not_running)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(not_running)?;
    stream.write_all(format!("{command}\n").as_bytes()).map_err(not_running)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(not_running)?;
    serde_json::from_str(&line).map_err(|error| format!("the service's answer can't be read: {error}"))
}
