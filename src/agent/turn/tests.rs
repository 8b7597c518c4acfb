//! Every rule as a table: what happens when, and what is done when. Times are in milliseconds.

use super::*;

/// What is done at a moment.
type Done = (u64, Output);

/// Speech that began at this moment; told 100 ms later, as our ear does.
#[derive(Clone, Copy)]
enum Is {
    In(Input<'static>),
    Starts,
    Stops,
}

fn settings() -> Settings {
    Settings {
        first_speaker: FirstSpeaker::Agent,
        candidate: Duration::from_millis(200),
        confirm: Duration::from_millis(500),
        hangover: Duration::ZERO,
        resume_after: Duration::from_secs(2),
        greeting_protected: Duration::from_secs(2),
        end_silence: Duration::from_millis(500),
        dictation_silence: Duration::from_millis(800),
        silence_prompt: Duration::from_secs(30),
        silence_hangup: Duration::from_secs(15),
        filler_after: Duration::from_millis(1_200),
        max_turns: 50,
        locale: "en-US".to_owned(),
    }
}

/// Runs the steps, with time passing in between as the machine asks for, until `until`.
fn run(settings: Settings, steps: &[(u64, Is)], until: u64) -> Vec<Done> {
    let (start, hangover) = (Instant::now(), settings.hangover);
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut turns = Turns::new(settings);
    let (mut done, mut out) = (Vec::new(), Vec::new());
    let end = (until, None);
    let all = steps.iter().map(|(ms, step)| (*ms, Some(*step))).chain([end]);
    for (ms, step) in all {
        while let Some(due) = turns.deadline().filter(|due| *due <= at(ms)) {
            turns.handle(Input::Expired, due, &mut out);
            let due_ms = u64::try_from((due - start).as_millis()).unwrap();
            let before = done.len();
            done.extend(out.drain(..).map(|output| (due_ms, output)));
            assert!(done.len() > before || turns.deadline() != Some(due), "stuck at {due_ms} ms");
        }
        match step {
            None => {}
            Some(Is::In(input)) => turns.handle(input, at(ms), &mut out),
            Some(Is::Starts) => turns.handle(Input::SpeechStarted(at(ms)), at(ms + 100), &mut out),
            Some(Is::Stops) => {
                let last = at(ms).checked_sub(hangover).unwrap_or(start);
                turns.handle(Input::SpeechStopped(last), at(ms), &mut out);
            }
        }
        done.extend(out.drain(..).map(|output| (ms, output)));
    }
    done
}

const STOP: Is = Is::Stops;
const COMMIT: Is = Is::In(Input::Committed);
const QUIET: Is = Is::In(Input::Quiet);

fn says(text: &'static str) -> Is {
    Is::In(Input::Final(text))
}

fn partly(text: &'static str) -> Is {
    Is::In(Input::Partial(text))
}

/// The agent has greeted and is in the middle of an answer from 10,000 ms on.
fn speaking() -> Vec<(u64, Is)> {
    vec![
        (0, Is::In(Input::Connected)),
        (100, Is::In(Input::Speaking(Speech::Greeting))),
        (3_000, QUIET),
        (5_000, Is::Starts),
        (6_000, STOP),
        (6_300, COMMIT),
        (6_500, says("What are your hours?")),
        (10_000, Is::In(Input::Speaking(Speech::Reply))),
    ]
}

/// What is done after 10,000 ms while the agent is speaking.
fn after(steps: &[(u64, Is)], until: u64) -> Vec<Done> {
    let all = [speaking(), steps.to_vec()].concat();
    let done = run(settings(), &all, until);
    assert_eq!(done[..2], [(0, Output::Greet), (6_300, Output::Respond)]);
    done[2..].to_vec()
}

#[test]
fn speech_over_the_agent_fades_it_then_interrupts_it() {
    let done = after(&[(12_000, Is::Starts), (13_500, STOP), (13_800, COMMIT)], 14_000);
    assert_eq!(done, [(12_200, Output::Pause), (12_500, Output::Interrupt), (13_800, Output::Respond)]);
}

#[test]
fn a_cough_doesnt_stop_the_agent() {
    // Shorter than a candidate: nothing at all.
    assert_eq!(
        after(&[(12_000, Is::Starts), (12_150, STOP), (12_700, COMMIT), (12_900, says(""))], 14_000),
        []
    );
    // Longer: held, and gone on with as soon as it is known to be nothing.
    let done = after(&[(12_000, Is::Starts), (12_400, STOP), (12_800, COMMIT), (13_050, says(""))], 20_000);
    assert_eq!(done, [(12_200, Output::Pause), (13_050, Output::Resume)]);
}

#[test]
fn a_false_start_without_a_transcript_is_gone_on_after() {
    let done = after(&[(12_000, Is::Starts), (12_400, STOP), (12_800, COMMIT)], 20_000);
    assert_eq!(done, [(12_200, Output::Pause), (14_200, Output::Resume)]);
}

#[test]
fn back_channels_dont_stop_the_agent() {
    let done = after(
        &[
            (12_000, Is::Starts),
            (12_300, partly("mm-hm")),
            (12_700, STOP),
            (13_000, COMMIT),
            (13_200, says("Mm-hm.")),
        ],
        20_000,
    );
    assert_eq!(done, [(12_200, Output::Pause), (13_200, Output::Resume)]);
    let done =
        after(&[(12_000, Is::Starts), (12_400, STOP), (12_800, COMMIT), (13_000, says("Okay."))], 20_000);
    assert_eq!(done, [(12_200, Output::Pause), (13_000, Output::Resume)]);
}

#[test]
fn what_goes_on_after_an_acknowledgement_interrupts() {
    let done = after(&[(12_000, Is::Starts), (12_300, partly("Okay"))], 15_000);
    assert_eq!(done, [(12_200, Output::Pause), (13_500, Output::Interrupt)]);
    let done =
        after(&[(12_000, Is::Starts), (12_300, partly("Okay")), (12_600, partly("Okay but when"))], 15_000);
    assert_eq!(done, [(12_200, Output::Pause), (12_600, Output::Interrupt)]);
}

#[test]
fn a_short_word_that_says_something_interrupts_once_it_is_understood() {
    let done =
        after(&[(12_000, Is::Starts), (12_350, STOP), (12_800, COMMIT), (13_000, says("No."))], 20_000);
    assert_eq!(done, [(12_200, Output::Pause), (13_000, Output::Interrupt), (13_000, Output::Respond)]);
}

#[test]
fn a_stop_word_interrupts_at_once() {
    let done = after(&[(12_000, Is::Starts), (12_250, partly("Stop"))], 13_000);
    assert_eq!(done, [(12_200, Output::Pause), (12_250, Output::Interrupt)]);
}

#[test]
fn the_greeting_is_protected_at_its_beginning_only() {
    let greeting = [(0, Is::In(Input::Connected)), (500, Is::In(Input::Speaking(Speech::Greeting)))];
    let early = [greeting.to_vec(), vec![(1_000, Is::Starts), (1_400, STOP)]].concat();
    assert_eq!(run(settings(), &early, 5_000), [(0, Output::Greet)]);
    let long = [greeting.to_vec(), vec![(1_000, Is::Starts)]].concat();
    let expected = [(0, Output::Greet), (2_500, Output::Pause), (2_500, Output::Interrupt)];
    assert_eq!(run(settings(), &long, 5_000), expected);
    let open = Settings { greeting_protected: Duration::ZERO, ..settings() };
    assert_eq!(run(open, &long, 5_000)[1], (1_200, Output::Pause));
}

#[test]
fn what_the_law_wants_said_is_never_interrupted_and_what_was_said_meanwhile_is_answered() {
    let steps = [
        (0, Is::In(Input::Connected)),
        (500, Is::In(Input::Speaking(Speech::Uncuttable))),
        (1_000, Is::Starts),
        (3_000, STOP),
        (3_300, COMMIT),
        (3_500, says("I need a plumber.")),
        (8_000, QUIET),
    ];
    assert_eq!(run(settings(), &steps, 9_000), [(0, Output::Greet), (8_000, Output::Respond)]);
    let mut only_listening = steps;
    only_listening[5] = (3_500, says("Okay."));
    assert_eq!(run(settings(), &only_listening, 9_000), [(0, Output::Greet)]);
}

#[test]
fn the_caller_may_have_the_first_word() {
    let settings = Settings { first_speaker: FirstSpeaker::Caller, ..settings() };
    let steps = [(0, Is::In(Input::Connected)), (2_000, Is::Starts), (3_000, STOP), (3_300, COMMIT)];
    assert_eq!(run(settings, &steps, 4_000), [(3_300, Output::Respond)]);
}

#[test]
fn what_only_the_models_ear_heard_is_no_turn() {
    let steps = [
        (0, Is::In(Input::Connected)),
        (100, Is::In(Input::Speaking(Speech::Greeting))),
        (3_000, QUIET),
        (5_000, COMMIT),
        (5_200, says("Thanks for watching.")),
    ];
    assert_eq!(run(settings(), &steps, 8_000), [(0, Output::Greet)]);
}

#[test]
fn a_caller_who_goes_on_before_the_answer_begins_is_heard_out() {
    let begun = &speaking()[..7];
    let steps = [begun, &[(6_700, Is::Starts), (8_000, STOP), (8_300, COMMIT)]].concat();
    let done = run(settings(), &steps, 8_500);
    assert_eq!(done[2..], [(7_200, Output::Interrupt), (8_300, Output::Respond)]);
    // Two turns in quick succession are answered as one.
    let steps = [begun, &[(6_700, Is::Starts), (7_000, STOP), (7_100, COMMIT)]].concat();
    assert_eq!(run(settings(), &steps, 7_150)[2..], [(7_100, Output::Interrupt), (7_100, Output::Respond)]);
}

#[test]
fn silence_is_asked_about_once_then_the_call_ends() {
    let steps = [
        (0, Is::In(Input::Connected)),
        (100, Is::In(Input::Speaking(Speech::Greeting))),
        (3_000, QUIET),
        (33_500, Is::In(Input::Speaking(Speech::Reply))),
        (35_000, QUIET),
    ];
    let expected = [(0, Output::Greet), (33_000, Output::Reprompt), (50_000, Output::Goodbye)];
    assert_eq!(run(settings(), &steps, 90_000), expected);
}

#[test]
fn whoever_speaks_or_presses_a_key_is_not_silent() {
    for stirring in [Is::In(Input::Key), Is::Starts] {
        let steps = [
            (0, Is::In(Input::Connected)),
            (100, Is::In(Input::Speaking(Speech::Greeting))),
            (3_000, QUIET),
            (30_000, stirring),
            (30_200, STOP),
        ];
        let done = run(settings(), &steps, 59_000);
        assert_eq!(done, [(0, Output::Greet)]);
    }
}

#[test]
fn a_tool_that_takes_long_is_talked_over_once() {
    let begun = &speaking()[..7];
    let slow =
        [begun, &[(7_000, Is::In(Input::ToolStarted)), (12_000, Is::In(Input::ToolFinished))]].concat();
    assert_eq!(run(settings(), &slow, 13_000)[2..], [(8_200, Output::Filler)]);
    let quick =
        [begun, &[(7_000, Is::In(Input::ToolStarted)), (7_400, Is::In(Input::ToolFinished))]].concat();
    assert_eq!(run(settings(), &quick, 13_000)[2..], []);
}

#[test]
fn dictation_is_waited_for_longer_until_it_is_over() {
    let said = |text| Is::In(Input::Said(text));
    let patient = Output::Patience(Duration::from_millis(800));
    let usual = Output::Patience(Duration::from_millis(500));
    let done = after(
        &[
            (11_000, said("Sure. What is your phone number?")),
            (12_000, QUIET),
            (13_000, Is::Starts),
            (16_000, STOP),
            (16_500, COMMIT),
            (17_000, Is::In(Input::Speaking(Speech::Reply))),
            (17_500, said("Thank you.")),
        ],
        18_000,
    );
    assert_eq!(done, [(11_000, patient), (16_500, Output::Respond), (17_500, usual)]);
    let done = after(&[(12_000, QUIET), (13_000, Is::Starts), (14_000, partly("it's 0 6 3 9"))], 14_500);
    assert_eq!(done, [(14_000, patient)]);
}

#[test]
fn nothing_that_is_heard_while_the_call_has_the_caller_is_for_the_agent() {
    let done = after(
        &[
            (12_000, Is::In(Input::GivenAway)),
            (13_000, Is::Starts),
            (15_000, STOP),
            (15_300, COMMIT),
            (60_000, Is::In(Input::Resumed)),
        ],
        61_000,
    );
    assert_eq!(done, [(60_000, Output::Respond)]);
}

#[test]
fn a_conversation_without_end_is_ended() {
    let settings = Settings { max_turns: 1, ..settings() };
    let steps =
        [speaking(), vec![(12_000, QUIET), (13_000, Is::Starts), (14_000, STOP), (14_300, COMMIT)]].concat();
    let done = run(settings, &steps, 15_000);
    assert_eq!(done, [(0, Output::Greet), (6_300, Output::Respond), (14_300, Output::Goodbye)]);
}

#[test]
fn no_order_of_inputs_leaves_the_machine_stuck_or_the_agent_held() {
    let inputs = [
        Is::Starts,
        STOP,
        COMMIT,
        QUIET,
        says("No."),
        says(""),
        partly("stop"),
        Is::In(Input::Speaking(Speech::Reply)),
        Is::In(Input::Announcement),
        Is::In(Input::ToolStarted),
        Is::In(Input::ToolFinished),
        Is::In(Input::Failed),
        Is::In(Input::GivenAway),
        Is::In(Input::Resumed),
        Is::In(Input::Key),
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2_000 {
        let mut steps = vec![(0, Is::In(Input::Connected))];
        let mut at = 0;
        for _ in 0..30 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            at += seed % 900;
            let pick = usize::try_from(seed >> 32).unwrap() % inputs.len();
            steps.push((at, inputs[pick]));
        }
        steps.push((at + 100, STOP));
        let done = run(settings(), &steps, at + 10_000);
        let holds = done.iter().filter(|(_, output)| *output == Output::Pause).count();
        let ends = |output: &Output| matches!(output, Output::Resume | Output::Interrupt);
        assert!(done.iter().filter(|(_, output)| ends(output)).count() >= holds, "{done:?}");
    }
}

#[test]
fn speech_whose_end_is_told_late_is_judged_by_how_long_it_was() {
    let late = || Settings { hangover: Duration::from_millis(300), ..settings() };
    let of = |steps: &[(u64, Is)]| run(late(), &[speaking(), steps.to_vec()].concat(), 20_000)[2..].to_vec();
    // 150 ms: held while its end wasn't known, and no longer.
    let done = of(&[(12_000, Is::Starts), (12_450, STOP), (12_650, COMMIT)]);
    assert_eq!(done, [(12_200, Output::Pause), (12_450, Output::Resume)]);
    // 400 ms that turn out to be an "okay".
    let done = of(&[(12_000, Is::Starts), (12_700, STOP), (12_900, COMMIT), (13_000, says("Okay."))]);
    assert_eq!(done, [(12_200, Output::Pause), (13_000, Output::Resume)]);
    // 600 ms are an interruption, known when their end is told or soon after.
    let done = of(&[(12_000, Is::Starts), (12_900, STOP), (13_100, COMMIT)]);
    assert_eq!(done, [(12_200, Output::Pause), (12_800, Output::Interrupt), (13_100, Output::Respond)]);
}
