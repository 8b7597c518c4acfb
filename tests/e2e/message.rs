//! Messages that callers leave.

use std::time::Duration;

use crate::rig::media::tone;
use crate::rig::{Home, Phone, Record, SOON, Service, seed, shipped};

const HARBOR: &str = "+12025550101";
const HERTZ: f64 = 440.0;
const SAID: Duration = Duration::from_secs(2);

/// Leaves a message of a steady tone, from the prompt to the service's BYE.
fn leave(phone: &mut Phone, prompt_after: usize) {
    let prompt = shipped::sentence("en-us/please-leave-your-message");
    let from = phone.media.hear("the prompt", &prompt, prompt_after, SOON);
    phone.media.hear_beep(from, SOON);
    phone.media.say(&tone(HERTZ, SAID));
    phone.media.said(SOON);
    phone.media.press('#');
    let thanks = shipped::sentence("en-us/thank-you-your-message-has-been-saved");
    phone.media.hear("the thanks", &thanks, from, SOON);
    phone.expect_bye(SOON);
}

/// The file of the only message holds the tone.
fn check(home: &Home, record: &Record) {
    assert_eq!(record.messages.len(), 1, "{record:#?}");
    let message = &record.messages[0];
    assert_eq!(message.file, format!("messages/{}.wav", record.call_id));
    let mut wav = hound::WavReader::open(home.path().join(&message.file)).unwrap();
    assert_eq!((wav.spec().sample_rate, wav.spec().channels), (8_000, 1));
    let samples: Vec<i16> = wav.samples().map(Result::unwrap).collect();
    let ms = u64::try_from(samples.len() / 8).unwrap();
    // What is on its way at the end, at most a jitter buffer of it, isn't waited for.
    assert!((1_500..6_000).contains(&ms), "the file is {ms} ms long");
    assert!(
        message.duration_ms.abs_diff(ms) < 1_000,
        "{} ms on record, {ms} in the file",
        message.duration_ms
    );

    // On a busy machine our own packets come in bursts, which a jitter buffer may cut: half a
    // second of the tone must be whole.
    let whole = samples.windows(4_000).step_by(80).any(is_the_tone);
    assert!(whole, "no half second of {HERTZ} Hz at the level that was sent");
    let loud = samples.chunks(160).filter(|frame| frame.iter().any(|s| s.unsigned_abs() > 3_000)).count();
    assert!(loud >= 30, "{} ms of the two seconds are there", loud * 20);
}

fn is_the_tone(samples: &[i16]) -> bool {
    let square: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    let level = (square / samples.len() as f64).sqrt();
    let crossings = samples.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    let hertz = crossings as f64 / 2.0 / (samples.len() as f64 / 8_000.0);
    // A sine of 8000 has 8000/√2.
    (5_500.0..5_800.0).contains(&level) && (hertz - HERTZ).abs() < 3.0
}

#[test]
fn the_message_key_records_what_the_caller_says() {
    let home = Home::new();
    let service = home.start();
    let mut phone = Phone::call(&service, HARBOR);
    phone.media.press('9');
    leave(&mut phone, 0);
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "us", "message_left"));
    assert_eq!(record.keys(), "9#");
    check(&home, &record);
}

#[test]
fn when_nobody_of_the_chain_is_there_the_caller_leaves_a_message() {
    let home = Home::new();
    let number = seed::scenario(&home, "after-hours.json");
    let service = home.start();
    let mut phone = Phone::call(&service, &number);
    phone.media.press('4');
    let closed = shipped::sentence("en-us/nobody-is-available-to-answer-at-this-ho");
    let from = phone.media.hear("that nobody is there", &closed, 0, SOON);
    leave(&mut phone, from);
    assert!(!phone.has("REFER"));
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "us", "message_left"));
    assert!(record.transfers.is_empty(), "{record:#?}");
    check(&home, &record);
}

#[test]
fn a_caller_who_hangs_up_after_the_message_has_left_it() {
    let home = Home::new();
    let service: Service = home.start();
    let mut phone = Phone::call(&service, HARBOR);
    phone.media.press('9');
    let prompt = shipped::sentence("en-us/please-leave-your-message");
    let from = phone.media.hear("the prompt", &prompt, 0, SOON);
    phone.media.hear_beep(from, SOON);
    phone.media.say(&tone(HERTZ, SAID));
    phone.media.said(SOON);
    phone.hang_up();
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
    check(&home, &record);
}
