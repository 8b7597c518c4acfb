//! A call that comes in through the registration, by way of a proxy that stays in its path.

use crate::baresip::{Baresip, Phone};
use crate::kamailio::{Kamailio, NUMBER, PASSWORD, PERSON, Terms};
use crate::program::{Mark, SOON, ports};
use crate::service::Service;

/// The key of "the agent on duty", who is there at all hours and needs no confirmation.
const ON_DUTY: u8 = b'3';

#[test]
fn a_call_through_the_carrier_is_answered_and_handed_over_along_its_record_route() {
    let port = ports();
    let person = format!("sip:person@127.0.0.1:{port}");
    let carrier = Kamailio::start(&Terms { granted: 60, person, ..Terms::default() });
    let mut service = Service::start(Some(&carrier.trunk("udp", PASSWORD)));
    service.phase_after(Mark::default(), "registered", SOON);

    let proxy = carrier.address;
    // The trunk takes media from the address of the SDP, which must be the right one then.
    let (person, proxied, interface) = (Some("person"), Some(proxy), Some("127.0.0.1"));
    let phone = Phone { person, proxy: proxied, interface, port, ..Phone::default() };
    let mut phone = Baresip::start(&phone);
    phone.call(&format!("sip:{NUMBER}@{proxy}"));
    carrier.program.line(&["sends INVITE on", &format!("@{}", service.sip)], SOON);
    carrier.program.line(&["within the call: ACK", &format!("{}", service.sip)], SOON);

    phone.press_until(ON_DUTY, Some(&carrier.program), Mark::default(), "got REFER");
    let ours = format!("from {}", service.sip);
    let refer = carrier.program.line(&["within the call: REFER", &ours], SOON);
    assert!(refer.contains(&format!("127.0.0.1:{port}")), "{refer}");
    // The phone calls the person through the carrier, as the REFER says, and is answered.
    phone.program.line(&["transferring call", &format!("sip:{PERSON}@{proxy}")], SOON);
    carrier.program.line(&["sends INVITE on", &format!("person@127.0.0.1:{port}")], SOON);
    carrier.program.line(&["within the call: NOTIFY", &format!("on to sip:{}", service.sip)], SOON);
    carrier.program.line(&["within the call: BYE", &ours], SOON);
    phone.call_ended(SOON);
    assert_eq!(carrier.program.lines(Mark::default(), &["without a route"]), [""; 0]);

    service.stop();
    let call = &service.calls()[0];
    assert_eq!((&call["trunk"], &call["to"]["number"]), (&"carrier".into(), &NUMBER.into()), "{call}");
    assert_eq!(call["transfers"][0]["outcome"], "succeeded", "{call}");
    assert_eq!(call["end_side"], "us", "{call}");
}
