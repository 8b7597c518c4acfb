//! A HEP collector that isn't ours: Kamailio's, which Homer itself used to be built on.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use tempfile::TempDir;

use crate::program::{Program, SOON, ports};
use crate::service::Service;

const CONFIG: &str = include_str!("homer.cfg");

#[test]
fn every_message_is_told_to_the_collector() {
    let directory = TempDir::new().unwrap();
    let port = ports();
    let config = CONFIG
        .replace("@PORT@", &port.to_string())
        .replace("@DIRECTORY@", directory.path().to_str().unwrap());
    let path = directory.path().join("homer.cfg");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new("kamailio");
    command.args(["-DD", "-E", "-m", "32", "-M", "4"]).arg("-f").arg(&path).arg("-Y").arg(directory.path());
    let collector = Program::start("kamailio", "kamailio", &mut command);
    collector.line(&["takes packets"], SOON);

    let trace = directory.path().join("trace.toml");
    let settings = format!(
        "[trace]\nhep = \"udp:127.0.0.1:{port}\"\nhep_id = 7\nhep_node = \"node\"\nhep_password = \"myhep\"\n"
    );
    std::fs::write(&trace, settings).unwrap();
    let mut service = Service::start(Some(&trace));
    let phone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ours = phone.local_addr().unwrap();
    let options = format!(
        "OPTIONS sip:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {ours};branch=z9hG4bKhep;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:phone@{ours}>;tag=1\r\nTo: <sip:{sip}>\r\nCall-ID: told@homer\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n",
        sip = service.sip,
    );
    phone.send_to(options.as_bytes(), service.sip).unwrap();
    collector.line(&["told of OPTIONS", &format!("from {ours} call told@homer")], SOON);
    collector.line(&["told of 200 to OPTIONS", &format!("from {} call told@homer", service.sip)], SOON);
    service.stop();
}
