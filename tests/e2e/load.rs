//! `offhook load` against the service, and against ports where no service is.

use std::net::UdpSocket;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Home, SOON, Service, Signal, eventually};

const HARBOR: &str = "+12025550101";

fn load(home: &Home, target: &str, flags: &[&str]) -> Output {
    home.command(&[&["load", target, "--json"], flags].concat()).output().unwrap()
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr));
    })
}

fn target(service: &Service, number: &str) -> String {
    format!("sip:{number}@{}", service.sip)
}

#[test]
fn twenty_calls_hear_every_packet_and_end_in_order() {
    for sockets in ["shared", "call"] {
        let home = Home::new();
        let service = home.start();
        let flags = ["--calls", "20", "--rate", "20", "--seconds", "3", "--sockets", sockets];
        let output = load(&home, &target(&service, HARBOR), &flags);
        let report = report(&output);
        assert!(output.status.success(), "{report:#}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(report["calls"]["ends"], serde_json::json!({"completed": 20}), "{report:#}");
        let rtp = &report["rtp"];
        assert_eq!((rtp["lost"].as_u64(), rtp["silent_calls"].as_u64()), (Some(0), Some(0)), "{report:#}");
        assert_eq!(
            (rtp["unknown_source"].as_u64(), rtp["unsent"].as_u64()),
            (Some(0), Some(0)),
            "{report:#}"
        );
        // 150 packets each way in a call of 3 s, less what a busy machine doesn't get to.
        for way in ["sent", "received"] {
            assert!(rtp[way].as_u64() > Some(20 * 120), "{way}: {report:#}");
        }
        assert_eq!(report["invite_to_200_ms"]["count"], 20);
        assert_eq!(rtp["answer_to_first_packet_ms"]["count"], 20);
        assert!(rtp["round_trip_ms"].is_null(), "an agent is no echo: {report:#}");
        service.stop();
        let calls = home.calls();
        assert_eq!(calls.len(), 20);
        for call in calls {
            assert_eq!(call.end(), ("completed", "caller", "caller_hangup"));
            let media = call.media.unwrap();
            assert!(media.packets_received > 120, "{media:?}");
        }
    }
}

#[test]
fn calls_without_media_are_counted_and_timed() {
    let home = Home::new();
    let service = home.start();
    let flags = ["--calls", "50", "--rate", "100", "--rate-only"];
    let output = load(&home, &target(&service, HARBOR), &flags);
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["calls"]["ends"], serde_json::json!({"completed": 50}), "{report:#}");
    assert!(report["rtp"].is_null());
    for time in ["invite_to_200_ms", "bye_to_200_ms", "invite_to_first_response_ms"] {
        assert_eq!(report[time]["count"], 50, "{time}");
    }
    service.stop();
}

#[test]
fn a_number_that_nobody_has_is_refused_and_the_run_fails() {
    let home = Home::new();
    let service = home.start();
    let output = load(&home, &target(&service, "+33199000099"), &["--calls", "5", "--rate", "50"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["calls"]["ends"], serde_json::json!({"refused_404": 5}), "{report:#}");
    assert_eq!(report["success"], false);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("5 call(s) were refused with 404"), "{told}");
    service.stop();
}

#[test]
fn a_port_where_nobody_listens_is_told_from_one_that_is_silent() {
    let home = Home::new();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let target = format!("sip:+33199000001@{address}");
    let flags = ["--calls", "3", "--rate", "50", "--timeout", "1"];
    let output = load(&home, &target, &flags);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report(&output)["calls"]["ends"], serde_json::json!({"timed_out": 3}));
    drop(silent);
    let output = load(&home, &target, &flags);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report(&output)["calls"]["ends"], serde_json::json!({"unreachable": 3}));
}

#[test]
fn ctrl_c_ends_the_calls_with_bye() {
    let home = Home::new();
    let service = home.start();
    let mut command = home.command(&["load", &target(&service, HARBOR), "--json"]);
    let child = command.args(["--calls", "5", "--rate", "50", "--seconds", "600"]).spawn().unwrap();
    service.wait_for_metric("offhook_calls", 5);
    // It has heard of the answers a moment later than the service has given them.
    eventually("audio", SOON, || (service.metric("offhook_rtp_received_total") > 100).then_some(()));
    let asked = Instant::now();
    Signal::Interrupt.send(child.id());
    let output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(3));
    let report = report(&output);
    assert_eq!(report["calls"]["ends"], serde_json::json!({"stopped": 5}), "{report:#}");
    assert_eq!((report["stopped"].as_bool(), output.status.code()), (Some(true), Some(0)));
    service.wait_for_metric("offhook_calls", 0);
    service.stop();
    assert!(home.calls().iter().all(|call| call.end() == ("completed", "caller", "caller_hangup")));
}

#[test]
fn what_is_no_target_is_said_at_once() {
    let home = Home::new();
    for (target, word) in [
        ("sips:+33199000001@127.0.0.1", "over UDP"),
        ("sip:+33199000001@127.0.0.1;transport=tcp", "over UDP"),
        ("tel:+33199000001", "over UDP"),
    ] {
        let output = load(&home, target, &[]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(word), "{target}: {told}");
    }
    assert_eq!(load(&home, "bob", &[]).status.code(), Some(2));
}
