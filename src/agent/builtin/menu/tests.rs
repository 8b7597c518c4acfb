//! Every rule of the menu, as steps and what comes of each.

use super::super::testing::{acme, destination, tenant, with};
use super::*;
use Step::{Connect, Heard, Key, Resume, Result as Answer, Say, Wait};
use serde_json::json;

const HELLO: &str = "Hello, you have reached Acme.";
const MENU: &str = "For the sales team, press 1. For the planning team, press 4. \
                    To leave a message, press 9. To hear these options again, press star.";
const ASK_SALES: &str =
    "You are about to be connected with the sales team. Press 1 to confirm, or 2 to cancel.";
const ASK_PLANNING: &str =
    "You are about to be connected with the planning team. Press 1 to confirm, or 2 to cancel.";
const INVALID: &str = "That key is not one of the options.";
const NOTHING: &str = "I did not receive an answer.";
const GOODBYE: &str = "Thank you for calling. Goodbye.";
const FAILED: &str = "Sorry, the call could not be connected.";
const DISCLOSURE: &str = "This call is recorded.";
const CLEAR: &str = "(clear)";
const TO_SALES: &str = r#"transfer_call {"destination_id":"sales","confirmed":true}"#;
const TO_SUPPORT: &str = r#"transfer_call {"destination_id":"support","confirmed":true}"#;
const TO_BOSS: &str = r#"transfer_call {"destination_id":"boss","confirmed":true}"#;
const MESSAGE: &str = "take_message {}";
const END: &str = "end_call {}";

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Key(char),
    /// The first utterance that is still to be heard has been.
    Heard,
    /// So many seconds pass.
    Wait(u64),
    Result(ToolOutcome),
    Say(u64, &'static str),
    Resume,
}

struct Harness {
    menu: Menu,
    now: Instant,
    /// Said and neither heard nor cleared.
    playing: Vec<UtteranceId>,
    tool: Option<ToolCallId>,
    out: Vec<Output>,
}

impl Harness {
    fn new(document: &Value) -> Self {
        Self {
            menu: Menu::new(tenant(document), "en-US".into()),
            now: Instant::now(),
            playing: Vec::new(),
            tool: None,
            out: Vec::new(),
        }
    }

    fn input(&mut self, input: Input) {
        let wall = "2026-11-18T10:00:00Z".parse().unwrap();
        self.menu.handle(input, self.now, wall, &mut self.out);
    }

    fn step(&mut self, step: &Step) -> Vec<String> {
        match step.clone() {
            Connect => self.input(Input::Connected),
            Key(key) => self.input(Input::Key(key)),
            Heard => {
                let first = self.playing.remove(0);
                self.input(Input::Played(first));
            }
            Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                if self.menu.deadline().is_some_and(|due| due <= self.now) {
                    self.input(Input::Expired);
                }
            }
            Answer(outcome) => {
                let call = self.tool.clone().expect("a tool was asked for");
                self.input(Input::Result { call, outcome });
            }
            Say(id, text) => self.input(Input::Say { utterance: UtteranceId(id), text: text.into() }),
            Resume => self.input(Input::Resume),
        }
        self.told()
    }

    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for output in std::mem::take(&mut self.out) {
            told.push(match output {
                Output::Clear => {
                    self.playing.clear();
                    CLEAR.to_owned()
                }
                Output::Say { utterance, lines } => {
                    self.playing.push(utterance);
                    let length = Duration::from_secs(5);
                    self.input(Input::Queued { utterance, length });
                    lines.iter().map(Line::text).collect::<Vec<_>>().join(" ")
                }
                Output::Tool { id, name, arguments } => {
                    self.tool = Some(id);
                    format!("{name} {arguments}")
                }
            });
        }
        told
    }
}

fn joined(first: &str, second: &str) -> String {
    format!("{first} {second}")
}

#[track_caller]
fn plays(document: &Value, table: &[(Step, &[&str])]) {
    let mut harness = Harness::new(document);
    for (row, (step, expected)) in table.iter().enumerate() {
        assert_eq!(harness.step(step), *expected, "row {row}: {step:?}");
    }
}

#[test]
fn it_greets_then_offers_what_is_open() {
    plays(&acme(), &[(Connect, &[HELLO]), (Connect, &[]), (Heard, &[MENU]), (Heard, &[])]);
}

#[test]
fn the_tenants_own_greeting_comes_first() {
    let document = with(acme(), json!({"voice": {"greeting": {"text": "Acme, hello!"}}}));
    plays(&document, &[(Connect, &["Acme, hello!"])]);
}

#[test]
fn nothing_is_said_before_the_caller_is_there() {
    plays(&acme(), &[(Key('1'), &[]), (Resume, &[]), (Wait(100), &[]), (Connect, &[HELLO])]);
}

#[test]
fn a_key_cuts_what_is_said_and_counts_even_before_the_menu() {
    plays(&acme(), &[(Connect, &[HELLO]), (Key('1'), &[CLEAR, ASK_SALES])]);
}

#[test]
fn a_confirmed_choice_becomes_a_transfer() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Heard, &[MENU]),
            (Heard, &[]),
            (Key('1'), &[ASK_SALES]),
            (Heard, &[]),
            (Key('1'), &[TO_SALES]),
            (Wait(300), &[]),
            (Answer(ToolOutcome::Done(crate::tool::Done::Transferred)), &[]),
            (Key('1'), &[]),
            (Wait(300), &[]),
        ],
    );
}

#[test]
fn keys_typed_ahead_go_straight_through() {
    plays(
        &acme(),
        &[(Connect, &[HELLO]), (Key('1'), &[CLEAR, ASK_SALES]), (Key('1'), &[CLEAR, TO_SALES])],
    );
}

#[test]
fn confirmation_can_be_refused_repeated_and_mistyped() {
    let mistyped = joined(INVALID, ASK_SALES);
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('1'), &[CLEAR, ASK_SALES]),
            (Key('*'), &[CLEAR, ASK_SALES]),
            (Key('7'), &[CLEAR, &mistyped]),
            (Key('2'), &[CLEAR, MENU]),
            (Key('1'), &[CLEAR, ASK_SALES]),
        ],
    );
}

#[test]
fn without_confirmation_the_key_is_enough() {
    let document = with(acme(), json!({"features": {"refer": {"require_confirmation": false}}}));
    plays(&document, &[(Connect, &[HELLO]), (Key('1'), &[CLEAR, TO_SALES])]);
}

#[test]
fn the_key_of_a_closed_destination_leads_to_who_stands_in() {
    let ask = joined("That line is closed at this hour.", ASK_PLANNING);
    plays(
        &acme(),
        &[(Connect, &[HELLO]), (Key('2'), &[CLEAR, &ask]), (Key('1'), &[CLEAR, TO_SUPPORT])],
    );
}

#[test]
fn the_key_of_a_closed_destination_without_stand_in_goes_to_the_tool_at_once() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('3'), &[CLEAR, TO_BOSS]),
            // The call machine says so and asks for a message.
            (Answer(ToolOutcome::TransferFailed(TransferFailure::Closed)), &[]),
            (Wait(300), &[]),
            (Resume, &[MENU]),
        ],
    );
}

#[test]
fn nine_takes_a_message_and_star_repeats() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('*'), &[CLEAR, MENU]),
            (Key('9'), &[CLEAR, MESSAGE]),
            (Answer(ToolOutcome::Done(crate::tool::Done::MessageTaken { duration_ms: 4_000 })), &[]),
            (Wait(300), &[]),
        ],
    );
}

#[test]
fn a_message_that_could_not_be_kept_is_told() {
    let told = joined("Sorry, your message could not be saved.", MENU);
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('9'), &[CLEAR, MESSAGE]),
            (Answer(ToolOutcome::TimedOut), &[&told]),
        ],
    );
}

#[test]
fn an_invalid_key_is_told_and_the_menu_follows() {
    let told = joined(INVALID, MENU);
    for key in ['0', '5', '8', '#', 'A'] {
        plays(&acme(), &[(Connect, &[HELLO]), (Heard, &[MENU]), (Key(key), &[CLEAR, &told])]);
    }
}

#[test]
fn a_failed_transfer_is_told_and_the_menu_follows() {
    let told = joined(FAILED, MENU);
    for failure in [
        TransferFailure::NotPossible,
        TransferFailure::Refused { status: 603 },
        TransferFailure::Silent,
        TransferFailure::TriedBefore,
    ] {
        plays(
            &acme(),
            &[
                (Connect, &[HELLO]),
                (Key('1'), &[CLEAR, ASK_SALES]),
                (Key('1'), &[CLEAR, TO_SALES]),
                (Answer(ToolOutcome::TransferFailed(failure)), &[&told]),
                (Key('4'), &[CLEAR, ASK_PLANNING]),
            ],
        );
    }
}

#[test]
fn a_transfer_that_the_caller_cancelled_needs_no_excuse() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('1'), &[CLEAR, ASK_SALES]),
            (Key('1'), &[CLEAR, TO_SALES]),
            (Answer(ToolOutcome::TransferFailed(TransferFailure::Cancelled)), &[MENU]),
        ],
    );
}

#[test]
fn a_tool_that_wants_a_confirmation_gets_one_asked() {
    let outcome = ToolOutcome::ConfirmFirst {
        destination: DestinationId::new("sales").unwrap(),
        label: "the sales team".into(),
    };
    let document = with(acme(), json!({"features": {"refer": {"require_confirmation": false}}}));
    plays(
        &document,
        &[(Connect, &[HELLO]), (Key('1'), &[CLEAR, TO_SALES]), (Answer(outcome), &[ASK_SALES])],
    );
}

#[test]
fn the_result_of_another_tool_call_changes_nothing() {
    let mut harness = Harness::new(&acme());
    harness.step(&Connect);
    harness.step(&Key('9'));
    harness.input(Input::Result { call: ToolCallId::from("77"), outcome: ToolOutcome::TimedOut });
    assert!(harness.out.is_empty());
}

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

#[test]
fn without_destinations_a_message_is_offered() {
    let offer = "To leave a message, press 9. To hear these options again, press star.";
    for refer in [json!({"enabled": false}), json!({"destinations": []})] {
        let document = with(acme(), json!({"features": {"refer": refer}}));
        plays(&document, &[(Connect, &[HELLO]), (Heard, &[offer]), (Key('9'), &[CLEAR, MESSAGE])]);
    }
}

#[test]
fn with_all_destinations_closed_it_says_so_and_offers_a_message() {
    let hours = json!({"rrule": "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "duration_minutes": 1});
    let boss = with(destination("boss", "the boss", 1), json!({"business_hours": hours}));
    let document = with(acme(), json!({"features": {"refer": {"destinations": [boss]}}}));
    let offer = "Nobody is available to answer at this hour. To leave a message, press 9. \
                 To hear these options again, press star.";
    plays(&document, &[(Connect, &[HELLO]), (Heard, &[offer]), (Key('1'), &[CLEAR, TO_BOSS])]);
}

fn disclosing(interruptible: bool) -> Value {
    let disclosure = json!({"enabled": true, "text": DISCLOSURE, "interruptible": interruptible});
    with(acme(), json!({"voice": {"disclosure": disclosure}}))
}

#[test]
fn a_disclosure_follows_the_greeting() {
    for interruptible in [true, false] {
        plays(
            &disclosing(interruptible),
            &[(Connect, &[HELLO, DISCLOSURE]), (Heard, &[]), (Heard, &[MENU])],
        );
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
        &[
            (Connect, &[HELLO, DISCLOSURE]),
            (Key('1'), &[CLEAR, DISCLOSURE]),
            (Heard, &[ASK_SALES]),
        ],
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
fn keys_pressed_while_a_tool_has_the_caller_are_not_choices() {
    plays(
        &acme(),
        &[
            (Connect, &[HELLO]),
            (Key('9'), &[CLEAR, MESSAGE]),
            (Say(1, "After the tone."), &["After the tone."]),
            (Key('1'), &[]),
            (Heard, &[]),
            (Resume, &[MENU]),
            (Heard, &[]),
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
