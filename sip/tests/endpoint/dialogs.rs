//! Requests inside a dialog: which dialog, which order, which method.

use sip::endpoint::Event;

use crate::rig::{Caller, Rig, udp_from};

#[test]
fn a_request_with_a_wrong_tag_or_call_id_is_for_no_dialog() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    let wrong = [
        Caller { to_tag: "guess".to_owned(), ..caller.clone() },
        Caller { from: "<sip:a@b>;tag=guess".to_owned(), ..caller.clone() },
        Caller { from: "<sip:a@b>".to_owned(), ..caller.clone() },
        Caller { call_id: "guess".to_owned(), ..caller.clone() },
    ];
    for mut one in wrong {
        for method in ["BYE", "INVITE", "UPDATE", "INFO", "NOTIFY", "OPTIONS", "REFER"] {
            let headers = if method == "REFER" { "Refer-To: <sip:x@y>\r\n" } else { "" };
            let headers =
                if method == "NOTIFY" { "Event: refer\r\nSubscription-State: active\r\n" } else { headers };
            rig.give(&one.next(method, headers, ""));
            assert_eq!(rig.one().what(), "481", "{method} {one:?}");
        }
        rig.give(&one.ack());
        rig.assert_silent();
    }
    assert_eq!(rig.endpoint.transaction_count(), 1);
    rig.hang_up(&mut caller, dialog);
}

#[test]
fn a_request_out_of_order_gets_500_and_has_no_effect() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    caller.cseq = 100;
    rig.established(&mut caller);
    for cseq in [0, 1, 99, 100] {
        caller.branch += 1;
        rig.give(&caller.write("BYE", cseq, "", ""));
        assert_eq!(rig.one().what(), "500", "{cseq}");
    }
    assert!(rig.events().is_empty());
    caller.branch += 1;
    rig.give(&caller.write("BYE", 2_147_483_647, "", ""));
    assert_eq!(rig.one().what(), "200");
}

#[test]
fn requests_that_belong_in_a_dialog_get_481_outside_of_one() {
    for (method, headers) in [
        ("BYE", ""),
        ("INFO", ""),
        ("UPDATE", ""),
        ("NOTIFY", "Event: refer\r\nSubscription-State: active\r\n"),
        ("PRACK", "RAck: 1 1 INVITE\r\n"),
    ] {
        let (mut rig, caller) = (Rig::new(), Caller::new(1));
        rig.give(&caller.write(method, 1, headers, ""));
        assert_eq!(rig.one().what(), "481", "{method}");
        assert_eq!(rig.endpoint.transaction_count(), 0);
    }
}

#[test]
fn each_method_in_a_dialog_gets_its_answer() {
    for (method, headers, expected, allow) in [
        ("OPTIONS", "", "200", true),
        ("INFO", "", "200", false),
        ("REFER", "Refer-To: <sip:x@y>\r\n", "603", false),
        ("PRACK", "RAck: 1 1 INVITE\r\n", "481", false),
        ("MESSAGE", "", "405", true),
        ("SUBSCRIBE", "Event: refer\r\n", "405", true),
        ("PUBLISH", "", "405", true),
        ("REGISTER", "", "405", true),
        ("FROB", "", "501", true),
    ] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        rig.established(&mut caller);
        let request = caller.next(method, headers, "");
        rig.give(&request);
        let reply = rig.one();
        assert_eq!((reply.what(), reply.headers("Allow").len() == 1), (expected, allow), "{method}");
        rig.events();
        rig.give(&request);
        assert_eq!(rig.one().text, reply.text, "{method}");
        assert!(rig.events().is_empty());
    }
}

#[test]
fn an_info_is_passed_on_with_its_body() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    rig.give(&caller.next(
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        "Signal=5\r\nDuration=100\r\n",
    ));
    assert_eq!(rig.one().what(), "200");
    let Event::Info { content_type, body, .. } = rig.event() else { panic!() };
    assert_eq!(content_type.as_ref(), b"application/dtmf-relay");
    assert_eq!(body.as_ref(), b"Signal=5\r\nDuration=100\r\n");
}

#[test]
fn an_info_without_a_body_is_answered_and_no_matter_of_the_owners() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    rig.give(&caller.next("INFO", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(rig.events().is_empty());
}

// RFC 6086 §4.2.2
#[test]
fn an_info_of_a_package_gets_469_and_the_empty_list_of_ours() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    let headers = "Info-Package: infoDtmf\r\nContent-Type: application/dtmf\r\n";
    rig.give(&caller.next("INFO", headers, "5"));
    let reply = rig.one();
    assert_eq!((reply.what(), reply.headers("Recv-Info")), ("469", vec![""]));
    assert!(rig.events().is_empty());
}

#[test]
fn an_unknown_extension_is_refused_in_a_dialog_except_for_a_bye() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    rig.give(&caller.next("INFO", "Require: frob\r\n", ""));
    let reply = rig.one();
    assert_eq!((reply.what(), reply.header("Unsupported")), ("420", "frob"));
    rig.give(&caller.next("BYE", "Require: frob\r\n", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Bye { .. }));
}

#[test]
fn a_peer_of_rfc_2543_without_tag_or_branch_is_served() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    caller.from = "<sip:old@192.0.2.10>".to_owned();
    let strip = |text: String| {
        let line = text.lines().find(|line| line.starts_with("Via:")).unwrap();
        let bare = line.split(";branch").next().unwrap();
        text.replacen(line, bare, 1)
    };
    let invite = strip(caller.invite(""));
    rig.give(&invite);
    let Event::Invite { dialog, .. } = rig.event() else { panic!() };
    rig.give(&invite);
    assert_eq!(rig.sent_in_short(), ["100", "100"]);
    assert!(rig.events().is_empty());
    rig.act(|e, now| e.accept(dialog, bytes::Bytes::new(), now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    rig.give(&strip(caller.ack()));
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
    rig.act(|e, now| e.bye(dialog, "", now));
    assert_eq!(rig.one().header("To"), "<sip:old@192.0.2.10>");
    rig.give(&strip(caller.next("BYE", "", "")));
    assert_eq!(rig.one().what(), "200");
}

#[test]
fn a_refusal_to_a_peer_of_rfc_2543_finds_its_ack() {
    for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let old = |text: String| text.replacen(";branch=z9hG4bK-1000", branch, 1);
        rig.give(&old(caller.invite("")));
        let Event::Invite { dialog, .. } = rig.event() else { panic!() };
        rig.sent();
        rig.act(|e, now| e.reject(dialog, crate::rig::status(404), &[], now)).unwrap();
        let tag = rig.one().to_tag().to_owned();
        rig.give(&old(caller.ack_refusal(&tag)));
        rig.pass(crate::rig::secs(20));
        rig.assert_silent();
    }
}

#[test]
fn a_cancel_from_a_peer_of_rfc_2543_finds_its_invite() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let old = |text: String| text.replacen(";branch=z9hG4bK-1000", "", 1);
    rig.give(&old(caller.invite("")));
    rig.sent();
    rig.events();
    rig.give(&old(caller.cancel()));
    assert_eq!(rig.sent_in_short(), ["200", "487"]);
    assert!(matches!(rig.event(), Event::Cancelled { .. }));
}

#[test]
fn the_ack_of_a_2xx_may_wrongly_bear_the_branch_of_its_invite() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.answered(&mut caller);
    rig.give(&caller.write("ACK", 1, "", ""));
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
}

#[test]
fn an_ack_with_another_cseq_confirms_nothing() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.answered(&mut caller);
    rig.give(&caller.write("ACK", 2, "", "").replace("-1000", "-1999"));
    rig.assert_silent();
}

#[test]
fn requests_of_a_dialog_may_come_from_another_port() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    let bye = caller.next("BYE", "", "");
    rig.give_from(udp_from("192.0.2.10:9999"), &bye);
    assert_eq!(rig.one().what(), "200");
}
