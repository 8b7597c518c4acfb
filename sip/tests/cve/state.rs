//! State and leaks: messages that come when nobody thought they could.

use sip::endpoint::flow::Transport;
use sip::endpoint::{Event, Input};
use sip::message::StatusCode;

use crate::rig::{ANSWER, Caller, OFFER, Rig, response, secs, tcp};

/// CVE-2021-31878 (Asterisk, AST-2021-007): a re-INVITE without a body after the server had sent its BYE.
#[test]
fn cve_2021_31878_a_re_invite_without_a_body_after_our_bye() {
    for body in ["", OFFER] {
        let mut rig = Rig::new();
        let mut caller = Caller::new(1);
        let dialog = rig.established(&mut caller);
        rig.act(|endpoint, now| endpoint.bye(dialog, "", now));
        let bye = rig.one();
        let again = caller.next("INVITE", "", body);
        rig.give(&again);
        assert_eq!(rig.one().what(), "481");
        assert!(rig.events().is_empty());
        rig.give(&response(&bye, "200 OK", "", "", ""));
        assert!(matches!(rig.event(), Event::Closed { .. }));
        rig.endpoint.forget(dialog);
        rig.assert_empty_in_the_end();
    }
}

/// CVE-2020-28327 (Asterisk, AST-2020-001): the connection broke while the dialog of its INVITE was being made.
#[test]
fn cve_2020_28327_a_connection_that_breaks_at_any_moment_of_a_call() {
    for moment in 0..3 {
        let mut rig = Rig::new();
        let mut caller = Caller::over_tcp(1, 1);
        let dialog = match moment {
            0 => rig.offered(&mut caller),
            1 => rig.answered(&mut caller),
            _ => rig.established(&mut caller),
        };
        if moment == 0 {
            rig.act(|endpoint, now| endpoint.accept(dialog, ANSWER.into(), now)).unwrap();
        }
        // Whatever we send from now on reaches nobody.
        rig.act(|endpoint, now| endpoint.bye(dialog, "", now));
        undeliverable(&mut rig);
        for _ in 0..20 {
            rig.pass(secs(20));
            undeliverable(&mut rig);
        }
        rig.events();
        rig.endpoint.forget(dialog);
        rig.assert_empty_in_the_end();
    }
}

fn undeliverable(rig: &mut Rig) {
    for sent in rig.sent() {
        assert_eq!(sent.transmit.transport, Transport::Tcp);
        if let Some(ticket) = sent.transmit.ticket {
            rig.give_input(Input::Undeliverable(ticket));
            // And once more, for one that is gone.
            rig.give_input(Input::Undeliverable(ticket));
        }
    }
}

/// CVE-2017-17850 (Asterisk, AST-2017-014): requests without a Contact where one was taken for granted.
#[test]
fn cve_2017_17850_requests_without_a_contact() {
    for method in ["INVITE", "SUBSCRIBE", "REGISTER", "OPTIONS", "REFER", "NOTIFY", "PUBLISH", "MESSAGE"] {
        for contact in ["", "Contact: *\r\n", "Contact: <tel:1>\r\n", "Contact: <mailto:a@b>\r\n"] {
            let mut rig = Rig::new();
            let mut caller = Caller::new(1);
            let line = format!("Contact: {}\r\n", caller.contact);
            let message = caller.next(method, "Event: presence\r\nRefer-To: <sip:x@y>\r\n", "");
            rig.give(&message.replacen(&line, contact, 1));
            let first = rig.sent_in_short();
            assert_eq!(first.len(), 1, "{method} {contact}");
            if let Some(Event::Invite { dialog, .. }) = rig.events().pop() {
                rig.act(|endpoint, now| endpoint.accept(dialog, ANSWER.into(), now)).unwrap();
                caller.to_tag = rig.one().to_tag().to_owned();
                let ack = caller.ack();
                rig.give(&ack);
                rig.act(|endpoint, now| endpoint.bye(dialog, "", now));
                // Where there is no telling where to, it goes where the call came from.
                let bye = rig.one();
                assert!(bye.goes_to().contains("192.0.2.10:5060"), "{contact}");
                assert!(bye.request_uri().starts_with("sip:"), "{}", bye.request_uri());
            }
        }
    }
}

/// CVE-2019-15297 (Asterisk, AST-2019-004), CVE-2021-26906: answers that decline everything or come at the wrong time.
#[test]
fn answers_nobody_waits_for_change_nothing() {
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    let dialog = rig.established(&mut caller);
    rig.act(|endpoint, now| endpoint.refer(dialog, "sip:x@y", now)).unwrap();
    let refer = rig.one();
    rig.give(&response(&refer, "202 Accepted", "", "", ""));
    rig.events();
    // The same again, other final answers, and for another method.
    for status in ["202 Accepted", "603 Decline", "100 Trying", "200 OK"] {
        rig.give(&response(&refer, status, "", "", OFFER));
        rig.give(&response(&refer, status, "", "", "").replace("REFER", "INVITE"));
    }
    rig.assert_silent();
    rig.hang_up(&mut caller, dialog);
    rig.assert_empty_in_the_end();
}

/// Wrong tags, branch, Call-ID or CSeq have no effect on a call: BYE and CANCEL by guessing.
#[test]
fn a_call_is_not_ended_by_guessing() {
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    let dialog = rig.established(&mut caller);
    let good = caller.next("BYE", "", "");
    let wrong = [
        good.replace(&caller.to_tag, "guessed"),
        good.replace(&caller.to_tag, ""),
        good.replace(";tag=f1", ";tag=g1"),
        good.replace("call-1@", "call-2@"),
        good.replace("CSeq: 2", "CSeq: 0").replace("z9hG4bK-", "z9hG4bKx"),
        good.replace("BYE", "CANCEL"),
        caller.cancel(),
        Caller { branch: 999, ..caller.clone() }.cancel(),
    ];
    for message in wrong {
        rig.give(&message);
        let sent = rig.sent_in_short();
        assert!(
            matches!(
                sent.iter().map(String::as_str).collect::<Vec<_>>()[..],
                ["481" | "500" | "400" | "200"]
            ),
            "{sent:?} to {message}"
        );
        assert!(rig.events().is_empty(), "{message}");
    }
    rig.give(&good);
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Bye { dialog: d, .. } if d == dialog));
}

/// CVE-2018-7286 (Asterisk, AST-2018-005): calls over a stream whose connection is closed at once, again and again.
/// CVE-2021-41145 (FreeSWITCH): a flood of requests took memory without end.
#[test]
fn floods_leave_nothing_behind() {
    let mut rig = Rig::new();
    for number in 0..3_000 {
        let mut caller = Caller::over_tcp(number, u64::from(number));
        caller.flow = tcp(u64::from(number));
        let message = match number % 5 {
            0 => caller.invite(""),
            1 => caller.next("OPTIONS", "", ""),
            2 => caller.next("REGISTER", "", ""),
            3 => caller.next("BYE", "", ""),
            _ => caller.invite("").replace("CSeq: 1", "CSeq: x"),
        };
        rig.give_from(caller.flow, &message);
        for event in rig.events() {
            if let Event::Invite { dialog, .. } = event {
                rig.act(|endpoint, now| endpoint.reject(dialog, StatusCode::BUSY_HERE, &[], now)).unwrap();
                rig.endpoint.forget(dialog);
            }
        }
        rig.sent();
    }
    // Only INVITEs take any, and theirs end by themselves.
    assert!(rig.endpoint.transaction_count() <= 600, "{}", rig.endpoint.transaction_count());
    assert_eq!(rig.endpoint.dialog_count(), 0);
    rig.assert_empty_in_the_end();
}

/// What is refused for its form, its method or its number costs no memory at all (CVE-2021-41145).
#[test]
fn refusals_are_stateless() {
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    for round in 0..2_000 {
        for method in
            ["OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH", "JUGGLE", "BYE", "CANCEL", "PRACK"]
        {
            let extra = if method == "PRACK" { "RAck: 1 1 INVITE\r\n" } else { "" };
            rig.give(&caller.next(method, extra, ""));
        }
        assert_eq!(rig.sent().len(), 9, "round {round}");
    }
    assert_eq!((rig.endpoint.transaction_count(), rig.endpoint.dialog_count()), (0, 0));
    assert_eq!(rig.endpoint.poll_timeout(), None);
}
