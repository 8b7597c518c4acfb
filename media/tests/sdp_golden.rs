//! Offers as real equipment makes them, and our answers to the letter.
//!
//! `golden/sdp/NAME.offer.sdp` is the offer, `NAME.answer.sdp` our answer, `NAME.agreed.txt` what the media session is
//! told; `NAME.secured.sdp` and `NAME.secured.txt` are the same where SRTP is on. With `UPDATE_GOLDEN=1` the last two are written instead of compared: read the difference before committing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use media::sdp::{LocalMedia, SrtpPolicy, answer};
use media::srtp::Seed;

const OFFER: &str = ".offer.sdp";
const ANSWER: &str = ".answer.sdp";
const AGREED: &str = ".agreed.txt";
/// The same with SRTP switched on, for the offers that have keys.
const SECURED: &str = ".secured.sdp";
const SECURED_AGREED: &str = ".secured.txt";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sdp")
}

/// Our side, of the offer's address family.
fn local(offer: &[u8]) -> LocalMedia {
    let six = String::from_utf8_lossy(offer).contains("c=IN IP6");
    LocalMedia::new(if six { "2001:db8::10" } else { "192.0.2.10" }.parse().unwrap(), 40_000, 1_000)
}

/// The answer, if any, and the agreement in words.
fn results(offer: &[u8], srtp: SrtpPolicy) -> (Option<Vec<u8>>, String) {
    match answer::negotiate(offer, &LocalMedia { srtp, ..local(offer) }) {
        Err(error) => (None, format!("refused: {} {error}\n", error.status())),
        Ok(agreed) => {
            let telephone_event =
                agreed.telephone_event.map_or("none".to_owned(), |types| types.send.to_string());
            let rtcp = agreed.remote_rtcp.map_or("none".to_owned(), |address| address.to_string());
            let srtp = agreed.keys.map_or(String::new(), |keys| {
                format!("srtp: {} with mki {:?}\n", keys.send.suite().name(), keys.receive.mki())
            });
            let text = format!(
                "codec: {} as {}\ntelephone-event: {telephone_event}\nptime: {} ms\nremote: {}\nrtcp: {rtcp}\n\
                 direction: {}\nheld: {}\n{srtp}",
                agreed.codec.encoding_name(),
                agreed.payload_type.send,
                agreed.ptime_ms,
                agreed.remote,
                agreed.direction.as_str(),
                agreed.held,
            );
            (Some(agreed.sdp.to_vec()), text)
        }
    }
}

fn names_with(suffix: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|name| name.strip_suffix(suffix).map(str::to_owned)).collect()
}

fn compare(name: &str, offer: &[u8], srtp: SrtpPolicy, [answer_suffix, agreed_suffix]: [&str; 2]) {
    let path = |suffix: &str| folder().join(format!("{name}{suffix}"));
    let (answer, agreed) = results(offer, srtp);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(agreed_suffix), &agreed).unwrap();
        match &answer {
            Some(answer) => fs::write(path(answer_suffix), answer).unwrap(),
            None => drop(fs::remove_file(path(answer_suffix))),
        }
    }
    let on_file = fs::read(path(answer_suffix)).ok();
    let readable =
        |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(readable(&answer), readable(&on_file), "answer to {name}");
    let on_file = fs::read_to_string(path(agreed_suffix)).ok();
    assert_eq!(on_file.as_deref(), Some(agreed.as_str()), "agreement with {name}");
}

#[test]
fn offers_of_real_equipment_get_the_answers_on_file() {
    for name in names_with(OFFER) {
        let offer = fs::read(folder().join(format!("{name}{OFFER}"))).unwrap();
        compare(&name, &offer, SrtpPolicy::Off, [ANSWER, AGREED]);
        if String::from_utf8_lossy(&offer).contains("a=crypto") {
            compare(&name, &offer, SrtpPolicy::Offer(Seed::new([1; 32])), [SECURED, SECURED_AGREED]);
        }
    }
}

#[test]
fn no_golden_file_is_without_its_offer() {
    let offers = names_with(OFFER);
    assert!(offers.len() >= 12, "only {} offers", offers.len());
    for suffix in [ANSWER, AGREED, SECURED, SECURED_AGREED] {
        let stale: Vec<_> = names_with(suffix).difference(&offers).cloned().collect();
        assert!(stale.is_empty(), "stale {suffix} files: {stale:?}");
    }
}

#[test]
fn every_answer_mirrors_the_lines_of_its_offer() {
    for suffix in [ANSWER, SECURED] {
        for name in names_with(suffix) {
            mirrors(&name, suffix);
        }
    }
}

fn mirrors(name: &str, suffix: &str) {
    let lines = |suffix: &str| {
        let text = fs::read_to_string(folder().join(format!("{name}{suffix}"))).unwrap();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        text.lines().filter(|line| line.starts_with("m=")).map(words).collect::<Vec<_>>()
    };
    let (offered, answered) = (lines(OFFER), lines(suffix));
    assert_eq!(offered.len(), answered.len(), "{name}");
    for (theirs, ours) in offered.iter().zip(&answered) {
        assert_eq!((&theirs[0], &theirs[2]), (&ours[0], &ours[2]), "{name}");
        assert!(ours[3..].iter().all(|format| theirs[3..].contains(format)), "{name}");
    }
    assert_eq!(answered.iter().filter(|line| line[1] != "0").count(), 1, "{name} has one live line");
}
