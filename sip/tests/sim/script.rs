//! What the two sides of a call mean to do.

use std::time::Duration;

use crate::world::Dice;

/// How a call is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    CallerHangsUp,
    CalleeHangsUp,
    BothHangUp,
    Refused,
    CallerCancels,
    /// The caller gives up at about the moment of the answer.
    CancelRacesAnswer,
    /// The callee wants to hang up as soon as it has answered, before the ACK.
    CalleeRegrets,
}

impl Ending {
    pub fn roll(dice: &mut Dice) -> Self {
        match dice.below(7) {
            0 => Self::CallerHangsUp,
            1 => Self::CalleeHangsUp,
            2 => Self::BothHangUp,
            3 => Self::Refused,
            4 => Self::CallerCancels,
            5 => Self::CancelRacesAnswer,
            _ => Self::CalleeRegrets,
        }
    }
}

/// One call. Durations count from the moment when the side in question learns of the last step.
#[derive(Debug, Clone)]
pub struct Script {
    pub ending: Ending,
    /// From INVITE to 180, if any.
    pub ring: Option<Duration>,
    /// From INVITE to the final response.
    pub answer: Duration,
    /// From the call's start to its cancelling.
    pub cancel: Option<Duration>,
    /// From answer or ACK to BYE.
    pub talk: Duration,
    /// The callee hands the caller over once the call is up.
    pub transfer: bool,
    /// Offers in the running call: whether the caller makes it, when, and whether by re-INVITE.
    pub offers: Vec<(bool, Duration, bool)>,
}

impl Script {
    pub fn roll(dice: &mut Dice, ending: &impl Fn(&mut Dice) -> Ending) -> Self {
        let ending = ending(dice);
        let answer = dice.between(0, 6_000);
        let cancel = match ending {
            Ending::CallerCancels => Some(dice.between(0, 4_000)),
            Ending::CancelRacesAnswer => Some(answer + dice.between(0, 600)),
            _ => None,
        };
        Self {
            ending,
            ring: dice.chance(800).then(|| answer.mul_f64(0.5)),
            answer,
            cancel,
            talk: dice.between(0, 20_000),
            transfer: false,
            offers: Vec::new(),
        }
    }

    /// A call that the callee answers after a second and leaves to the caller.
    pub fn with_transfer(transfer: bool) -> Self {
        Self {
            ending: Ending::CallerHangsUp,
            ring: Some(Duration::from_millis(200)),
            answer: Duration::from_secs(1),
            cancel: None,
            talk: Duration::from_secs(90),
            transfer,
            offers: Vec::new(),
        }
    }

    /// A call that both sides offer anew in, often at the same time.
    pub fn with_offers(dice: &mut Dice) -> Self {
        let offers = (0..dice.below(8)).map(|_| {
            // On few moments, so that they collide.
            let at = Duration::from_millis(500 * dice.below(10)) + dice.between(0, 60);
            (dice.chance(500), at, dice.chance(500))
        });
        let offers = offers.collect();
        let ending = if dice.chance(500) { Ending::CallerHangsUp } else { Ending::CalleeHangsUp };
        let talk = dice.between(1_000, 60_000);
        Self { ending, talk, transfer: false, offers, ..Self::with_transfer(false) }
    }

    pub fn callee_hangs_up(&self) -> bool {
        matches!(self.ending, Ending::CalleeHangsUp | Ending::BothHangUp)
    }

    pub fn caller_hangs_up(&self) -> bool {
        !matches!(self.ending, Ending::CalleeHangsUp | Ending::CalleeRegrets)
    }
}
