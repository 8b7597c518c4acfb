//! What becomes of a message.

use std::fmt;

use bytes::Bytes;
use sip::endpoint::Event;
use sip::endpoint::flow::Flow;
use sip::framing::{Framed, StreamFramer};
use sip::message::{Framing, Message, parse};

use crate::adapt::{self, Adapted};
use crate::rig::{Caller, PEER, Rig, Sent, address, secs, tcp, tls, udp_from};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A call: `100 Trying`, and the owner decides.
    Call,
    /// This final status at once.
    Status(u16),
    /// A re-INVITE or UPDATE that the owner answers.
    Offer,
    /// Neither an answer nor anything else.
    Silence,
    /// A response that moved a request of ours on.
    Taken,
    /// On a stream: the rest of it never comes, the connection waits and is closed as a slow one.
    Unfinished,
    /// On a stream: this status, and the stream can't be read any further.
    ThenClosed(u16),
    /// On a stream: two messages, of which the first gets this status and the second is a call.
    ThenCall(u16),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What was done with what was just given to the rig.
fn fate(rig: &mut Rig) -> Fate {
    let (sent, events) = (rig.sent_in_short(), rig.events());
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    match (&sent[..], &events[..]) {
        (["100"], [Event::Invite { .. }]) => Fate::Call,
        (["100"], [Event::Offer { .. }]) => Fate::Offer,
        ([], []) => Fate::Silence,
        (
            [],
            [Event::Response { .. } | Event::Progress { .. } | Event::Closed { .. } | Event::Refer { .. }],
        ) => Fate::Taken,
        ([status], [] | [Event::Bye { .. } | Event::Info { .. }]) => Fate::Status(status.parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

/// In a datagram, out of nowhere.
pub fn over_udp(message: &Bytes) -> Fate {
    let mut rig = Rig::new();
    rig.give_bytes(udp_from(PEER), message.clone());
    let fate = fate(&mut rig);
    no_harm(rig);
    fate
}

/// The answer to a request out of nowhere.
pub fn answer_to(message: &Bytes) -> Sent {
    let mut rig = Rig::new();
    rig.give_bytes(udp_from(PEER), message.clone());
    rig.one()
}

/// On a stream that nothing else has come on.
pub fn over_tcp(message: &Bytes) -> Fate {
    on_stream(tcp(1), message)
}

/// The same under TLS.
pub fn over_tls(message: &Bytes) -> Fate {
    on_stream(tls(1), message)
}

fn on_stream(flow: Flow, message: &Bytes) -> Fate {
    let mut rig = Rig::new();
    let fate = stream(&mut rig, flow, message);
    no_harm(rig);
    fate
}

fn stream(rig: &mut Rig, flow: Flow, bytes: &Bytes) -> Fate {
    let mut framer = StreamFramer::new();
    framer.push(bytes);
    let (mut fates, mut closed) = (Vec::new(), false);
    for framed in framer.by_ref() {
        match framed {
            Ok(Framed::Message(message)) => {
                rig.give_bytes(flow, message);
                fates.push(fate(rig));
            }
            Ok(_) => {}
            Err(_) => closed = true,
        }
    }
    match (&fates[..], closed) {
        ([], false) => Fate::Unfinished,
        ([Fate::Status(status)], true) => Fate::ThenClosed(*status),
        ([Fate::Status(status), Fate::Call], _) => Fate::ThenCall(*status),
        ([fate], false) => *fate,
        other => panic!("{other:?}"),
    }
}

/// As a message of a call that is up. Unless it is a good BYE the call is up afterwards, too.
pub fn in_a_call(message: &Bytes) -> Fate {
    in_a_call_of(Caller::new(1), message, |rig, bytes| {
        rig.give_bytes(udp_from(PEER), bytes.clone());
        fate(rig)
    })
}

/// As [`in_a_call`], the call and the message on a stream.
pub fn in_a_call_over_tcp(message: &Bytes) -> Fate {
    in_a_call_of(Caller::over_tcp(1, 1), message, |rig, bytes| stream(rig, tcp(1), bytes))
}

/// As a message of a call that is up and that it ends.
pub fn ends_a_call(message: &Bytes) -> Fate {
    let mut rig = Rig::new();
    let Adapted::Request { bytes, mut caller } = adapt::to_call(&mut rig, Caller::new(1), message) else {
        panic!("a BYE")
    };
    rig.give_bytes(udp_from(PEER), bytes);
    let fate = fate(&mut rig);
    caller.cseq = 100_000;
    let again = caller.next("BYE", "", "");
    rig.give(&again);
    assert_eq!(rig.one().what(), "481", "it is over");
    fate
}

fn in_a_call_of(caller: Caller, message: &Bytes, give: fn(&mut Rig, &Bytes) -> Fate) -> Fate {
    let mut rig = Rig::new();
    let fate = match adapt::to_call(&mut rig, caller, message) {
        Adapted::Request { bytes, caller } => {
            let fate = give(&mut rig, &bytes);
            still_up(&mut rig, caller, fate);
            fate
        }
        Adapted::Response { bytes } => give(&mut rig, &bytes),
    };
    rig.pass(secs(400));
    fate
}

/// The far end hangs up, and is heard.
fn still_up(rig: &mut Rig, mut caller: Caller, fate: Fate) {
    caller.cseq = caller.cseq.max(0x7fff_fff0);
    let bye = caller.next("BYE", "", "");
    rig.give_from(caller.flow, &bye);
    let sent = rig.sent_in_short();
    let ours = sent.iter().rev().find(|what| *what != "487").map(String::as_str);
    assert_eq!(ours, Some("200"), "after {fate} the call was gone: {sent:?}");
    rig.events();
}

/// Whatever it was, the endpoint goes on: a plain question is answered, and in the end nothing is left.
fn no_harm(mut rig: Rig) {
    let mut other = Caller { flow: udp_from("192.0.2.77:5060"), ..Caller::new(77) };
    rig.give_from(other.flow, &other.next("OPTIONS", "", ""));
    let answer = rig.last();
    assert_eq!(answer.what(), "200");
    assert!(answer.goes_to().contains(&address("192.0.2.77:5060").to_string()));
    rig.pass(secs(400));
    assert!(rig.endpoint.transaction_count() <= 1, "at most a call that the owner hasn't answered");
}

/// Whether it is a request or a response, when it can be told.
pub fn is_response(message: &Bytes) -> bool {
    message.starts_with(b"SIP/")
        || matches!(parse(message.clone(), Framing::Datagram), Ok(Message::Response(_)))
}
