//! Requests that must bear credentials (RFC 3261 §22, RFC 7616, RFC 8760).

use sip::endpoint::flow::Flow;
use sip::endpoint::policy::{Authentication, PeerPolicy};
use sip::endpoint::{Event, Suspicion};
use sip::ua::digest::{Challenger, Client, Credentials, Password};

use crate::rig::{Caller, OFFER, PEER, Rig, Sent, ms, secs, udp_from};

const URI: &str = "sip:+33199000001@192.0.2.1";

fn credentials(username: &str, password: &str) -> Credentials {
    Credentials { username: username.to_owned(), password: Password::new(password), realm: None }
}

fn rig() -> Rig {
    let users = vec![credentials("reception", "zanzibar"), credentials("fax", "mombasa")];
    let authentication = Some(Authentication { realm: "pbx.example".to_owned(), users });
    Rig::agreed(PeerPolicy { authentication, ..PeerPolicy::default() })
}

/// The header that answers a challenge.
fn answer(challenge: &Sent, username: &str, password: &str, method: &str, uri: &str) -> String {
    let mut client = Client::new(credentials(username, password));
    answer_with(&mut client, challenge, method, uri)
}

fn answer_with(client: &mut Client, challenge: &Sent, method: &str, uri: &str) -> String {
    let values = challenge.headers("WWW-Authenticate");
    client.on_challenges(values.iter().map(|value| (Challenger::Server, value.as_bytes()))).unwrap();
    again(client, method, uri)
}

fn again(client: &mut Client, method: &str, uri: &str) -> String {
    let answers = client.authorize(method.as_bytes(), uri.as_bytes(), 7);
    format!("Authorization: {}\r\n", String::from_utf8(answers[0].value.to_vec()).unwrap())
}

/// The next INVITE of the same caller: after a challenge CSeq and branch go up (§22.2).
fn invite(rig: &mut Rig, caller: &mut Caller, headers: &str) -> Vec<Sent> {
    caller.cseq += 1;
    caller.branch += 1;
    rig.give_from(caller.flow, &caller.write("INVITE", caller.cseq, headers, OFFER));
    rig.sent()
}

/// The challenge that an INVITE without credentials gets.
fn challenged(rig: &mut Rig, caller: &mut Caller) -> Sent {
    let mut sent = invite(rig, caller, "");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].what(), "401");
    sent.remove(0)
}

fn is_stale(sent: &Sent) -> bool {
    let all = sent.headers("WWW-Authenticate");
    let stale = all.iter().filter(|value| value.ends_with(", stale=true")).count();
    assert!(stale == 0 || stale == all.len());
    stale > 0
}

#[test]
fn a_call_with_the_right_credentials_gets_through_and_is_asked_for_no_more() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let challenge = challenged(&mut rig, &mut caller);
    let values = challenge.headers("WWW-Authenticate");
    // RFC 8760 §2.3: the strongest first.
    assert!(values[0].contains("algorithm=SHA-256") && values[1].contains("algorithm=MD5"), "{values:?}");
    assert!(values.iter().all(|v| v.contains("realm=\"pbx.example\"") && v.contains("qop=\"auth\"")));
    rig.give(&caller.write("ACK", caller.cseq, "", "").replace(
        "To: <sip:+33199000001@192.0.2.1>",
        &format!("To: <sip:+33199000001@192.0.2.1>;tag={}", challenge.to_tag()),
    ));
    assert_eq!(rig.endpoint.counters().stray_requests, 0);
    let header = answer(&challenge, "reception", "zanzibar", "INVITE", URI);
    assert_eq!(invite(&mut rig, &mut caller, &header)[0].what(), "100");
    let Event::Invite { dialog, .. } = rig.event() else { panic!() };
    rig.act(|e, now| e.accept(dialog, bytes::Bytes::new(), now)).unwrap();
    caller.to_tag = rig.one().to_tag().to_owned();
    rig.give(&caller.ack());
    rig.events();
    // Inside the call its address is enough.
    rig.give(&caller.next("INVITE", "", OFFER));
    assert!(matches!(rig.event(), Event::Offer { .. }));
    rig.hang_up(&mut caller, dialog);
    assert_eq!(rig.endpoint.counters().challenged, 1);
}

#[test]
fn md5_is_taken_from_those_who_know_nothing_better() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let mut challenge = challenged(&mut rig, &mut caller);
    let md5: Vec<&str> =
        challenge.text.split("\r\n").filter(|line| !line.contains("algorithm=SHA-256")).collect();
    challenge.text = md5.join("\r\n");
    let header = answer(&challenge, "fax", "mombasa", "INVITE", URI);
    assert!(header.contains("algorithm=MD5"));
    assert_eq!(invite(&mut rig, &mut caller, &header)[0].what(), "100");
}

#[test]
fn no_state_is_kept_of_a_challenge_and_it_isnt_repeated() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    challenged(&mut rig, &mut caller);
    assert_eq!((rig.endpoint.transaction_count(), rig.endpoint.dialog_count()), (0, 0));
    rig.pass(secs(40));
    rig.assert_silent();
}

// Amplification: what comes back isn't worth asking for.
#[test]
fn a_challenge_is_smaller_than_the_call_it_answers() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let asked = caller.invite("").len();
    let challenge = challenged(&mut rig, &mut caller);
    assert!(challenge.text.len() < asked + 200, "{} for {asked}", challenge.text.len());
}

#[test]
fn every_request_outside_a_call_is_challenged_but_ack_and_cancel() {
    for (method, headers) in [
        ("OPTIONS", ""),
        ("REGISTER", ""),
        ("MESSAGE", ""),
        ("SUBSCRIBE", "Event: presence\r\n"),
        ("FROB", ""),
        ("BYE", ""),
    ] {
        let mut rig = rig();
        rig.give(&Caller::new(1).write(method, 1, headers, ""));
        assert_eq!(rig.one().what(), "401", "{method}");
    }
    let mut rig = rig();
    rig.give(&Caller::new(1).cancel());
    assert_eq!(rig.one().what(), "481");
    rig.give(&Caller::new(1).write("ACK", 1, "", ""));
    rig.assert_silent();
    let mut caller = Caller::new(1);
    rig.give(&caller.write("OPTIONS", 1, "", ""));
    let challenge = rig.one();
    let header = answer(&challenge, "fax", "mombasa", "OPTIONS", URI);
    caller.branch += 1;
    rig.give(&caller.write("OPTIONS", 2, &header, ""));
    assert_eq!(rig.one().what(), "200");
}

#[test]
fn an_unknown_user_and_a_wrong_password_look_the_same() {
    let mut replies = Vec::new();
    for (user, password) in [("reception", "wrong"), ("nobody", "zanzibar"), ("nobody", "")] {
        let (mut rig, mut caller) = (rig(), Caller::new(1));
        let challenge = challenged(&mut rig, &mut caller);
        let header = answer(&challenge, user, password, "INVITE", URI);
        let reply = invite(&mut rig, &mut caller, &header).remove(0);
        assert!(!is_stale(&reply));
        let masked = format!("{}…", &user[..2]);
        assert_eq!(rig.suspicions(), [Suspicion::AuthenticationFailed { user: masked }]);
        assert_eq!(rig.endpoint.counters().authentication_failed, 1);
        assert!(rig.events().is_empty());
        replies.push(reply.text);
    }
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:#?}");
}

#[test]
fn an_answer_counts_once() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let challenge = challenged(&mut rig, &mut caller);
    let mut client = Client::new(credentials("reception", "zanzibar"));
    let header = answer_with(&mut client, &challenge, "INVITE", URI);
    assert_eq!(invite(&mut rig, &mut caller, &header)[0].what(), "100");
    rig.events();
    // The same INVITE again is a repetition, not another use.
    rig.give(&caller.write("INVITE", caller.cseq, &header, OFFER));
    assert_eq!(rig.one().what(), "100");
    // In another one it is a replay, and no guess.
    let mut thief = Caller::new(2);
    let refusal = invite(&mut rig, &mut thief, &header).remove(0);
    assert!(refusal.what() == "401" && is_stale(&refusal));
    assert!(rig.events().is_empty() && rig.suspicions().is_empty());
    // The next count of the same nonce is good.
    let next = again(&mut client, "INVITE", URI);
    assert_eq!(invite(&mut rig, &mut Caller::new(3), &next)[0].what(), "100");
}

#[test]
fn a_nonce_is_good_for_a_minute_and_at_one_address() {
    let right = |challenge: &Sent| answer(challenge, "reception", "zanzibar", "INVITE", URI);
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let challenge = challenged(&mut rig, &mut caller);
    rig.pass(secs(60));
    let late = invite(&mut rig, &mut caller, &right(&challenge)).remove(0);
    assert!(late.what() == "401" && is_stale(&late));
    // With what came along the caller gets through.
    rig.pass(secs(60) - ms(1));
    assert_eq!(invite(&mut rig, &mut caller, &right(&late))[0].what(), "100");

    let challenge = challenged(&mut rig, &mut Caller::new(2));
    let elsewhere: Flow = udp_from("192.0.2.11:5060");
    let mut other = Caller { flow: elsewhere, ..Caller::new(3) };
    let refusal = invite(&mut rig, &mut other, &right(&challenge)).remove(0);
    assert!(refusal.what() == "401" && is_stale(&refusal));
    let mut moved = Caller { flow: udp_from("192.0.2.10:6060"), ..Caller::new(4) };
    assert_eq!(invite(&mut rig, &mut moved, &right(&challenge))[0].what(), "100");
    assert!(rig.suspicions().is_empty());
}

// RFC 7616 §3.4.6
#[test]
fn an_answer_for_another_uri_or_method_isnt_taken() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let challenge = challenged(&mut rig, &mut caller);
    let other_uri = answer(&challenge, "reception", "zanzibar", "INVITE", "sip:+33899@192.0.2.1");
    assert_eq!(invite(&mut rig, &mut caller, &other_uri)[0].what(), "400");
    let other_method = answer(&challenge, "reception", "zanzibar", "REGISTER", URI);
    assert_eq!(invite(&mut rig, &mut caller, &other_method)[0].what(), "401");
    assert!(rig.events().is_empty());
}

#[test]
fn credentials_for_other_realms_are_passed_over() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let challenge = challenged(&mut rig, &mut caller);
    let right = answer(&challenge, "reception", "zanzibar", "INVITE", URI);
    let other = right.replace("pbx.example", "elsewhere.example");
    let reply = invite(&mut rig, &mut caller, &other).remove(0);
    assert!(reply.what() == "401" && !is_stale(&reply));
    assert_eq!(rig.endpoint.counters().authentication_failed, 0);
    let both = format!("{other}{right}");
    assert_eq!(invite(&mut rig, &mut caller, &both)[0].what(), "100");
    for junk in ["Authorization: Basic abc\r\n", "Authorization: \r\n"] {
        assert_eq!(invite(&mut rig, &mut Caller::new(2), junk)[0].what(), "401", "{junk}");
    }
    let broken = "Authorization: Digest realm=\"pbx.example\", realm=\"x\"\r\n";
    assert_eq!(invite(&mut rig, &mut Caller::new(3), broken)[0].what(), "400");
}

#[test]
fn ten_wrong_tries_stop_a_source_for_a_minute_and_nobody_else() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let mut challenge = challenged(&mut rig, &mut caller);
    for try_ in 1..=10 {
        let header = answer(&challenge, "reception", &format!("guess {try_}"), "INVITE", URI);
        challenge = invite(&mut rig, &mut caller, &header).remove(0);
        assert_eq!(challenge.what(), "401", "{try_}");
    }
    assert_eq!(rig.suspicions().len(), 10);
    // Even the right one isn't looked at now.
    let right = answer(&challenge, "reception", "zanzibar", "INVITE", URI);
    let refusal = invite(&mut rig, &mut caller, &right).remove(0);
    assert_eq!((refusal.what(), refusal.headers("WWW-Authenticate").len()), ("403", 0));
    assert_eq!((rig.suspicions(), rig.endpoint.counters().braked), (vec![Suspicion::Guessing], 1));
    // Another source is served.
    let mut other = Caller { flow: udp_from("192.0.2.11:5060"), ..Caller::new(2) };
    let theirs = challenged(&mut rig, &mut other);
    let header = answer(&theirs, "reception", "zanzibar", "INVITE", URI);
    assert_eq!(invite(&mut rig, &mut other, &header)[0].what(), "100");
    rig.pass(secs(60));
    rig.sent();
    let challenge = challenged(&mut rig, &mut caller);
    let right = answer(&challenge, "reception", "zanzibar", "INVITE", URI);
    assert_eq!(invite(&mut rig, &mut caller, &right)[0].what(), "100");
}

// Nobody is locked out by another who writes his address: the nonce never reached the forger.
#[test]
fn tries_with_a_nonce_that_wasnt_given_to_the_source_count_for_nothing() {
    let (mut rig, mut caller) = (rig(), Caller::new(1));
    let mut attacker = Caller { flow: udp_from("203.0.113.66:5060"), ..Caller::new(2) };
    let challenge = challenged(&mut rig, &mut attacker);
    for try_ in 0..30 {
        let header = answer(&challenge, "reception", &format!("guess {try_}"), "INVITE", URI);
        let mut forged = Caller { flow: udp_from(PEER), ..Caller::new(100 + try_) };
        let reply = invite(&mut rig, &mut forged, &header).remove(0);
        // Right or wrong, the reply is the same.
        assert!(reply.what() == "401" && is_stale(&reply));
    }
    assert_eq!(rig.endpoint.counters().authentication_failed, 0);
    let challenge = challenged(&mut rig, &mut caller);
    let right = answer(&challenge, "reception", "zanzibar", "INVITE", URI);
    assert_eq!(invite(&mut rig, &mut caller, &right)[0].what(), "100");
}
