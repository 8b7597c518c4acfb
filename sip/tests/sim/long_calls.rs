//! Calls that outlive their session interval many times over (RFC 4028).

use std::time::Duration;

use sip::endpoint::policy::{PeerPolicy, SessionTimer};

use crate::party::Party;
use crate::script::{Ending, Script};
use crate::world::{Conditions, Dice, Node, World};
use crate::{assert_nothing_left, for_each_seed};

const CALLS: usize = 5;
/// The shortest that there is.
const INTERVAL: Duration = Duration::from_secs(90);

/// Calls of five to fifteen minutes; the callee refreshes them, by re-INVITE or by UPDATE.
fn run(seed: u64, conditions: Conditions, by_invite: bool) -> World<Party, Party> {
    let mut dice = Dice::new(seed ^ 0x4028);
    let ending = |dice: &mut Dice| match dice.below(3) {
        0 => Ending::CallerHangsUp,
        1 => Ending::CalleeHangsUp,
        _ => Ending::BothHangUp,
    };
    let scripts: Vec<Script> = (0..CALLS)
        .map(|_| Script { talk: dice.between(300_000, 900_000), ..Script::roll(&mut dice, &ending) })
        .collect();
    let policy = |session_timer| PeerPolicy { session_timer, ..PeerPolicy::default() };
    let caller = Party::new("192.0.2.1:5060", [1; 32], scripts.clone())
        // A caller that speaks the extension would refresh by itself.
        .agreed(policy(SessionTimer::Off));
    let caller = if by_invite { caller.without_update() } else { caller };
    let callee = Party::new("192.0.2.2:5060", [2; 32], scripts)
        .agreed(policy(SessionTimer::Request { expires: INTERVAL, min_se: INTERVAL }));
    let mut world = World::new(caller, callee, conditions, dice);
    let (now, target) = (world.now, world.b.address());
    for number in 0..CALLS {
        world.a.plan_call(number, target, now + Duration::from_secs(7 * number as u64));
    }
    world.run(Duration::from_secs(2_000));
    world
}

#[test]
fn refreshes_keep_long_calls_up_at_five_percent_loss() {
    for by_invite in [false, true] {
        for_each_seed(60, |seed| {
            let world = run(seed, Conditions::figure_19(), by_invite);
            assert_nothing_left(&world);
            for (a, b) in world.a.calls.iter().zip(&world.b.calls) {
                let both = format!("{a:?} and {b:?}");
                assert_eq!((a.answered, a.ended, b.ended), (1, 1, 1), "{both}");
                assert_eq!((a.expired, b.expired), (0, 0), "{both}");
                // One in 45 s, for five minutes at least.
                assert_eq!(b.refreshed >= 5, by_invite, "{both}");
            }
        });
    }
}

#[test]
fn on_any_network_a_session_ends_on_both_sides() {
    let mut expired = 0;
    for by_invite in [false, true] {
        for_each_seed(60, |seed| {
            let world = run(seed, Conditions { loss: 450, ..Conditions::rolled(seed, 1) }, by_invite);
            assert_nothing_left(&world);
            for (a, b) in world.a.calls.iter().zip(&world.b.calls) {
                assert_eq!((a.ended, b.ended), (a.answered, b.accepted), "{a:?} and {b:?}");
            }
        });
        let world = run(7, Conditions { loss: 600, ..Conditions::figure_19() }, by_invite);
        expired += world.a.calls.iter().chain(&world.b.calls).map(|call| call.expired).sum::<usize>();
    }
    assert!(expired > 0, "bad enough a network for some to run out");
}
