//! Stopping: no new calls, running ones to a goodbye, records complete.

use std::time::Duration;

use crate::rig::{Home, Phone, SOON, Signal, http, shipped};

const HARBOR: &str = "+12025550101";

#[test]
fn a_running_call_goes_on_until_its_time_is_up_and_then_hears_a_goodbye() {
    let home = Home::new();
    let mut service = home.start_with(&["--drain", "2"]);
    let mut phone = Phone::call(&service, HARBOR);
    phone.media.listen(Duration::from_millis(500), SOON);
    service.signal(Signal::Terminate);
    service.wait_for_log("calls=1 seconds=2");

    let mut late = Phone::new(&service);
    let refused = late.dial(HARBOR);
    assert_eq!(refused.status(), Some(503), "{refused:?}");
    assert!(refused.header("Retry-After").parse::<u32>().is_ok_and(|after| after > 0), "{refused:?}");
    let (status, body) = http::get(service.http, "/health").unwrap();
    assert_eq!(status, 503, "{body}");

    let from = phone.media.now();
    phone.media.listen(Duration::from_secs(1), SOON);
    assert!(!phone.has("BYE"), "the call was ended before its time");
    let goodbye = shipped::sentence("en-us/our-service-is-stopping");
    phone.media.hear("the goodbye", &goodbye, from, Duration::from_secs(15));
    phone.expect_bye(SOON);
    assert!(service.ended(SOON).success());

    for record in home.calls() {
        // The late one has a record if it got as far as its tenant.
        let late = record.sip_call_id == late.call_id;
        let expected =
            if late { ("rejected", "us", "rejected_draining") } else { ("completed", "us", "drained") };
        assert_eq!(record.end(), expected);
    }
    assert!(home.calls().iter().any(|record| record.sip_call_id == phone.call_id));
}

#[test]
fn a_second_signal_ends_calls_at_once_with_a_bye() {
    let home = Home::new();
    let mut service = home.start_with(&["--drain", "600"]);
    let mut phones = [Phone::call(&service, HARBOR), Phone::call(&service, "+33199000001")];
    service.signal(Signal::Interrupt);
    service.wait_for_log("calls=2 seconds=600");
    service.signal(Signal::Terminate);
    for phone in &mut phones {
        phone.expect_bye(Duration::from_secs(3));
    }
    assert!(service.ended(SOON).success());
    let calls = home.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.end() == ("completed", "us", "drained")), "{calls:#?}");
}

#[test]
fn a_call_that_ends_by_itself_ends_the_wait() {
    let home = Home::new();
    let mut service = home.start_with(&["--drain", "600"]);
    let mut phone = Phone::call(&service, HARBOR);
    service.signal(Signal::Terminate);
    service.wait_for_log("calls=1");
    phone.hang_up();
    assert!(service.ended(SOON).success());
    assert_eq!(home.only_call().end(), ("completed", "caller", "caller_hangup"));
}

#[test]
fn a_caller_who_does_not_answer_our_bye_does_not_hold_up_the_second_signal() {
    let home = Home::new();
    let mut service = home.start();
    let _deaf = Phone::call(&service, HARBOR);
    service.signal(Signal::Interrupt);
    service.wait_for_log("calls=1");
    service.signal(Signal::Interrupt);
    assert!(service.ended(SOON).success());
    assert_eq!(home.only_call().end(), ("completed", "us", "drained"));
}

#[test]
fn without_calls_a_signal_ends_the_service_at_once() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let home = Home::new();
        let mut service = home.start();
        service.signal(signal);
        assert!(service.ended(Duration::from_secs(5)).success());
    }
}
