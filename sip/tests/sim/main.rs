//! Whole calls over a network that loses, delays, doubles and reorders: deterministic, on a clock
//! of its own. A failure names its seed; `SIM_SEED=<seed>` runs that one alone, and
//! `SIM_SEEDS=<count>` as many as wanted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a virtual clock begins at some moment, once")]

mod far_end;
mod long_calls;
mod party;
mod script;
mod world;

use std::cell::RefCell;
use std::time::Duration;

use far_end::FarEnd;
use party::Party;
use script::{Ending, Script};
use world::{Conditions, Dice, Node, World};

const CALLS: usize = 20;

fn seeds(count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SIM_SEEDS").unwrap_or(count)).collect(),
    }
}

/// Runs `test` for every seed and says which one failed.
fn for_each_seed(count: u64, test: impl Fn(u64)) {
    for seed in seeds(count) {
        let run = std::panic::AssertUnwindSafe(|| test(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("failed with SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Two endpoints and their calls, run to the end.
fn run_calls(seed: u64, conditions: Conditions, ending: impl Fn(&mut Dice) -> Ending) -> World<Party, Party> {
    run_scripts(seed, conditions, |dice| Script::roll(dice, &ending))
}

fn run_scripts(seed: u64, conditions: Conditions, roll: impl Fn(&mut Dice) -> Script) -> World<Party, Party> {
    let mut dice = Dice::new(seed);
    let scripts: Vec<Script> = (0..CALLS).map(|_| roll(&mut dice)).collect();
    let a = Party::new("192.0.2.1:5060", [1; 32], scripts.clone());
    let b = Party::new("192.0.2.2:5060", [2; 32], scripts);
    let mut world = World::new(a, b, conditions, dice);
    let (now, target) = (world.now, world.b.address());
    for number in 0..CALLS {
        world.a.plan_call(number, target, now + Duration::from_millis(37 * number as u64));
    }
    world.run(Duration::from_secs(600));
    world
}

fn assert_nothing_left(world: &World<Party, Party>) {
    for party in [&world.a, &world.b] {
        let left = (party.endpoint.dialog_count(), party.endpoint.transaction_count());
        assert_eq!(left, (0, 0), "{:?}", party.log);
        assert_eq!(party.endpoint.poll_timeout(), None);
    }
}

/// What both sides must agree on, whatever the network did.
fn assert_agreement(world: &World<Party, Party>) {
    for number in 0..CALLS {
        let (a, b) = (&world.a.calls[number], &world.b.calls[number]);
        let both = format!("call {number}: {a:?} and {b:?}");
        assert_eq!(a.answered + a.rejected, 1, "one outcome for the caller: {both}");
        assert!(b.invites <= 1, "one call for the callee: {both}");
        assert!(b.confirmed + b.unconfirmed <= b.accepted, "one ACK for a 2xx: {both}");
        assert_eq!(b.accepted + b.refused + b.cancelled, b.invites, "one outcome for the callee: {both}");
        assert_eq!(a.ended, a.answered, "what was answered ends: {both}");
        assert_eq!(b.ended, b.accepted, "what was accepted ends: {both}");
        assert!(a.answered <= b.accepted, "nothing is answered that wasn't accepted: {both}");
        if b.confirmed == 1 {
            // An answer that crossed the CANCEL is confirmed and ended by the caller's endpoint.
            assert!(a.answered == 1 || a.gave_up, "only the caller confirms: {both}");
        }
    }
}

#[test]
fn at_five_percent_loss_and_forty_milliseconds_of_jitter_every_call_is_set_up() {
    let mut setups = Vec::new();
    for_each_seed(200, |seed| {
        let world = run_calls(seed, Conditions::figure_19(), |dice| {
            if dice.chance(500) { Ending::CallerHangsUp } else { Ending::CalleeHangsUp }
        });
        assert_agreement(&world);
        assert_nothing_left(&world);
        for (a, b) in world.a.calls.iter().zip(&world.b.calls) {
            // A BYE right after the answer may overtake the ACK.
            assert_eq!((a.answered, b.accepted, b.unconfirmed), (1, 1, 0), "{a:?} and {b:?}");
        }
    });
    for seed in seeds(50) {
        let world = run_calls(seed, Conditions::figure_19(), |_| Ending::CallerHangsUp);
        setups.extend(world.a.calls.iter().map(|call| call.setup.unwrap()));
        // No orphan 40 s after the last sign of life.
        assert!(world.last_dialog_after_goodbye() <= Duration::from_secs(40), "seed {seed}");
    }
    setups.sort_unstable();
    let p95 = setups[setups.len() * 95 / 100];
    eprintln!("set-up beyond the callee's own delay: p50 {:?}, p95 {p95:?}", setups[setups.len() / 2]);
    assert!(p95 <= Duration::from_secs(2), "{p95:?}");
}

#[test]
fn calls_that_end_in_any_way_end_on_both_sides() {
    for_each_seed(200, |seed| {
        let world = run_calls(seed, Conditions::rolled(seed, 50), Ending::roll);
        assert_agreement(&world);
        assert_nothing_left(&world);
    });
}

#[test]
fn a_network_that_loses_a_third_leaves_no_orphans() {
    for_each_seed(200, |seed| {
        let world = run_calls(seed, Conditions::rolled(seed, 330), Ending::roll);
        assert_nothing_left(&world);
        for (a, b) in world.a.calls.iter().zip(&world.b.calls) {
            assert_eq!(a.answered + a.rejected, 1, "{a:?} and {b:?}");
            assert!(b.invites <= 1 && b.confirmed <= b.accepted, "{a:?} and {b:?}");
            assert_eq!((a.ended, b.ended), (a.answered, b.accepted), "{a:?} and {b:?}");
        }
    });
}

#[test]
fn a_dead_network_fails_every_call_cleanly() {
    let world = run_calls(1, Conditions { loss: 1_000, ..Conditions::figure_19() }, Ending::roll);
    assert_nothing_left(&world);
    assert!(world.a.calls.iter().all(|call| call.rejected == 1));
    assert!(world.b.calls.iter().all(|call| call.invites == 0));
}

#[test]
fn cancels_that_race_answers_end_in_one_or_the_other() {
    let mut outcomes = [0, 0];
    for seed in seeds(200) {
        let world = run_calls(seed, Conditions::rolled(seed, 50), |_| Ending::CancelRacesAnswer);
        assert_agreement(&world);
        assert_nothing_left(&world);
        for call in &world.a.calls {
            outcomes[call.answered] += 1;
        }
    }
    // Both happen, or it was no race.
    assert!(outcomes.iter().all(|count| *count > CALLS), "{outcomes:?}");
}

/// One to four calls in any weather, and a side or both that restart in the middle of them.
fn run_anything(seed: u64) -> World<Party, Party> {
    let mut dice = Dice::new(seed ^ 0xa11);
    let calls = 1 + dice.below(4) as usize;
    let scripts: Vec<Script> = (0..calls).map(|_| Script::roll(&mut dice, &Ending::roll)).collect();
    let longest = Duration::from_secs(120);
    let a = Party::new("192.0.2.1:5060", [1; 32], scripts.clone()).with_longest(longest);
    let b = Party::new("192.0.2.2:5060", [2; 32], scripts).with_longest(longest);
    let restarts = if dice.chance(500) { 1 + dice.below(2) } else { 0 };
    let moments: Vec<_> = (0..restarts).map(|_| (dice.between(0, 60_000), dice.chance(400))).collect();
    let mut world = World::new(a, b, Conditions::rolled(seed, 300), dice);
    moments.into_iter().for_each(|(time, is_a)| world.restart_after(time, is_a));
    let (now, target) = (world.now, world.b.address());
    for number in 0..calls {
        world.a.plan_call(number, target, now + Duration::from_millis(1_700 * number as u64));
    }
    world.run(Duration::from_secs(900));
    world
}

#[test]
fn whatever_network_and_peer_do_every_call_comes_to_its_end() {
    let outcomes = RefCell::new([0_u64; 6]);
    for_each_seed(2_000, |seed| {
        let world = run_anything(seed);
        // Nobody waits for anything, and nothing is left on either side.
        assert_nothing_left(&world);
        for (number, (a, b)) in world.a.calls.iter().zip(&world.b.calls).enumerate() {
            let both = format!("call {number}: {a:?} and {b:?}");
            if !a.cut_short {
                // A callee that restarts may answer the same INVITE again: two dialogs, as of a call that forked.
                let most = if b.cut_short { 2 } else { 1 };
                assert!(
                    (1..=most).contains(&(a.answered + a.rejected)),
                    "one outcome for the caller: {both}"
                );
                assert!(a.answered == 0 || a.rejected == 0, "the same one: {both}");
                assert_eq!(a.ended, a.answered, "what was answered ends: {both}");
            }
            if !a.cut_short && !b.cut_short && a.answered == 1 {
                assert_eq!((b.accepted, b.ended), (1, 1), "both sides agree on the end: {both}");
            }
            assert!(a.ended <= a.answered && b.ended <= b.accepted, "nothing ends twice: {both}");
            let seen = [true, a.answered > 0, a.rejected > 0, a.cut_short, b.cut_short, b.unconfirmed > 0];
            seen.iter().zip(outcomes.borrow_mut().iter_mut()).for_each(|(seen, n)| *n += u64::from(*seen));
            if !b.cut_short {
                assert_eq!(b.ended, b.accepted, "what was accepted ends: {both}");
                assert_eq!(b.accepted + b.refused + b.cancelled, b.invites, "one outcome each: {both}");
            }
        }
    });
    let outcomes = outcomes.into_inner();
    eprintln!(
        "calls, answered, refused, lost by the caller, lost by the callee, never confirmed: {outcomes:?}"
    );
    assert!(seeds(2_000).len() < 2_000 || outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn offers_from_both_sides_collide_and_are_settled() {
    for_each_seed(150, |seed| {
        let world = run_scripts(seed, Conditions::figure_19(), Script::with_offers);
        assert_nothing_left(&world);
        for (party, calls) in [(&world.a, true), (&world.b, false)] {
            for (number, call) in party.calls.iter().enumerate() {
                // Of a BYE that gets lost one may learn by the answer to one's own request.
                let script = party.script(number);
                let left = if calls { script.callee_hangs_up() } else { script.caller_hangs_up() };
                assert!(call.ended == 1 && call.lost <= usize::from(left), "{call:?}");
                let [made, answered, refused] = call.offers;
                // One may be under way when the call ends, and nothing is told of it then.
                assert!(answered + refused <= made && answered + refused + 1 >= made, "{call:?}");
            }
        }
    });
    for_each_seed(100, |seed| {
        // Whatever the network does, nothing is stuck.
        let world = run_scripts(seed, Conditions::rolled(seed, 330), Script::with_offers);
        assert_nothing_left(&world);
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let log = |seed| {
        let world = run_calls(seed, Conditions::rolled(seed, 200), Ending::roll);
        (world.a.log, world.b.log, world.delivered)
    };
    assert_eq!(log(5), log(5));
    assert_ne!(log(5), log(6));
}

#[test]
fn offers_and_transfers_with_a_scripted_far_end_come_to_their_end() {
    for_each_seed(300, |seed| {
        let mut dice = Dice::new(seed);
        let transfer = dice.chance(500).then(|| dice.chance(500));
        let offers = dice.below(4);
        let party = Party::new("192.0.2.2:5060", [2; 32], vec![Script::with_transfer(transfer.is_some())]);
        let far_end = FarEnd::new("192.0.2.1:5060", party.address(), offers, transfer, dice.chance(500));
        let mut world = World::new(far_end, party, Conditions::rolled(seed, 50), dice);
        let now = world.now;
        world.a.call(now);
        world.run(Duration::from_secs(600));

        let (far, near) = (&world.a, &world.b.calls[0]);
        assert!(far.is_done(), "{far:?} {:?}", world.b.log);
        assert_eq!(
            (near.invites, near.accepted, near.confirmed),
            (1, 1, 1 + far.offers_accepted),
            "{:?}",
            world.b.log
        );
        assert_eq!(far.offers_left, 0, "{far:?}");
        assert_eq!(near.ended, 1);
        if let Some(success) = transfer {
            assert!(near.refer_answered <= 1, "{near:?}");
            assert_eq!(
                (near.transferred, near.transfer_failed),
                (usize::from(success), usize::from(!success)),
                "{near:?}"
            );
        }
        let left = (world.b.endpoint.dialog_count(), world.b.endpoint.transaction_count());
        assert_eq!(left, (0, 0), "{:?}", world.b.log);
    });
}
