//! What keys do, and what comes of the tools they lead to.

use super::*;
use crate::tool::{Done, TransferFailure};

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
            (Answer(ToolOutcome::Done(Done::Transferred)), &[]),
            (Key('1'), &[]),
            (Wait(300), &[]),
        ],
    );
}

#[test]
fn keys_typed_ahead_go_straight_through() {
    plays(&acme(), &[(Connect, &[HELLO]), (Key('1'), &[CLEAR, ASK_SALES]), (Key('1'), &[CLEAR, TO_SALES])]);
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
    plays(&acme(), &[(Connect, &[HELLO]), (Key('2'), &[CLEAR, &ask]), (Key('1'), &[CLEAR, TO_SUPPORT])]);
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
            (Answer(ToolOutcome::Done(Done::MessageTaken { duration_ms: 4_000 })), &[]),
            (Wait(300), &[]),
        ],
    );
}

#[test]
fn a_message_that_could_not_be_kept_is_told() {
    let told = joined("Sorry, your message could not be saved.", MENU);
    plays(
        &acme(),
        &[(Connect, &[HELLO]), (Key('9'), &[CLEAR, MESSAGE]), (Answer(ToolOutcome::TimedOut), &[&told])],
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
fn a_transfer_that_did_not_start_is_told_and_the_menu_follows() {
    let told = joined(FAILED, MENU);
    let shape = crate::tool::ArgumentError::Empty { tool: "transfer_call", field: "destination_id" };
    for outcome in
        [ToolOutcome::Invalid(shape), ToolOutcome::Refused(Refusal::InProgress), ToolOutcome::TimedOut]
    {
        plays(
            &acme(),
            &[
                (Connect, &[HELLO]),
                (Key('1'), &[CLEAR, ASK_SALES]),
                (Key('1'), &[CLEAR, TO_SALES]),
                (Answer(outcome), &[&told]),
                (Key('4'), &[CLEAR, ASK_PLANNING]),
            ],
        );
    }
}

#[test]
fn a_transfer_that_failed_is_told_by_the_machine_and_the_menu_follows() {
    for failure in [
        TransferFailure::NotPossible,
        TransferFailure::Cancelled,
        TransferFailure::Refused { status: 603 },
        TransferFailure::Silent,
    ] {
        plays(
            &acme(),
            &[
                (Connect, &[HELLO]),
                (Key('1'), &[CLEAR, ASK_SALES]),
                (Key('1'), &[CLEAR, TO_SALES]),
                (Say(1, "Please hold."), &["Please hold."]),
                (Heard, &[]),
                (Answer(ToolOutcome::TransferFailed(failure)), &[]),
                (Say(3, FAILED), &[FAILED]),
                (Heard, &[]),
                (Resume, &[MENU]),
                (Key('4'), &[CLEAR, ASK_PLANNING]),
            ],
        );
    }
}

#[test]
fn a_tool_that_wants_a_confirmation_gets_one_asked() {
    let outcome = ToolOutcome::ConfirmFirst {
        destination: DestinationId::new("sales").unwrap(),
        label: "the sales team".into(),
    };
    let document = with(acme(), json!({"features": {"refer": {"require_confirmation": false}}}));
    plays(&document, &[(Connect, &[HELLO]), (Key('1'), &[CLEAR, TO_SALES]), (Answer(outcome), &[ASK_SALES])]);
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
