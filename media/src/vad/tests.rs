use super::*;
use crate::codec::Law;
use std::path::{Path, PathBuf};

/// The sentences that ship, all of one language behind each other, half a second between them.
fn sentences(language: &str) -> Vec<i16> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/audio").join(language);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    files.sort();
    let mut samples = vec![0; 4_000];
    for path in files {
        let bytes = std::fs::read(path).unwrap();
        let at = bytes.windows(4).position(|four| four == b"data").unwrap() + 8;
        samples.extend(bytes[at..].iter().map(|codeword| Law::A.decode(*codeword)));
        samples.extend([0; 4_000]);
    }
    samples
}

fn noise(samples: usize, level_db: f64) -> Vec<f64> {
    let mut random = 1u64;
    let peak = 32_768.0 * 10f64.powf(level_db / 20.0) * 3f64.sqrt();
    (0..samples)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 40) as f64 / f64::from(1 << 23) - 1.0) * peak
        })
        .collect()
}

fn mix(samples: &[i16], noise: &[f64], gain: f64) -> Vec<i16> {
    samples
        .iter()
        .zip(noise)
        .map(|(s, n)| (f64::from(*s) * gain + n).clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

/// For each frame of 20 ms whether it was taken for speech, and the share of frames with the gate open.
fn judge(vad: &mut Vad, caller: &[i16], ours: &[i16]) -> (Vec<bool>, f64) {
    let mut open = 0;
    let speech: Vec<bool> = caller
        .chunks_exact(160)
        .enumerate()
        .map(|(n, frame)| {
            vad.listen(frame, ours.get(n * 160..(n + 1) * 160).unwrap_or_default());
            open += usize::from(vad.is_open());
            vad.is_speech()
        })
        .collect();
    let share = open as f64 / speech.len() as f64;
    (speech, share)
}

/// Frames in which somebody speaks, pauses of up to 300 ms included.
fn truth(samples: &[i16]) -> Vec<bool> {
    let mut since = 1_000;
    samples
        .chunks_exact(160)
        .map(|frame| {
            let energy = frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 160.0;
            since = if energy.sqrt() > 200.0 { 0 } else { since + 1 };
            since < 15
        })
        .collect()
}

fn recall(found: &[bool], wanted: &[bool]) -> f64 {
    let hits = found.iter().zip(wanted).filter(|(found, wanted)| **found && **wanted).count();
    hits as f64 / wanted.iter().filter(|wanted| **wanted).count() as f64
}

#[test]
fn speech_is_found_and_silence_costs_nothing() {
    for language in ["en-us", "fr-fr"] {
        let samples = sentences(language);
        let (found, open) = judge(&mut Vad::default(), &samples, &[]);
        let wanted = truth(&samples);
        let (recall, precision) = (recall(&found, &wanted), self::recall(&wanted, &found));
        assert!(recall > 0.9 && precision > 0.9, "{language}: recall {recall:.3}, precision {precision:.3}");
        let spoken = wanted.iter().filter(|spoken| **spoken).count() as f64 / wanted.len() as f64;
        assert!(open < spoken + 0.1, "{language}: open {open:.2} of the time, {spoken:.2} is speech");
    }
    let (found, open) = judge(&mut Vad::default(), &[0; 80_000], &[]);
    assert!(found.iter().all(|speech| !speech) && open < 0.01);
}

#[test]
fn steady_noise_is_not_speech_and_hides_little_of_it() {
    let samples = sentences("en-us");
    let noise = noise(samples.len(), -40.0);
    let (found, open) = judge(&mut Vad::default(), &mix(&samples, &noise, 0.0), &[]);
    let wrong = found.iter().filter(|speech| **speech).count() as f64 / found.len() as f64;
    assert!(wrong < 0.03 && open < 0.2, "{wrong:.3} taken for speech, open {open:.2}");
    let (found, _) = judge(&mut Vad::default(), &mix(&samples, &noise, 1.0), &[]);
    let recall = recall(&found, &truth(&samples));
    assert!(recall > 0.8, "recall {recall:.3}");
}

#[test]
fn edges_come_in_pairs_and_tell_their_times() {
    let speech = sentences("en-us");
    let mut vad = Vad::default();
    let (mut edges, mut now_ms, mut began) = (0, 0u32, None);
    for frame in speech.chunks_exact(160) {
        now_ms += 20;
        match vad.listen(frame, &[]) {
            Some(SpeechEdge::Started { ago_ms }) => {
                assert!(began.is_none() && (64..=180).contains(&ago_ms), "{ago_ms}");
                began = Some(now_ms - ago_ms);
                edges += 1;
            }
            Some(SpeechEdge::Ended { ago_ms, lasted_ms }) => {
                let began = began.take().unwrap();
                assert!((300..330).contains(&ago_ms), "{ago_ms}");
                let lasted = now_ms - ago_ms - began;
                assert!(lasted.abs_diff(lasted_ms) <= 120, "{lasted} and {lasted_ms}");
            }
            None => {}
        }
    }
    assert!(edges >= 20, "{edges}");
}

/// What we play comes back delayed and weaker.
fn echo(ours: &[i16], delay_ms: usize, loss_db: f64) -> Vec<i16> {
    let gain = 10f64.powf(-loss_db / 20.0);
    let mut echo = vec![0; delay_ms * 8];
    echo.extend(ours.iter().map(|s| (f64::from(*s) * gain) as i16));
    echo.truncate(ours.len());
    echo
}

#[test]
fn our_own_echo_is_not_the_caller() {
    let ours = sentences("en-us");
    for (delay_ms, loss_db, most) in
        [(60, 30.0, 0.01), (150, 20.0, 0.02), (250, 15.0, 0.02), (450, 20.0, 0.02), (400, 10.0, 0.03)]
    {
        let (found, _) = judge(&mut Vad::default(), &echo(&ours, delay_ms, loss_db), &ours);
        let wrong = found.iter().filter(|speech| **speech).count() as f64 / found.len() as f64;
        assert!(wrong <= most, "{loss_db} dB after {delay_ms} ms: {wrong:.4} taken for the caller");
    }
}

#[test]
fn a_caller_who_speaks_over_us_is_heard() {
    let (ours, theirs) = (sentences("en-us"), sentences("fr-fr"));
    // How much of them falls on each other depends on which sentences are shipped.
    for (loss_db, least) in [(60.0, 0.85), (25.0, 0.8), (15.0, 0.4)] {
        let back = echo(&ours, 150, loss_db);
        let mut vad = Vad::default();
        // Ten seconds in which we speak alone: the echo is known then.
        judge(&mut vad, &back[..80_000], &ours[..80_000]);
        let both: Vec<i16> = theirs.iter().zip(&back[80_000..]).map(|(a, b)| a.saturating_add(*b)).collect();
        let (found, _) = judge(&mut vad, &both, &ours[80_000..]);
        let recall = recall(&found, &truth(&theirs[..both.len()]));
        assert!(recall > least, "echo at -{loss_db} dB: recall {recall:.3}");
    }
}

#[test]
fn the_loudest_and_strangest_audio_does_no_harm() {
    let mut vad = Vad::default();
    let square: Vec<i16> = (0..16_000).map(|n| if n / 7 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
    judge(&mut vad, &square, &square);
    judge(&mut vad, &square, &[]);
    assert_eq!(vad.listen(&[], &[1; 500]), None);
}
