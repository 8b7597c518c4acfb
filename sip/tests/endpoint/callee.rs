//! Calls of ours, and whom they are made to.

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::{Hop, Transport};
use sip::endpoint::policy::PolicyId;
use sip::endpoint::{Event, InviteId, OutgoingCall};
use sip::message::Uri;

use crate::rig::{ANSWER, LOCAL, OFFER, PEER, Rig, Sent, address, response};

pub const CONTACT: &str = "Contact: <sip:callee@192.0.2.10:5070>\r\n";

pub fn hop(transport: Transport, text: &str) -> Hop {
    Hop::new(transport, address(text))
}

pub fn outgoing() -> OutgoingCall {
    OutgoingCall {
        uri: Uri::parse(b"sip:callee@192.0.2.10").unwrap(),
        from: "\"Us\" <sip:us@192.0.2.1>".to_owned(),
        to: "<sip:callee@192.0.2.10>".to_owned(),
        headers: Vec::new(),
        routes: Vec::new(),
        hops: vec![hop(Transport::Udp, PEER)],
        connection: None,
        local: address(LOCAL),
        sdp: Some(Bytes::from_static(OFFER.as_bytes())),
        credentials: None,
        policy: PolicyId::default(),
        call_id: None,
    }
}

pub fn call(rig: &mut Rig) -> (InviteId, Sent) {
    call_with(rig, outgoing())
}

pub fn call_with(rig: &mut Rig, call: OutgoingCall) -> (InviteId, Sent) {
    let id = rig.act(|e, now| e.invite(call, now));
    (id, rig.one())
}

/// A call as far as its ACK.
pub fn up(rig: &mut Rig) -> (DialogId, Sent) {
    up_with(rig, outgoing())
}

pub fn up_with(rig: &mut Rig, call: OutgoingCall) -> (DialogId, Sent) {
    let (_, invite) = call_with(rig, call);
    rig.give(&response(&invite, "200 OK", "t", CONTACT, ANSWER));
    let dialog = answered(rig);
    assert_eq!(rig.one().what(), "ACK");
    (dialog, invite)
}

pub fn answered(rig: &mut Rig) -> DialogId {
    match rig.event() {
        Event::Answered { dialog, .. } => dialog,
        other => panic!("{other:?}"),
    }
}

pub fn rejected(rig: &mut Rig) -> u16 {
    match rig.event() {
        Event::Rejected { status, .. } => status.as_u16(),
        other => panic!("{other:?}"),
    }
}
