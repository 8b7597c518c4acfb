//! A PostgreSQL cluster of a test's own: in a temporary directory, reached by a socket in it, so
//! that it needs no port and meets no other cluster of the machine. Needs the Debian package
//! `postgresql`; `tests/run` installs it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A cluster; stopped when it is dropped.
pub struct Cluster {
    directory: TempDir,
    databases: AtomicU32,
}

impl Cluster {
    /// Makes one and starts it.
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("offhook-pg-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let cluster = Self { directory, databases: AtomicU32::new(0) };
        let data = cluster.data();
        cluster
            .run("initdb", &["--auth=trust", "--username=test", "--no-sync", "-D", data.to_str().unwrap()]);
        cluster.up();
        cluster
    }

    /// An empty database of its own.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let socket = self.directory.path().to_str().unwrap();
        self.run("createdb", &["--host", socket, "--username=test", &name]);
        format!("postgres://test@localhost/{name}?host={socket}")
    }

    /// Starts the server.
    pub fn up(&self) {
        let data = self.data();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off -c max_connections=60",
            self.directory.path().display()
        );
        let log = self.directory.path().join("log");
        let log = log.to_str().unwrap();
        self.run("pg_ctl", &["-D", data.to_str().unwrap(), "-l", log, "-o", &options, "-w", "start"]);
    }

    /// Ends the server as a crash does: at once, in the middle of what it is at.
    pub fn crash(&self) {
        let data = self.data();
        self.run("pg_ctl", &["-D", data.to_str().unwrap(), "-m", "immediate", "-w", "stop"]);
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.try_run(program, arguments);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn try_run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(binaries().join(program));
        command.args(arguments).current_dir(self.directory.path()).env("LC_ALL", "C.UTF-8");
        // The server refuses to run as the superuser; its child would keep our pipes open.
        as_another(&mut command).stdin(std::process::Stdio::null()).output().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let stop = ["-D", data.to_str().unwrap(), "-m", "immediate", "-w", "stop"];
        let _ = self.try_run("pg_ctl", &stop);
        // The files are another user's.
        let began = Instant::now();
        while data.exists() && began.elapsed() < Duration::from_secs(5) {
            let _ = std::fs::remove_dir_all(&data);
        }
    }
}

/// Where Debian keeps the server's programs: not on the path, since there may be several versions.
fn binaries() -> PathBuf {
    let base = Path::new("/usr/lib/postgresql");
    let mut versions: Vec<PathBuf> = std::fs::read_dir(base)
        .unwrap_or_else(|_| panic!("no PostgreSQL server: apt-get install postgresql"))
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path| path.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| panic!("no PostgreSQL server: apt-get install postgresql"))
}

/// The superuser runs it as `nobody`.
fn as_another(command: &mut Command) -> &mut Command {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    let superuser = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if superuser { command.uid(65_534).gid(65_534) } else { command }
}
