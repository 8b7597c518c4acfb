//! A softphone calls, is answered, and hears the tenant's greeting as it was recorded.

use std::time::Duration;

use crate::audio;
use crate::baresip::{Baresip, Phone};
use crate::program::SOON;
use crate::service::Service;

const FRENCH: (&str, &str, &str) = ("+33199000001", "fr-fr", "bonjour-lumiere-services");
const ENGLISH: (&str, &str, &str) = ("+12025550101", "en-us", "thank-you-for-calling-harbor-homes");

/// Calls a number with one codec over one transport and gives what was heard.
fn listen(number: &str, codec: &str, transport: &str, says: Duration) -> Vec<i16> {
    let mut service = Service::start(None);
    let mut phone = Baresip::start(&Phone { codec, transport, says, ..Phone::default() });
    phone.call(&format!("sip:{number}@{}", service.sip));
    phone.call_ended(says + SOON);
    service.stop();
    let calls = service.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (&calls[0]["status"], &calls[0]["end_side"]),
        (&"completed".into(), &"caller".into()),
        "{calls:?}"
    );
    assert_eq!(calls[0]["to"]["number"], number);
    assert_eq!(calls[0]["media"]["packets_lost"], 0, "{calls:?}");
    let received = calls[0]["media"]["packets_received"].as_u64().unwrap();
    assert!(received > u64::try_from(says.as_millis() / 20).unwrap() / 2, "we hear the caller: {calls:?}");
    phone.heard()
}

fn greets((number, voice, greeting): (&str, &str, &str), codec: &str, transport: &str) {
    let heard = listen(number, codec, transport, Duration::from_secs(5));
    let greeting = audio::shipped(voice, greeting);
    let found = audio::find(&greeting, &heard);
    let there = &heard[found.at..found.at + greeting.len()];
    let (begins, level) = (audio::begins(&heard), audio::level(there));
    let (hole, error) = (audio::longest_hole(&greeting, there), audio::largest_error(&greeting, there));
    println!(
        "{number} {codec} over {transport}: correlation {:.4} at {:.3} s, voice from {begins:.2} s, \
         {level:.1} dBFS, longest hole {hole} ms, largest error {:.1} %",
        found.correlation,
        found.seconds(),
        error * 100.0,
    );
    assert!(found.correlation > 0.98, "{found:?}");
    assert!(found.seconds() < 0.3 && begins < 0.5, "it starts with the answer: {found:?}, {begins}");
    assert!((-30.0..-12.0).contains(&level), "{level} dBFS");
    assert!(hole <= 60, "{hole} ms of nothing within the greeting");
    // A-law passes untouched; the other law costs its quantisation.
    assert!(error < if codec == "PCMA" { 0.001 } else { 0.05 }, "a click, or not what was recorded: {error}");
}

#[test]
fn a_french_tenant_greets_in_a_law_over_udp() {
    greets(FRENCH, "PCMA", "udp");
}

#[test]
fn a_french_tenant_greets_in_mu_law_over_tcp() {
    greets(FRENCH, "PCMU", "tcp");
}

#[test]
fn an_american_tenant_greets_in_mu_law_over_udp() {
    greets(ENGLISH, "PCMU", "udp");
}

#[test]
fn an_american_tenant_greets_in_a_law_over_tcp() {
    greets(ENGLISH, "PCMA", "tcp");
}

#[test]
fn the_menu_follows_the_greeting_in_the_tenants_language_without_a_pause() {
    let heard = listen(FRENCH.0, "PCMA", "udp", Duration::from_secs(16));
    let mut from = 0;
    for sentence in [
        "bonjour-lumiere-services",
        "je-suis-un-assistant-vocal",
        // Mme Gogny may be away at this hour; the others can always be chosen.
        "pour-le-service-planning",
        "pour-laisser-un-message",
        "pour-reecouter-ces-choix",
    ] {
        let audio = audio::shipped("fr-fr", sentence);
        let found = audio::find(&audio, &heard);
        println!("{sentence}: correlation {:.4} at {:.2} s", found.correlation, found.seconds());
        assert!(found.correlation > 0.98, "{sentence}: {found:?}");
        assert!(found.at >= from, "{sentence} comes at {} s, before the one ahead of it", found.seconds());
        from = found.at + audio.len();
    }
}
