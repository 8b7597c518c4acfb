//! Every scenario of `sipp-scenarios/uac` against the real binary, and the record of it.

use crate::rig::{Home, Record, seed, sipp};

const LUMIERE: &str = "+33199000001";
const HARBOR: &str = "+12025550101";

const CALLER_HUNG_UP: (&str, &str, &str) = ("completed", "caller", "caller_hangup");
const TRANSFERRED: (&str, &str, &str) = ("completed", "us", "transferred");

/// Plays a scenario on a fresh service; gives the calls on record.
fn play(scenario: &str, number: &str, flags: &[&str]) -> Vec<Record> {
    play_at(&Home::new(), scenario, number, flags)
}

fn play_at(home: &Home, scenario: &str, number: &str, flags: &[&str]) -> Vec<Record> {
    let service = home.start();
    sipp::call(&service, scenario, number, flags);
    service.stop();
    home.calls()
}

fn only(calls: Vec<Record>) -> Record {
    let [record] = <[Record; 1]>::try_from(calls).unwrap_or_else(|calls| panic!("one call: {calls:#?}"));
    record
}

#[test]
fn basic_call() {
    for (number, tenant) in [(LUMIERE, "tenant-demo-0001"), (HARBOR, "tenant-demo-0002")] {
        let record = only(play("basic_call", number, &[]));
        assert_eq!(record.end(), CALLER_HUNG_UP);
        assert_eq!(record.tenant_id, tenant);
    }
}

#[test]
fn basic_call_over_tcp() {
    assert_eq!(only(play("basic_call", HARBOR, &["-t", "t1"])).end(), CALLER_HUNG_UP);
}

#[test]
fn call_with_media() {
    let record = only(play("call_with_media", HARBOR, &[]));
    assert_eq!(record.end(), CALLER_HUNG_UP);
    let media = record.media.unwrap();
    assert!(media.packets_received > 100 && media.packets_sent > 100, "{media:?}");
}

#[test]
fn keypad_refer_accepted() {
    let record = only(play("keypad_refer_accepted", LUMIERE, &[]));
    assert_eq!(record.end(), TRANSFERRED);
    assert_eq!((record.keys(), record.outcomes()), ("21", vec![("planning", "succeeded")]));
    assert_eq!(record.transfers[0].notified(), [100, 180, 200]);
}

#[test]
fn keypad_refer_refused() {
    let record = only(play("keypad_refer_refused", HARBOR, &[]));
    assert_eq!(record.end(), CALLER_HUNG_UP);
    let refused = ("agent_on_duty", "refer_refused");
    assert_eq!((record.keys(), record.outcomes()), ("33", vec![refused, refused]));
    assert_eq!(record.transfers[1].refer_status, Some(603));
}

#[test]
fn keypad_refer_declined() {
    let record = only(play("keypad_refer_declined", HARBOR, &[]));
    assert_eq!(record.end(), TRANSFERRED);
    let outcomes = [("agent_on_duty", "target_refused"), ("agent_on_duty", "succeeded")];
    assert_eq!(record.outcomes(), outcomes);
    assert_eq!(record.transfers[0].notified(), [100, 180, 486]);
}

#[test]
fn cancel() {
    let flags = ["-m", "20", "-r", "20", "-default_behaviors", "all,-abortunexp"];
    let calls = play("cancel", HARBOR, &flags);
    assert_eq!(calls.len(), 20);
    let cancelled = calls.iter().filter(|call| call.end() == ("cancelled", "caller", "cancelled")).count();
    let answered = calls.iter().filter(|call| call.end() == CALLER_HUNG_UP).count();
    // An answer may be quicker than a CANCEL.
    assert!(cancelled > 0 && cancelled + answered == 20, "{cancelled} cancelled, {answered} answered");
}

#[test]
fn busy_tenant() {
    let home = Home::new();
    let number = seed::scenario(&home, "one-call-at-a-time.json");
    let calls = play_at(&home, "busy_tenant", &number, &[]);
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].end(), CALLER_HUNG_UP);
    assert_eq!(calls[1].end(), ("rejected", "us", "rejected_tenant_busy"));
    assert_eq!(calls[1].sip_status, Some(486));
}

#[test]
fn unknown_number() {
    let home = Home::new();
    let service = home.start();
    sipp::call(&service, "unknown_number", "+33199000099", &[]);
    let counted = service.metric("offhook_calls_refused_total{reason=\"unknown_number\"}");
    service.stop();
    assert_eq!((counted, home.calls().len()), (1, 0), "counted, not recorded");
}

#[test]
fn disabled_tenant() {
    let home = Home::new();
    let number = seed::scenario(&home, "disabled.json");
    let record = only(play_at(&home, "disabled_tenant", &number, &[]));
    assert_eq!(record.end(), ("rejected", "us", "rejected_tenant_disabled"));
    assert_eq!((record.sip_status, record.answered_at.is_some()), (Some(480), false));
}

#[test]
fn retransmissions() {
    assert_eq!(only(play("retransmissions", HARBOR, &["-nr"])).end(), CALLER_HUNG_UP);
}

#[test]
fn hold_and_resume() {
    assert_eq!(only(play("hold_and_resume", HARBOR, &[])).end(), CALLER_HUNG_UP);
}

#[test]
fn load() {
    let calls = play("load", HARBOR, &["-m", "200", "-r", "40"]);
    assert_eq!(calls.len(), 200);
    assert!(calls.iter().all(|call| call.end() == CALLER_HUNG_UP), "{calls:#?}");
}
