//! Fraud and injection: messages that would have us call, answer or send for somebody else.

use sip::endpoint::Event;

use crate::rig::{Caller, Rig, address, udp_from};

/// CVE-2021-37624 (FreeSWITCH): MESSAGE was passed on without a question. Nothing is passed on here.
#[test]
fn cve_2021_37624_messages_are_not_relayed() {
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    for method in ["MESSAGE", "PUBLISH", "SUBSCRIBE", "REGISTER"] {
        let message =
            caller.next(method, "Content-Type: text/plain\r\nRoute: <sip:203.0.113.66;lr>\r\n", "hello");
        rig.give(&message);
        let answer = rig.one();
        assert_eq!(answer.what(), "405", "{method}");
        assert!(answer.goes_to().contains("192.0.2.10"));
        assert!(rig.events().is_empty());
    }
}

/// No REFER, 302, Route, maddr or Replaces that comes makes us call.
#[test]
fn nothing_that_comes_makes_us_call() {
    let premium = "sip:+1900555@203.0.113.66";
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    rig.established(&mut caller);
    for (method, headers) in [
        ("REFER", format!("Refer-To: <{premium}>\r\n")),
        (
            "REFER",
            format!("Refer-To: <{premium}?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3>\r\nTarget-Dialog: x\r\n"),
        ),
        ("INFO", format!("Call-Info: <{premium}>\r\nAlert-Info: <{premium}>\r\n")),
        ("OPTIONS", format!("Route: <{premium};lr>\r\n")),
        ("NOTIFY", format!("Event: refer\r\nSubscription-State: active\r\nContact: <{premium}>\r\n")),
    ] {
        let message = caller.next(method, &headers, "");
        rig.give(&message);
        for sent in rig.sent() {
            assert!(sent.text.starts_with("SIP/2.0 "), "only answers: {}", sent.text);
            assert!(sent.goes_to().contains("192.0.2.10"), "{method}");
        }
    }
    // Outside a call, too.
    let mut other = Caller::new(2);
    for headers in [
        "Replaces: call-1@192.0.2.10;to-tag=x;from-tag=f1\r\n",
        "Require: replaces\r\nReplaces: call-1@192.0.2.10;to-tag=x;from-tag=f1\r\n",
        "Route: <sip:203.0.113.66;lr>\r\n",
    ] {
        let message = other.next("INVITE", headers, "");
        rig.give(&message);
        for sent in rig.sent() {
            assert!(
                sent.text.starts_with("SIP/2.0 ") && sent.goes_to().contains("192.0.2.10"),
                "{}",
                sent.text
            );
        }
        assert!(
            rig.events().iter().all(|event| matches!(
                event,
                Event::Invite { .. } | Event::Info { .. } | Event::Refer { .. }
            ))
        );
    }
    let refer = caller.next("REFER", &format!("Refer-To: <{premium}>\r\n"), "");
    rig.give(&refer);
    assert_eq!(rig.one().what(), "603");
}

/// CVE-2020-35776 (Asterisk, AST-2021-001): a `tel:` URI in a Diversion that was taken for a `sip:` one.
#[test]
fn cve_2020_35776_other_schemes_in_identity_header_fields() {
    for uri in
        ["<tel:+33199000001>", "<urn:service:sos>", "<mailto:a@b>", "tel:1;phone-context=x", "<>", "", "\"x"]
    {
        let mut rig = Rig::new();
        let mut caller = Caller::new(1);
        caller.extra =
            ["Diversion", "History-Info", "P-Asserted-Identity", "Remote-Party-ID", "P-Called-Party-ID"]
                .map(|name| format!("{name}: {uri}\r\n"))
                .concat();
        let dialog = rig.established(&mut caller);
        rig.hang_up(&mut caller, dialog);
        rig.assert_empty_in_the_end();
    }
}

/// Answers go to the address that asked, whatever Via, maddr, received and Contact say: nobody is flooded through us.
#[test]
fn answers_cannot_be_aimed() {
    let victim = "203.0.113.66";
    for via in [
        format!("SIP/2.0/UDP {victim}:5060;branch=z9hG4bK1"),
        format!("SIP/2.0/UDP 192.0.2.10;maddr={victim};branch=z9hG4bK1"),
        format!("SIP/2.0/UDP 192.0.2.10;received={victim};rport=9;branch=z9hG4bK1"),
        format!("SIP/2.0/TCP {victim};branch=z9hG4bK1"),
    ] {
        let mut rig = Rig::new();
        let mut caller = Caller::new(1);
        let message = caller.next("OPTIONS", "", "");
        let own = message.lines().find(|line| line.starts_with("Via: ")).unwrap().to_owned();
        rig.give_from(udp_from("192.0.2.10:7000"), &message.replace(&own, &format!("Via: {via}")));
        assert!(rig.one().goes_to().contains(&address("192.0.2.10:1").ip().to_string()), "{via}");
    }
}

/// An answer is no larger than a few times the question, and one datagram gets at most one at once: no amplifier.
#[test]
fn answers_do_not_amplify() {
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    for method in ["OPTIONS", "INVITE", "REGISTER", "BYE", "JUGGLE", "SUBSCRIBE"] {
        let request = caller.next(method, "", "");
        rig.give(&request);
        let sent = rig.sent();
        assert_eq!(sent.len(), 1, "{method}");
        assert!(
            sent[0].text.len() <= request.len() + 400,
            "{method}: {} for {}",
            sent[0].text.len(),
            request.len()
        );
        rig.events();
    }
    // The smallest thing that gets any answer.
    let least = "A sip:a SIP/2.0\r\nv:SIP/2.0/UDP a\r\n\r\n";
    rig.give(least);
    for sent in rig.sent() {
        assert!(sent.text.len() < 400, "{}", sent.text);
    }
}

/// Nothing in a header field adds another one to what we send: CR, LF, NUL, folds, escapes.
#[test]
fn nothing_that_comes_adds_a_line_to_what_goes_out() {
    for name in [
        "\"x\\\r\nEvil: 1\" <sip:a@b>",
        "<sip:a%0d%0aEvil:%201@b>",
        "\"x\r\n Evil: 1\" <sip:a@b>",
        "\"\u{85}Evil: 1\u{2028}\" <sip:a@b>",
    ] {
        let mut rig = Rig::new();
        let mut caller = Caller::new(1);
        caller.from = format!("{name};tag=f1");
        caller.extra = "Subject: a\r\n\tEvil: 1\r\n".to_owned();
        let invite = caller.invite("");
        rig.give(&invite);
        if let Some(Event::Invite { dialog, .. }) = rig.events().pop() {
            rig.act(|endpoint, now| endpoint.accept(dialog, "v=0\r\n".into(), now)).unwrap();
            rig.pass(crate::rig::secs(40));
            rig.act(|endpoint, now| endpoint.bye(dialog, "SIP;cause=200;text=\"x\r\nEvil: 1\"", now));
        }
        for sent in rig.sent() {
            let evil = sent.text.split(['\r', '\n']).find(|line| line.starts_with("Evil"));
            assert_eq!(evil, None, "{name}: {}", sent.text);
        }
    }
}
