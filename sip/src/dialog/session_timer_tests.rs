use super::*;
use crate::message::{Method, RequestBuilder, Uri};

const SECOND: Duration = Duration::from_secs(1);
const ACCEPT: SessionTimer = SessionTimer::Accept { min_se: Duration::from_secs(90) };
const REQUEST: SessionTimer =
    SessionTimer::Request { expires: Duration::from_secs(1_800), min_se: Duration::from_secs(90) };

fn headers(lines: &[(HeaderName, &str)]) -> Headers {
    let mut builder = RequestBuilder::new(Method::Invite, &Uri::parse(b"sip:a@b").unwrap());
    for (name, value) in lines {
        builder = builder.header(name.clone(), value);
    }
    builder.build().headers().clone()
}

const TIMER: (HeaderName, &str) = (HeaderName::Supported, "100rel, timer");

fn asks(value: &'static str) -> (HeaderName, &'static str) {
    (HeaderName::SessionExpires, value)
}

#[test]
fn the_refresher_is_chosen_by_the_table_of_section_9() {
    for (lines, current, expected) in [
        (vec![asks("1800")], None, "1800;refresher=uas"),
        (vec![TIMER, asks("1800")], None, "1800;refresher=uac"),
        (vec![TIMER, asks("1800;refresher=uac")], None, "1800;refresher=uac"),
        (vec![TIMER, asks("1800;refresher=uas")], None, "1800;refresher=uas"),
        // Mid-dialog: who refreshes stays, unless the request names one.
        (vec![TIMER, asks("1800")], Some(Side::Us), "1800;refresher=uas"),
        (vec![TIMER, asks("1800")], Some(Side::Them), "1800;refresher=uac"),
        (vec![TIMER, asks("1800;refresher=uac")], Some(Side::Us), "1800;refresher=uac"),
    ] {
        let answer = answer(ACCEPT, &headers(&lines), current).unwrap();
        assert_eq!((answer.value().as_str(), answer.understood), (expected, lines.len() > 1), "{lines:?}");
    }
}

#[test]
fn who_only_accepts_asks_for_nothing_and_who_requests_always_gets_it() {
    assert_eq!(answer(ACCEPT, &headers(&[TIMER]), None), None);
    assert_eq!(answer(SessionTimer::Off, &headers(&[TIMER, asks("1800")]), None), None);
    let theirs = answer(REQUEST, &headers(&[TIMER]), None).unwrap();
    assert_eq!(theirs.value(), "1800;refresher=uac");
    let alone = answer(REQUEST, &headers(&[]), None).unwrap();
    assert_eq!((alone.value().as_str(), alone.understood), ("1800;refresher=uas", false));
}

#[test]
fn the_interval_may_be_lowered_to_ours_but_not_below_their_minimum() {
    let min = |value| (HeaderName::MinSe, value);
    for (lines, expected) in [
        (vec![TIMER, asks("7200")], 1_800),
        (vec![TIMER, asks("7200"), min("3600")], 3_600),
        (vec![TIMER, asks("600")], 600),
        (vec![TIMER, min("3600")], 3_600),
    ] {
        assert_eq!(answer(REQUEST, &headers(&lines), None).unwrap().agreed.seconds, expected, "{lines:?}");
    }
    let long = headers(&[TIMER, asks("4294967295")]);
    assert_eq!(answer(ACCEPT, &long, None).unwrap().agreed.seconds, LONGEST);
}

#[test]
fn too_short_an_interval_is_refused_only_to_those_who_speak_of_it() {
    let strict = SessionTimer::Accept { min_se: Duration::from_secs(600) };
    let refused = check(strict, &headers(&[TIMER, asks("599")])).unwrap_err();
    assert_eq!(refused.header(), (HeaderName::MinSe, "600".to_owned()));
    assert_eq!(check(strict, &headers(&[TIMER, asks("600")])), Ok(()));
    assert_eq!(check(SessionTimer::Off, &headers(&[TIMER, asks("1")])), Ok(()));
    // A proxy's wish is met with the shortest interval that is allowed.
    let proxys = headers(&[asks("100")]);
    assert_eq!(check(strict, &proxys), Ok(()));
    assert_eq!(answer(strict, &proxys, None).unwrap().value(), "600;refresher=uas");
    // §5: never below 90 s, whatever is configured.
    let lax = SessionTimer::Accept { min_se: SECOND };
    assert_eq!(check(lax, &headers(&[TIMER, asks("89")])).unwrap_err().header().1, "90");
}

#[test]
fn a_2xx_to_us_says_what_holds() {
    let taken = |policy, lines: &[_]| taken(policy, &headers(lines), Some(1_800));
    let side = |seconds, refresher| Some(Agreed { seconds, refresher });
    assert_eq!(taken(ACCEPT, &[asks("600;refresher=uas")]), side(600, Side::Them));
    assert_eq!(taken(ACCEPT, &[asks("600;refresher=uac")]), side(600, Side::Us));
    assert_eq!(taken(ACCEPT, &[asks("1")]), side(FLOOR, Side::Us));
    // §7.2: none in it, none agreed. Who wants one refreshes all the same.
    assert_eq!(taken(ACCEPT, &[]), None);
    assert_eq!(taken(REQUEST, &[]), side(1_800, Side::Us));
    assert_eq!(taken(SessionTimer::Off, &[asks("600")]), None);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a virtual clock has to start somewhere")]
fn we_refresh_at_half_and_end_what_they_didnt_refresh_a_little_early() {
    let now = Instant::now();
    let ours = Running::start(Agreed { seconds: 1_800, refresher: Side::Us }, 0, now);
    assert_eq!((ours.refresh_at, ours.ends_at), (Some(now + 900 * SECOND), now + 1_800 * SECOND));
    for (seconds, ends) in [(1_800, 1_768), (90, 60), (96, 64), (99, 67)] {
        let theirs = Running::start(Agreed { seconds, refresher: Side::Them }, 0, now);
        assert_eq!((theirs.next_at(), theirs.refresh_at), (now + ends * SECOND, None), "{seconds}");
    }
}
