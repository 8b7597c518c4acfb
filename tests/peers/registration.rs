//! A trunk of the shipped example registers with a real registrar, and keeps at it.

use std::time::{Duration, Instant};

use crate::kamailio::{Kamailio, PASSWORD, Terms};
use crate::program::{Mark, SOON};
use crate::service::Service;

/// From its return until we are registered again (robustness: a registrar's outage).
const BACK: Duration = Duration::from_secs(10);

fn registers_refreshes_and_leaves(algorithm: &'static str, transport: &str) {
    let registrar = Kamailio::start(&Terms { algorithm, ..Terms::default() });
    let mut service = Service::start(Some(&registrar.trunk(transport, PASSWORD)));
    service.phase_after(Mark::default(), "registered", SOON);
    let trunk = service.trunk("carrier");
    assert_eq!((&trunk["state"], &trunk["mode"]), (&"registered".into(), &"register".into()), "{trunk}");
    assert!(trunk["detail"].as_str().unwrap().starts_with("until "), "{trunk}");
    assert_eq!(registrar.bindings().len(), 1);

    // Half-way through the four seconds that are granted, with the same nonce.
    let first = registrar.program.line(&["got REGISTER", "nc=00000001"], SOON);
    let refresh = registrar.program.line(&["got REGISTER", "nc=00000002"], SOON);
    assert!(first.contains(&format!("algorithm={algorithm}")) && first.contains(transport), "{first}");
    let nonce = |line: &str| line.split("nonce=").nth(1).unwrap().split('"').nth(1).unwrap().to_owned();
    assert_eq!(nonce(&first), nonce(&refresh));
    registrar.program.line(&["got REGISTER", "nc=00000003"], SOON);
    assert_eq!(registrar.bindings().len(), 1, "a refresh replaces the binding");

    let mark = registrar.program.mark();
    service.stop();
    registrar.program.line_after(mark, &["got REGISTER", "expires=0"], SOON);
    registrar.program.line_after(mark, &["saved"], SOON);
    assert!(registrar.bindings().is_empty(), "un-registered: {:?}", registrar.bindings());
}

#[test]
fn registers_with_md5_over_udp_refreshes_and_leaves() {
    registers_refreshes_and_leaves("MD5", "udp");
}

#[test]
fn registers_with_sha_256_over_tcp_refreshes_and_leaves() {
    registers_refreshes_and_leaves("SHA-256", "tcp");
}

#[test]
fn a_wrong_password_is_told_and_not_tried_again() {
    let registrar = Kamailio::start(&Terms::default());
    let service = Service::start(Some(&registrar.trunk("udp", "wrong")));
    service.phase_after(Mark::default(), "failed", SOON);
    let trunk = service.trunk("carrier");
    assert_eq!(trunk["state"], "failed", "{trunk}");
    assert_eq!(trunk["detail"], "the registrar refused user name or password", "{trunk}");
    // Registrars lock accounts that keep guessing.
    let third = Duration::from_secs(3);
    let guesses = registrar.program.lines(Mark::default(), &["got REGISTER", "response="]);
    assert_eq!(guesses.len(), 1);
    let after = registrar.program.mark();
    assert_eq!(registrar.program.line_within(after, &["got REGISTER"], third), None);
    assert!(registrar.bindings().is_empty());
}

/// The registrar dies, is away until the trunk has lost its binding, and comes back.
fn outlives_the_registrar(transport: &str, away: &str) {
    let mut registrar = Kamailio::start(&Terms::default());
    let service = Service::start(Some(&registrar.trunk(transport, PASSWORD)));
    service.phase_after(Mark::default(), "registered", SOON);
    let mark = service.program.mark();
    registrar.program.kill();
    service.phase_after(mark, away, SOON);
    let trunk = service.trunk("carrier");
    assert_ne!(trunk["state"], "registered", "{trunk}");

    let mark = service.program.mark();
    let back = Instant::now();
    registrar.start_again();
    service.phase_after(mark, "registered", BACK);
    println!(
        "{transport}: registered again {:.1} s after the registrar's return",
        back.elapsed().as_secs_f32()
    );
    assert_eq!(service.trunk("carrier")["state"], "registered");
    assert_eq!(registrar.bindings().len(), 1);
    let sent = registrar.program.lines(Mark::default(), &["got REGISTER"]).len();
    assert!(sent <= 6, "{sent} REGISTER within {:?}", back.elapsed());
}

#[test]
fn a_registrar_that_refuses_connections_is_found_again_when_it_returns() {
    outlives_the_registrar("tcp", "failed");
}

#[test]
fn a_silent_registrar_is_found_again_when_it_returns() {
    // Its binding has run out while the refresh was still waiting for an answer.
    outlives_the_registrar("udp", "registering");
}

#[test]
fn a_dead_registrar_does_not_hold_up_the_end() {
    let mut registrar = Kamailio::start(&Terms::default());
    let mut service = Service::start(Some(&registrar.trunk("udp", PASSWORD)));
    service.phase_after(Mark::default(), "registered", SOON);
    let mark = service.program.mark();
    registrar.program.kill();
    service.phase_after(mark, "refreshing", SOON);
    let told = Instant::now();
    service.stop();
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
}
