//! Who is listened to: nobody who isn't listed, and in a call nobody but its peer.

use sip::endpoint::policy::{PeerPolicy, PolicyId, Standing};
use sip::endpoint::{Event, Suspicion};

use crate::rig::{Caller, OFFER, Rig, response, secs, udp_from};

const STRANGER: &str = "203.0.113.66:5060";
const ELSEWHERE: Standing = Standing::Listed(PolicyId(9));

/// Everything that makes an endpoint talk, when it comes from somebody who is listed.
fn openings() -> Vec<String> {
    let caller = Caller::new(7);
    let mut tagged = Caller { to_tag: "guess".to_owned(), ..Caller::new(8) };
    let mut all: Vec<String> = [
        ("INVITE", "", OFFER),
        ("OPTIONS", "", ""),
        ("REGISTER", "", ""),
        ("FROB", "", ""),
        ("MESSAGE", "Content-Type: text/plain\r\n", "hi"),
        ("SUBSCRIBE", "Event: presence\r\n", ""),
        ("CANCEL", "", ""),
        ("BYE", "", ""),
        ("ACK", "", ""),
    ]
    .into_iter()
    .map(|(method, headers, body)| caller.write(method, 1, headers, body))
    .collect();
    all.push(tagged.next("BYE", "", ""));
    all.push(tagged.next("INVITE", "", OFFER));
    all.push(caller.write("INVITE", 1, "", OFFER).replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    all.push(caller.write("OPTIONS", 1, "", "").replace("CSeq: 1", "CSeq: x"));
    all.push("hello\r\n\r\n".to_owned());
    all.push("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nContent-Length: 999\r\n\r\n".to_owned());
    all
}

#[test]
fn nobody_unlisted_gets_an_answer_to_anything() {
    let mut rig = Rig::new();
    let openings = openings();
    for text in &openings {
        rig.give_as(Standing::Unlisted, udp_from(STRANGER), text);
        rig.assert_silent();
        assert!(rig.suspicions().is_empty(), "{text}");
    }
    let counters = rig.endpoint.counters();
    assert_eq!((counters.unlisted, counters.received), (openings.len() as u64, openings.len() as u64));
    rig.assert_empty_in_the_end();
    // Each of them but the ACK and the junk is answered where its sender is listed.
    let answered = openings
        .iter()
        .filter(|text| {
            let mut rig = Rig::new();
            rig.give_from(udp_from(STRANGER), text);
            !rig.sent().is_empty()
        })
        .count();
    assert_eq!(answered, openings.len() - 2);
}

#[test]
fn a_response_to_a_request_of_ours_is_taken_from_anybody() {
    let mut rig = Rig::new();
    rig.act(|e, now| e.request(crate::calling::outside(sip::message::Method::Options), now));
    let ours = rig.one();
    rig.give_as(Standing::Unlisted, udp_from(STRANGER), &response(&ours, "200 OK", "x", "", ""));
    assert!(matches!(rig.event(), Event::Response { .. }));
    let stray = response(&ours, "200 OK", "x", "", "").replace("branch=z9hG4bK", "branch=z9hG4bKx");
    rig.give_as(Standing::Unlisted, udp_from(STRANGER), &stray);
    rig.assert_silent();
}

#[test]
fn a_call_goes_on_with_its_own_address_when_that_is_no_longer_listed() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.answered(&mut caller);
    let own = caller.flow;
    rig.give_as(Standing::Unlisted, own, &caller.ack());
    assert!(matches!(rig.event(), Event::Confirmed { .. }));
    let offer = caller.next("INVITE", "", OFFER);
    rig.give_as(Standing::Unlisted, own, &offer);
    assert!(matches!(rig.event(), Event::Offer { .. }));
    // A copy, and the CANCEL of it.
    rig.give_as(Standing::Unlisted, own, &offer);
    rig.give_as(Standing::Unlisted, own, &caller.write("CANCEL", caller.cseq, "", ""));
    assert_eq!(rig.sent_in_short(), ["100", "100", "200", "487"]);
    rig.give_as(Standing::Unlisted, own, &caller.write("ACK", caller.cseq, "", ""));
    rig.give_as(Standing::Unlisted, own, &caller.next("BYE", "", ""));
    assert_eq!(rig.one().what(), "200");
    assert!(matches!(rig.event(), Event::Bye { .. }));
    rig.endpoint.forget(dialog);
    assert_eq!(rig.endpoint.counters().unlisted, 0);
}

/// All that the far end can say in a call, and that would change something.
fn in_call(caller: &mut Caller) -> Vec<String> {
    [
        ("BYE", "", ""),
        ("INVITE", "", OFFER),
        ("UPDATE", "", ""),
        ("INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\n"),
        ("OPTIONS", "", ""),
        ("REFER", "Refer-To: <sip:x@y>\r\n", ""),
        ("NOTIFY", "Event: refer\r\nSubscription-State: active\r\n", ""),
    ]
    .into_iter()
    .map(|(method, headers, body)| caller.next(method, headers, body))
    .collect()
}

#[test]
fn requests_of_a_call_from_elsewhere_have_no_effect_and_no_answer() {
    for standing in [Standing::Unlisted, ELSEWHERE] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        let dialog = rig.established(&mut caller);
        let texts = in_call(&mut caller);
        for text in &texts {
            rig.give_as(standing, udp_from(STRANGER), text);
            rig.assert_silent();
        }
        let counters = rig.endpoint.counters();
        assert_eq!(counters.unlisted + counters.wrong_source, texts.len() as u64);
        assert_eq!(counters.wrong_source > 0, standing == ELSEWHERE);
        // Their CSeq counts for nothing either.
        caller.cseq = 1;
        rig.hang_up(&mut caller, dialog);
        rig.assert_empty_in_the_end();
    }
}

#[test]
fn ack_and_cancel_from_elsewhere_have_no_effect() {
    for standing in [Standing::Unlisted, ELSEWHERE] {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        rig.offered(&mut caller);
        rig.give_as(standing, udp_from(STRANGER), &caller.cancel());
        rig.give_as(standing, udp_from(STRANGER), &caller.invite(""));
        rig.assert_silent();
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        rig.answered(&mut caller);
        rig.give_as(standing, udp_from(STRANGER), &caller.ack());
        // The ACK of a refusal, too.
        rig.assert_silent();
        rig.pass(secs(1));
        assert_eq!(rig.sent_in_short(), ["200"]);
    }
}

#[test]
fn a_call_may_be_spoken_for_by_any_address_of_its_peer() {
    let addresses = ["192.0.2.10:9999", "198.51.100.20:5060", "203.0.113.7:5060", "192.0.2.99:5060"];
    for (index, source) in addresses.into_iter().enumerate() {
        let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
        caller.contact = "<sip:caller@198.51.100.20:5060>".to_owned();
        caller.extra = "Record-Route: <sip:203.0.113.7;lr>\r\n".to_owned();
        rig.established(&mut caller);
        // The address it called from, its Contact's, its proxy's; and one listed with it.
        let standing = if index == 3 { crate::rig::LISTED } else { Standing::Unlisted };
        rig.give_as(standing, udp_from(source), &caller.next("BYE", "", ""));
        assert_eq!(rig.one().what(), "200", "{source}");
    }
}

#[test]
fn an_address_of_the_old_family_is_the_same_in_the_form_of_the_new_one() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    let bye = caller.next("BYE", "", "");
    rig.give_as(Standing::Unlisted, udp_from("[::ffff:192.0.2.10]:5060"), &bye);
    assert_eq!(rig.one().what(), "200");
}

#[test]
fn the_ack_of_a_refusal_without_state_is_no_stray_request() {
    let mut rig = Rig::new();
    let caller = Caller::new(1);
    rig.give(&caller.write("INVITE", 1, "Require: frob\r\n", OFFER));
    let refusal = rig.one();
    assert_eq!(refusal.what(), "420");
    rig.give(&caller.ack_refusal(refusal.to_tag()));
    rig.assert_silent();
    assert_eq!(rig.endpoint.counters().stray_requests, 0);
    rig.give(&caller.ack_refusal("guess"));
    rig.assert_silent();
    assert_eq!(rig.endpoint.counters().stray_requests, 1);
}

#[test]
fn what_scanners_do_is_told() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    rig.established(&mut caller);
    for (text, expected) in [
        (Caller::new(2).write("REGISTER", 1, "", ""), Suspicion::Registration),
        (Caller::new(3).write("FROB", 1, "", ""), Suspicion::UnknownMethod),
        (Caller::new(4).write("MESSAGE", 1, "", ""), Suspicion::MethodNotServed),
        (Caller::new(5).write("BYE", 1, "", ""), Suspicion::StrayRequest),
        (Caller::new(6).write("CANCEL", 1, "", ""), Suspicion::StrayRequest),
        (Caller::new(7).invite("").replace("CSeq: 1", "CSeq: x"), Suspicion::Malformed),
        ("nonsense".to_owned(), Suspicion::Malformed),
        (Caller::new(8).invite("Replaces: a;to-tag=b;from-tag=c\r\n"), Suspicion::Replaces),
    ] {
        rig.give(&text);
        assert_eq!(rig.suspicions(), [expected], "{text}");
    }
    rig.give("\r\n\r\n");
    rig.give_as(ELSEWHERE, udp_from(STRANGER), &caller.next("BYE", "", ""));
    assert_eq!(rig.suspicions(), [Suspicion::WrongSource]);
}

#[test]
fn a_policy_can_be_set_changed_and_taken_back() {
    let mut rig = Rig::new();
    let id = PolicyId(0);
    let options = Caller::new(1).write("OPTIONS", 1, "", "");
    for (accept_replaces, expected) in [(true, "100rel, replaces"), (false, "100rel")] {
        rig.endpoint.set_policy(id, PeerPolicy { accept_replaces, ..PeerPolicy::default() });
        rig.give(&options);
        assert_eq!(rig.one().header("Supported"), expected);
    }
    rig.endpoint.set_policy(id, PeerPolicy { accept_replaces: true, ..PeerPolicy::default() });
    rig.endpoint.remove_policy(id);
    rig.give(&options);
    assert_eq!(rig.one().header("Supported"), "100rel");
}

#[test]
fn requests_and_responses_are_counted_by_method_and_class() {
    let (mut rig, mut caller) = (Rig::new(), Caller::new(1));
    let dialog = rig.established(&mut caller);
    rig.act(|e, now| e.bye(dialog, "", now));
    let bye = rig.one();
    rig.give(&response(&bye, "200 OK", "", "", ""));
    rig.give(&Caller::new(2).write("FROB", 1, "", ""));
    let counters = rig.endpoint.counters();
    let requests = |traffic: sip::endpoint::Traffic| -> Vec<_> {
        traffic.requests().filter(|(_, count)| *count > 0).collect()
    };
    let responses = |traffic: sip::endpoint::Traffic| -> Vec<_> {
        traffic.responses().filter(|(.., count)| *count > 0).collect()
    };
    assert_eq!(requests(counters.traffic_in), [("INVITE", 1), ("ACK", 1), ("other", 1)]);
    assert_eq!(requests(counters.traffic_out), [("BYE", 1)]);
    assert_eq!(responses(counters.traffic_in), [("BYE", "2xx", 1)]);
    assert_eq!(
        responses(counters.traffic_out),
        [("INVITE", "1xx", 1), ("INVITE", "2xx", 1), ("other", "5xx", 1)]
    );
}
