//! Offers that cross: one of ours and one of theirs (RFC 3261 §14.2, RFC 3311 §5.2).

use sip::endpoint::Event;
use sip::endpoint::policy::{PeerPolicy, SessionTimer};

use crate::rig::{ANSWER, Caller, OFFER, Rig, response, secs};

/// A call in which a refresh of ours is under way, by re-INVITE or by UPDATE.
fn offering(allow: &str) -> (Rig, Caller, crate::rig::Sent) {
    let session_timer = SessionTimer::Request { expires: secs(1_800), min_se: secs(90) };
    let mut rig = Rig::agreed(PeerPolicy { session_timer, ..PeerPolicy::default() });
    let mut caller = Caller::new(1);
    caller.extra = allow.to_owned();
    rig.established(&mut caller);
    rig.pass(secs(900));
    let ours = rig.one();
    (rig, caller, ours)
}

#[test]
fn an_offer_that_crosses_our_re_invite_gets_491() {
    for (method, body) in [("INVITE", OFFER), ("INVITE", ""), ("UPDATE", OFFER)] {
        let (mut rig, mut caller, ours) = offering("");
        assert_eq!(ours.what(), "INVITE");
        let theirs = caller.next(method, "", body);
        rig.give(&theirs);
        let reply = rig.one();
        assert_eq!((reply.what(), reply.headers("Retry-After").len()), ("491", 0), "{method} {body}");
        rig.give(&theirs);
        assert_eq!(rig.one().text, reply.text);
        assert!(rig.events().is_empty());
        // Ours comes to its end, and then theirs is taken.
        rig.give(&response(&ours, "200 OK", "", "Session-Expires: 1800;refresher=uac\r\n", ANSWER));
        assert!(matches!(rig.event(), Event::OfferAnswered { .. }));
        rig.give(&caller.next(method, "", body));
        assert!(matches!(rig.event(), Event::Offer { .. }), "{method} {body}");
    }
}

#[test]
fn a_mere_refresh_of_theirs_may_cross_ours() {
    for allow in ["", "Allow: UPDATE\r\n"] {
        let (mut rig, mut caller, _) = offering(allow);
        rig.give(&caller.next("UPDATE", "Supported: timer\r\nSession-Expires: 1800\r\n", ""));
        assert_eq!(rig.one().what(), "200");
    }
}

#[test]
fn an_offer_may_cross_an_update_of_ours_that_bears_none() {
    for method in ["INVITE", "UPDATE"] {
        let (mut rig, mut caller, ours) = offering("Allow: UPDATE\r\n");
        assert_eq!(ours.what(), "UPDATE");
        rig.give(&caller.next(method, "", OFFER));
        assert!(matches!(rig.event(), Event::Offer { .. }), "{method}");
    }
}

#[test]
fn both_sides_that_get_491_come_to_terms() {
    let (mut rig, mut caller, ours) = offering("");
    rig.give(&caller.next("INVITE", "", OFFER));
    assert_eq!(rig.one().what(), "491");
    rig.give(&caller.write("ACK", caller.cseq, "", ""));
    rig.give(&response(&ours, "491 Glare", "", "", ""));
    assert_eq!(rig.one().what(), "ACK");
    rig.pass(secs(2));
    let again = rig.sent().remove(0);
    assert_eq!((again.what(), again.header("CSeq")), ("INVITE", "2 INVITE"));
    rig.give(&response(&again, "200 OK", "", "", ANSWER));
    assert_eq!(rig.one().what(), "ACK");
}
