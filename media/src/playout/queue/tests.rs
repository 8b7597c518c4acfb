use super::*;
use crate::codec::Law;
use crate::playout::tone;
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

const A: UtteranceId = UtteranceId(1);
const B: UtteranceId = UtteranceId(3);

fn pcm(samples: usize, value: i16) -> Chunk {
    Chunk::Pcm(vec![value; samples].into())
}

fn audio(playout: &mut Playout, utterance: UtteranceId, chunk: Chunk) {
    playout.command(PlayoutCommand::Audio { utterance, chunk }).unwrap();
}

fn end(playout: &mut Playout, utterance: UtteranceId) {
    playout.command(PlayoutCommand::End { utterance }).unwrap();
}

fn clear(playout: &mut Playout) {
    playout.command(PlayoutCommand::Clear).unwrap();
}

fn frame(playout: &mut Playout) -> [u8; 160] {
    let mut out = [0; 160];
    playout.fill(Output::Law(Law::A, &mut out));
    out
}

fn events(playout: &mut Playout) -> Vec<PlayoutEvent> {
    std::iter::from_fn(|| playout.poll_event()).collect()
}

#[test]
fn nothing_queued_is_silence() {
    let mut playout = Playout::default();
    assert_eq!(frame(&mut playout), [0xD5; 160]);
    let mut out = [0; 160];
    assert_eq!(playout.fill(Output::Law(Law::Mu, &mut out)), 0);
    assert_eq!(out, [0xFF; 160]);
}

#[test]
fn codewords_of_the_line_pass_untouched_whatever_their_alignment() {
    let codewords: Vec<u8> = (0..1_000u32).map(|n| (n * 7 % 256) as u8).collect();
    let mut playout = Playout::default();
    for piece in codewords.chunks(37) {
        audio(&mut playout, A, Chunk::Pcma(Bytes::copy_from_slice(piece)));
    }
    let sent: Vec<u8> = (0..7).flat_map(|_| frame(&mut playout)).collect();
    assert_eq!(sent[..1_000], codewords[..]);
    assert!(sent[1_000..].iter().all(|codeword| *codeword == 0xD5));
}

#[test]
fn the_other_law_and_linear_audio_are_encoded() {
    let mut playout = Playout::default();
    audio(&mut playout, A, Chunk::Pcmu(Bytes::from(vec![0x80; 80])));
    audio(&mut playout, A, pcm(80, -5_000));
    let sent = frame(&mut playout);
    assert_eq!(sent[..80], [Law::A.encode(32_124); 80]);
    assert_eq!(sent[80..], [Law::A.encode(-5_000); 80]);
}

#[test]
fn drained_comes_with_the_frame_that_carries_the_last_sample() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(161, 1));
    end(&mut playout, A);
    frame(&mut playout);
    assert_eq!(events(&mut playout), []);
    frame(&mut playout);
    assert_eq!(events(&mut playout), [PlayoutEvent::Drained { utterance: A, sent_ms: 20 }]);
}

#[test]
fn an_end_after_the_last_sample_or_without_any_drains_at_once() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(160, 1));
    frame(&mut playout);
    end(&mut playout, A);
    end(&mut playout, B);
    let expected = [
        PlayoutEvent::Drained { utterance: A, sent_ms: 20 },
        PlayoutEvent::Drained { utterance: B, sent_ms: 0 },
    ];
    assert_eq!(events(&mut playout), expected);
}

#[test]
fn utterances_follow_each_other_inside_one_frame() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(100, 8));
    end(&mut playout, A);
    audio(&mut playout, B, pcm(60, 4_000));
    end(&mut playout, B);
    frame(&mut playout);
    let expected = [
        PlayoutEvent::Drained { utterance: A, sent_ms: 12 },
        PlayoutEvent::Drained { utterance: B, sent_ms: 7 },
    ];
    assert_eq!(events(&mut playout), expected);
}

#[test]
fn clear_fades_for_forty_milliseconds_and_tells_what_was_heard() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(8_000, 8_000));
    audio(&mut playout, B, pcm(800, 8_000));
    end(&mut playout, B);
    frame(&mut playout);
    clear(&mut playout);
    let told = events(&mut playout);
    let fade: Vec<i32> = [frame(&mut playout), frame(&mut playout)]
        .concat()
        .iter()
        .map(|c| i32::from(Law::A.decode(*c)))
        .collect();
    assert!(fade.windows(2).all(|pair| pair[1] <= pair[0]), "the fade only falls");
    assert!(fade[0] > 7_500 && fade[160] < 4_300 && fade[319] < 100);
    let expected = [
        PlayoutEvent::Cleared { utterance: A, sent_ms: 20, unsent_ms: 980 },
        PlayoutEvent::Cleared { utterance: B, sent_ms: 0, unsent_ms: 100 },
    ];
    assert_eq!(told, expected, "what faded isn't counted, and nobody waits for it");
    assert_eq!(events(&mut playout), []);
    assert_eq!(frame(&mut playout), [0xD5; 160]);
}

#[test]
fn audio_still_under_way_for_a_cut_utterance_is_dropped() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(1_600, 100));
    clear(&mut playout);
    audio(&mut playout, A, pcm(1_600, 100));
    end(&mut playout, A);
    assert_eq!(playout.queued_ms(), 0);
    frame(&mut playout);
    frame(&mut playout);
    let cleared = PlayoutEvent::Cleared { utterance: A, sent_ms: 0, unsent_ms: 200 };
    assert_eq!(events(&mut playout), [cleared]);
}

#[test]
fn what_is_queued_after_a_clear_plays_behind_the_fade_at_full_volume() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(1_600, 4_000));
    clear(&mut playout);
    audio(&mut playout, B, pcm(160, 4_000));
    end(&mut playout, B);
    frame(&mut playout);
    frame(&mut playout);
    assert_eq!(frame(&mut playout), [Law::A.encode(4_000); 160]);
    let expected = [
        PlayoutEvent::Cleared { utterance: A, sent_ms: 0, unsent_ms: 200 },
        PlayoutEvent::Drained { utterance: B, sent_ms: 20 },
    ];
    assert_eq!(events(&mut playout), expected);
}

#[test]
fn a_second_clear_during_the_fade_cuts_what_came_after_and_keeps_the_fade() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(1_600, 4_000));
    clear(&mut playout);
    frame(&mut playout);
    audio(&mut playout, B, pcm(1_600, 4_000));
    clear(&mut playout);
    frame(&mut playout);
    let expected = [
        PlayoutEvent::Cleared { utterance: A, sent_ms: 0, unsent_ms: 200 },
        PlayoutEvent::Cleared { utterance: B, sent_ms: 0, unsent_ms: 200 },
    ];
    assert_eq!(events(&mut playout), expected);
    assert_eq!(frame(&mut playout), [0xD5; 160]);
}

#[test]
fn an_utterance_that_ends_inside_the_fade_was_cut_all_the_same() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(160, 4_000));
    end(&mut playout, A);
    clear(&mut playout);
    let faded = frame(&mut playout);
    assert!(Law::A.decode(faded[159]).abs() < 64);
    assert_eq!(events(&mut playout), [PlayoutEvent::Cleared { utterance: A, sent_ms: 0, unsent_ms: 20 }]);
}

#[test]
fn a_pause_during_the_fade_of_a_cut_holds_what_comes_behind_it() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(1_600, 4_000));
    clear(&mut playout);
    frame(&mut playout);
    pause(&mut playout);
    audio(&mut playout, B, pcm(160, 4_000));
    assert!(linear(&mut playout)[0] > 1_500, "the fade goes on");
    assert_eq!(frame(&mut playout), [0xD5; 160]);
    resume(&mut playout);
    assert_eq!(frame(&mut playout)[40..], [Law::A.encode(4_000); 120]);
}

#[test]
fn clear_of_an_utterance_between_two_pieces_reports_it_at_once() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(160, 4_000));
    frame(&mut playout);
    clear(&mut playout);
    assert_eq!(events(&mut playout), [PlayoutEvent::Cleared { utterance: A, sent_ms: 20, unsent_ms: 0 }]);
    clear(&mut playout);
    assert_eq!(events(&mut playout), []);
}

#[test]
fn the_queue_refuses_audio_beyond_its_cap_and_takes_it_later() {
    let mut playout = Playout::new(100);
    audio(&mut playout, A, pcm(800, 1));
    let more = PlayoutCommand::Audio { utterance: A, chunk: pcm(160, 1) };
    assert_eq!(playout.command(more.clone()), Err(PlayoutFull { queued_ms: 100 }));
    frame(&mut playout);
    assert_eq!(playout.command(more), Ok(()));
    end(&mut playout, A);
}

#[test]
fn ends_without_number_are_bounded() {
    let mut playout = Playout::default();
    let accepted = (0..100_000)
        .filter(|n| playout.command(PlayoutCommand::End { utterance: UtteranceId(*n) }).is_ok())
        .count();
    assert_eq!(accepted, MAX_ENTRIES);
}

fn pause(playout: &mut Playout) {
    playout.command(PlayoutCommand::Pause).unwrap();
}

fn resume(playout: &mut Playout) {
    playout.command(PlayoutCommand::Resume).unwrap();
}

fn linear(playout: &mut Playout) -> Vec<i16> {
    frame(playout).iter().map(|codeword| Law::A.decode(*codeword)).collect()
}

#[test]
fn a_pause_fades_and_what_was_faded_is_said_again() {
    let mut playout = Playout::default();
    let ramp: Vec<i16> = (0..1_600).map(|n| 8_000 + n).collect();
    audio(&mut playout, A, Chunk::Pcm(ramp.clone().into()));
    end(&mut playout, A);
    frame(&mut playout);
    pause(&mut playout);
    let fade = [linear(&mut playout), linear(&mut playout)].concat();
    assert!(
        fade[0] > 7_900 && fade[160] < 4_600 && fade[319] < 100,
        "{} {} {}",
        fade[0],
        fade[160],
        fade[319]
    );
    assert!((0..50).all(|_| linear(&mut playout).iter().all(|sample| sample.abs() <= 8)), "then silence");
    assert_eq!((playout.queued_ms(), playout.is_paused()), (180, true));
    resume(&mut playout);
    let again = linear(&mut playout);
    assert!(again[0] < 400, "it rises: no click");
    for (n, sample) in again.iter().enumerate().skip(40) {
        let wanted = i32::from(ramp[160 + n]);
        assert!((i32::from(*sample) - wanted).abs() <= wanted / 20, "sample {n} after the pause");
    }
    for _ in 0..8 {
        frame(&mut playout);
    }
    assert_eq!(events(&mut playout), [PlayoutEvent::Drained { utterance: A, sent_ms: 200 }]);
}

#[test]
fn an_interrupted_pause_counts_only_what_came_before_it() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(1_600, 8_000));
    frame(&mut playout);
    pause(&mut playout);
    for _ in 0..5 {
        frame(&mut playout);
    }
    clear(&mut playout);
    assert_eq!(events(&mut playout), [PlayoutEvent::Cleared { utterance: A, sent_ms: 20, unsent_ms: 180 }]);
    assert_eq!(frame(&mut playout), [0xD5; 160]);
    audio(&mut playout, B, pcm(160, 4_000));
    assert_eq!(frame(&mut playout), [Law::A.encode(4_000); 160], "and playout goes on");
}

#[test]
fn a_pause_over_nothing_holds_what_comes() {
    let mut playout = Playout::default();
    pause(&mut playout);
    audio(&mut playout, A, pcm(160, 4_000));
    end(&mut playout, A);
    assert_eq!(frame(&mut playout), [0xD5; 160]);
    pause(&mut playout);
    resume(&mut playout);
    resume(&mut playout);
    assert_eq!(frame(&mut playout)[40..], [Law::A.encode(4_000); 120]);
    assert_eq!(events(&mut playout), [PlayoutEvent::Drained { utterance: A, sent_ms: 20 }]);
}

#[test]
fn a_pause_shorter_than_its_fade_loses_nothing() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(800, 4_000));
    end(&mut playout, A);
    pause(&mut playout);
    frame(&mut playout);
    resume(&mut playout);
    for _ in 0..5 {
        frame(&mut playout);
    }
    assert_eq!(events(&mut playout), [PlayoutEvent::Drained { utterance: A, sent_ms: 100 }]);
}

#[test]
fn a_long_burst_is_held_as_code_words_and_shared_audio_as_it_is() {
    let mut playout = Playout::default();
    playout.set_codec(Codec::Pcmu);
    for _ in 0..60 {
        audio(&mut playout, A, pcm(8_000, 1_000));
    }
    assert_eq!(playout.queued_ms(), 60_000);
    let held = playout.held_bytes();
    assert!(held <= 60 * 8_000 + 8_000, "{held} bytes for a minute");
    let shared: Arc<[i16]> = vec![1_000; 80_000].into();
    audio(&mut playout, A, Chunk::Pcm(shared.clone()));
    assert_eq!(playout.held_bytes(), held);
    let mut out = [0; 160];
    for _ in 0..3_500 {
        playout.fill(Output::Law(Law::Mu, &mut out));
        assert_eq!(out, [Law::Mu.encode(1_000); 160]);
    }
}

#[test]
fn each_rate_of_audio_plays_on_each_rate_of_line() {
    let tone_at = |rate: f64, samples: usize| -> Arc<[i16]> {
        (0..samples)
            .map(|n| (9_000.0 * (std::f64::consts::TAU * 700.0 * n as f64 / rate).sin()) as i16)
            .collect()
    };
    let level = |samples: &[i16]| {
        (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    };
    for chunk in [Chunk::Pcm(tone_at(8_000.0, 8_000)), Chunk::Wide(tone_at(16_000.0, 16_000))] {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
            for compact in [false, true] {
                let mut playout = Playout::default();
                playout.set_codec(codec);
                if compact {
                    audio(&mut playout, B, pcm(8_000, 0));
                }
                let own = match &chunk {
                    Chunk::Pcm(samples) => Chunk::Pcm(samples.to_vec().into()),
                    Chunk::Wide(samples) => Chunk::Wide(samples.to_vec().into()),
                    other => other.clone(),
                };
                audio(&mut playout, A, own);
                end(&mut playout, A);
                let mut heard = Vec::new();
                while !playout.is_idle() {
                    if let Some(law) = codec.law() {
                        let mut out = [0; 160];
                        playout.fill(Output::Law(law, &mut out));
                        heard.extend(out.map(|codeword| law.decode(codeword)));
                    } else {
                        let mut out = [0; 320];
                        playout.fill(Output::Wide(&mut out));
                        heard.extend_from_slice(&out);
                    }
                }
                let start = heard.len() - 8_000 * heard.len() / 8_000 / if compact { 2 } else { 1 };
                let level = level(&heard[start + 800..]);
                assert!(
                    (6_100.0..6_600.0).contains(&level),
                    "{chunk:?} on {codec:?}, compact {compact}: {level:.0}"
                );
                assert_eq!(events(&mut playout), [PlayoutEvent::Drained { utterance: A, sent_ms: 1_000 }]);
            }
        }
    }
    assert_eq!(tone::record_beep().samples(), 2_400);
}

#[derive(Debug, Clone)]
enum Step {
    Audio(u64, usize),
    End(u64),
    Clear,
    Pause,
    Resume,
    Frame,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..4, 1usize..900).prop_map(|(id, samples)| Step::Audio(id, samples)),
        1 => (0u64..4).prop_map(Step::End),
        1 => Just(Step::Clear),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        4 => Just(Step::Frame),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// Every utterance that was ended is reported once, and samples are neither lost nor invented.
    #[test]
    fn books_balance_whatever_the_order_of_commands(steps in steps()) {
        let mut playout = Playout::default();
        let (mut given, mut heard, mut reported) = ([0usize; 4], 0usize, [0u32; 4]);
        let (mut finished, mut told) = ([false; 4], 0u64);
        for step in steps {
            match step {
                Step::Audio(slot, samples) if !finished[slot as usize] => {
                    audio(&mut playout, UtteranceId(slot), pcm(samples, 1));
                    given[slot as usize] += samples;
                }
                Step::End(slot) if !finished[slot as usize] => {
                    end(&mut playout, UtteranceId(slot));
                    finished[slot as usize] = true;
                }
                Step::Clear => clear(&mut playout),
                Step::Pause => pause(&mut playout),
                Step::Resume => resume(&mut playout),
                Step::Frame => {
                    let mut out = [0; 160];
                    heard += playout.fill(Output::Law(Law::Mu, &mut out));
                }
                Step::Audio(..) | Step::End(..) => {}
            }
            while let Some(event) = playout.poll_event() {
                let (utterance, sent_ms) = match event {
                    PlayoutEvent::Drained { utterance, sent_ms } => (utterance, sent_ms),
                    PlayoutEvent::Cleared { utterance, sent_ms, .. } => (utterance, sent_ms),
                };
                reported[(utterance.0 % 4) as usize] += 1;
                told += sent_ms;
            }
        }
        let mut out = [0; 160];
        resume(&mut playout);
        while !playout.is_idle() {
            heard += playout.fill(Output::Law(Law::Mu, &mut out));
        }
        while let Some(event) = playout.poll_event() {
            let (PlayoutEvent::Drained { utterance, sent_ms } | PlayoutEvent::Cleared { utterance, sent_ms, .. }) = event;
            reported[(utterance.0 % 4) as usize] += 1;
            told += sent_ms;
        }
        prop_assert!(heard <= given.iter().sum::<usize>());
        prop_assert!(told <= heard as u64 / 8);
        for slot in 0..4 {
            prop_assert!(reported[slot] <= 1, "reported twice");
            prop_assert!(!finished[slot] || reported[slot] == 1, "an ended utterance is always reported");
        }
    }
}
