//! SIP over TLS with other people's TLS: OpenSSL's client, Kamailio and baresip.

#[path = "../support/name_server.rs"]
mod name_server;
#[path = "../support/pki.rs"]
mod pki;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::name_server::NameServer;
use self::pki::{Authority, Issued};
use crate::baresip::{Baresip, Phone};
use crate::kamailio::{AUTH_USER, Kamailio, NUMBER, PASSWORD, REALM, Secure, Terms, USER};
use crate::program::{Mark, SOON};
use crate::service::Service;

struct Site {
    directory: TempDir,
    authority: Authority,
    service: Service,
    sips: SocketAddr,
}

/// A service with certificates for `a.test` and `b.test`, and what else is in `[service]`.
fn site(more: &str, trunks: &str) -> Site {
    let directory = TempDir::new().unwrap();
    let authority = Authority::new(directory.path(), "authority");
    authority.issue("a", &["a.test", "127.0.0.1"]);
    authority.issue("b", &["b.test"]);
    let config = directory.path().join("offhook.toml");
    let text = format!(
        "[service]\nsips = '127.0.0.1:0'\ntls_certificate = ['a.crt', 'b.crt']\ntls_key = ['a.key', 'b.key']\n\
         {more}\n{trunks}"
    );
    std::fs::write(&config, text).unwrap();
    let service = Service::start(Some(&config));
    let line = service.program.line(&["  SIPS  "], SOON);
    let sips = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    Site { directory, authority, service, sips }
}

impl Site {
    /// Runs OpenSSL's client, which sends OPTIONS; gives what it printed once `until` was in it
    /// or it had ended.
    fn openssl(&self, arguments: &[&str], until: &str) -> String {
        static ASKED: AtomicU16 = AtomicU16::new(0);
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let options = format!(
            "OPTIONS sip:{NUMBER}@a.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@a.test>;tag=1\r\nTo: <sip:b@a.test>\r\nCall-ID: {number}\r\n\
             CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        );
        let mut child = Command::new("openssl")
            .args(["s_client", "-ign_eof", "-connect", &self.sips.to_string()])
            .args(["-verify_return_error", "-CAfile"])
            .arg(&self.authority.file)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("openssl: {error}; `apt-get install openssl`"));
        let mut stdin = child.stdin.take().unwrap();
        // It may have ended already, refused.
        let _ = stdin.write_all(options.as_bytes());
        let (sender, pieces) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let streams: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for mut stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    let _ = sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
                }
            });
        }
        drop(sender);
        let (mut printed, deadline) = (String::new(), Instant::now() + SOON);
        while !printed.contains(until) {
            match pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => printed.push_str(&piece),
                Err(_) => break,
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        printed
    }

    fn is_answered(&self, arguments: &[&str]) -> bool {
        self.openssl(arguments, "SIP/2.0 200").contains("SIP/2.0 200")
    }
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[test]
fn openssl_is_answered_under_the_name_it_asks_for() {
    let site = site("", "");
    for name in ["a.test", "b.test"] {
        assert!(site.is_answered(&["-servername", name, "-verify_hostname", name]), "{name}");
    }
    assert!(site.is_answered(&["-noservername", "-verify_ip", "127.0.0.1"]), "the first for the others");
    assert!(site.is_answered(&["-servername", "c.test", "-verify_hostname", "a.test"]));
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(site.is_answered(&[version]), "{version}");
    }
    let old = site.openssl(&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "SIP/2.0 200");
    assert!(old.contains("no peer certificate available") && !old.contains("SIP/2.0 200"), "{old}");
}

#[test]
fn openssl_resumes_its_session() {
    let site = site("", "");
    let session = site.directory.path().join("session");
    for version in ["-tls1_2", "-tls1_3"] {
        let first = site.openssl(&[version, "-sess_out", path(&session)], "SIP/2.0 200");
        assert!(first.contains("New, TLSv1"), "{first}");
        let second = site.openssl(&[version, "-sess_in", path(&session)], "SIP/2.0 200");
        assert!(second.contains("Reused, TLSv1") && second.contains("SIP/2.0 200"), "{second}");
    }
}

#[test]
fn openssl_without_a_certificate_stays_out_where_one_is_required() {
    let site = site("tls_client_ca = 'authority.pem'", "");
    let client = site.authority.issue("client", &["client.test"]);
    let other = Authority::new(site.directory.path(), "other").issue("stranger", &["client.test"]);
    let with = |issued: &Issued| {
        let (certificate, key) = (path(&issued.certificate).to_owned(), path(&issued.key).to_owned());
        site.is_answered(&["-cert", &certificate, "-key", &key])
    };
    assert!(with(&client));
    assert!(!site.is_answered(&[]));
    assert!(!with(&other));
}

#[test]
fn a_new_certificate_is_shown_after_sighup() {
    let site = site("", "");
    site.authority.issue("b", &["c.test"]);
    assert!(!site.is_answered(&["-servername", "c.test", "-verify_hostname", "c.test"]));
    let mark = site.service.program.mark();
    site.service.program.signal(libc::SIGHUP);
    site.service.program.line_after(mark, &["were read again"], SOON);
    assert!(site.is_answered(&["-servername", "c.test", "-verify_hostname", "c.test"]));
}

/// A trunk whose domain leads, by NAPTR and SRV, to a registrar that shows and wants certificates.
/// It then sends a call over a connection of its own.
#[test]
fn a_trunk_registers_with_kamailio_over_tls_and_is_called() {
    let directory = TempDir::new().unwrap();
    let authority = Authority::new(directory.path(), "authority");
    // Its name is that of the domain, not that of the server which the records lead to.
    let theirs = authority.issue("theirs", &["carrier.test"]);
    let ours = authority.issue("ours", &["offhook.test"]);
    let secure = Secure { authority: authority.file.clone(), issued: (theirs.certificate, theirs.key) };
    let carrier = Kamailio::start(&Terms { granted: 60, secure: Some(secure), ..Terms::default() });
    let dns = NameServer::start();
    dns.naptr("carrier.test", 10, "SIPS+D2T", "_sips._tcp.carrier.test")
        .naptr("carrier.test", 20, "SIP+D2U", "_sip._udp.carrier.test")
        // The first is out of service: nobody listens on port 9.
        .srv("_sips._tcp.carrier.test", 10, 0, 9, "sbc1.carrier.test")
        .srv("_sips._tcp.carrier.test", 20, 0, carrier.secure_port(), "sbc1.carrier.test")
        .host("sbc1.carrier.test", "127.0.0.1");
    let config = directory.path().join("offhook.toml");
    let text = format!(
        "[service]\nsips = '127.0.0.1:0'\ntls_certificate = 'ours.crt'\ntls_key = 'ours.key'\n\
         tls_client_ca = 'authority.pem'\ndns_servers = ['{}']\n\
         [[trunk]]\nname = 'carrier'\nmode = 'register'\nregistrar = 'carrier.test'\ntransport = 'auto'\n\
         username = '{USER}'\nauth_username = '{AUTH_USER}'\npassword = '{PASSWORD}'\nrealm = '{REALM}'\n\
         tls_ca = 'authority.pem'\ntls_client_certificate = 'ours.crt'\ntls_client_key = 'ours.key'\n",
        dns.address(),
    );
    std::fs::write(&config, text).unwrap();
    let _ = ours;
    let mut service = Service::start(Some(&config));
    let sips: SocketAddr =
        service.program.line(&["  SIPS  "], SOON).split_whitespace().nth(1).unwrap().parse().unwrap();
    service.phase_after(Mark::default(), "registered", SOON);
    carrier.program.line(&["got REGISTER", "from tls:"], SOON);

    let proxy = carrier.address;
    let (proxied, interface) = (Some(proxy), Some("127.0.0.1"));
    let mut phone = Baresip::start(&Phone { proxy: proxied, interface, ..Phone::default() });
    phone.call(&format!("sip:{NUMBER}@{proxy}"));
    carrier.program.line(&["sends INVITE on", &format!("@{sips};transport=tls")], SOON);
    carrier.program.line(&["within the call: ACK", &sips.to_string()], SOON);
    phone.hang_up();
    carrier.program.line(&["within the call: BYE", &sips.to_string()], SOON);
    service.stop();
    let call = &service.calls()[0];
    assert_eq!((&call["trunk"], &call["status"]), (&"carrier".into(), &"completed".into()), "{call}");
}

#[test]
fn a_registrar_whose_certificate_is_another_s_is_told_nothing() {
    let directory = TempDir::new().unwrap();
    let authority = Authority::new(directory.path(), "authority");
    let theirs = authority.issue("theirs", &["elsewhere.test"]);
    let secure = Secure { authority: authority.file.clone(), issued: (theirs.certificate, theirs.key) };
    let carrier = Kamailio::start(&Terms { secure: Some(secure), ..Terms::default() });
    let config = directory.path().join("offhook.toml");
    let text = format!(
        "[[trunk]]\nname = 'carrier'\nmode = 'register'\nregistrar = '127.0.0.1:{}'\ntransport = 'tls'\n\
         username = '{USER}'\npassword = '{PASSWORD}'\ntls_ca = 'authority.pem'\n",
        carrier.secure_port(),
    );
    std::fs::write(&config, text).unwrap();
    let service = Service::start(Some(&config));
    service.phase_after(Mark::default(), "failed", SOON);
    service.program.line(&["no connection", "elsewhere.test"], SOON);
    assert_eq!(carrier.program.lines(Mark::default(), &["got REGISTER"]), [""; 0]);
}

#[test]
fn baresip_calls_over_tls() {
    let mut site = site("demo_trunk = true", "");
    let authority = Some(site.authority.file.as_path());
    let says = Duration::from_secs(3);
    let mut phone = Baresip::start(&Phone { transport: "tls", authority, says, ..Phone::default() });
    phone.call(&format!("sip:{NUMBER}@{};transport=tls", site.sips));
    phone.call_ended(says + SOON);
    site.service.stop();
    let call = &site.service.calls()[0];
    assert_eq!((&call["status"], &call["end_side"]), (&"completed".into(), &"caller".into()), "{call}");
}
