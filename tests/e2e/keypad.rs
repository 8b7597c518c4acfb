//! Keys, and what becomes of the REFER that they lead to.

use std::time::Duration;

use crate::rig::{Home, Phone, SOON, Service, seed, shipped};

const HARBOR: &str = "+12025550101";
const LUMIERE: &str = "+33199000001";
/// From a key to the REFER: the handoff phrase is spoken meanwhile.
const HANDOFF: Duration = Duration::from_secs(15);

fn sorry() -> Vec<u8> {
    shipped::sentence("en-us/sorry-the-call-could-not-be-connected")
}

/// A caller of Harbor Homes who has asked for the agent on duty: the REFER is there.
fn referred(service: &Service) -> (Phone, crate::rig::Message) {
    let mut phone = Phone::call(service, HARBOR);
    phone.media.press('3');
    let refer = phone.expect("REFER", HANDOFF);
    assert_eq!(refer.uri("Refer-To"), "tel:+12025550112");
    (phone, refer)
}

#[test]
fn the_caller_confirms_with_a_key_and_the_handoff_phrase_plays_to_its_end_before_the_refer() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::call(&service, LUMIERE);
    let disclosure = shipped::sentence("fr-fr/je-suis-un-assistant-vocal");
    phone.media.press('2');
    let from = phone.media.hear("the disclosure, which no key may cut", &disclosure, 0, SOON);
    let question = shipped::sentence("fr-fr/vous-allez-etre-mis-en-relation-avec-le-f");
    let asked = phone.media.hear("the question", &question, from, SOON);
    assert!(!phone.has("REFER"), "not before the caller has confirmed");
    phone.media.press('1');

    let refer = phone.expect("REFER", HANDOFF);
    assert_eq!(refer.uri("Refer-To"), "tel:+33199000011");
    let handoff = shipped::sentence("fr-fr/je-vous-mets-en-relation-un-instant");
    assert!(phone.media.heard(&handoff, asked), "the handoff phrase was cut");
    phone.reply(&refer, 202);
    phone.notify("active;expires=60", "SIP/2.0 100 Trying\r\n");
    phone.notify("active;expires=60", "SIP/2.0 180 Ringing\r\n");
    phone.notify("terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    phone.expect_bye(SOON);
    service.stop();

    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "us", "transferred"));
    assert_eq!(record.keys(), "21");
    assert_eq!(record.outcomes(), [("planning", "succeeded")]);
    let transfer = &record.transfers[0];
    assert_eq!((transfer.refer_status, transfer.notified()), (Some(202), vec![100, 180, 200]));
    assert_eq!(transfer.target, "tel:+33199000011");
}

#[test]
fn a_caller_who_hangs_up_while_being_handed_over_is_on_record_as_gone() {
    let home = Home::new();
    let service = home.start();
    let (mut phone, refer) = referred(&service);
    phone.reply(&refer, 202);
    phone.notify("active;expires=60", "SIP/2.0 180 Ringing\r\n");
    assert!(phone.media.is_loud(Duration::from_secs(1)) || ringing(&phone), "no ringing is heard");
    phone.hang_up();
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
    assert_eq!(record.outcomes(), [("agent_on_duty", "caller_left")]);
}

/// Waits for the second of ringing that may be a pause now.
fn ringing(phone: &Phone) -> bool {
    phone.media.listen(Duration::from_secs(5), SOON);
    phone.media.is_loud(Duration::from_secs(5))
}

#[test]
fn after_a_refused_refer_the_caller_hears_so_and_chooses_again() {
    let home = Home::new();
    let service = home.start();
    let (mut phone, refer) = referred(&service);
    let from = phone.media.now();
    phone.reply(&refer, 603);
    let from = phone.media.hear("that it failed", &sorry(), from, SOON);
    let choice = shipped::sentence("en-us/for-the-agent-on-duty-press-3");
    phone.media.hear("the choices once more", &choice, from, Duration::from_secs(20));
    phone.media.press('3');
    let again = phone.expect("REFER", HANDOFF);
    assert!(again.cseq().0 > refer.cseq().0);
    phone.reply(&again, 202);
    phone.notify("terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    phone.expect_bye(SOON);
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "us", "transferred"));
    assert_eq!(record.outcomes(), [("agent_on_duty", "refer_refused"), ("agent_on_duty", "succeeded")]);
    assert_eq!(record.transfers[0].refer_status, Some(603));
}

#[test]
fn after_202_and_silence_the_caller_is_kept_and_that_destination_is_not_dialed_again() {
    let home = Home::new();
    let service = home.start();
    let (mut phone, refer) = referred(&service);
    let from = phone.media.now();
    phone.reply(&refer, 202);
    let from = phone.media.hear("that it failed, after 15 s", &sorry(), from, Duration::from_secs(25));
    phone.media.press('3');
    // Nobody knows whether the first one still rings.
    let from = phone.media.hear("that it failed, at once", &sorry(), from, SOON);
    assert!(!phone.has("REFER"), "the destination was dialed again");
    phone.media.press('9');
    let prompt = shipped::sentence("en-us/please-leave-your-message");
    phone.media.hear("the way to leave a message", &prompt, from, SOON);
    phone.hang_up();
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
    assert_eq!(record.outcomes(), [("agent_on_duty", "timed_out")]);
    assert_eq!(record.keys(), "339");
}

#[test]
fn a_subscription_that_ends_without_a_final_status_keeps_the_caller() {
    let home = Home::new();
    let service = home.start();
    let (mut phone, refer) = referred(&service);
    let from = phone.media.now();
    phone.reply(&refer, 202);
    phone.notify("active;expires=60", "SIP/2.0 180 Ringing\r\n");
    phone.notify("terminated;reason=timeout", "");
    let from = phone.media.hear("that it failed", &sorry(), from, SOON);
    let choice = shipped::sentence("en-us/for-the-agent-on-duty-press-3");
    phone.media.hear("the choices once more", &choice, from, Duration::from_secs(20));
    assert!(!phone.has("BYE"), "the caller was let go");
    phone.hang_up();
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
    assert_eq!(record.outcomes(), [("agent_on_duty", "timed_out")]);
    assert_eq!(record.transfers[0].notified(), [180]);
}

#[test]
fn a_closed_destination_leads_through_its_chain_to_the_one_that_is_open() {
    let home = Home::new();
    let number = seed::scenario(&home, "after-hours.json");
    let service = home.start();
    let mut phone = Phone::call(&service, &number);
    phone.media.press('1');
    let closed = shipped::sentence("en-us/that-line-is-closed-at-this-hour");
    phone.media.hear("that the day desk is closed", &closed, 0, SOON);
    let refer = phone.expect("REFER", HANDOFF);
    assert_eq!(refer.uri("Refer-To"), "tel:+33199000095", "day desk → evening desk → guard");
    phone.reply(&refer, 202);
    phone.notify("terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    phone.expect_bye(SOON);
    service.stop();
    assert_eq!(home.only_call().outcomes(), [("guard", "succeeded")]);
}
