//! The configuration is loaded anew while calls are up.

use std::net::Ipv4Addr;

use crate::rig::service::write;
use crate::rig::{Home, Phone, SOON, Signal, eventually};

const HARBOR: &str = "+12025550101";
const OLD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const NEW: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 10);

fn open(source: Ipv4Addr) -> String {
    format!("[[trunk]]\nname = \"office\"\nmode = \"open\"\nsources = [\"{source}\"]\n")
}

fn reload(home: &Home) -> (bool, String) {
    let output = home.command(&["reload"]).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_reload_changes_what_can_be_changed_and_a_bad_one_nothing() {
    let home = Home::new();
    let config = write(&home, "offhook.toml", &open(OLD));
    let service = home.start_with(&["--config", config.to_str().unwrap()]);
    let mut running = Phone::from(OLD, service.sip);
    assert_eq!(running.dial(HARBOR).status(), Some(200));

    // A mistake: everything stays, and it is said where it is.
    write(&home, "offhook.toml", &open(OLD).replace("sources", "source"));
    let (good, told) = reload(&home);
    assert!(!good && told.contains("offhook.toml:") && told.contains("did you mean `sources`?"), "{told}");
    assert_eq!(Phone::from(OLD, service.sip).dial(HARBOR).status(), Some(200));

    // Another source, other limits, and a key that only a start reads.
    let text = format!("[service]\ndrain_seconds = 1\n[defence]\nprobes_per_minute = 1\n{}", open(NEW));
    write(&home, "offhook.toml", &text);
    service.signal(Signal::HangUp);
    service.wait_for_log("configuration loaded");
    let log = service.log();
    let line = log.lines().find(|line| line.contains("configuration loaded")).unwrap();
    for part in ["[defence]", "trunk office changed", "drain_seconds"] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(Phone::from(NEW, service.sip).dial(HARBOR).status(), Some(200));
    let mut stranger = Phone::from(OLD, service.sip);
    stranger.invite(HARBOR);
    eventually("silence for the old source", SOON, || {
        (service.metric("offhook_defence_dropped_total{reason=\"unlisted\"}") > 0).then_some(())
    });
    assert!(stranger.anything().is_none());

    // The call that was up goes on, and can be ended.
    running.hang_up();
    let (good, told) = reload(&home);
    assert!(good && told.contains("Changed, and counting from the next start on: drain_seconds"), "{told}");
    service.kill();
}
