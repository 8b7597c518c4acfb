//! Calls of ours, with SIPp as the other side of the trunk.

use crate::rig::ports::free_port;
use crate::rig::service::write;
use crate::rig::sipp::Sipp;
use crate::rig::{Home, Record, SOON, Service, eventually, root, seed, sipp};

const TENANT: &str = "scenario-calling-out";
const NUMBER: &str = "+33199000010";

/// A service with a tenant that may call, and a trunk to a telephone that SIPp plays.
struct Line {
    home: Home,
    service: Service,
    telephone: Sipp,
}

impl Line {
    fn to(scenario: &str) -> Self {
        let home = Home::new();
        seed::scenario(&home, "calling-out.json");
        let port = free_port();
        let telephone = sipp::start(&format!("uas/{scenario}"), port, &["-m", "1"]);
        let example = std::fs::read_to_string(root().join("sipp-scenarios/uas/outbound.toml")).unwrap();
        let config = write(&home, "trunk.toml", &example.replace("5070", &port.to_string()));
        let service = home.start_with(&["--config", config.to_str().unwrap()]);
        Self { home, service, telephone }
    }

    /// Has a call made and waits for both sides to be done with it.
    fn call(self, flags: &[&str]) -> Record {
        let (home, service, telephone) = (self.home, self.service, self.telephone);
        let made = call(&home, NUMBER, flags).unwrap();
        telephone.succeeds();
        let record = eventually("the end of the call", SOON, || {
            home.calls().into_iter().find(|record| record.ended_at.is_some())
        });
        assert_eq!(made["call_id"], record.call_id.as_str());
        assert_eq!(
            (made["sip_call_id"].as_str(), made["status"].as_str()),
            (Some(&*record.sip_call_id), Some("in_progress"))
        );
        assert_eq!((record.direction.as_str(), record.trunk.as_deref()), ("outbound", Some("sipp")));
        assert_eq!(record.to.number.as_deref(), Some(NUMBER));
        assert_eq!(record.from.number.as_deref(), Some("+33199000093"));
        service.stop();
        record
    }
}

/// `offhook call`; what it printed, or what it complained of.
fn call(home: &Home, number: &str, flags: &[&str]) -> Result<serde_json::Value, String> {
    let arguments = [&["call", number, "--tenant", TENANT, "--json"], flags].concat();
    let output = home.command(&arguments).output().unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn answer() {
    let record = Line::to("answer").call(&[]);
    assert_eq!((record.end(), record.sip_status), (("completed", "caller", "caller_hangup"), Some(200)));
    let duration = record.duration_ms.unwrap();
    assert!((2_500..6_000).contains(&duration), "{duration} ms");
    let media = record.media.unwrap();
    assert!(media.packets_received > 100 && media.packets_sent > 100, "{media:?}");
}

#[test]
fn early_media_is_taken_in_and_is_no_answer() {
    let record = Line::to("early_media").call(&[]);
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
    let duration = record.duration_ms.unwrap();
    assert!((2_500..4_500).contains(&duration), "{duration} ms, counted from the answer");
    let media = record.media.unwrap();
    assert!(media.packets_received > 200, "what was played before the answer too: {media:?}");
}

#[test]
fn busy() {
    let record = Line::to("busy").call(&[]);
    assert_eq!((record.end(), record.sip_status), (("missed", "caller", "busy"), Some(486)));
    assert_eq!((record.answered_at, record.duration_ms), (None, Some(0)));
}

#[test]
fn declined() {
    let record = Line::to("declined").call(&[]);
    assert_eq!((record.end(), record.sip_status), (("rejected", "caller", "declined"), Some(603)));
}

#[test]
fn no_answer() {
    let record = Line::to("no_answer").call(&["--ring", "2"]);
    assert_eq!((record.end(), record.sip_status), (("missed", "us", "no_answer"), Some(487)));
}

#[test]
fn challenge() {
    let record = Line::to("challenge").call(&["--trunk", "sipp"]);
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
}

#[test]
fn redirect() {
    let record = Line::to("redirect").call(&[]);
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
}

#[test]
fn a_telephone_that_nobody_plays_is_unreachable() {
    let home = Home::new();
    seed::scenario(&home, "calling-out.json");
    let example = std::fs::read_to_string(root().join("sipp-scenarios/uas/outbound.toml")).unwrap();
    let config = write(&home, "trunk.toml", &example.replace("5070", &free_port().to_string()));
    let service = home.start_with(&["--config", config.to_str().unwrap()]);
    call(&home, NUMBER, &["--ring", "2"]).unwrap();
    let record = eventually("the end of the call", SOON, || {
        home.calls().into_iter().find(|record| record.ended_at.is_some())
    });
    assert_eq!(record.end(), ("failed", "network", "unreachable"));
    service.kill();
}

#[test]
fn what_may_not_be_called_is_not() {
    let line = Line::to("no_answer");
    let refused = |number: &str, flags: &[&str], why: &str| {
        let said = call(&line.home, number, flags).unwrap_err();
        assert!(said.contains(why), "{number} {flags:?}: {said}");
    };
    refused("112", &[], "never called");
    refused("+33112", &[], "never called");
    refused("+12025550101", &[], "outbound_allowed_prefixes");
    refused("bob", &[], "no telephone number");
    refused(NUMBER, &["--trunk", "other"], "there is no trunk other");
    assert_eq!(line.service.metric("offhook_sip_sent_total"), 0, "nothing was sent");

    // Two at once are as many as the tenant may, and a key makes one call.
    let first = call(&line.home, NUMBER, &["--idempotency-key", "a"]).unwrap();
    assert_eq!(call(&line.home, NUMBER, &["--idempotency-key", "a"]).unwrap(), first);
    call(&line.home, NUMBER, &["--idempotency-key", "b"]).unwrap();
    refused(NUMBER, &[], "limit of concurrent calls");
    line.service.kill();
}

#[test]
fn a_service_that_stops_takes_its_own_calls_back() {
    let line = Line::to("no_answer");
    call(&line.home, NUMBER, &[]).unwrap();
    line.service.wait_for_metric("offhook_calls", 1);
    eventually("it to ring", SOON, || (line.service.metric("offhook_sip_received_total") >= 1).then_some(()));
    line.service.signal(crate::rig::Signal::Terminate);
    line.service.wait_for_log("stopping");
    line.service.signal(crate::rig::Signal::Terminate);
    line.telephone.succeeds();
    let mut service = line.service;
    assert!(service.ended(SOON).success());
    assert_eq!(line.home.only_call().end(), ("cancelled", "us", "drained"));
}

/// One service calls another: what each has on record of the call.
fn between(ours: &str, theirs: &str) -> (Record, Option<Record>) {
    let (home, far) = (Home::new(), Home::new());
    seed::scenario(&home, "calling-out.json");
    let trunk =
        format!("[[trunk]]\nname = \"t\"\nmode = \"open\"\nsources = [\"127.0.0.1\"]\nsrtp = \"{theirs}\"\n");
    let drain = ["--drain", "1", "--config"];
    let start = |home: &Home, trunk: &str| {
        let config = write(home, "trunk.toml", trunk);
        home.start_with(&[&drain[..], &[config.to_str().unwrap()]].concat())
    };
    let other = start(&far, &trunk);
    let trunk = format!(
        "[[trunk]]\nname = \"t\"\nmode = \"peer\"\npeer = \"{}\"\noptions_ping_seconds = 0\nsrtp = \"{ours}\"\n",
        other.sip
    );
    let service = start(&home, &trunk);
    // The French demo tenant of the other one; its agent and ours talk to each other.
    call(&home, "+33199000001", &[]).unwrap();
    let up = || far.calls().into_iter().find(|call| call.answered_at.is_some());
    let ended = || home.calls().into_iter().find(|call| call.ended_at.is_some());
    let answered =
        eventually("an answer, or none", SOON, || up().is_some().then_some(true).or(ended().map(|_| false)));
    if answered {
        let received = |one: &Service| one.metric("offhook_rtp_received_total");
        let both = || (received(&service) > 60 && received(&other) > 60).then_some(());
        eventually("audio both ways", SOON, both);
    }
    service.stop();
    other.stop();
    (home.only_call(), far.calls().pop().filter(|_| answered))
}

#[test]
fn calls_out_are_encrypted_as_the_trunk_says() {
    for (ours, theirs) in
        [("require", "require"), ("require", "offer"), ("offer", "offer"), ("offer", "require")]
    {
        let (called, taken) = between(ours, theirs);
        let taken = taken.unwrap_or_else(|| panic!("{ours} to {theirs}: {called:?}"));
        for side in [&called, &taken] {
            let media = side.media.as_ref().unwrap();
            assert_eq!(media.srtp.as_deref(), Some("AEAD_AES_256_GCM"), "{ours} to {theirs}: {side:?}");
            assert!(
                media.packets_received > 50 && media.packets_refused == 0,
                "{ours} to {theirs}: {media:?}"
            );
        }
    }
}

#[test]
fn calls_out_go_in_the_clear_only_where_both_sides_may() {
    let (called, taken) = between("offer", "off");
    let media = called.media.unwrap();
    assert!(media.srtp.is_none() && media.packets_received > 50, "{media:?}");
    assert!(taken.unwrap().media.unwrap().srtp.is_none());
    for (ours, theirs) in [("require", "off"), ("off", "require")] {
        let (called, taken) = between(ours, theirs);
        assert!(taken.is_none() && called.answered_at.is_none(), "{ours} to {theirs}: {called:?}");
        assert_eq!(called.end().2, "rejected_media", "{ours} to {theirs}");
    }
}
