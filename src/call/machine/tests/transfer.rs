use super::rig::{Rig, key, notify, report, response, spec, tenant, tool, transfer};
use crate::call::machine::{CallSpec, Input, Phase, TimerKind};
use crate::call::record::{EndReason, TransferOutcome};
use crate::call::transfer::{AttemptId, ReferPolicy};
use crate::tool::TelephonyCommand;

fn outcomes(rig: &Rig) -> Vec<Option<TransferOutcome>> {
    rig.record().transfers.iter().map(|attempt| attempt.outcome).collect()
}

#[test]
fn the_handoff_phrase_plays_to_its_end_before_the_refer() {
    let mut rig = Rig::established();
    assert_eq!(rig.give(transfer("t1", "sales")), ["say Handoff"]);
    let utterance = rig.last_said();
    rig.give(Input::Speaking { utterance });
    assert!(rig.give(Input::Spoken { utterance }).is_empty());
    assert!(rig.seconds(3).is_empty());
    assert_eq!(rig.heard(), ["refer 1 to tel:+33199000100", "RingbackStart"]);
    let attempt = &rig.record().transfers[0];
    assert_eq!(attempt.target.as_bytes(), b"tel:+33199000100");
    assert_eq!(attempt.started_at, rig.wall());
}

#[test]
fn a_tenant_has_its_own_handoff_phrase() {
    let mut document = (*tenant(false)).clone();
    document.features.refer.handoff_phrase = Some("One moment.".to_owned());
    let mut rig = Rig::established_with(CallSpec { tenant: document.into(), ..spec() });
    assert_eq!(rig.give(transfer("t1", "sales")), ["say One moment."]);
}

#[test]
fn a_handoff_phrase_whose_end_is_lost_or_cannot_be_spoken_does_not_hang_the_call() {
    let mut rig = Rig::handoff();
    assert!(rig.seconds(19).is_empty());
    assert_eq!(rig.seconds(1), ["refer 1 to tel:+33199000100", "RingbackStart"]);

    let mut rig = Rig::handoff();
    rig.give(Input::SayFailed { utterance: rig.last_said() });
    assert_eq!(rig.seconds(1), ["refer 1 to tel:+33199000100", "RingbackStart"]);

    let mut rig = Rig::handoff();
    assert_eq!(rig.give(Input::AgentFailed), ["refer 1 to tel:+33199000100", "RingbackStart"]);
}

#[test]
fn a_sentence_that_could_be_spoken_in_part_is_heard_to_its_end() {
    let mut rig = Rig::handoff();
    let utterance = rig.last_said();
    rig.give(Input::SayFailed { utterance });
    rig.give(Input::Spoken { utterance });
    assert!(rig.seconds(4).is_empty());
    assert_eq!(rig.heard()[0], "refer 1 to tel:+33199000100");
}

#[test]
fn success_waits_for_the_peer_to_hang_up() {
    let mut rig = Rig::referred();
    assert!(rig.give(response(1, 202)).is_empty());
    assert!(rig.give(notify(1, 100)).is_empty());
    assert!(rig.give(notify(1, 180)).is_empty());
    assert_eq!(rig.give(notify(1, 200)), ["RingbackStop", "t1: done"]);
    assert_eq!(rig.give(Input::PeerBye), ["close agent", "close record: Transferred by Caller"]);
    assert_eq!(outcomes(&rig), [Some(TransferOutcome::Succeeded)]);
    assert!(rig.record().escalated_to_human);
    let attempt = &rig.record().transfers[0];
    assert_eq!(attempt.refer_status, Some(202));
    let statuses: Vec<u16> = attempt.notifies.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [100, 180, 200]);
}

#[test]
fn success_hangs_up_when_the_peer_does_not_within_two_seconds() {
    let mut rig = Rig::referred();
    rig.give(response(1, 202));
    rig.give(notify(1, 200));
    assert_eq!(rig.seconds(2), ["bye Normal", "close agent", "close record: Transferred by Us"]);
}

#[test]
fn every_failure_tells_the_caller_and_offers_the_menu_again() {
    let declined = |status| vec![response(1, 202), notify(1, 100), notify(1, status)];
    for (inputs, reason, outcome) in [
        (vec![response(1, 405)], "t1: refused", TransferOutcome::ReferRefused),
        (vec![response(1, 503)], "t1: refused", TransferOutcome::ReferRefused),
        (vec![response(1, 603)], "t1: refused", TransferOutcome::ReferRefused),
        (declined(486), "t1: declined", TransferOutcome::TargetRefused),
        (declined(603), "t1: declined", TransferOutcome::TargetRefused),
        (declined(302), "t1: declined", TransferOutcome::TargetRefused),
        (
            vec![Input::ReferFailed { attempt: AttemptId(1) }],
            "t1: unreachable",
            TransferOutcome::ReferRefused,
        ),
        (vec![response(1, 202), report(1, None, true)], "t1: unknown", TransferOutcome::TimedOut),
        (vec![response(1, 202), report(1, Some(180), true)], "t1: unknown", TransferOutcome::TimedOut),
    ] {
        let mut rig = Rig::referred();
        let (last, before) = inputs.split_last().unwrap();
        for input in before {
            assert!(rig.give(input.clone()).is_empty());
        }
        assert_eq!(rig.give(last.clone()), ["RingbackStop", reason, "say TransferFailed"], "{inputs:?}");
        assert_eq!(rig.phase(), Phase::Established);
        assert_eq!(rig.heard(), ["resume"]);
        assert_eq!(outcomes(&rig), [Some(outcome)], "{inputs:?}");
        assert_eq!(rig.give(key('1')), ["key 1"]);
        assert_eq!(rig.seen().byes, 0);
    }
}

#[test]
fn silence_after_the_refer_or_its_acceptance_is_given_fifteen_seconds() {
    let mut rig = Rig::referred();
    assert!(rig.seconds(14).is_empty());
    assert_eq!(rig.seconds(1), ["RingbackStop", "t1: silent", "say TransferFailed"]);

    let mut rig = Rig::referred();
    rig.seconds(10);
    rig.give(response(1, 202));
    assert!(rig.seconds(14).is_empty());
    assert_eq!(rig.seconds(1), ["RingbackStop", "t1: silent", "say TransferFailed"]);
    assert_eq!(outcomes(&rig), [Some(TransferOutcome::TimedOut)]);
}

#[test]
fn ringing_is_given_thirty_seconds_from_the_first_notify() {
    let mut rig = Rig::referred();
    rig.give(response(1, 202));
    rig.seconds(14);
    rig.give(notify(1, 100));
    rig.seconds(20);
    rig.give(notify(1, 180));
    assert!(rig.seconds(9).is_empty());
    assert_eq!(rig.seconds(1), ["RingbackStop", "t1: no_answer", "say TransferFailed"]);
}

#[test]
fn a_notify_that_overtakes_the_response_counts() {
    let mut rig = Rig::referred();
    rig.give(notify(1, 100));
    rig.give(response(1, 202));
    assert!(rig.seconds(20).is_empty());
    assert!(rig.give(Input::ReferFailed { attempt: AttemptId(1) }).is_empty());
    assert_eq!(rig.give(notify(1, 200)), ["RingbackStop", "t1: done"]);
}

#[test]
fn a_provisional_response_to_the_refer_changes_nothing() {
    let mut rig = Rig::referred();
    assert!(rig.give(response(1, 100)).is_empty());
    assert_eq!(rig.record().transfers[0].refer_status, None);
    assert_eq!(rig.give(response(1, 403))[1], "t1: refused");
}

#[test]
fn a_destination_that_went_silent_is_not_called_again() {
    let mut rig = Rig::referred();
    rig.give(response(1, 202));
    rig.seconds(15);
    rig.heard();
    assert_eq!(rig.give(transfer("t2", "sales")), ["t2: tried_before", "say TransferFailed"]);
    assert_eq!(rig.heard(), ["resume"]);
    // Nor by way of a destination that it stands in for.
    assert_eq!(rig.give(transfer("t3", "planning")), ["t3: tried_before", "say TransferFailed"]);
    assert_eq!(rig.record().transfers.len(), 1);
}

#[test]
fn a_destination_that_declined_may_be_called_again() {
    let mut rig = Rig::referred();
    rig.give(response(1, 202));
    rig.give(notify(1, 486));
    rig.heard();
    assert_eq!(rig.give(transfer("t2", "sales")), ["say Handoff"]);
    assert_eq!(rig.heard(), ["refer 2 to tel:+33199000100", "RingbackStart"]);
}

#[test]
fn reports_of_an_attempt_given_up_are_kept_and_do_nothing() {
    let mut rig = Rig::referred();
    rig.give(response(1, 202));
    rig.seconds(15);
    rig.heard();
    assert!(rig.give(notify(1, 180)).is_empty());
    assert!(rig.give(notify(1, 200)).is_empty());
    assert_eq!(rig.phase(), Phase::Established);
    assert_eq!(rig.record().transfers[0].notifies.len(), 2);
    assert_eq!(outcomes(&rig), [Some(TransferOutcome::TimedOut)]);

    // Also while the next attempt runs.
    let mut rig = Rig::referred();
    rig.give(response(1, 503));
    rig.heard();
    rig.give(transfer("t2", "sales"));
    rig.heard();
    assert!(rig.give(notify(1, 200)).is_empty());
    assert!(rig.give(response(1, 603)).is_empty());
    assert_eq!(rig.phase(), Phase::Transferring);
    assert_eq!(rig.give(notify(2, 200)), ["RingbackStop", "t2: done"]);
}

#[test]
fn several_requests_are_one_transfer() {
    let mut rig = Rig::handoff();
    assert!(rig.give(transfer("t1", "sales")).is_empty());
    assert_eq!(rig.give(transfer("t2", "sales")), ["t2: refused"]);
    rig.heard();
    assert_eq!(rig.give(transfer("t3", "sales")), ["t3: refused"]);
    assert_eq!(rig.give(tool("t4", TelephonyCommand::EndCall)), ["t4: refused"]);
    assert_eq!(rig.record().transfers.len(), 1);
}

#[test]
fn a_request_repeated_after_its_outcome_is_not_carried_out_again() {
    let mut rig = Rig::referred();
    rig.give(response(1, 603));
    assert!(rig.give(transfer("t1", "sales")).is_empty());
    assert_eq!(rig.heard(), ["resume"]);
    assert!(rig.give(transfer("t1", "sales")).is_empty());
    assert_eq!(rig.phase(), Phase::Established);
}

#[test]
fn star_cancels_while_the_handoff_phrase_is_spoken_and_other_keys_do_not() {
    let mut rig = Rig::handoff();
    assert!(rig.give(key('1')).is_empty());
    assert_eq!(rig.give(key('*')), ["Clear", "t1: cancelled", "resume"]);
    assert_eq!(rig.phase(), Phase::Established);
    assert!(!rig.runs(TimerKind::Speech));
    assert_eq!(rig.give(transfer("t2", "sales")), ["say Handoff"]);
}

#[test]
fn keys_do_nothing_once_the_refer_is_out_and_are_recorded() {
    let mut rig = Rig::referred();
    assert!(rig.give(key('*')).is_empty());
    assert_eq!(rig.record().keys.digits().as_str(), "*");
    assert_eq!(rig.phase(), Phase::Transferring);
}

#[test]
fn a_key_cuts_the_apology_and_is_the_first_of_the_menu() {
    let mut rig = Rig::referred();
    rig.give(response(1, 603));
    assert_eq!(rig.give(key('2')), ["Clear", "resume", "key 2"]);
    assert!(!rig.runs(TimerKind::Speech));
}

#[test]
fn an_agent_may_ask_for_the_next_thing_during_the_apology() {
    let mut rig = Rig::referred();
    rig.give(response(1, 603));
    assert_eq!(rig.give(tool("m1", TelephonyCommand::TakeMessage)), ["say LeaveMessage"]);
}

#[test]
fn a_line_that_cannot_transfer_says_so_without_a_handoff_phrase() {
    for refer in [ReferPolicy::PeerCannot, ReferPolicy::TrunkForbids] {
        let mut rig = Rig::established_with(CallSpec { refer, ..spec() });
        assert_eq!(rig.give(transfer("t1", "sales")), ["t1: not_possible", "say TransferFailed"]);
        assert_eq!(rig.heard(), ["resume"]);
        assert_eq!(outcomes(&rig), [Some(TransferOutcome::ReferRefused)]);
    }
}

#[test]
fn a_closed_destination_leads_to_who_stands_in() {
    let mut rig = Rig::established();
    assert_eq!(rig.give(transfer("t1", "planning")), ["say DestinationClosed", "say Handoff"]);
    assert_eq!(rig.heard(), ["refer 1 to tel:+33199000100", "RingbackStart"]);
    assert_eq!(rig.record().transfers[0].destination_id.as_str(), "sales");

    // A caller who was asked first knows.
    let mut rig = Rig::established_with(CallSpec { tenant: tenant(true), ..spec() });
    assert_eq!(rig.give(transfer("t1", "planning")), ["say Handoff"]);
}

#[test]
fn nobody_open_leads_to_a_message_also_where_the_line_cannot_transfer() {
    for refer in [ReferPolicy::Allowed, ReferPolicy::PeerCannot] {
        let mut rig = Rig::established_with(CallSpec { refer, ..spec() });
        assert_eq!(rig.give(transfer("t1", "night")), ["t1: closed", "say Closed", "say LeaveMessage"]);
        assert_eq!(rig.heard(), ["Beep", "record"]);
        assert!(rig.record().transfers.is_empty());
    }
}

#[test]
fn an_unknown_destination_leaves_the_conversation_as_it_is() {
    let mut rig = Rig::established();
    assert_eq!(rig.give(transfer("t1", "nowhere")), ["t1: refused"]);
    assert_eq!(rig.give(key('1')), ["key 1"]);
    assert!(rig.record().transfers.is_empty());
}

#[test]
fn a_caller_who_hangs_up_during_a_transfer_ends_it() {
    let accepted = || {
        let mut rig = Rig::referred();
        rig.give(response(1, 202));
        rig
    };
    let ringing = || {
        let mut rig = Rig::referred();
        rig.give(notify(1, 180));
        rig
    };
    for mut rig in [Rig::handoff(), Rig::referred(), accepted(), ringing()] {
        let lines = rig.give(Input::PeerBye);
        assert_eq!(lines.last().map(String::as_str), Some("close record: CallerHangup by Caller"));
        assert_eq!(outcomes(&rig), [Some(TransferOutcome::CallerLeft)]);
        assert!(rig.give(notify(1, 200)).is_empty());
        assert_eq!(rig.give(Input::JournalWritten), ["forget"]);
    }
}

#[test]
fn a_caller_who_hangs_up_during_the_apology_ends_the_call() {
    let mut rig = Rig::referred();
    rig.give(response(1, 603));
    rig.give(Input::PeerBye);
    assert_eq!(rig.record().end_reason, Some(EndReason::CallerHangup));
    assert_eq!(outcomes(&rig), [Some(TransferOutcome::ReferRefused)]);
}

#[test]
fn a_transfer_goes_on_without_the_agent_and_its_failure_ends_the_call() {
    let mut rig = Rig::referred();
    assert!(rig.give(Input::AgentFailed).is_empty());
    rig.give(response(1, 202));
    assert_eq!(rig.give(notify(1, 200)), ["RingbackStop"]);

    let mut rig = Rig::referred();
    rig.give(Input::AgentFailed);
    assert_eq!(rig.give(response(1, 603)), ["RingbackStop"]);
    assert_eq!(rig.seconds(0), ["bye TemporaryFailure", "close record: Fault by Us"]);
}

#[test]
fn media_that_stops_while_the_peer_hands_over_does_not_end_the_call() {
    let mut rig = Rig::referred();
    assert!(rig.give(Input::MediaTimeout).is_empty());
    let mut rig = Rig::handoff();
    assert_eq!(rig.give(Input::MediaTimeout)[0], "bye TimerExpired");
    assert_eq!(outcomes(&rig), [Some(TransferOutcome::Abandoned)]);
}
