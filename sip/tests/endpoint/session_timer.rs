//! Sessions that run out (RFC 4028): what is agreed, refreshing as either side, and the end.

use std::time::Duration;

use sip::dialog::DialogId;
use sip::endpoint::policy::{PeerPolicy, SessionTimer};
use sip::endpoint::{Event, Expiry, Input};
use sip::message::StatusCode;

use crate::rig::{ANSWER, Caller, OFFER, Rig, Sent, ms, response, secs, status};

const ACCEPT: SessionTimer = SessionTimer::Accept { min_se: secs_of(90) };
const REQUEST: SessionTimer = SessionTimer::Request { expires: secs_of(1_800), min_se: secs_of(90) };
const TIMER: &str = "Supported: timer\r\n";
const ALLOWS_UPDATE: &str = "Allow: INVITE, UPDATE\r\n";

const fn secs_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rig(session_timer: SessionTimer) -> Rig {
    Rig::agreed(PeerPolicy { session_timer, ..PeerPolicy::default() })
}

/// A call whose INVITE had these headers, with its 200.
fn answered(session_timer: SessionTimer, headers: &str) -> (Rig, Caller, DialogId, Sent) {
    let (mut rig, mut caller) = (rig(session_timer), Caller::new(1));
    rig.give(&caller.invite(headers));
    let Event::Invite { dialog, .. } = rig.event() else { panic!() };
    rig.sent();
    rig.act(|e, now| e.accept(dialog, bytes::Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
    let ok = rig.one();
    caller.to_tag = ok.to_tag().to_owned();
    let ack = caller.ack();
    rig.give(&ack);
    rig.events();
    (rig, caller, dialog, ok)
}

/// A call that we refresh every 900 s by the method that these headers allow.
fn refreshing(allow: &str) -> (Rig, Caller, DialogId) {
    let (rig, caller, dialog, ok) =
        answered(REQUEST, &format!("{TIMER}Session-Expires: 1800;refresher=uas\r\n{allow}"));
    assert_eq!(ok.header("Session-Expires"), "1800;refresher=uas");
    (rig, caller, dialog)
}

fn expired(rig: &mut Rig) -> Expiry {
    match rig.event() {
        Event::SessionExpired { expiry, .. } => expiry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_200_says_what_is_agreed_and_demands_the_extension_of_those_who_speak_it() {
    for (timer, headers, expires, required) in [
        (SessionTimer::Off, "Supported: timer\r\nSession-Expires: 1800\r\n", None, false),
        (ACCEPT, "", None, false),
        (ACCEPT, TIMER, None, false),
        (ACCEPT, "Supported: timer\r\nSession-Expires: 600\r\n", Some("600;refresher=uac"), true),
        (ACCEPT, "k: 100rel,timer\r\nx: 600;refresher=uas\r\n", Some("600;refresher=uas"), true),
        (ACCEPT, "Require: timer\r\nSession-Expires: 600\r\n", Some("600;refresher=uac"), true),
        (ACCEPT, "Session-Expires: 600\r\n", Some("600;refresher=uas"), false),
        (REQUEST, "", Some("1800;refresher=uas"), false),
        (REQUEST, TIMER, Some("1800;refresher=uac"), true),
        (REQUEST, "Supported: timer\r\nMin-SE: 2000\r\n", Some("2000;refresher=uac"), true),
    ] {
        let (.., ok) = answered(timer, headers);
        assert_eq!(ok.headers("Session-Expires").first().copied(), expires, "{headers}");
        assert_eq!(ok.headers("Require"), if required { vec!["timer"] } else { Vec::new() }, "{headers}");
        let supported = if timer == SessionTimer::Off { "100rel" } else { "100rel, timer" };
        assert_eq!(ok.header("Supported"), supported);
    }
}

// §6, §9
#[test]
fn too_short_an_interval_gets_422_with_ours_at_any_time() {
    let strict = SessionTimer::Accept { min_se: secs(300) };
    let headers = "Supported: timer\r\nSession-Expires: 120\r\n";
    let (mut rig, mut caller) = (rig(strict), Caller::new(1));
    rig.give(&caller.invite(headers));
    let refusal = rig.one();
    assert_eq!((refusal.what(), refusal.header("Min-SE")), ("422", "300"));
    assert!(rig.events().is_empty());
    caller.cseq += 1;
    rig.established(&mut caller);
    for (method, body) in [("INVITE", OFFER), ("UPDATE", OFFER), ("UPDATE", "")] {
        rig.give(&caller.next(method, headers, body));
        let refusal = rig.one();
        assert_eq!((refusal.what(), refusal.header("Min-SE")), ("422", "300"), "{method}");
        assert!(rig.events().is_empty());
    }
}

// §10
#[test]
fn a_session_that_the_caller_doesnt_refresh_ends_a_little_early_with_a_bye() {
    for (seconds, end) in [(1_800, 1_768), (90, 60)] {
        let (mut rig, _, dialog, _) =
            answered(ACCEPT, &format!("{TIMER}Session-Expires: {seconds};refresher=uac\r\n"));
        rig.pass(secs(end) - ms(1));
        rig.assert_silent();
        rig.pass(ms(1));
        assert_eq!(expired(&mut rig), Expiry::NotRefreshed);
        let bye = rig.one();
        assert_eq!((bye.what(), bye.header("Reason")), ("BYE", "SIP;cause=408;text=\"Session expired\""));
        rig.give(&response(&bye, "200 OK", "", "", ""));
        assert!(matches!(rig.event(), Event::Closed { .. }));
        rig.endpoint.forget(dialog);
        rig.assert_empty_in_the_end();
        assert_eq!(rig.endpoint.counters().sessions_expired, 1);
    }
}

#[test]
fn refreshes_of_the_callers_keep_the_session_alive() {
    let (mut rig, mut caller, dialog, _) = answered(ACCEPT, "Supported: timer\r\nSession-Expires: 1800\r\n");
    let refresh = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
    for (method, body) in [("UPDATE", ""), ("INVITE", OFFER), ("UPDATE", OFFER), ("UPDATE", "")] {
        rig.pass(secs(1_000));
        rig.give(&caller.next(method, refresh, body));
        if !body.is_empty() {
            rig.act(|e, now| e.answer_offer(dialog, Ok(Some(ANSWER.into())), now)).unwrap();
        }
        let ok = rig.last();
        assert_eq!((ok.what(), ok.header("Session-Expires")), ("200", "1800;refresher=uac"), "{method}");
        assert_eq!(ok.header("Require"), "timer");
        if method == "INVITE" {
            rig.give(&caller.ack());
        }
        rig.sent();
        rig.events();
    }
    rig.pass(secs(1_767));
    rig.assert_silent();
    rig.pass(secs(1));
    assert_eq!(expired(&mut rig), Expiry::NotRefreshed);
}

#[test]
fn the_interval_is_negotiated_again_with_each_refresh_and_the_refresher_stays() {
    let (mut rig, mut caller, dialog) = refreshing(ALLOWS_UPDATE);
    rig.give(&caller.next("UPDATE", "Supported: timer\r\nSession-Expires: 600\r\n", ""));
    assert_eq!(rig.one().header("Session-Expires"), "600;refresher=uas");
    rig.pass(secs(300));
    assert_eq!(rig.last().what(), "UPDATE");
    // A refused offer prolongs nothing.
    rig.give(&caller.next("INVITE", "Supported: timer\r\nSession-Expires: 1800\r\n", OFFER));
    assert_eq!(rig.last().what(), "100");
    rig.act(|e, now| e.answer_offer(dialog, Err(status(488)), now)).unwrap();
    assert!(rig.one().headers("Session-Expires").is_empty());
}

// §9: an answer without Session-Expires turns it off.
#[test]
fn a_refresh_without_an_interval_turns_the_timer_off_where_nobody_insists() {
    let (mut rig, mut caller, ..) = answered(ACCEPT, "Supported: timer\r\nSession-Expires: 600\r\n");
    rig.give(&caller.next("UPDATE", TIMER, ""));
    assert!(rig.one().headers("Session-Expires").is_empty());
    rig.pass(secs(4_000));
    rig.assert_silent();
    let (mut rig, mut caller, ..) = answered(REQUEST, "Supported: timer\r\nSession-Expires: 600\r\n");
    rig.give(&caller.next("UPDATE", TIMER, ""));
    assert_eq!(rig.one().header("Session-Expires"), "1800;refresher=uac");
}

// §7.4, §10
#[test]
fn we_refresh_at_half_the_interval_by_update_where_the_caller_takes_it() {
    let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
    for round in 1..=3 {
        rig.pass(secs(900) - ms(1));
        rig.assert_silent();
        rig.pass(ms(1));
        let update = rig.one();
        assert_eq!((update.what(), update.body()), ("UPDATE", ""));
        assert_eq!(update.header("CSeq"), format!("{round} UPDATE"));
        assert_eq!(update.header("Session-Expires"), "1800;refresher=uac");
        assert_eq!((update.header("Supported"), update.header("Contact")), ("timer", "<sip:192.0.2.1:5060>"));
        rig.give(&response(
            &update,
            "200 OK",
            "",
            "Session-Expires: 1800;refresher=uac\r\nRequire: timer\r\n",
            "",
        ));
        rig.assert_silent();
    }
}

#[test]
fn we_refresh_by_re_invite_with_the_same_description_where_the_caller_takes_no_update() {
    for allow in ["", "Allow: INVITE, BYE\r\n"] {
        let (mut rig, ..) = refreshing(allow);
        rig.pass(secs(900));
        let invite = rig.one();
        assert_eq!((invite.what(), invite.body(), invite.header("CSeq")), ("INVITE", ANSWER, "1 INVITE"));
        assert_eq!(invite.header("Session-Expires"), "1800;refresher=uac");
        rig.give(&response(&invite, "100 Trying", "", "", ""));
        let headers = "Contact: <sip:moved@192.0.2.88:5088>\r\nSession-Expires: 1800;refresher=uac\r\n";
        let ok = response(&invite, "200 OK", "", headers, OFFER);
        rig.give(&ok);
        let ack = rig.one();
        assert_eq!((ack.what(), ack.header("CSeq"), ack.body()), ("ACK", "1 ACK", ""));
        // Its 2xx refreshes the target (§12.2.1.2), before the ACK is made.
        assert_eq!(ack.request_uri(), "sip:moved@192.0.2.88:5088");
        // What the far end says now may be news.
        let Event::OfferAnswered { answer: Ok(Some(answer)), .. } = rig.event() else { panic!() };
        assert_eq!(answer.as_ref(), OFFER.as_bytes());
        // A copy is acknowledged again, and nothing else.
        rig.give(&ok);
        assert_eq!(rig.one().what(), "ACK");
        assert!(rig.events().is_empty());
        rig.pass(secs(900));
        assert_eq!(rig.last().request_uri(), "sip:moved@192.0.2.88:5088");
    }
}

#[test]
fn a_changed_description_is_the_one_that_is_sent_again() {
    let (mut rig, mut caller, dialog) = refreshing("");
    rig.give(&caller.next("INVITE", "Supported: timer\r\nSession-Expires: 1800;refresher=uas\r\n", OFFER));
    let held = ANSWER.replace("o=- 2 2", "o=- 2 3");
    rig.act(|e, now| e.answer_offer(dialog, Ok(Some(held.clone().into())), now)).unwrap();
    rig.give(&caller.ack());
    rig.sent();
    rig.events();
    rig.pass(secs(900));
    assert_eq!(rig.one().body(), held);
}

// §7.2
#[test]
fn the_2xx_to_a_refresh_says_who_refreshes_next_and_how_often() {
    let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
    rig.pass(secs(900));
    let update = rig.one();
    rig.give(&response(&update, "200 OK", "", "Session-Expires: 600;refresher=uas\r\n", ""));
    rig.pass(secs(567));
    rig.assert_silent();
    rig.pass(secs(1));
    assert_eq!(expired(&mut rig), Expiry::NotRefreshed);
}

#[test]
fn a_peer_that_doesnt_speak_the_extension_is_asked_for_signs_of_life_all_the_same() {
    let (mut rig, _, _, ok) = answered(REQUEST, ALLOWS_UPDATE);
    assert_eq!((ok.header("Session-Expires"), ok.headers("Require").len()), ("1800;refresher=uas", 0));
    for _ in 0..2 {
        rig.pass(secs(900));
        let update = rig.one();
        rig.give(&response(&update, "200 OK", "", "", ""));
    }
    rig.assert_silent();
}

// §10 and RFC 3261 §12.2.1.2
#[test]
fn a_refresh_that_finds_nobody_ends_the_call() {
    let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
    rig.pass(secs(900));
    rig.sent();
    rig.pass(secs(32) - ms(1));
    assert!(rig.events().is_empty());
    rig.sent();
    rig.pass(ms(1));
    assert_eq!(expired(&mut rig), Expiry::RefreshFailed(StatusCode::REQUEST_TIMEOUT));
    assert_eq!(rig.one().what(), "BYE");

    for (line, cause) in [("408 Timeout", "408"), ("481 Gone", "481")] {
        for allow in [ALLOWS_UPDATE, ""] {
            let (mut rig, _, dialog) = refreshing(allow);
            rig.pass(secs(900));
            let refresh = rig.one();
            rig.give(&response(&refresh, line, "", "", ""));
            let Expiry::RefreshFailed(_) = expired(&mut rig) else { panic!() };
            let sent = rig.sent();
            let bye = sent.last().unwrap();
            assert_eq!(
                (bye.what(), bye.header("Reason")),
                ("BYE", format!("SIP;cause={cause};text=\"Session expired\"").as_str())
            );
            // The refusal of a re-INVITE has its ACK.
            assert_eq!(sent[0].what(), if allow.is_empty() { "ACK" } else { "BYE" });
            rig.endpoint.forget(dialog);
            rig.give(&response(bye, "481 Gone", "", "", ""));
            rig.events();
            rig.assert_empty_in_the_end();
        }
    }
}

#[test]
fn a_re_invite_that_is_being_tried_for_ever_ends_the_call() {
    let (mut rig, _, dialog) = refreshing("");
    rig.pass(secs(900));
    let refresh = rig.one();
    rig.give(&response(&refresh, "100 Trying", "", "", ""));
    // It is cancelled, and that isn't answered either.
    rig.pass(secs(32));
    assert_eq!(rig.one().what(), "CANCEL");
    rig.pass(secs(33));
    assert_eq!(expired(&mut rig), Expiry::RefreshFailed(StatusCode::REQUEST_TIMEOUT));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
}

#[test]
fn nothing_is_left_of_a_re_invite_whose_call_ends_before_its_answer() {
    let (mut rig, mut caller, dialog) = refreshing("");
    rig.pass(secs(900));
    let refresh = rig.one();
    rig.give(&response(&refresh, "100 Trying", "", "", ""));
    rig.give(&caller.next("BYE", "", ""));
    assert!(matches!(rig.event(), Event::Bye { .. }));
    rig.endpoint.forget(dialog);
    rig.assert_empty_in_the_end();
    assert!(rig.events().is_empty());
}

// §7.4: the next try asks for what they take; the end stays where it was.
#[test]
fn a_422_to_a_refresh_raises_the_interval() {
    let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
    rig.pass(secs(900));
    let update = rig.one();
    rig.give(&response(&update, "422 Small", "", "Min-SE: 3600\r\n", ""));
    rig.pass(ms(0));
    let again = rig.one();
    assert_eq!((again.header("Session-Expires"), again.header("Min-SE")), ("3600;refresher=uac", "3600"));
    rig.give(&response(&again, "200 OK", "", "Session-Expires: 3600;refresher=uac\r\n", ""));
    rig.pass(secs(1_799));
    rig.assert_silent();
    rig.pass(secs(1));
    assert_eq!(rig.one().header("Min-SE"), "3600");
}

#[test]
fn a_422_that_asks_for_nothing_more_doesnt_make_us_ask_again_and_again() {
    let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
    let mut tries = 0;
    rig.pass(secs(900));
    for _ in 0..900 {
        for sent in rig.sent() {
            if sent.what() == "UPDATE" || sent.what() == "INVITE" {
                tries += 1;
                rig.give(&response(&sent, "422 Small", "", "Min-SE: 90\r\n", ""));
            }
        }
        rig.pass(secs(1));
    }
    assert_eq!(expired(&mut rig), Expiry::RefreshFailed(StatusCode::SESSION_INTERVAL_TOO_SMALL));
    assert!((2..=12).contains(&tries), "{tries}");
}

#[test]
fn an_update_that_isnt_taken_after_all_is_followed_by_a_re_invite() {
    for line in ["405 No", "501 No", "488 No", "500 No"] {
        let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
        rig.pass(secs(900));
        let update = rig.one();
        rig.give(&response(&update, line, "", "", ""));
        rig.pass(if line.starts_with("500") { secs(450) } else { ms(0) });
        let expected = if line.starts_with("500") { "UPDATE" } else { "INVITE" };
        assert_eq!(rig.one().what(), expected, "{line}");
    }
}

#[test]
fn a_refresh_told_to_come_later_comes_later() {
    let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
    rig.pass(secs(900));
    let update = rig.one();
    rig.give(&response(&update, "503 Busy", "", "Retry-After: 7\r\n", ""));
    rig.pass(secs(7) - ms(1));
    rig.assert_silent();
    rig.pass(ms(1));
    assert_eq!(rig.one().what(), "UPDATE");
    // RFC 3261 §14.1: we didn't make the call, and wait up to 2 s.
    let (mut rig, ..) = refreshing("");
    rig.pass(secs(900));
    let invite = rig.one();
    rig.give(&response(&invite, "491 Glare", "", "", ""));
    assert_eq!(rig.one().what(), "ACK");
    rig.pass(secs(2));
    assert_eq!(rig.sent().remove(0).what(), "INVITE");
}

#[test]
fn a_refresh_that_cant_be_delivered_is_tried_again() {
    let (mut rig, ..) = refreshing(ALLOWS_UPDATE);
    rig.pass(secs(900));
    let update = rig.one();
    rig.give_input(Input::Undeliverable(update.transmit.ticket.unwrap()));
    assert!(rig.events().is_empty());
    rig.pass(secs(450));
    assert!(matches!(rig.one().what(), "UPDATE" | "INVITE"));
}

#[test]
fn a_refresh_waits_for_an_offer_that_is_under_way() {
    let (mut rig, mut caller, dialog) = refreshing("");
    rig.pass(secs(899));
    rig.give(&caller.next("INVITE", "Supported: timer\r\nSession-Expires: 1800\r\n", OFFER));
    rig.sent();
    rig.events();
    rig.pass(secs(5));
    rig.assert_silent();
    rig.act(|e, now| e.answer_offer(dialog, Err(status(488)), now)).unwrap();
    rig.sent();
    rig.give(&caller.write("ACK", caller.cseq, "", ""));
    rig.pass(secs(2));
    assert_eq!(rig.last().what(), "INVITE");
}

#[test]
fn a_bye_of_either_side_ends_the_timer() {
    for ours in [true, false] {
        let (mut rig, mut caller, dialog) = refreshing(ALLOWS_UPDATE);
        if ours {
            rig.act(|e, now| e.bye(dialog, "", now));
            let bye = rig.one();
            rig.give(&response(&bye, "200 OK", "", "", ""));
        } else {
            rig.give(&caller.next("BYE", "", ""));
        }
        rig.endpoint.forget(dialog);
        rig.sent();
        rig.events();
        rig.assert_empty_in_the_end();
        rig.assert_silent();
    }
}

#[test]
fn a_bye_that_crosses_a_refresh_ends_it() {
    for allow in [ALLOWS_UPDATE, ""] {
        let (mut rig, mut caller, dialog) = refreshing(allow);
        rig.pass(secs(900));
        let refresh = rig.one();
        rig.give(&caller.next("BYE", "", ""));
        assert_eq!(rig.one().what(), "200");
        assert!(matches!(rig.event(), Event::Bye { .. }));
        rig.endpoint.forget(dialog);
        rig.give(&response(&refresh, "481 Gone", "", "", ""));
        rig.sent();
        rig.assert_silent();
        rig.assert_empty_in_the_end();
    }
}
