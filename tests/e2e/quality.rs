//! What a recording holds of what the caller said, over a clean network and a bad one. The score is
//! PESQ's (ITU-T P.862, with the mapping of P.862.1), where `tests/run` could install it.

#[path = "../support/impairing_relay.rs"]
mod impairing_relay;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use self::impairing_relay::{Impairments, Relay};
use crate::rig::{Home, Phone, SOON, root, seed};

const SENTENCES: &str = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. \
     It is easy to tell the depth of a well. These days a chicken leg is a rare dish. Rice is often served \
     in round bowls. The juice of lemons makes fine punch.";

/// Speech at 8 kHz, 16 bit, in the band of a telephone. The voice is the one that the codec alone
/// does least to by this score (4.4; 4.0 to 4.1 for others of this synthesiser).
fn speech(home: &Home) -> (PathBuf, Vec<i16>) {
    let (raw, file) = (home.path().join("raw.wav"), home.path().join("speech.wav"));
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        let status = status.unwrap_or_else(|error| panic!("{program}: {error}; run tests/run"));
        assert!(status.success(), "{program} {arguments:?}");
    };
    let (raw, out) = (raw.to_str().unwrap(), file.to_str().unwrap());
    run("espeak-ng", &["-v", "en-us+f3", "-s", "150", "-w", raw, SENTENCES]);
    let form = ["--norm=-1", raw, "-r", "8000", "-c", "1", "-b", "16", out];
    run("sox", &[&form[..], &["highpass", "300", "lowpass", "3400"]].concat());
    let samples = hound::WavReader::open(&file).unwrap().into_samples().map(Result::unwrap).collect();
    (file, samples)
}

/// Says it to the service through a network; gives the recording's two channels.
fn recorded(home: &Home, sip: SocketAddr, number: &str, said: &[i16], network: Impairments) -> [Vec<i16>; 2] {
    let mut phone = Phone::at(sip);
    let relay = Relay::before(phone.media.port, network);
    let sdp =
        phone.offer().replace(&format!("m=audio {} ", phone.media.port), &format!("m=audio {} ", relay.port));
    let invite = phone.first_invite(number, &sdp, "");
    phone.send(&invite);
    let answer = phone.answer();
    assert_eq!(answer.status(), Some(200), "{answer:?}");
    phone.ack(&answer);
    // The source is locked and the buffer filled before anything is said.
    phone.media.listen(Duration::from_millis(500), SOON);
    phone.media.say(said);
    let length = Duration::from_millis(said.len() as u64 / 8);
    phone.media.said(length * 2 + SOON);
    phone.media.listen(Duration::from_millis(500), SOON);
    phone.hang_up();
    let call = crate::rig::eventually("the record", SOON, || {
        home.calls().into_iter().find(|call| call.sip_call_id == phone.call_id && call.ended_at.is_some())
    });
    let media = call.media.clone().unwrap();
    println!("{network:?}: {:?} passed and lost, {media:?}", relay.counts());
    let (lost, concealed) = (relay.counts().1, media.concealed_ms);
    // A busy machine may be late by itself; what was lost must be made up for, 20 ms each.
    assert!(concealed + 60 >= lost * 15 && concealed <= lost * 60 + 200, "{media:?}");
    let [recording] = &call.recordings[..] else { panic!("one recording: {call:?}") };
    let wav = hound::WavReader::open(home.path().join(&recording.file)).unwrap();
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 8_000));
    assert_eq!(u64::from(wav.duration()) / 8, recording.duration_ms);
    let in_call = call.duration_ms.unwrap();
    assert!(
        in_call.abs_diff(recording.duration_ms) < 100,
        "in step with the call: {recording:?}, {in_call} ms"
    );
    let samples: Vec<i16> = wav.into_samples().map(Result::unwrap).collect();
    let channel = |which: usize| samples.iter().skip(which).step_by(2).copied().collect();
    [channel(0), channel(1)]
}

/// The mean score of `degraded` against `reference`.
fn pesq(reference: &Path, degraded: &Path) -> f64 {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("pesq/bin/python");
    let python = std::env::var_os("PESQ_PYTHON").map_or(python, PathBuf::from);
    let shown = python.display();
    assert!(
        python.exists(),
        "PESQ is not installed: run tests/run, or have PESQ_PYTHON name a Python with `pesq` ({shown})"
    );
    let output = Command::new(python)
        .arg(root().join("tests/support/pesq_score.py"))
        .args([reference, degraded])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn score(home: &Home, name: &str, reference: &Path, heard: &[i16]) -> f64 {
    let file = home.path().join(format!("{name}.wav"));
    let spec = hound::WavReader::open(reference).unwrap().spec();
    let mut wav = hound::WavWriter::create(&file, spec).unwrap();
    heard.iter().for_each(|sample| wav.write_sample(*sample).unwrap());
    wav.finalize().unwrap();
    pesq(reference, &file)
}

/// From when the caller is first heard: the time on the line before that isn't what is compared.
fn from_speech(heard: &[i16]) -> &[i16] {
    let loud = heard.iter().position(|sample| sample.unsigned_abs() > 500).expect("something is heard");
    &heard[loud.saturating_sub(400)..]
}

#[test]
fn recordings_of_callers_score_as_telephony_should_over_clean_and_bad_networks() {
    let home = Home::new();
    let number = seed::scenario(&home, "recorded.json");
    let service = home.start_logging("info,offhook::call=debug", &[]);
    let (reference, said) = speech(&home);
    let quiet = Impairments { seed: 0, lost_permille: 0, jitter: Duration::ZERO };
    let bad = |seed| Impairments { seed, lost_permille: 30, jitter: Duration::from_millis(40) };
    let networks = [quiet, bad(1), bad(2), bad(3)];
    let sip = service.sip;
    let run = |network| recorded(&home, sip, &number, &said, network);
    let heard: Vec<[Vec<i16>; 2]> = std::thread::scope(|scope| {
        let calls: Vec<_> = networks.map(|network| scope.spawn(move || run(network))).into_iter().collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let ours = heard[0][1].iter().filter(|sample| sample.unsigned_abs() > 500).count();
    assert!(ours > 4_000, "the agent is on the right: {ours} samples of it");
    let scores: Vec<f64> = heard
        .iter()
        .enumerate()
        .map(|(at, channels)| score(&home, &format!("heard-{at}"), &reference, from_speech(&channels[0])))
        .collect();
    println!(
        "PESQ MOS-LQO: clean {}; 3 % loss and 40 ms jitter, seeds 1 to 3: {:?}",
        scores[0],
        &scores[1..]
    );
    let log = service.stop();
    let edges = |name: &str| log.matches(name).count();
    let (began, ended) = (edges("SpeechStarted"), edges("SpeechStopped"));
    println!("four callers of six sentences: {began} beginnings of speech, {ended} ends told to the agent");
    assert!(began >= 16 && began.abs_diff(ended) <= 4, "{began} {ended}");
    let (clean, bad) = (scores[0], &scores[1..]);
    assert!(clean >= 4.3, "{clean}");
    assert!(bad.iter().sum::<f64>() / bad.len() as f64 >= 3.4, "{bad:?}");
}

#[test]
fn a_recording_is_sealed_where_a_key_is_set_and_opens_with_that_key_only() {
    let home = Home::new();
    let number = seed::scenario(&home, "recorded.json");
    let config = |name: &str, byte: &str| {
        let text = format!("[service]\nrecording_key = \"{}\"\n", byte.repeat(32));
        crate::rig::service::write(&home, name, &text)
    };
    let (ours, other) = (config("ours.toml", "5a"), config("other.toml", "5b"));
    let service = home.start_with(&["--config", ours.to_str().unwrap()]);
    let mut phone = Phone::call(&service, &number);
    phone.media.say(&crate::rig::media::tone(1_000.0, Duration::from_secs(1)));
    phone.media.said(SOON);
    phone.hang_up();
    let log = service.stop();
    assert!(!log.contains(&"5a".repeat(32)), "{log}");
    let call = home.only_call();
    let file = home.path().join(&call.recordings[0].file);
    assert!(call.recordings[0].file.ends_with(".wav.sealed") && call.recordings[0].duration_ms >= 1_000);
    let open = |config: &Path, wav: &Path| {
        let [sealed, wav, config] = [&file, wav, config].map(|path| path.to_str().unwrap());
        home.command(&["recording", "open", sealed, wav, "--config", config]).output().unwrap()
    };
    let wav = home.path().join("opened.wav");
    let refused = open(&other, &wav);
    assert!(!refused.status.success() && !wav.exists(), "{}", String::from_utf8_lossy(&refused.stderr));
    let opened = open(&ours, &wav);
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let reader = hound::WavReader::open(&wav).unwrap();
    assert_eq!(u64::from(reader.duration()) / 8, call.recordings[0].duration_ms);
    let caller: Vec<i16> = reader.into_samples().map(Result::unwrap).step_by(2).collect();
    assert!(
        caller.iter().filter(|sample| sample.unsigned_abs() > 5_000).count() > 2_000,
        "the tone is in it"
    );
}
