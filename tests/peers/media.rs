//! Media with a softphone: encrypted, and wide-band.

use std::time::Duration;

use tempfile::TempDir;

use crate::audio;
use crate::baresip::{Baresip, Phone};
use crate::program::SOON;
use crate::service::Service;

const NUMBER: &str = "+12025550101";
const GREETING: &str = "thank-you-for-calling-harbor-homes";
/// How long the caller stays: longer than the greeting.
const SAYS: Duration = Duration::from_secs(5);

/// A service with a trunk for the softphone, which names another address of this machine in its SDP
/// than the one it calls from.
fn service(directory: &TempDir, more: &str) -> Service {
    let config = directory.path().join("offhook.toml");
    let text = format!(
        "[[trunk]]\nname = \"t\"\nmode = \"open\"\nsources = [\"127.0.0.0/8\"]\nmedia_source = \"latch\"\n\
         media_prefixes = [\"127.0.0.0/8\"]\n{more}"
    );
    std::fs::write(&config, text).unwrap();
    Service::start(Some(&config))
}

/// Calls, listens and hangs up: what was heard, and the record.
fn call(more: &str, phone: Phone<'_>) -> (Vec<i16>, serde_json::Value) {
    let directory = TempDir::new().unwrap();
    let mut service = service(&directory, more);
    let says = phone.says;
    let mut phone = Baresip::start(&phone);
    phone.call(&format!("sip:{NUMBER}@{}", service.sip));
    phone.call_ended(says + SOON);
    service.stop();
    let mut calls = service.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    (phone.heard(), calls.remove(0))
}

fn is_whole(name: &str, heard: &[i16], record: &serde_json::Value, error_allowed: f32) {
    let greeting = audio::shipped("en-us", GREETING);
    let found = audio::find(&greeting, heard);
    let there = &heard[found.at..found.at + greeting.len()];
    let error = audio::largest_error(&greeting, there);
    println!(
        "{name}: correlation {:.4} at {:.3} s, hole {} ms, largest error {:.2} %, {}",
        found.correlation,
        found.seconds(),
        audio::longest_hole(&greeting, there),
        error * 100.0,
        record["media"]
    );
    assert!(found.correlation > 0.98 && error < error_allowed, "{found:?} {error}");
    let media = &record["media"];
    let received = media["packets_received"].as_u64().unwrap();
    assert!(received > u64::try_from(SAYS.as_millis() / 20).unwrap() / 2, "we hear the caller: {record}");
    assert_eq!(media["packets_lost"], 0, "{record}");
    assert!(media["mos"].as_f64().unwrap() > 4.0, "{media}");
}

#[test]
fn a_softphone_that_demands_srtp_is_heard_and_hears() {
    // Long enough for reports both ways: it sends one every five seconds.
    let says = Duration::from_secs(16);
    let phone = Phone { encryption: Some("srtp-mand"), says, ..Phone::default() };
    let (heard, record) = call("srtp = \"require\"\n", phone);
    let media = &record["media"];
    assert_eq!(media["packets_sent_lost"], 0, "it reports what it heard: {record}");
    assert!(media["round_trip_ms"].as_f64().is_some_and(|ms| ms < 100.0), "{record}");
    assert_eq!(record["media"]["srtp"], "AES_CM_128_HMAC_SHA1_80", "its first suite: {record}");
    is_whole("SRTP demanded", &heard, &record, 0.001);
}

#[test]
fn a_softphone_that_would_like_srtp_gets_it_where_it_is_offered() {
    let phone = Phone { encryption: Some("srtp"), says: SAYS, ..Phone::default() };
    let (heard, record) = call("srtp = \"offer\"\n", phone);
    assert!(record["media"]["srtp"].is_string(), "{record}");
    is_whole("SRTP wished for", &heard, &record, 0.001);
}

#[test]
fn a_softphone_that_would_like_srtp_is_heard_in_the_clear_where_it_is_off() {
    let phone = Phone { encryption: Some("srtp"), says: SAYS, ..Phone::default() };
    let (heard, record) = call("", phone);
    assert!(record["media"]["srtp"].is_null(), "{record}");
    is_whole("SRTP off", &heard, &record, 0.001);
}

#[test]
fn a_softphone_without_srtp_is_refused_where_it_is_required() {
    let directory = TempDir::new().unwrap();
    let mut service = service(&directory, "srtp = \"require\"\n");
    let uri = format!("sip:{NUMBER}@{}", service.sip);
    let phone = Baresip::start(&Phone { dials: Some(&uri), ..Phone::default() });
    let line = phone.program.line(&["488"], SOON);
    println!("{line}");
    service.stop();
    let calls = service.calls();
    assert_eq!(calls[0]["end_reason"], "rejected_media", "{calls:?}");
}

#[test]
fn a_softphone_with_g722_hears_the_greeting_wide_band() {
    let (heard, record) =
        call("codecs = [\"g722\", \"pcma\"]\n", Phone { codec: "G722", says: SAYS, ..Phone::default() });
    assert_eq!(record["media"]["codec"], "G722", "{record}");
    let greeting = audio::shipped("en-us", GREETING);
    // The codec's filters delay by a part of a sample at 8 kHz: either half of the samples may fit better.
    let halves = [audio::halved(&heard), audio::halved(&heard[1..])];
    let best = halves.iter().map(|heard| (audio::find(&greeting, heard), heard));
    let (found, heard) = best.max_by(|(a, _), (b, _)| a.correlation.total_cmp(&b.correlation)).unwrap();
    let hole = audio::longest_hole(&greeting, &heard[found.at..found.at + greeting.len()]);
    println!(
        "G.722: correlation {:.4} at {:.3} s, hole {hole} ms, {}",
        found.correlation,
        found.seconds(),
        record["media"]
    );
    assert!(found.correlation > 0.95 && hole <= 60, "{found:?}, {hole} ms");
    assert_eq!(record["media"]["packets_lost"], 0, "{record}");
}
