//! What the detector of speech gets right: precision, recall and edges in noise, babble, music and echo.
//!
//! `cargo bench -p offhook-media --bench vad_report`. Speech is made with `espeak-ng`, noise and music with `sox`; without
//! them nothing is measured. Truth is the clean speech's level. A frame of 10 ms counts as found when the detector says
//! speech by then; the hangover behind speech counts neither way.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a measurement may stop at a surprise, and has a clock"
)]

use std::process::Command;
use std::time::Instant;

use media::vad::{SpeechEdge, Vad, VadConfig};

const STEP: usize = 80;
const VOICES: [(&str, &str); 6] =
    [("en-us", "50"), ("en-gb", "35"), ("fr-fr", "60"), ("de", "45"), ("es", "70"), ("en-us+f3", "65")];
const SENTENCES: [&str; 12] = [
    "Good morning, I would like to speak to somebody about my order.",
    "Yes.",
    "No, thank you.",
    "Could you tell me when you are open on Saturday?",
    "Zero six, twelve, thirty four, fifty six, seventy eight.",
    "I am calling because the heating in our house has stopped working since yesterday evening.",
    "Sales, please.",
    "My name is Martin, with an I.",
    "Can I leave a message?",
    "One moment, I have to look for it, it must be here somewhere.",
    "Okay.",
    "It was the twenty third of November, in the afternoon.",
];
const BABBLE: &str = "We talked about it for a while and nobody could agree on what to do next, so in the end we all \
    went home and thought about the matter again while it rained outside and the trains were late as they always are \
    when the weather is bad, which is to say nearly every day of the week at this time of the year around here.";

fn main() {
    if Command::new("espeak-ng").arg("--version").output().is_err()
        || Command::new("sox").arg("--version").output().is_err()
    {
        println!("espeak-ng and sox are needed: nothing was measured");
        return;
    }
    let speech = speech();
    let truth = truth(&speech);
    let seconds = speech.len() as f64 / 8_000.0;
    let spoken = truth.iter().filter(|frame| **frame).count() as f64 / 100.0;
    println!("{seconds:.0} s of telephone turns, {spoken:.0} s of them speech, {} voices\n", VOICES.len());
    println!(
        "{:<22}{:>9}{:>9}{:>12}{:>16}{:>16}{:>11}{:>10}",
        "", "precision", "recall", "false/min", "start p50/p90", "end p50/p90", "gate open", "µs/20 ms"
    );
    let silence = vec![0; speech.len()];
    row("clean", &speech, &truth, &silence);
    let pink = sox(&["pinknoise"], speech.len());
    let babble = babble(speech.len());
    let music = music(speech.len());
    for (name, noise) in [("pink noise", &pink), ("babble of six", &babble), ("music", &music)] {
        for snr in [20.0, 10.0, 5.0] {
            row(&format!("{name}, {snr:.0} dB"), &mix(&speech, noise, &truth, snr), &truth, &silence);
        }
        let alone = mix(&silence, noise, &truth, -26.0);
        row(&format!("{name} alone"), &alone, &vec![false; truth.len()], &silence);
    }
    let ours = babble_of_one(speech.len());
    for loss in [40.0, 25.0, 15.0, 8.0] {
        let back = echo(&ours, 180, loss);
        row(&format!("echo -{loss:.0} dB alone"), &back, &vec![false; truth.len()], &ours);
        let both: Vec<i16> = speech.iter().zip(&back).map(|(a, b)| a.saturating_add(*b)).collect();
        row(&format!("echo -{loss:.0} dB and speech"), &both, &truth, &ours);
    }
}

fn row(name: &str, caller: &[i16], truth: &[bool], ours: &[i16]) {
    let config = VadConfig::default();
    let hangover = config.hangover_ms as usize / 10;
    let mut vad = Vad::new(config);
    let (mut found, mut open, mut starts) = (Vec::new(), 0usize, Vec::new());
    let started = Instant::now();
    for (n, frame) in caller.chunks_exact(STEP).enumerate() {
        let edge = vad.listen(frame, &ours[n * STEP..(n + 1) * STEP]);
        if let Some(SpeechEdge::Started { .. }) = edge {
            starts.push(n);
        }
        found.push(vad.is_speech());
        open += usize::from(vad.is_open());
    }
    let cost = started.elapsed().as_secs_f64() * 1e6 / (caller.len() as f64 / 160.0);
    let recent = |n: usize| truth[n.saturating_sub(hangover + 3)..=n].iter().any(|spoken| *spoken);
    let (mut right, mut wrong, mut hits, mut wanted) = (0, 0, 0, 0);
    for n in 0..truth.len().min(found.len()) {
        wanted += usize::from(truth[n]);
        hits += usize::from(truth[n] && found[n]);
        right += usize::from(found[n] && truth[n]);
        wrong += usize::from(found[n] && !recent(n));
    }
    let percent = |part: usize, whole: usize| {
        if whole == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
    };
    let ahead =
        |n: usize| truth[n.saturating_sub(hangover)..(n + 10).min(truth.len())].iter().any(|spoken| *spoken);
    let false_starts = starts.iter().filter(|n| !ahead(**n)).count() as f64;
    let minutes = caller.len() as f64 / 8_000.0 / 60.0;
    let (starts, ends) = edges(truth, &found);
    println!(
        "{name:<22}{:>9}{:>9}{:>12.1}{:>16}{:>16}{:>11}{cost:>10.1}",
        percent(right, right + wrong),
        percent(hits, wanted),
        false_starts / minutes,
        quantiles(starts),
        quantiles(ends),
        percent(open, truth.len()),
    );
}

/// Delays of found starts and ends behind the true ones, in milliseconds; turns that were missed have none.
fn edges(truth: &[bool], found: &[bool]) -> (Vec<i64>, Vec<i64>) {
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    let mut n = 1;
    while n < truth.len() {
        if truth[n] && !truth[n - 1] && !found[n - 1] {
            let end = (n..truth.len()).find(|at| !truth[*at]).unwrap_or(truth.len());
            if let Some(at) = (n..end).find(|at| found[*at]) {
                starts.push((at - n) as i64 * 10);
            }
        }
        if !truth[n] && truth[n - 1] && found[n - 1] {
            let next = (n..truth.len()).find(|at| truth[*at]).unwrap_or(truth.len());
            if let Some(at) = (n..next).find(|at| !found[*at]) {
                ends.push((at - n) as i64 * 10);
            }
        }
        n += 1;
    }
    (starts, ends)
}

fn quantiles(mut values: Vec<i64>) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    values.sort_unstable();
    let at = |part: f64| values[((values.len() - 1) as f64 * part) as usize];
    format!("{}/{} ms", at(0.5), at(0.9))
}

fn run(command: &mut Command) -> Vec<i16> {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}");
    let at = output.stdout.windows(4).position(|four| four == b"data").map_or(0, |at| at + 8);
    output.stdout[at..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// A sentence at 8 kHz, through the band of a telephone.
fn say(voice: &str, pitch: &str, text: &str) -> Vec<i16> {
    let script = "espeak-ng -v \"$1\" -p \"$2\" --stdout \"$3\" | sox -t wav - -t raw -r 8000 -c 1 -b 16 -e signed - \
                  sinc 250-3500";
    run(Command::new("sh").args(["-c", script, "sh", voice, pitch, text]))
}

fn speech() -> Vec<i16> {
    let (mut samples, mut pause) = (vec![0; 12_000], 0);
    for (voice, pitch) in VOICES {
        for text in SENTENCES {
            samples.extend(say(voice, pitch, text));
            pause = (pause * 7 + 3_001) % 9_000;
            samples.extend(vec![0; 6_400 + pause]);
        }
    }
    samples.truncate(samples.len() / STEP * STEP);
    samples
}

fn babble(length: usize) -> Vec<i16> {
    let mut sum = vec![0i32; length];
    for (n, (voice, pitch)) in VOICES.iter().enumerate() {
        let one = say(voice, pitch, BABBLE);
        for (place, sample) in sum.iter_mut().zip(one.iter().cycle().skip(n * 9_137)) {
            *place += i32::from(*sample) / 3;
        }
    }
    sum.into_iter().map(|sample| sample.clamp(-32_768, 32_767) as i16).collect()
}

fn babble_of_one(length: usize) -> Vec<i16> {
    let mut one = say("en-us", "40", BABBLE);
    one.extend(vec![0; 16_000]);
    one.iter().copied().cycle().take(length).collect()
}

fn sox(synth: &[&str], length: usize) -> Vec<i16> {
    let seconds = format!("{}", length / 8_000 + 1);
    let mut command = Command::new("sox");
    command.args([
        "-R", "-n", "-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed", "-", "synth", &seconds,
    ]);
    run(command.args(synth).args(["sinc", "250-3500", "gain", "-n", "-6"]))
}

/// Plucked chords, one a second, and a tune above them.
fn music(length: usize) -> Vec<i16> {
    let mut samples = Vec::new();
    for chord in [
        ["C3", "E3", "G4", "C5"],
        ["A2", "E3", "A4", "E5"],
        ["F2", "C3", "F4", "A4"],
        ["G2", "D3", "B4", "D5"],
    ] {
        let mut command = Command::new("sox");
        command.args([
            "-R", "-n", "-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed", "-", "synth", "1",
        ]);
        for note in chord {
            command.args(["pluck", note]);
        }
        samples.extend(run(command.args(["remix", "-", "gain", "-n", "-6"])));
    }
    samples.iter().copied().cycle().take(length).collect()
}

fn echo(ours: &[i16], delay_ms: usize, loss_db: f64) -> Vec<i16> {
    let gain = 10f64.powf(-loss_db / 20.0);
    let mut echo = vec![0; delay_ms * 8];
    echo.extend(ours.iter().map(|sample| (f64::from(*sample) * gain) as i16));
    echo.truncate(ours.len());
    echo
}

fn level(samples: impl Iterator<Item = i16>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for sample in samples {
        sum += f64::from(sample).powi(2);
        count += 1.0;
    }
    (sum / f64::max(count, 1.0)).sqrt().max(1.0)
}

/// Adds noise so much below the speech's level while it is spoken; to silence, at that level below full scale.
fn mix(speech: &[i16], noise: &[i16], truth: &[bool], snr: f64) -> Vec<i16> {
    let spoken =
        speech.iter().enumerate().filter(|(n, _)| truth.get(n / STEP) == Some(&true)).map(|(_, s)| *s);
    let spoken = level(spoken);
    let wanted = if snr < 0.0 { 32_768.0 * 10f64.powf(snr / 20.0) } else { spoken * 10f64.powf(-snr / 20.0) };
    let gain = wanted / level(noise.iter().copied());
    let pairs = speech.iter().zip(noise.iter().cycle());
    pairs.map(|(s, n)| (f64::from(*s) + f64::from(*n) * gain).clamp(-32_768.0, 32_767.0) as i16).collect()
}

/// Frames of 10 ms with speech: above −38 dB of its loudest, pauses of up to 200 ms included.
fn truth(speech: &[i16]) -> Vec<bool> {
    let levels: Vec<f64> = speech.chunks_exact(STEP).map(|frame| level(frame.iter().copied())).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f64::total_cmp);
    let limit = sorted[sorted.len() * 19 / 20] * 10f64.powf(-38.0 / 20.0);
    let mut truth: Vec<bool> = levels.iter().map(|level| *level > limit).collect();
    let mut last = None;
    for n in 0..truth.len() {
        if truth[n] {
            if let Some(last) = last.filter(|last| n - last <= 20) {
                truth[last..n].fill(true);
            }
            last = Some(n);
        }
    }
    truth
}
