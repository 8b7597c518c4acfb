//! Through a real NAT: a caller behind one, and the service behind one.

use std::time::Duration;

use tempfile::TempDir;

use crate::audio;
use crate::baresip::{Baresip, Phone};
use crate::kamailio::{Kamailio, NUMBER, PASSWORD, Terms};
use crate::namespaces::{INSIDE, Nat, OUTSIDE, ROUTER};
use crate::program::{Mark, SOON, ports};
use crate::service::Service;

/// Fails unless the American tenant's greeting was heard as it was recorded.
fn heard_the_greeting(phone: Baresip) {
    let heard = phone.heard();
    let greeting = audio::shipped("en-us", "thank-you-for-calling-harbor-homes");
    let found = audio::find(&greeting, &heard);
    println!("correlation {:.4} at {:.3} s", found.correlation, found.seconds());
    assert!(found.correlation > 0.98, "{found:?}");
}

#[test]
fn a_caller_behind_a_nat_hears_us_is_heard_and_is_hung_up_on() {
    let nat = Nat::new();
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("offhook.toml");
    std::fs::write(
        &config,
        format!(
            "[[trunk]]\nname = \"homes\"\nmode = \"open\"\nsources = [\"{ROUTER}\"]\n\
             media_source = \"latch\"\nmedia_prefixes = [\"{ROUTER}/32\"]\n"
        ),
    )
    .unwrap();
    let sip = format!("{OUTSIDE}:{}", ports());
    let mut service = Service::start_at(&sip, Some(&nat.outside), &["--drain", "1"], Some(&config));
    let uri = format!("sip:{NUMBER}@{sip}");
    // Its Contact and its SDP have the private address, as those of most telephones do.
    let says = Duration::from_secs(60);
    let at = Some((nat.inside.as_str(), INSIDE));
    let phone = Baresip::start(&Phone { codec: "PCMU", at, dials: Some(&uri), says, ..Phone::default() });
    phone.program.line(&["Call established"], SOON);
    assert!(
        phone
            .program
            .line_within(Mark::default(), &[" terminated (duration"], Duration::from_secs(4))
            .is_none(),
        "the caller stays on the line: {}",
        phone.program.printed()
    );

    // The goodbye and the BYE find their way to where the call came from, through the router.
    service.program.signal(libc::SIGINT);
    phone.call_ended(SOON);
    assert!(service.program.ended(SOON).success());
    let call = &service.calls()[0];
    assert_eq!((&call["end_side"], &call["trunk"]), (&"us".into(), &"homes".into()), "{call}");
    let media = &call["media"];
    assert!(media["packets_received"].as_u64().unwrap() > 100, "we hear the caller: {call}");
    assert_eq!(media["packets_lost"], 0, "{call}");
    heard_the_greeting(phone);
}

#[test]
fn behind_a_nat_the_service_is_called_through_its_registration() {
    let nat = Nat::new();
    let outside = Some((nat.outside.as_str(), OUTSIDE));
    let carrier = Kamailio::start_at(&Terms { granted: 60, ..Terms::default() }, outside);
    let sip = format!("{INSIDE}:{}", ports());
    let public = ["--advertised-address", &ROUTER.to_string()];
    let config = carrier.trunk("udp", PASSWORD);
    let mut service = Service::start_at(&sip, Some(&nat.inside), &public, Some(&config));
    service.phase_after(Mark::default(), "registered", SOON);
    let bound = carrier.bindings();
    assert!(bound[0].contains(&ROUTER.to_string()), "the public address is registered: {bound:?}");

    let uri = format!("sip:{NUMBER}@{}", carrier.address);
    let (proxy, says) = (Some(carrier.address), Duration::from_secs(5));
    let phone = Phone { codec: "PCMU", at: outside, dials: Some(&uri), says, proxy, ..Phone::default() };
    let phone = Baresip::start(&phone);
    phone.program.line(&["Call established"], SOON);
    phone.call_ended(says + SOON);
    service.stop();
    let call = &service.calls()[0];
    assert_eq!((&call["status"], &call["end_side"]), (&"completed".into(), &"caller".into()), "{call}");
    assert!(call["media"]["packets_received"].as_u64().unwrap() > 100, "we hear the caller: {call}");
    heard_the_greeting(phone);
}
