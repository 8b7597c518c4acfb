//! Keys pressed on a softphone (RFC 4733) lead through the menu to a person, by REFER.

use crate::baresip::{Baresip, Phone};
use crate::program::{Mark, SOON};
use crate::service::Service;

/// The key of "the agent on duty", who is there at all hours and needs no confirmation.
const ON_DUTY: u8 = b'3';

#[test]
fn a_key_hands_the_caller_over_and_the_phone_follows_the_refer() {
    let directory = tempfile::TempDir::new().unwrap();
    let config = directory.path().join("offhook.toml");
    // baresip doesn't dial tel: addresses; with `sip` it is sent back to itself, where the other
    // account is the person.
    std::fs::write(
        &config,
        "[[trunk]]\nname = \"phones\"\nmode = \"open\"\nsources = [\"127.0.0.0/8\"]\nrefer = \"sip\"\n\
         media_source = \"latch\"\nmedia_prefixes = [\"127.0.0.0/8\"]\n",
    )
    .unwrap();
    let mut service = Service::start(Some(&config));
    let mut phone = Baresip::start(&Phone { person: Some("+12025550112"), ..Phone::default() });
    phone.call(&format!("sip:+12025550101@{}", service.sip));
    phone.press_until(ON_DUTY, None, Mark::default(), "transferring call");
    phone.program.line(&["transferring call", "sip:+12025550112@127.0.0.1"], SOON);
    phone.call_ended(SOON);

    service.stop();
    let call = &service.calls()[0];
    let keys = call["keys"]["digits"].as_str().unwrap();
    assert!(!keys.is_empty() && keys.chars().all(|key| key == '3'), "{call}");
    let transfer = &call["transfers"][0];
    assert_eq!(transfer["destination_id"], "agent_on_duty", "{call}");
    assert_eq!(
        (&transfer["refer_status"], &transfer["outcome"]),
        (&202.into(), &"succeeded".into()),
        "{call}"
    );
    assert_eq!(call["end_side"], "us", "{call}");
}

#[test]
fn a_transfer_that_the_phone_can_not_make_brings_the_caller_back_to_the_menu() {
    let mut service = Service::start(None);
    let mut phone = Baresip::start(&Phone::default());
    phone.call(&format!("sip:+12025550101@{}", service.sip));
    phone.press_until(ON_DUTY, None, Mark::default(), "transferring call");
    // The demo trunk sends tel: addresses as they are.
    phone.program.line(&["transferring call", "tel:+12025550112"], SOON);
    phone.program.line(&["transfer: connect error"], SOON);
    // The menu is there again: the same key leads to the same REFER.
    let mark = phone.program.mark();
    phone.press_until(ON_DUTY, None, mark, "transferring call");
    phone.hang_up();
    phone.call_ended(SOON);
    assert_eq!(phone.program.lines(Mark::default(), &["transferring call"]).len(), 2);
    service.stop();
    let call = &service.calls()[0];
    assert_eq!(call["transfers"].as_array().unwrap().len(), 2, "{call}");
    assert_eq!(call["transfers"][0]["outcome"], "target_refused", "{call}");
    assert_eq!(call["end_side"], "caller", "{call}");
}
