//! Knowing our own talk spurts again when the far end sends them back.
//!
//! Each spurt begins with a pure tone, a different one from spurt to spurt. A frame belongs to a
//! mark when most of its energy lies at that frequency, which speech and music don't do for two
//! frames in a row. A frame is 20 ms, so the time is known to within one.

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use super::law::Law;

/// The marks. None is a harmonic of another, nor a frequency of DTMF (RFC 4733 §3.2).
pub const MARKS_HZ: [f64; 4] = [1_050.0, 1_150.0, 1_800.0, 2_050.0];
/// Frames that a mark lasts.
pub const MARK_FRAMES: usize = 4;
/// An echo that takes longer is none.
const LONGEST: Duration = Duration::from_secs(5);
/// The part of a frame's energy that has to lie at the mark.
const SHARE: f64 = 0.6;
/// Energy of a sample, squared, below which a frame is silence: about −46 dBFS.
const QUIET: f64 = 160.0 * 160.0;

/// Talk spurts in a row that don't come back, after which a call's far end is taken for no echo.
const UNANSWERED: u8 = 4;

/// What one call listens for.
#[derive(Debug, Default)]
pub struct Listener {
    waiting: Option<Waiting>,
    unanswered: u8,
    /// When the mark's first frame came, until its second confirms it.
    first: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    mark: usize,
    sent: Instant,
}

impl Listener {
    /// A talk spurt with this mark begins. Says whether its echo is waited for.
    pub fn sent(&mut self, mark: usize, now: Instant) -> bool {
        if self.waiting.is_some() {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        self.first = None;
        self.waiting = (self.unanswered < UNANSWERED).then_some(Waiting { mark, sent: now });
        self.waiting.is_some()
    }

    /// A frame came; gives how long its spurt took to come back, once for each spurt.
    pub fn heard(&mut self, law: Law, codewords: &[u8], arrived: Instant) -> Option<Duration> {
        let waiting = self.waiting.as_ref()?;
        let took = arrived.saturating_duration_since(waiting.sent);
        if took > LONGEST {
            self.waiting = None;
            self.unanswered = self.unanswered.saturating_add(1);
            return None;
        }
        if !bears(law, codewords, waiting.mark) {
            self.first = None;
            return None;
        }
        let sent = waiting.sent;
        let Some(first) = self.first else {
            self.first = Some(arrived);
            return None;
        };
        self.waiting = None;
        self.unanswered = 0;
        Some(first.saturating_duration_since(sent))
    }
}

/// Goertzel's algorithm at the mark's frequency, beside the energy of the whole frame.
fn bears(law: Law, codewords: &[u8], mark: usize) -> bool {
    let Some(hertz) = MARKS_HZ.get(mark) else { return false };
    let coefficient = 2.0 * (TAU * hertz / 8_000.0).cos();
    let (mut before, mut last, mut energy) = (0.0, 0.0, 0.0);
    for codeword in codewords {
        let sample = f64::from(law.decode(*codeword));
        energy += sample * sample;
        let next = sample + coefficient * last - before;
        before = last;
        last = next;
    }
    let length = codewords.len() as f64;
    if energy < QUIET * length {
        return false;
    }
    let power = last * last + before * before - coefficient * last * before;
    // A sine of amplitude A has the power (A·n/2)² here and the energy n·A²/2.
    power * 2.0 / length > energy * SHARE
}

#[cfg(test)]
mod tests {
    use super::super::tone::{FRAME, Tone};
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_spurt_is_known_again_after_both_laws_and_a_delay() {
        let (tone, start) = (Tone::speech(Law::Mu, 400, 200), start());
        let mut listener = Listener::default();
        let mut found = Vec::new();
        for at in 0..tone.frames() {
            let now = start + Duration::from_millis(20 * at as u64);
            if let Some(mark) = tone.spurt(at) {
                listener.sent(mark, now);
            }
            // Back after five frames, through a transcoder.
            let mut back = [0; FRAME];
            if let Some(earlier) = at.checked_sub(5) {
                let frame = tone.frame(earlier).iter().zip(&mut back);
                frame.for_each(|(from, to)| *to = Law::A.encode(Law::Mu.decode(*from)));
            }
            found.extend(listener.heard(Law::A, &back, now));
        }
        assert_eq!(found, [Duration::from_millis(100); MARKS_HZ.len()]);
    }

    #[test]
    fn speech_silence_and_other_marks_are_no_echo() {
        let (tone, start) = (Tone::speech(Law::A, 2_000, 200), start());
        for waited in 0..MARKS_HZ.len() {
            let mut listener = Listener::default();
            listener.sent(waited, start);
            for at in 0..tone.frames() {
                let other = (0..MARK_FRAMES).any(|back| {
                    at.checked_sub(back).and_then(|at| tone.spurt(at)).is_some_and(|mark| mark == waited)
                });
                if !other {
                    assert_eq!(listener.heard(Law::A, tone.frame(at), start), None, "frame {at}");
                }
            }
        }
    }

    #[test]
    fn an_echo_that_never_comes_is_given_up() {
        let (tone, start) = (Tone::speech(Law::A, 200, 0), start());
        let mut listener = Listener::default();
        listener.sent(0, start);
        let late = start + LONGEST + Duration::from_millis(1);
        for at in 0..2 {
            assert_eq!(listener.heard(Law::A, tone.frame(at), late), None);
        }
        assert_eq!(listener.heard(Law::A, tone.frame(1), start), None, "it isn't waited for any more");
    }

    #[test]
    fn a_far_end_that_never_echoes_is_not_listened_to_for_long() {
        let start = start();
        let mut listener = Listener::default();
        let waited = (0..20).filter(|at| listener.sent(at % MARKS_HZ.len(), start)).count();
        assert_eq!(waited, usize::from(UNANSWERED));
    }
}
