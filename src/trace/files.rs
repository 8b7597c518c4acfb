//! Traces that are kept: a capture and a ladder for each call, in the data directory.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Trace, ladder, pcap};
use crate::ids::CallId;

/// The directory within the data directory.
pub const DIRECTORY: &str = "traces";

/// The capture of a call, relative to the data directory.
#[must_use]
pub fn pcap_file(call: CallId) -> String {
    format!("{DIRECTORY}/{call}.pcap")
}

/// The ladder of a call, relative to the data directory.
#[must_use]
pub fn text_file(call: CallId) -> String {
    format!("{DIRECTORY}/{call}.txt")
}

/// Writes both; gives the capture's path. A call without a name of its own has no file: it never
/// was one.
pub(super) fn store(data: &Path, call: CallId, trace: &Trace) -> io::Result<PathBuf> {
    // Numbers are in there.
    DirBuilder::new().recursive(true).mode(0o700).create(data.join(DIRECTORY))?;
    let path = data.join(pcap_file(call));
    write(&path, &pcap::file(&trace.messages))?;
    write(&data.join(text_file(call)), ladder::in_full(trace).as_bytes())?;
    Ok(path)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Deletes what is older than `keep`; gives how many files that were.
pub(super) fn clear_old(data: &Path, keep: Duration, now: SystemTime) -> io::Result<usize> {
    let entries = match std::fs::read_dir(data.join(DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut cleared = 0;
    for entry in entries {
        let entry = entry?;
        let ours = entry.path().extension().is_some_and(|kind| kind == "pcap" || kind == "txt");
        let modified = entry.metadata()?.modified()?;
        if ours && now.duration_since(modified).is_ok_and(|age| age > keep) {
            std::fs::remove_file(entry.path())?;
            cleared += 1;
        }
    }
    Ok(cleared)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn trace() -> Trace {
        Trace { sip_call_id: b"a".to_vec(), call: None, messages: Vec::new(), omitted: 0, before_gap: 0 }
    }

    #[test]
    fn only_the_owner_can_read_what_is_kept() {
        let data = tempfile::tempdir().unwrap();
        let path = store(data.path(), CallId::generate(), &trace()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(path.with_extension("txt").exists());
    }

    #[test]
    fn old_traces_are_cleared_and_other_files_are_not() {
        let data = tempfile::tempdir().unwrap();
        store(data.path(), CallId::generate(), &trace()).unwrap();
        std::fs::write(data.path().join(DIRECTORY).join("notes"), "mine").unwrap();
        let (day, now) = (Duration::from_secs(86_400), SystemTime::now());
        assert_eq!(clear_old(data.path(), day, now).unwrap(), 0);
        assert_eq!(clear_old(data.path(), day, now + 2 * day).unwrap(), 2);
        assert_eq!(clear_old(&data.path().join("nowhere"), day, now).unwrap(), 0);
    }
}
