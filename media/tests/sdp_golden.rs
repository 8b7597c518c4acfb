//! Offers as real equipment makes them, and our answers to the letter.
//!
//! `golden/sdp/NAME.offer.sdp` is the offer, `NAME.answer.sdp` our answer, `NAME.agreed.txt` what the media session is
//! told. With `UPDATE_GOLDEN=1` the last two are written instead of compared: read the difference before committing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use media::sdp::{LocalMedia, answer};

const OFFER: &str = ".offer.sdp";
const ANSWER: &str = ".answer.sdp";
const AGREED: &str = ".agreed.txt";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sdp")
}

/// Our side, of the offer's address family.
fn local(offer: &[u8]) -> LocalMedia {
    let six = String::from_utf8_lossy(offer).contains("c=IN IP6");
    LocalMedia::new(if six { "2001:db8::10" } else { "192.0.2.10" }.parse().unwrap(), 40_000, 1_000)
}

/// The answer, if any, and the agreement in words.
fn results(offer: &[u8]) -> (Option<Vec<u8>>, String) {
    match answer::negotiate(offer, &local(offer)) {
        Err(error) => (None, format!("refused: {} {error}\n", error.status())),
        Ok(agreed) => {
            let telephone_event =
                agreed.telephone_event.map_or("none".to_owned(), |types| types.send.to_string());
            let rtcp = agreed.remote_rtcp.map_or("none".to_owned(), |address| address.to_string());
            let text = format!(
                "codec: {} as {}\ntelephone-event: {telephone_event}\nptime: {} ms\nremote: {}\nrtcp: {rtcp}\n\
                 direction: {}\nheld: {}\n",
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

#[test]
fn offers_of_real_equipment_get_the_answers_on_file() {
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    for name in names_with(OFFER) {
        let path = |suffix: &str| folder().join(format!("{name}{suffix}"));
        let (answer, agreed) = results(&fs::read(path(OFFER)).unwrap());
        if update {
            fs::write(path(AGREED), &agreed).unwrap();
            match &answer {
                Some(answer) => fs::write(path(ANSWER), answer).unwrap(),
                None => drop(fs::remove_file(path(ANSWER))),
            }
        }
        let on_file = fs::read(path(ANSWER)).ok();
        let readable = |bytes: &Option<Vec<u8>>| {
            bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        assert_eq!(readable(&answer), readable(&on_file), "answer to {name}");
        assert_eq!(
            fs::read_to_string(path(AGREED)).ok().as_deref(),
            Some(agreed.as_str()),
            "agreement with {name}"
        );
    }
}

#[test]
fn no_golden_file_is_without_its_offer() {
    let offers = names_with(OFFER);
    assert!(offers.len() >= 12, "only {} offers", offers.len());
    for suffix in [ANSWER, AGREED] {
        let stale: Vec<_> = names_with(suffix).difference(&offers).cloned().collect();
        assert!(stale.is_empty(), "stale {suffix} files: {stale:?}");
    }
}

#[test]
fn every_answer_mirrors_the_lines_of_its_offer() {
    for name in names_with(ANSWER) {
        let lines = |suffix: &str| {
            let text = fs::read_to_string(folder().join(format!("{name}{suffix}"))).unwrap();
            let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            text.lines().filter(|line| line.starts_with("m=")).map(words).collect::<Vec<_>>()
        };
        let (offered, answered) = (lines(OFFER), lines(ANSWER));
        assert_eq!(offered.len(), answered.len(), "{name}");
        for (theirs, ours) in offered.iter().zip(&answered) {
            assert_eq!((&theirs[0], &theirs[2]), (&ours[0], &ours[2]), "{name}");
            assert!(ours[3..].iter().all(|format| theirs[3..].contains(format)), "{name}");
        }
        assert_eq!(answered.iter().filter(|line| line[1] != "0").count(), 1, "{name} has one live line");
    }
}
