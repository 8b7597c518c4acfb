use super::*;
use bytes::Bytes;
use proptest::prelude::*;

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
    playout.fill(Law::A, &mut out);
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
    assert_eq!(playout.fill(Law::Mu, &mut out), 0);
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
    let fade: Vec<i32> = [frame(&mut playout), frame(&mut playout)]
        .concat()
        .iter()
        .map(|c| i32::from(Law::A.decode(*c)))
        .collect();
    assert!(fade.windows(2).all(|pair| pair[1] <= pair[0]), "the fade only falls");
    assert!(fade[0] > 7_500 && fade[160] < 4_300 && fade[319] < 100);
    let expected = [
        PlayoutEvent::Cleared { utterance: A, sent_ms: 60, unsent_ms: 940 },
        PlayoutEvent::Cleared { utterance: B, sent_ms: 0, unsent_ms: 100 },
    ];
    assert_eq!(events(&mut playout), expected);
    assert_eq!(frame(&mut playout), [0xD5; 160]);
}

#[test]
fn audio_still_under_way_for_a_cut_utterance_is_dropped() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(1_600, 100));
    clear(&mut playout);
    audio(&mut playout, A, pcm(1_600, 100));
    end(&mut playout, A);
    assert_eq!(playout.queued_ms(), 40);
    frame(&mut playout);
    frame(&mut playout);
    let cleared = PlayoutEvent::Cleared { utterance: A, sent_ms: 40, unsent_ms: 160 };
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
        PlayoutEvent::Cleared { utterance: A, sent_ms: 40, unsent_ms: 160 },
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
        PlayoutEvent::Cleared { utterance: A, sent_ms: 40, unsent_ms: 160 },
        PlayoutEvent::Cleared { utterance: B, sent_ms: 0, unsent_ms: 200 },
    ];
    assert_eq!(events(&mut playout), expected);
    assert_eq!(frame(&mut playout), [0xD5; 160]);
}

#[test]
fn an_utterance_that_ends_inside_the_fade_is_drained() {
    let mut playout = Playout::default();
    audio(&mut playout, A, pcm(160, 4_000));
    end(&mut playout, A);
    clear(&mut playout);
    let faded = frame(&mut playout);
    assert!(Law::A.decode(faded[159]).abs() < 64);
    assert_eq!(events(&mut playout), [PlayoutEvent::Drained { utterance: A, sent_ms: 20 }]);
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

#[derive(Debug, Clone)]
enum Step {
    Audio(u64, usize),
    End(u64),
    Clear,
    Frame,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..4, 1usize..900).prop_map(|(id, samples)| Step::Audio(id, samples)),
        1 => (0u64..4).prop_map(Step::End),
        1 => Just(Step::Clear),
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
                Step::Frame => {
                    let mut out = [0; 160];
                    heard += playout.fill(Law::Mu, &mut out);
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
        while !playout.is_idle() {
            heard += playout.fill(Law::Mu, &mut out);
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
