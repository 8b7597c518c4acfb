//! A trunk that registers, with SIPp as the registrar.

use crate::rig::ports::free_port;
use crate::rig::service::write;
use crate::rig::{Home, SOON, eventually, root, sipp};

/// What `offhook trunks` says.
fn trunks(home: &Home) -> String {
    let output = home.command(&["trunks"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn registration() {
    let home = Home::new();
    let port = free_port();
    let registrar = sipp::start("uas/registration", port, &["-m", "1"]);
    let example = std::fs::read_to_string(root().join("sipp-scenarios/uas/registration.toml")).unwrap();
    let config = write(&home, "trunk.toml", &example.replace("5070", &port.to_string()));
    let service = home.start_with(&["--config", config.to_str().unwrap()]);

    let shown = eventually("the trunk to be registered", SOON, || {
        Some(trunks(&home)).filter(|shown| shown.contains(" registered"))
    });
    assert!(shown.contains("sipp") && shown.contains("register"), "{shown}");
    // The scenario grants four seconds: it sees the refresh before the goodbye, or fails.
    eventually("a refresh", SOON, || (service.metric("offhook_sip_sent_total") >= 3).then_some(()));
    eventually("its answer", SOON, || trunks(&home).contains(" registered").then_some(()));
    service.stop();
    registrar.succeeds();
}
