//! The signalling as `offhook trace` shows it, stores it and captures it. Captures are read by
//! tshark.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::rig::{Home, SOON, Service, eventually, sipp};

const HARBOR: &str = "+12025550101";

/// Runs `offhook trace`; gives what it printed.
fn trace(home: &Home, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["trace"].iter().chain(arguments).copied().collect();
    let output = home.command(&all).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "offhook {all:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The SIP that tshark sees in a capture: method or status and Call-ID of each packet.
fn dissected(file: &Path, service: &Service) -> Vec<String> {
    let port = format!("udp.port=={},sip", service.sip.port());
    let output = Command::new("tshark")
        .args(["-r", file.to_str().unwrap(), "-d", &port, "-o", "udp.check_checksum:TRUE", "-T", "fields"])
        .args(["-o", "ip.check_checksum:TRUE", "-e", "sip.Method", "-e", "sip.Status-Code"])
        .args(["-e", "sip.Call-ID", "-e", "udp.checksum.status", "-e", "_ws.malformed"])
        .stderr(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("tshark can't be started ({error}): apt-get install tshark, or run tests/run")
        });
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Methods and statuses, in order.
fn messages(dissected: &[String]) -> Vec<&str> {
    dissected.iter().map(|line| line.split('\t').find(|field| !field.is_empty()).unwrap()).collect()
}

const BASIC: [&str; 6] = ["INVITE", "100", "180", "200", "ACK", "BYE"];

#[test]
fn a_call_that_is_over_is_shown_as_a_ladder_and_as_a_capture() {
    let home = Home::new();
    let service = home.start();
    sipp::call(&service, "basic_call", HARBOR, &[]);
    let call = eventually("the record", SOON, || home.calls().pop().filter(|call| call.ended_at.is_some()));
    let ladder = trace(&home, &[&call.call_id]);
    for shown in ["INVITE SDP", "180 Ringing (INVITE)", "200 OK (INVITE) SDP", "ACK", "BYE", "200 OK (BYE)"] {
        assert!(ladder.contains(shown), "{ladder}");
    }
    assert!(ladder.contains(&call.sip_call_id) && ladder.contains(&service.sip.to_string()), "{ladder}");
    assert_eq!(trace(&home, &[&call.sip_call_id]), ladder, "by its Call-ID too");
    assert!(trace(&home, &[&call.call_id, "--text"]).contains("\nTo: "), "with every message");
    let json: serde_json::Value = serde_json::from_str(&trace(&home, &[&call.call_id, "--json"])).unwrap();
    assert_eq!(json["messages"][0]["method"], "INVITE");
    assert!(trace(&home, &[]).contains(&call.call_id), "in the list");

    let file = home.path().join("call.pcap");
    trace(&home, &[&call.call_id, "--pcap", file.to_str().unwrap()]);
    let dissected = dissected(&file, &service);
    assert_eq!(messages(&dissected), [&BASIC[..], &["200"]].concat());
    for line in &dissected {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields[2], call.sip_call_id, "{line}");
        assert_eq!((fields[3], fields[4]), ("1", ""), "checksum right, nothing malformed: {line}");
    }
    service.stop();
}

#[test]
fn a_call_over_tcp_is_captured_as_datagrams() {
    let home = Home::new();
    let service = home.start();
    sipp::call(&service, "basic_call", HARBOR, &["-t", "t1"]);
    let call = eventually("the record", SOON, || home.calls().pop());
    assert!(trace(&home, &[&call.call_id]).contains(" TCP"));
    let file = home.path().join("call.pcap");
    trace(&home, &[&call.call_id, "--pcap", file.to_str().unwrap()]);
    assert_eq!(messages(&dissected(&file, &service))[..6], BASIC);
    service.stop();
}

#[test]
fn a_trace_is_stored_on_request_and_by_policy() {
    let home = Home::new();
    let config = home.path().join("trace.toml");
    std::fs::write(&config, "[trace]\nstore = \"failed\"\n").unwrap();
    let service = home.start_with(&["--config", config.to_str().unwrap()]);
    sipp::call(&service, "basic_call", HARBOR, &[]);
    let call = eventually("the record", SOON, || home.calls().pop().filter(|call| call.ended_at.is_some()));
    let path = trace(&home, &[&call.call_id, "--store"]);
    assert_eq!(messages(&dissected(Path::new(path.trim()), &service))[..6], BASIC);

    let number = crate::rig::seed::scenario(&home, "disabled.json");
    sipp::call(&service, "disabled_tenant", &number, &[]);
    let refused =
        eventually("both records", SOON, || home.calls().pop().filter(|one| one.call_id != call.call_id));
    let file = refused.trace.clone().unwrap();
    assert_eq!((file.as_str(), call.trace), (format!("traces/{}.pcap", refused.call_id).as_str(), None));
    let path = home.path().join(file);
    eventually("the stored trace", SOON, || path.exists().then_some(()));
    assert_eq!(messages(&dissected(&path, &service)), ["INVITE", "100", "480", "ACK"]);
    service.stop();
    let shown = trace(&home, &[&refused.call_id]);
    assert!(
        shown.contains("480 Temporarily Unavailable"),
        "what was stored is shown without the service: {shown}"
    );
}

#[test]
fn every_call_is_captured_while_somebody_asks_for_it() {
    let home = Home::new();
    let service = home.start();
    let file = home.path().join("all.pcap");
    let capture = ["trace", "--all", "--pcap", file.to_str().unwrap(), "--seconds", "5"];
    let capture = home.command(&capture).spawn().unwrap();
    // The file's header is written once the service has said that it begins.
    eventually("the capture", SOON, || file.metadata().is_ok_and(|file| file.len() >= 24).then_some(()));
    sipp::call(&service, "basic_call", HARBOR, &["-m", "3"]);
    let output = capture.wait_with_output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("21 message(s)"));
    let dissected = dissected(&file, &service);
    assert_eq!(messages(&dissected).iter().filter(|message| **message == "INVITE").count(), 3);
    service.stop();
}

#[test]
fn keys_and_answers_to_challenges_are_masked() {
    let home = Home::new();
    let service = home.start();
    let mut phone = crate::rig::Phone::call(&service, HARBOR);
    let info = "Content-Type: application/dtmf-relay\r\nAuthorization: Digest username=\"u\", response=\"0123abcd\"\r\n";
    phone.request("INFO", info, "Signal=7\r\nDuration=160\r\n");
    phone.response();
    let shown = eventually("the message", SOON, || {
        Some(trace(&home, &[&phone.call_id, "--text"])).filter(|shown| shown.contains("Duration"))
    });
    assert!(shown.contains("Signal=.\nDuration=160") && shown.contains("response=\"........\""), "{shown}");
    service.kill();
}
