//! When it speaks, waits and ends: silence, disclosure, and the call machine's own words.

use super::*;

#[test]
fn silence_repeats_the_menu_twice_then_says_goodbye() {
    let again = joined(NOTHING, MENU);
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Heard, &[MENU]),
            (Heard, &[]),
            (Wait(29), &[]),
            (Wait(1), &[&again]),
            (Heard, &[]),
            (Wait(30), &[&again]),
            (Heard, &[]),
            (Wait(30), &[GOODBYE]),
            (Heard, &[END]),
            (Wait(300), &[]),
        ],
    );
}

#[test]
fn a_key_starts_the_count_of_silences_again() {
    let again = joined(NOTHING, MENU);
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Heard, &[MENU]),
            (Heard, &[]),
            (Wait(30), &[&again]),
            (Heard, &[]),
            (Wait(30), &[&again]),
            (Key('*'), &[CLEAR, MENU]),
            (Heard, &[]),
            (Wait(30), &[&again]),
        ],
    );
}

#[test]
fn silence_after_the_confirmation_asks_again_and_ends_likewise() {
    let again = joined(NOTHING, ASK_SALES);
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('1'), &[CLEAR, ASK_SALES]),
            (Heard, &[]),
            (Wait(30), &[&again]),
            (Heard, &[]),
            (Wait(30), &[&again]),
            (Heard, &[]),
            (Wait(30), &[GOODBYE]),
            (Heard, &[END]),
        ],
    );
}

#[test]
fn a_key_during_goodbye_brings_the_caller_back() {
    let again = joined(NOTHING, MENU);
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Heard, &[MENU]),
            (Heard, &[]),
            (Wait(30), &[&again]),
            (Heard, &[]),
            (Wait(30), &[&again]),
            (Heard, &[]),
            (Wait(30), &[GOODBYE]),
            (Key('1'), &[CLEAR, ASK_SALES]),
        ],
    );
}

#[test]
fn the_time_of_silence_starts_when_the_menu_has_been_heard() {
    plays(&acme(), &[(Connect, &[HELLO]), (Heard, &[MENU]), (Wait(14), &[]), (Heard, &[]), (Wait(29), &[])]);
}

#[test]
fn an_utterance_never_reported_counts_as_heard_in_the_end() {
    // Each lasts 5 s here, and 10 s more are waited for the report.
    plays(&acme(), &[(Connect, &[HELLO]), (Wait(14), &[]), (Wait(1), &[MENU]), (Wait(15), &[])]);
}

#[test]
fn reports_of_what_was_cut_change_nothing() {
    let mut harness = Harness::new(&acme());
    harness.step(&Connect);
    let greeting = harness.playing[0];
    harness.step(&Key('*'));
    harness.input(Input::Played(greeting));
    assert!(harness.out.is_empty());
}

fn disclosing(interruptible: bool) -> Value {
    let disclosure = json!({"enabled": true, "text": DISCLOSURE, "required_by_law": !interruptible});
    with(acme(), json!({"voice": {"disclosure": disclosure}}))
}

#[test]
fn a_disclosure_follows_the_greeting() {
    for interruptible in [true, false] {
        plays(&disclosing(interruptible), &[(Connect, &[HELLO, DISCLOSURE]), (Heard, &[]), (Heard, &[MENU])]);
    }
}

#[test]
fn a_disclosure_that_may_be_cut_is_cut_by_a_key() {
    plays(&disclosing(true), &[(Connect, &[HELLO, DISCLOSURE]), (Key('1'), &[CLEAR, ASK_SALES])]);
}

#[test]
fn an_uncuttable_disclosure_is_heard_before_a_key_counts() {
    plays(
        &disclosing(false),
        &[
            (Connect, &[HELLO, DISCLOSURE]),
            (Heard, &[]),
            (Key('1'), &[]),
            (Key('1'), &[]),
            (Heard, &[ASK_SALES, CLEAR, TO_SALES]),
        ],
    );
}

#[test]
fn a_key_during_the_greeting_goes_straight_to_the_uncuttable_disclosure() {
    plays(
        &disclosing(false),
        &[(Connect, &[HELLO, DISCLOSURE]), (Key('1'), &[CLEAR, DISCLOSURE]), (Heard, &[ASK_SALES])],
    );
}

#[test]
fn an_uncuttable_disclosure_that_the_machine_cut_is_still_owed() {
    plays(
        &disclosing(false),
        &[
            (Connect, &[HELLO, DISCLOSURE]),
            (Say(1, "One moment."), &[CLEAR, "One moment."]),
            (Heard, &[DISCLOSURE]),
            (Heard, &[MENU]),
            (Resume, &[CLEAR, MENU]),
        ],
    );
}

#[test]
fn what_the_machine_says_cuts_the_agent() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Heard, &[MENU]),
            (Say(1, "Thirty seconds left."), &[CLEAR, "Thirty seconds left."]),
            (Say(3, "Goodbye."), &["Goodbye."]),
        ],
    );
}

#[test]
fn keys_pressed_while_the_machine_speaks_count_afterwards() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Heard, &[MENU]),
            (Say(1, "Thirty seconds left."), &[CLEAR, "Thirty seconds left."]),
            (Key('1'), &[]),
            (Heard, &[ASK_SALES]),
        ],
    );
}

#[test]
fn after_the_machine_has_spoken_the_time_of_silence_starts_again() {
    let again = joined(NOTHING, MENU);
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Heard, &[MENU]),
            (Heard, &[]),
            (Wait(20), &[]),
            (Say(1, "Thirty seconds left."), &["Thirty seconds left."]),
            (Wait(10), &[]),
            (Heard, &[]),
            (Wait(29), &[]),
            (Wait(1), &[&again]),
        ],
    );
}

#[test]
fn resume_waits_for_the_machine_to_finish_and_takes_keys_then() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('1'), &[CLEAR, ASK_SALES]),
            (Key('1'), &[CLEAR, TO_SALES]),
            (Say(1, "Please hold."), &["Please hold."]),
            (Heard, &[]),
            (Say(3, FAILED), &[FAILED]),
            (Resume, &[MENU]),
            (Key('4'), &[]),
            (Heard, &[CLEAR, ASK_PLANNING]),
        ],
    );
}

#[test]
fn a_flood_of_keys_is_bounded() {
    let mut harness = Harness::new(&disclosing(false));
    harness.step(&Connect);
    harness.step(&Heard);
    for _ in 0..1_000 {
        harness.step(&Key('*'));
    }
    assert_eq!(harness.menu.held.len(), MOST_HELD);
}

#[test]
fn own_utterances_are_even_and_never_repeat() {
    let mut harness = Harness::new(&acme());
    let mut seen = Vec::new();
    for step in [Connect, Heard, Key('*'), Key('1'), Key('2')] {
        harness.step(&step);
        seen.extend(harness.playing.last().copied());
    }
    assert!(seen.iter().all(|id| id.0 % 2 == 0 && id.0 > 0));
    let mut unique = seen.clone();
    unique.dedup();
    assert_eq!(unique, seen);
}
