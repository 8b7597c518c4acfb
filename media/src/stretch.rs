//! Speech made shorter or longer by one pitch period, so that a listener doesn't notice (WSOLA).

use crate::concealment::mix;

/// Periods tried, in units of 1/8000 s: 2.5 to 15 ms.
const SHORTEST: usize = 20;
const LONGEST: usize = 120;
/// Stretch over which two periods are compared: 10 ms.
const COMPARED: usize = 80;
/// Two periods this alike are joined without being heard.
const ALIKE: f32 = 0.85;
/// Below this level, −46 dBFS, everything is alike.
const QUIET: f32 = 160.0;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Leaves a period out.
    Shorter,
    /// Says one twice.
    Longer,
}

/// Changes the start of `samples[..length]` by one period and gives the new length; the old one if no period fits, or
/// the change would be heard and `force` isn't set. `scale` is 1 at 8 kHz, 2 at 16 kHz.
pub fn stretch(samples: &mut [i16], length: usize, scale: usize, direction: Direction, force: bool) -> usize {
    let Some(speech) = samples.get(..length) else { return length };
    let Some((period, likeness)) = period(speech, scale) else { return length };
    if likeness < ALIKE && !force {
        return length;
    }
    match direction {
        Direction::Shorter => {
            // The first period becomes the second, gradually, and the second is left out.
            for n in 0..period {
                let (Some(one), Some(two)) = (samples.get(n).copied(), samples.get(n + period).copied())
                else {
                    return length;
                };
                if let Some(place) = samples.get_mut(n) {
                    *place = mix(one, two, n + 1, period + 1);
                }
            }
            samples.copy_within(2 * period..length, period);
            length - period
        }
        Direction::Longer => {
            if samples.len() < length + period {
                return length;
            }
            // Behind the first period comes the second turned gradually into the first, then the second.
            samples.copy_within(period..length, 2 * period);
            for n in 0..period {
                let (Some(one), Some(two)) = (samples.get(n).copied(), samples.get(n + 2 * period).copied())
                else {
                    return length;
                };
                if let Some(place) = samples.get_mut(n + period) {
                    *place = mix(two, one, n + 1, period + 1);
                }
            }
            length + period
        }
    }
}

/// The period at which the start of the speech resembles itself most, and how much: 1 is perfectly. `None` if there is
/// too little of it.
fn period(speech: &[i16], scale: usize) -> Option<(usize, f32)> {
    let compared = COMPARED * scale;
    let longest = (LONGEST * scale).min(speech.len() / 2).min(speech.len().checked_sub(compared)?);
    let here = speech.get(..compared)?;
    let energy: f32 = here.iter().map(|sample| f32::from(*sample).powi(2)).sum();
    if energy < QUIET * QUIET * compared as f32 {
        return (longest >= SHORTEST * scale).then_some((longest, 1.0));
    }
    let mut best = None;
    for lag in (SHORTEST * scale..=longest).step_by(scale) {
        let there = speech.get(lag..lag + compared)?;
        let (mut product, mut other) = (0.0f32, 1.0f32);
        for (a, b) in here.iter().step_by(scale).zip(there.iter().step_by(scale)) {
            product += f32::from(*a) * f32::from(*b);
            other += f32::from(*b).powi(2);
        }
        // Only every `scale`th sample was taken of `there`.
        let likeness = product / (energy / scale as f32 * other).sqrt();
        if best.is_none_or(|(_, most)| likeness > most) {
            best = Some((lag, likeness));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn voice(scale: usize, samples: usize) -> Vec<i16> {
        let rate = 8_000.0 * scale as f64;
        let voice = |n: usize| {
            let t = TAU * n as f64 / rate;
            6_000.0 * (125.0 * t).sin() + 4_000.0 * (375.0 * t).sin()
        };
        (0..samples).map(|n| voice(n).round() as i16).collect()
    }

    #[test]
    fn a_steady_voice_goes_on_as_if_nothing_had_happened() {
        for scale in [1, 2] {
            for direction in [Direction::Shorter, Direction::Longer] {
                let mut samples = voice(scale, 600 * scale);
                let length = stretch(&mut samples, 320 * scale, scale, direction, false);
                let change = (length as i64 - 320 * scale as i64).abs();
                assert_eq!(change, 64 * scale as i64, "one period of 125 Hz");
                let expected = voice(scale, length);
                for (n, (got, wanted)) in samples[..length].iter().zip(&expected).enumerate() {
                    assert!((got - wanted).abs() < 60, "{direction:?} at {n}: {got} for {wanted}");
                }
            }
        }
    }

    #[test]
    fn noise_is_left_alone_unless_forced_and_silence_is_not() {
        let mut random = 1u32;
        let noise: Vec<i16> = (0..600)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 18) as i16 - 8_192
            })
            .collect();
        let mut samples = noise.clone();
        assert_eq!(stretch(&mut samples, 320, 1, Direction::Shorter, false), 320);
        assert_eq!(samples, noise);
        assert!(stretch(&mut samples, 320, 1, Direction::Shorter, true) < 320);
        assert!(stretch(&mut samples, 320, 1, Direction::Longer, true) > 320);
        let mut silence = [3; 600];
        assert_eq!(stretch(&mut silence, 320, 1, Direction::Shorter, false), 200);
        assert_eq!(stretch(&mut silence, 320, 1, Direction::Longer, false), 440);
    }

    #[test]
    fn too_little_speech_or_room_changes_nothing() {
        let mut samples = voice(1, 600);
        assert_eq!(stretch(&mut samples, 90, 1, Direction::Shorter, true), 90);
        assert_eq!(stretch(&mut samples[..330], 320, 1, Direction::Longer, true), 320);
        assert_eq!(stretch(&mut samples, 700, 1, Direction::Shorter, true), 700);
    }
}
