//! Kamailio, as the carrier that a trunk registers with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::program::{Program, SOON, ports};

const CONFIG: &str = include_str!("kamailio.cfg");
/// The trunks that ship as an example.
const EXAMPLE: &str = include_str!("../../config/trunk-example.toml");

/// The number that leads to the account.
pub const NUMBER: &str = "+12025550101";
/// The number of the person whom callers are handed to.
pub const PERSON: &str = "+12025550112";
pub const PASSWORD: &str = "correct horse";
/// The names that config/trunk-example.toml has.
pub const USER: &str = "33123456789";
pub const AUTH_USER: &str = "33123456789-auth";
pub const REALM: &str = "sip.example.com";

/// A registrar and proxy of one account.
pub struct Kamailio {
    pub program: Program,
    /// Where it takes requests.
    pub address: SocketAddr,
    directory: TempDir,
    namespace: Option<String>,
}

/// How it behaves.
pub struct Terms {
    /// `MD5` or `SHA-256`.
    pub algorithm: &'static str,
    /// Seconds of registration that it grants.
    pub granted: u32,
    /// Where [`PERSON`] is reached.
    pub person: String,
    /// TLS, on the port after the other one.
    pub secure: Option<Secure>,
}

/// What it shows under TLS, and whose certificates it takes; without one nobody is let in.
pub struct Secure {
    pub authority: PathBuf,
    /// Certificate and key.
    pub issued: (PathBuf, PathBuf),
}

impl Default for Terms {
    fn default() -> Self {
        Self { algorithm: "MD5", granted: 4, person: "sip:nobody@127.0.0.1:9".to_owned(), secure: None }
    }
}

impl Kamailio {
    pub fn start(terms: &Terms) -> Self {
        Self::start_at(terms, None)
    }

    /// Starts it in a network namespace, at its address there.
    pub fn start_at(terms: &Terms, at: Option<(&str, Ipv4Addr)>) -> Self {
        let address = at.map_or(Ipv4Addr::LOCALHOST, |(_, address)| address);
        let namespace = at.map(|(namespace, _)| namespace.to_owned());
        let directory = TempDir::new().unwrap();
        let port = ports();
        let config = CONFIG
            .replace("@ADDRESS@", &address.to_string())
            .replace("@PORT@", &port.to_string())
            .replace("@CONTROL@", directory.path().join("control").to_str().unwrap())
            .replace("@GRANTED@", &terms.granted.to_string())
            .replace("@ALGORITHM@", terms.algorithm)
            .replace("@NUMBER@", NUMBER)
            .replace("@USER@", USER)
            .replace("@PERSON@", PERSON)
            .replace("@PERSON_AT@", &terms.person)
            .replace("@REALM@", REALM)
            .replace("@PASSWORD@", PASSWORD)
            .replace("@AUTH_USER@", AUTH_USER)
            .replace(
                "#@TLS@",
                &terms.secure.as_ref().map_or_else(String::new, |secure| tls(secure, port + 1)),
            );
        std::fs::write(directory.path().join("kamailio.cfg"), config).unwrap();
        let program = run(directory.path(), namespace.as_deref());
        Self { program, address: SocketAddr::from((address, port)), directory, namespace }
    }

    /// Where it takes TLS.
    pub fn secure_port(&self) -> u16 {
        self.address.port() + 1
    }

    /// Starts it again after [`Program::kill`], on the same port, with nothing remembered.
    pub fn start_again(&mut self) {
        self.program = run(self.directory.path(), self.namespace.as_deref());
    }

    /// The addresses that are bound to the account.
    pub fn bindings(&self) -> Vec<String> {
        let control = format!("unixs:{}", self.directory.path().join("control").display());
        let output = Command::new("kamcmd").args(["-s", &control, "ul.dump"]).output().unwrap();
        let (text, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kamcmd: {text}{error}");
        text.lines().filter_map(|line| line.trim().strip_prefix("Address: ")).map(str::to_owned).collect()
    }

    /// A configuration of the service: the registering trunk of config/trunk-example.toml, with
    /// this carrier's values in it. Gives the file's path.
    pub fn trunk(&self, transport: &str, password: &str) -> PathBuf {
        let (_, first) = EXAMPLE.split_once("[[trunk]]").unwrap();
        let (first, _) = first.split_once("[[trunk]]").unwrap();
        let mut text = format!("[[trunk]]{first}");
        let address = self.address;
        for (example, ours) in [
            ("registrar = \"sip.example.com\"", format!("registrar = \"{address}\"")),
            ("outbound_proxy = \"proxy.example.com:5060\"", String::new()),
            ("transport = \"udp\"", format!("transport = \"{transport}\"")),
            ("sources = [\"192.0.2.0/24\", \"2001:db8::/32\"]", String::new()),
        ] {
            assert!(text.contains(example), "config/trunk-example.toml has no {example:?} any more");
            text = text.replace(example, &ours);
        }
        std::fs::write(self.directory.path().join("carrier.password"), format!("{password}\n")).unwrap();
        let path = self.directory.path().join("offhook.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn tls(secure: &Secure, port: u16) -> String {
    let (certificate, key) = &secure.issued;
    format!(
        "enable_tls=yes\nlisten=tls:127.0.0.1:{port}\nloadmodule \"tls.so\"\n\
         modparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
         modparam(\"tls\", \"certificate\", \"{}\")\nmodparam(\"tls\", \"private_key\", \"{}\")\n\
         modparam(\"tls\", \"ca_list\", \"{}\")\nmodparam(\"tls\", \"verify_certificate\", 1)\n\
         modparam(\"tls\", \"require_certificate\", 1)\n",
        certificate.display(),
        key.display(),
        secure.authority.display(),
    )
}

fn run(directory: &Path, namespace: Option<&str>) -> Program {
    let mut command = crate::program::command("kamailio", namespace);
    // In the foreground, to stderr, with little memory.
    command.args(["-DD", "-E", "-m", "32", "-M", "4"]);
    command.arg("-f").arg(directory.join("kamailio.cfg")).arg("-Y").arg(directory);
    let program = Program::start("kamailio", "kamailio", &mut command);
    program.line(&["takes requests"], SOON);
    program
}
