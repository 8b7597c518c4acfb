//! Bad input: the RFC's answer or silence, never a panic, nothing left behind.

use bytes::Bytes;
use sip::endpoint::Event;

use crate::rig::{Caller, Rig, Sent, tcp, udp_from};

/// What comes back for a message of RFC 4475.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Nothing,
    Status(&'static str),
    /// 100, and the owner is asked.
    Call,
}

use Reply::{Call, Nothing, Status};

/// Every message of RFC 4475 with its fate at an endpoint that serves calls. Where the RFC
/// leaves a choice, it is this endpoint's: it is no registrar (405) and takes no MESSAGE (405).
const RFC_4475: &[(&str, Reply)] = &[
    // Its To has a tag: a request in a dialog that isn't known here.
    ("wsinv", Status("481")),
    ("intmeth", Status("501")),
    ("esc01", Call),
    ("escnull", Status("405")),
    ("esc02", Status("501")),
    ("lwsdisp", Status("200")),
    ("longreq", Call),
    ("dblreq", Status("405")),
    ("semiuri", Status("200")),
    ("transports", Status("200")),
    ("mpart01", Status("405")),
    ("unreason", Nothing),
    ("noreason", Nothing),
    ("badinv01", Status("400")),
    ("clerr", Status("400")),
    ("ncl", Status("400")),
    ("scalar02", Status("400")),
    ("scalarlg", Nothing),
    ("quotbal", Status("400")),
    ("ltgtruri", Status("400")),
    ("lwsruri", Status("400")),
    ("lwsstart", Status("400")),
    ("trws", Status("400")),
    ("escruri", Status("400")),
    ("baddate", Call),
    ("regbadct", Status("400")),
    ("badaspec", Status("400")),
    ("baddn", Status("400")),
    ("badvers", Status("505")),
    ("mismatch01", Status("400")),
    ("mismatch02", Status("501")),
    ("bigcode", Nothing),
    ("badbranch", Status("200")),
    ("insuf", Status("400")),
    ("unkscm", Status("416")),
    ("novelsc", Status("416")),
    ("unksm2", Status("405")),
    ("bext01", Status("420")),
    ("invut", Status("415")),
    ("regaut01", Status("405")),
    ("multi01", Status("400")),
    ("mcl01", Status("400")),
    ("bcast", Nothing),
    ("zeromf", Status("200")),
    ("cparam01", Status("405")),
    ("cparam02", Status("405")),
    ("regescrt", Status("405")),
    // It takes no session description for an answer.
    ("sdp01", Status("406")),
    ("inv2543", Call),
];

fn torture(name: &str) -> Bytes {
    let path = format!("{}/../tests/golden/rfc4475/{name}.dat", env!("CARGO_MANIFEST_DIR"));
    Bytes::from(std::fs::read(path).unwrap())
}

fn reply(rig: &mut Rig) -> (String, Option<Sent>) {
    let mut sent = rig.sent();
    assert!(sent.len() <= 1, "{sent:#?}");
    let last = sent.pop();
    let what = last.as_ref().map_or("", Sent::what).to_owned();
    (what, last)
}

#[test]
fn every_torture_message_gets_its_answer() {
    assert_eq!(RFC_4475.len(), 49);
    let mut wrong = Vec::new();
    for (name, expected) in RFC_4475 {
        let mut rig = Rig::new();
        rig.give_bytes(udp_from("192.0.2.10:5060"), torture(name));
        let (what, sent) = reply(&mut rig);
        let fits = match (expected, rig.events().as_slice()) {
            (Nothing, []) => what.is_empty(),
            (Status(status), []) => what == *status,
            (Call, [Event::Invite { .. }]) => what == "100",
            _ => false,
        };
        if !fits {
            wrong.push((name, what));
        }
        // Nobody's address but the sender's is written to.
        if let Some(sent) = sent {
            assert!(sent.goes_to().starts_with("Address(192.0.2.10:"), "{name}: {}", sent.goes_to());
        }
        if *expected != Call {
            rig.assert_empty_in_the_end();
        }
    }
    assert_eq!(wrong, []);
}

/// The messages that say something else once From, To, Call-ID and CSeq are those of a live
/// dialog; to all others the answer stays the same, with an offer in place of a call.
const ADAPTED: &[(&str, Reply)] =
    &[("wsinv", Call), ("quotbal", Call), ("badaspec", Status("200")), ("insuf", Call)];

/// Puts a message into a dialog.
fn adapted(message: &[u8], caller: &Caller) -> Bytes {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(message.len());
    let (head, body) = message.split_at(end);
    let mut out = Vec::new();
    let mut skipping = false;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let folded = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) && !out.is_empty();
        let name = line.split(|byte| *byte == b':').next().unwrap().trim_ascii().to_ascii_lowercase();
        if !folded {
            skipping = matches!(name.as_slice(), b"from" | b"f" | b"to" | b"t" | b"call-id" | b"i" | b"cseq");
        }
        if name == b"cseq" && !folded {
            let last = line.trim_ascii().rsplit(|byte| *byte == b' ').next().unwrap();
            // It is on the next line.
            let method = if last.iter().all(u8::is_ascii_digit) { b"INVITE" } else { last };
            out.extend([format!("CSeq: {} ", caller.cseq + 1).as_bytes(), method, b"\r\n"].concat());
        } else if !skipping {
            out.extend_from_slice(line);
        }
    }
    if !out.ends_with(b"\r\n") {
        out.extend(b"\r\n");
    }
    let ours = format!(
        "From: {}\r\nTo: <sip:a@b>;tag={}\r\nCall-ID: {}",
        caller.from, caller.to_tag, caller.call_id
    );
    out.extend(ours.as_bytes());
    out.extend(body);
    Bytes::from(out)
}

#[test]
fn torture_messages_adapted_to_a_live_dialog_get_their_answer_and_leave_it_up() {
    let mut wrong = Vec::new();
    for (name, raw) in RFC_4475 {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        rig.established(&mut caller);
        let expected = ADAPTED.iter().find(|(adapted, _)| adapted == name).map_or(raw, |(_, reply)| reply);
        rig.give_bytes(caller.flow, adapted(&torture(name), &caller));
        let (what, _) = reply(&mut rig);
        let fits = match (expected, rig.events().as_slice()) {
            (Nothing, []) => what.is_empty(),
            (Status(status), []) => what == *status,
            (Call, [Event::Offer { .. }]) => what == "100",
            _ => false,
        };
        if !fits {
            wrong.push((name, what));
        }
        caller.cseq += 1;
        rig.give(&caller.next("BYE", "", ""));
        assert!(rig.events().iter().any(|event| matches!(event, Event::Bye { .. })), "{name}");
    }
    assert_eq!(wrong, []);
}

#[test]
fn the_extension_that_bext01_demands_is_named() {
    let mut rig = Rig::new();
    rig.give_bytes(udp_from("192.0.2.10:5060"), torture("bext01"));
    assert_eq!(rig.one().header("Unsupported"), "nothingSupportsThis, nothingSupportsThisEither");
}

#[test]
fn the_same_message_gets_the_same_answer_twice() {
    for (name, expected) in RFC_4475.iter().filter(|(_, reply)| matches!(reply, Status(_))) {
        let mut rig = Rig::new();
        rig.give_bytes(udp_from("192.0.2.10:5060"), torture(name));
        let first = rig.one().text;
        rig.give_bytes(udp_from("192.0.2.10:5060"), torture(name));
        assert_eq!(rig.one().text, first, "{name} {expected:?}");
    }
}

#[test]
fn torture_messages_in_a_running_call_do_it_no_harm() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    for (name, _) in RFC_4475 {
        rig.give_bytes(caller.flow, torture(name));
        rig.give_bytes(tcp(4), torture(name));
    }
    rig.sent();
    for event in rig.events() {
        let Event::Invite { dialog, .. } = event else { panic!("{event:?}") };
        rig.act(|e, now| e.reject(dialog, crate::rig::status(404), &[], now)).unwrap();
        rig.endpoint.forget(dialog);
    }
    rig.sent();
    rig.hang_up(&mut caller, dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn an_ack_is_never_answered() {
    for change in ["SIP/7.0", "CSeq: 1 BYE", "Call-ID: ", "Content-Length: 99999", "Via: SIP/2.0/UDP ;;"] {
        let mut rig = Rig::new();
        let name = change.split(' ').next().unwrap();
        let ack = Caller::new(1).write("ACK", 1, "", "");
        let changed: Vec<&str> =
            ack.split("\r\n").map(|line| if line.starts_with(name) { change } else { line }).collect();
        rig.give(&changed.join("\r\n"));
        rig.give(&ack.replace("SIP/2.0\r\n", "SIP/7.0\r\n"));
        rig.give(&ack);
        rig.assert_silent();
    }
}

#[test]
fn garbage_is_counted_and_gets_no_answer() {
    let mut rig = Rig::new();
    for bytes in [
        &b""[..],
        b"\r\n\r\n",
        b"\0\0",
        b"hello",
        b"INVITE\r\n\r\n",
        b"\xff\xfe\xfd",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        rig.give_bytes(udp_from("192.0.2.10:5060"), Bytes::from_static(bytes));
        rig.assert_silent();
    }
    assert_eq!(rig.endpoint.counters().unreadable, 7);
}

#[test]
fn a_call_cut_off_at_any_byte_or_with_any_byte_changed_is_survived() {
    let mut template = Caller::new(1);
    let invite = template.invite("Record-Route: <sip:198.51.100.1;lr>\r\nExpires: 60\r\n").into_bytes();
    let mut rig = Rig::new();
    let flow = udp_from("192.0.2.10:5060");
    for cut in 0..invite.len() {
        rig.give_bytes(flow, Bytes::copy_from_slice(&invite[..cut]));
        rig.give_bytes(tcp(1), Bytes::copy_from_slice(&invite[..cut]));
    }
    for at in 0..invite.len() {
        for byte in [0, b'\r', b'\n', b' ', b'"', b'<', b';', b',', b'%', 0xff] {
            let mut changed = invite.clone();
            changed[at] = byte;
            rig.give_bytes(flow, Bytes::from(changed));
        }
    }
    let dialogs: Vec<_> = rig
        .events()
        .into_iter()
        .filter_map(|event| if let Event::Invite { dialog, .. } = event { Some(dialog) } else { None })
        .collect();
    assert!(!dialogs.is_empty());
    for dialog in dialogs {
        let _ = rig.act(|e, now| e.accept(dialog, Bytes::new(), now));
        rig.act(|e, now| e.bye(dialog, "", now));
        rig.endpoint.forget(dialog);
    }
    rig.assert_empty_in_the_end();
}

#[test]
fn requests_of_a_call_with_any_byte_changed_are_survived() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.refer(dialog, "tel:+331", now)).unwrap();
    let refer = rig.one();
    let notify = caller.next(
        "NOTIFY",
        "Event: refer;id=1\r\nSubscription-State: active;expires=60\r\nContent-Type: message/sipfrag\r\n",
        "SIP/2.0 100 Trying\r\n",
    );
    let accepted = crate::rig::response(&refer, "202 Accepted", "", "", "");
    let texts = [notify, accepted, caller.ack(), caller.cancel(), caller.next("INVITE", "", "v=0\r\n")];
    for text in texts {
        for at in 0..text.len() {
            for byte in [0, b'\r', b' ', b'9', b';', 0xff] {
                let mut changed = text.clone().into_bytes();
                changed[at] = byte;
                rig.give_bytes(caller.flow, Bytes::from(changed));
                let _ = rig.act(|e, now| e.answer_offer(dialog, Ok(None), now));
            }
        }
    }
    for event in rig.events() {
        if let Event::Invite { dialog, .. } = event {
            let _ = rig.act(|e, now| e.reject(dialog, crate::rig::status(404), &[], now));
            rig.endpoint.forget(dialog);
        }
    }
    // Our own BYE waits for the ACK of whatever re-INVITE was answered last.
    rig.act(|e, now| e.bye(dialog, "", now));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}
