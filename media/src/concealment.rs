//! Packet-loss concealment by waveform substitution, after the idea of ITU-T G.711 Appendix I: the last pitch period
//! is repeated, more of them the longer it lasts, and dies away within 60 ms. For G.711 and G.722; Opus has its own.
//!
//! The Appendix delays all speech by 3.75 ms to blend the start of a gap. Here the step there is bridged by a ramp
//! instead, and nothing is delayed.

use crate::codec::NARROW_HZ;

/// Longest history kept: three pitch periods and a quarter of one, at 16 kHz.
const HISTORY: usize = 800;
/// Pitch periods searched, in units of 1/8000 s: 5 to 15 ms, 66 to 200 Hz.
const SHORTEST_PITCH: usize = 40;
const LONGEST_PITCH: usize = 120;
/// Stretch over which two periods are compared: 20 ms.
const COMPARED: usize = 160;
/// Substitution stays at full volume for 10 ms, then falls to nothing at 60 ms.
const FULL_VOLUME: usize = 80;
const SILENT_AFTER: usize = 480;
/// Longest blend back into real speech: 10 ms.
const LONGEST_BLEND: usize = 80;

/// Conceals the gaps of one stream.
#[derive(Debug, Clone)]
pub struct Concealment {
    /// Samples in a unit of 1/8000 s: 1 or 2.
    scale: usize,
    history: Box<[i16]>,
    gap: Option<Gap>,
}

/// A gap that is being filled.
#[derive(Debug, Clone, Copy)]
struct Gap {
    pitch: usize,
    /// Pitch periods repeated: 1 to 3.
    periods: usize,
    /// Place in the repeated stretch.
    offset: usize,
    /// Samples made so far.
    made: usize,
    /// What the first sample would be off by, and over how many it is bridged.
    step: i32,
    ramp: usize,
}

impl Concealment {
    /// For samples at 8 or 16 kHz.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        Self { scale: (rate_hz / NARROW_HZ) as usize, history: vec![0; HISTORY].into(), gap: None }
    }

    /// Forgets everything: another stream begins.
    pub fn reset(&mut self) {
        self.history.fill(0);
        self.gap = None;
    }

    /// Whether the last samples were made up.
    #[must_use]
    pub fn is_concealing(&self) -> bool {
        self.gap.is_some()
    }

    /// Takes real samples on their way to the listener. The first after a gap are blended with the substitute.
    pub fn pass(&mut self, samples: &mut [i16]) {
        if let Some(mut gap) = self.gap.take() {
            // A quarter of a period, and 4 ms more for each 10 ms of gap (G.711 Appendix I §I.2.7).
            let longest = LONGEST_BLEND * self.scale;
            let blend = (gap.pitch / 4 + gap.made * 2 / 5).min(longest).min(samples.len());
            for (n, sample) in samples.iter_mut().take(blend).enumerate() {
                let made = gap.next(&self.history, self.scale);
                *sample = mix(made, *sample, n + 1, blend + 1);
            }
        }
        self.remember(samples);
    }

    /// Fills a gap. What it makes isn't remembered: a long gap repeats real speech, not its own echo.
    pub fn conceal(&mut self, out: &mut [i16]) {
        let gap = self.gap.get_or_insert_with(|| Gap::new(&self.history, self.scale));
        for place in out {
            *place = gap.next(&self.history, self.scale);
        }
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        let newest = samples.get(samples.len().saturating_sub(length)..).unwrap_or_default();
        self.history.copy_within(newest.len().., 0);
        if let Some(end) = self.history.get_mut(length - newest.len()..) {
            end.copy_from_slice(newest);
        }
    }
}

impl Gap {
    fn new(history: &[i16], scale: usize) -> Self {
        let pitch = pitch(history, scale);
        let at = |back: usize| i32::from(sample(history, history.len().checked_sub(back)));
        // From the last real sample to the one that came before the repeated stretch.
        let step = at(1) - at(pitch + 1);
        Self { pitch, periods: 1, offset: 0, made: 0, step, ramp: (pitch / 4).max(1) }
    }

    fn next(&mut self, history: &[i16], scale: usize) -> i16 {
        self.lengthen(scale);
        let length = self.pitch * self.periods;
        let blend = self.pitch / 4;
        let place = history.len().checked_sub(length).map(|start| start + self.offset);
        let mut value = i32::from(sample(history, place));
        // The end of the stretch is blended into what comes before its start, so that it joins itself.
        let left = length - self.offset;
        if left <= blend {
            let before = place.and_then(|place| place.checked_sub(length));
            value =
                i32::from(mix(sample(history, place), sample(history, before), blend + 1 - left, blend + 1));
        }
        if self.made < self.ramp {
            value += self.step * signed(self.ramp - self.made) / signed(self.ramp + 1);
        }
        let (made, full, silent) = (self.made, FULL_VOLUME * scale, SILENT_AFTER * scale);
        value = match made {
            _ if made < full => value,
            _ if made >= silent => 0,
            _ => value * signed(silent - made) / signed(silent - full),
        };
        self.made = self.made.saturating_add(1);
        self.offset = (self.offset + 1) % length.max(1);
        clamp(value)
    }

    /// After 10 ms two periods, after 20 ms three: one alone would hum (G.711 Appendix I §I.2.5).
    fn lengthen(&mut self, scale: usize) {
        let periods = match self.made {
            made if made < 80 * scale => 1,
            made if made < 160 * scale => 2,
            _ => 3,
        };
        if periods > self.periods && self.offset.is_multiple_of(self.pitch.max(1)) {
            // The stretch grows at its front: the same place is one period further on.
            self.offset = (self.offset + self.pitch * (periods - self.periods)) % (self.pitch * periods);
            self.periods = periods;
        }
    }
}

/// The distance at which the end of the history resembles itself most, in samples.
fn pitch(history: &[i16], scale: usize) -> usize {
    let length = history.len();
    let (shortest, longest, compared) = (SHORTEST_PITCH * scale, LONGEST_PITCH * scale, COMPARED * scale);
    let coarse = best_lag(history, length, (shortest..=longest).step_by(2 * scale), compared, 2 * scale);
    let around = coarse.saturating_sub(2 * scale).max(shortest)..=(coarse + 2 * scale).min(longest);
    best_lag(history, length, around, compared, 1)
}

/// Of the lags the one with the largest normalised correlation; `step` leaves samples out.
fn best_lag(
    history: &[i16],
    end: usize,
    lags: impl Iterator<Item = usize>,
    compared: usize,
    step: usize,
) -> usize {
    let mut best = (0.0f32, SHORTEST_PITCH);
    for lag in lags {
        let Some(start) = end.checked_sub(compared) else { continue };
        let Some(earlier) = start.checked_sub(lag).and_then(|from| history.get(from..from + compared)) else {
            continue;
        };
        let now = history.get(start..end).unwrap_or_default();
        let (mut product, mut energy) = (0.0f32, 1.0f32);
        for (a, b) in now.iter().step_by(step).zip(earlier.iter().step_by(step)) {
            product += f32::from(*a) * f32::from(*b);
            energy += f32::from(*b) * f32::from(*b);
        }
        let score = product / energy.sqrt();
        if score > best.0 || best.0 == 0.0 {
            best = (score.max(f32::MIN_POSITIVE), lag);
        }
    }
    best.1
}

fn sample(history: &[i16], place: Option<usize>) -> i16 {
    place.and_then(|place| history.get(place)).copied().unwrap_or(0)
}

/// From `from` to `to`, `step` of `steps` of the way.
pub(crate) fn mix(from: i16, to: i16, step: usize, steps: usize) -> i16 {
    let (from, to) = (i32::from(from), i32::from(to));
    clamp(from + (to - from) * signed(step) / signed(steps.max(1)))
}

fn signed(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn clamp(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// A voice-like sound: a fundamental and two harmonics.
    fn voice(rate: u32, samples: usize) -> Vec<i16> {
        let voice = |n: usize| {
            let t = TAU * n as f64 / f64::from(rate);
            6_000.0 * (118.0 * t).sin() + 4_000.0 * (236.0 * t).sin() + 2_500.0 * (590.0 * t).sin()
        };
        (0..samples).map(|n| voice(n).round() as i16).collect()
    }

    fn energy(samples: &[i16]) -> f64 {
        (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    }

    fn snr(wanted: &[i16], got: &[i16]) -> f64 {
        let noise: f64 = wanted.iter().zip(got).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        let signal: f64 = wanted.iter().map(|a| f64::from(*a).powi(2)).sum();
        10.0 * (signal / noise.max(1.0)).log10()
    }

    #[test]
    fn a_lost_packet_of_a_steady_voice_is_hardly_missed() {
        for rate in [8_000, 16_000] {
            let frame = rate as usize / 50;
            let original = voice(rate, frame * 20);
            let mut concealment = Concealment::new(rate);
            let mut heard = original.clone();
            for (n, frame) in heard.chunks_mut(frame).enumerate() {
                if n % 7 == 6 { concealment.conceal(frame) } else { concealment.pass(frame) }
            }
            let gap = frame * 6..frame * 7;
            let snr = snr(&original[gap.clone()], &heard[gap]);
            assert!(snr > 8.0, "{rate} Hz: {snr:.1} dB");
        }
    }

    #[test]
    fn joints_do_not_click() {
        let original = voice(8_000, 160 * 20);
        let steepest =
            original.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap();
        for length in [80, 160, 320, 480] {
            let mut concealment = Concealment::new(8_000);
            let mut heard = original.clone();
            concealment.pass(&mut heard[..1_600]);
            concealment.conceal(&mut heard[1_600..1_600 + length]);
            concealment.pass(&mut heard[1_600 + length..]);
            for (n, pair) in heard.windows(2).enumerate() {
                let step = (i32::from(pair[1]) - i32::from(pair[0])).abs();
                assert!(step < steepest * 3 / 2, "{length} samples lost, at {n}: {step} over {steepest}");
            }
        }
    }

    #[test]
    fn a_long_gap_dies_away_within_sixty_milliseconds() {
        let mut concealment = Concealment::new(8_000);
        concealment.pass(&mut voice(8_000, 1_600));
        let mut made = vec![0; 800];
        for chunk in made.chunks_mut(80) {
            concealment.conceal(chunk);
        }
        let levels: Vec<_> = made.chunks(160).map(energy).collect();
        assert!(levels[0] > 4_000.0 && levels[1] < levels[0] && levels[2] < levels[1], "{levels:?}");
        assert!(made[480..].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn silence_is_concealed_as_silence() {
        let mut concealment = Concealment::new(8_000);
        let mut out = [99; 160];
        concealment.conceal(&mut out);
        assert_eq!(out, [0; 160]);
        concealment.pass(&mut [0; 160]);
        concealment.conceal(&mut out);
        assert_eq!(out, [0; 160]);
    }

    #[test]
    fn the_loudest_signal_does_not_overflow() {
        for rate in [8_000, 16_000] {
            let mut concealment = Concealment::new(rate);
            let square: Vec<i16> =
                (0..800).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
            concealment.pass(&mut square.clone());
            let mut out = [0; 2_000];
            for piece in out.chunks_mut(7) {
                concealment.conceal(piece);
            }
            concealment.pass(&mut square.clone());
        }
    }
}
