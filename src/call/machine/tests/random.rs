//! Random calls: whatever comes in whatever order, the rules hold and the call can end.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::every_state::every_input;
use super::rig::{Rig, answered, spec};
use crate::call::machine::{CallSpec, Input, Phase, RecordingEnd};
use crate::call::transfer::ReferPolicy;

const CALLS: u64 = 1000;
const STEPS: usize = 60;

#[test]
fn random_calls_keep_the_rules_and_come_to_an_end() {
    let seed: u64 =
        std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed} (set SEED to repeat)");
    let mut random = StdRng::seed_from_u64(seed);
    let inputs = every_input();
    for _ in 0..CALLS {
        let mut rig = Rig::new(CallSpec {
            refer: *[ReferPolicy::Allowed, ReferPolicy::Allowed, ReferPolicy::PeerCannot]
                .choose(&mut random)
                .unwrap(),
            delayed_offer: random.random_bool(0.2),
            max_duration: Duration::from_secs(random.random_range(0..1000)),
            ..spec()
        });
        if random.random_bool(0.3) {
            rig = Rig::outbound();
        }
        for _ in 0..STEPS {
            step(&mut rig, &inputs, &mut random);
        }
        settle(&mut rig);
    }
}

/// Mostly what keeps a call alive, or else the interesting inputs would meet dead calls only.
fn step(rig: &mut Rig, inputs: &[Input], random: &mut StdRng) {
    match random.random_range(0..10) {
        0..3 => drop(rig.pass(Duration::from_millis(random.random_range(0..8000)))),
        3..5 => drop(rig.heard()),
        5 => {
            let alive = [
                Input::Admitted,
                Input::AgentReady,
                Input::AnswerSent,
                Input::Acked,
                Input::Progress { status: 180 },
                answered(),
            ];
            rig.give(alive.choose(random).unwrap().clone());
        }
        _ => {
            let input = inputs.choose(random).unwrap();
            let deadly = matches!(
                input,
                Input::PeerBye
                    | Input::KillNow
                    | Input::Goodbye
                    | Input::SessionExpired
                    | Input::MediaTimeout
                    | Input::AgentFailed
                    | Input::AckTimedOut
                    | Input::Cancelled
                    | Input::Refused { .. }
                    | Input::MediaFailed { .. }
                    | Input::PeerRefused { .. }
                    | Input::PeerAnswered { media: false, .. }
            );
            if !deadly || random.random_bool(0.15) {
                rig.give(input.clone());
            }
        }
    }
}

fn settle(rig: &mut Rig) {
    rig.give(Input::PeerBye);
    if rig.seen().recording {
        rig.give(Input::RecordingStopped(RecordingEnd::Failed));
    }
    if rig.phase() != Phase::Ended {
        rig.finish();
    }
    assert_eq!(rig.phase(), Phase::Ended);
    assert!(rig.seen().byes <= 1);
    let ended = rig.record().ended_at.unwrap();
    assert!(rig.record().answered_at.is_none_or(|answered| answered <= ended));
    assert!(rig.record().transfers.iter().all(|attempt| attempt.outcome.is_some()));
}
