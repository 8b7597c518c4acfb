//! Keys heard in the audio itself, for lines without telephone-event (ITU-T Q.23, Q.24).
//!
//! Each block of 12.75 ms is measured at the eight frequencies (Goertzel). A key is two tones and nothing else: the
//! strongest of each group, near each other in level, far above the others of their group, without the second
//! harmonic that a voice has, and nearly all of the block's energy. It counts when two blocks in a row say the same.

#![allow(clippy::indexing_slicing, reason = "places of arrays as long as the loops over them")]

use super::Digit;
use super::telephone_event::KeyPress;

const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
const RATE_HZ: f32 = 8_000.0;
/// Samples in a block: 12.75 ms. Tones are told apart that differ by a bin of 78 Hz, and pass that are off by 1.5 %.
const BLOCK: usize = 102;
/// Energy of the weakest tone taken, −32 dBm0 (Q.24: −25 to −29 must be).
const WEAKEST: f32 = energy_of(564.0);
/// The higher tone may be so much stronger or weaker than the lower: +6 and −10 dB (Q.24, Table A-1: +4 and −8).
const HIGHER: f32 = 3.98;
const LOWER: f32 = 10.0;
/// Other tones of the group must be this much weaker: 8 dB.
const ABOVE_OTHERS: f32 = 6.3;
/// The second harmonic must be this much weaker than its tone: 10 dB.
const ABOVE_HARMONIC: f32 = 10.0;
/// Part of the block's energy that is in the two tones: less, and 20 ms could fill two blocks enough; more, and tones that
/// are off by 1.5 % would not pass.
const PURE: f32 = 0.79;
/// Blocks that agree before a key counts: with less than 20 ms of tone none can, with 40 ms all do.
const NEEDED: u8 = 2;
/// Blocks without the tone that end it: a gap of 10 ms doesn't (Q.24).
const GAP: u8 = 2;

/// Goertzel energy of a sine of this amplitude over a block.
const fn energy_of(amplitude: f32) -> f32 {
    amplitude * amplitude * (BLOCK * BLOCK) as f32 / 4.0
}

/// Listens for keys. Nothing is allocated.
#[derive(Debug)]
pub struct Detector {
    coefficients: [f32; 8],
    block: [f32; BLOCK],
    length: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Heard in this many blocks, not enough yet.
    Suspected {
        digit: Digit,
        blocks: u8,
    },
    Pressed {
        digit: Digit,
        blocks: u32,
        missing: u8,
    },
}

impl Default for Detector {
    fn default() -> Self {
        let mut coefficients = [0.0; 8];
        for (place, frequency) in coefficients.iter_mut().zip(LOW_HZ.into_iter().chain(HIGH_HZ)) {
            *place = coefficient(frequency);
        }
        Self { coefficients, block: [0.0; BLOCK], length: 0, state: State::Idle }
    }
}

impl Detector {
    /// Takes audio at 8 kHz; gives the key that was released in it. Two can't be: 40 ms lie between them (Q.24).
    pub fn listen(&mut self, samples: &[i16]) -> Option<KeyPress> {
        let mut released = None;
        for sample in samples {
            if let Some(place) = self.block.get_mut(self.length) {
                *place = f32::from(*sample);
            }
            self.length += 1;
            if self.length == BLOCK {
                self.length = 0;
                let heard = self.key();
                released = self.advance(heard).or(released);
            }
        }
        released
    }

    /// Whether a tone is or may be under way, whose length must not be changed.
    #[must_use]
    pub fn hears_tone(&self) -> bool {
        self.state != State::Idle
    }

    fn advance(&mut self, heard: Option<Digit>) -> Option<KeyPress> {
        let (next, released) = match (self.state, heard) {
            (State::Idle, None) | (State::Suspected { .. }, None) => (State::Idle, None),
            (State::Suspected { digit, blocks }, Some(key)) if key == digit => {
                let blocks = blocks + 1;
                let pressed = State::Pressed { digit, blocks: u32::from(blocks), missing: 0 };
                (if blocks >= NEEDED { pressed } else { State::Suspected { digit, blocks } }, None)
            }
            (State::Idle | State::Suspected { .. }, Some(digit)) => {
                (State::Suspected { digit, blocks: 1 }, None)
            }
            (State::Pressed { digit, blocks, missing }, Some(key)) if key == digit => {
                let blocks = blocks.saturating_add(1 + u32::from(missing));
                (State::Pressed { digit, blocks, missing: 0 }, None)
            }
            (State::Pressed { digit, blocks, missing }, None) if missing + 1 < GAP => {
                (State::Pressed { digit, blocks, missing: missing + 1 }, None)
            }
            (State::Pressed { digit, blocks, .. }, other) => {
                let duration_ms = blocks.saturating_mul(51) / 4;
                let next = other.map_or(State::Idle, |digit| State::Suspected { digit, blocks: 1 });
                (next, Some(KeyPress { digit, duration_ms }))
            }
        };
        self.state = next;
        released
    }

    /// The key in a whole block.
    fn key(&self) -> Option<Digit> {
        let total: f32 = self.block.iter().map(|sample| sample * sample).sum();
        // Silence, and anything weaker than the weakest key, isn't measured any further.
        if total * BLOCK as f32 / 2.0 < 2.0 * WEAKEST {
            return None;
        }
        let energies = self.goertzel_all();
        let (low, high) = energies.split_at(4);
        let (row, low) = strongest(low)?;
        let (column, high) = strongest(high)?;
        let level = low >= WEAKEST && high >= WEAKEST;
        let twist = high <= low * HIGHER && low <= high * LOWER;
        let pure = low + high >= PURE * total * BLOCK as f32 / 2.0;
        if !(level && twist && pure) {
            return None;
        }
        // That of the lower tone lies beside the higher tones, so it says nothing.
        let harmonic = HIGH_HZ.get(column).map(|frequency| self.goertzel(coefficient(2.0 * frequency)));
        if harmonic.is_none_or(|harmonic| harmonic * ABOVE_HARMONIC > high) {
            return None;
        }
        KEYS.get(row)?.get(column).copied().and_then(Digit::from_char)
    }

    /// All eight side by side.
    fn goertzel_all(&self) -> [f32; 8] {
        let (mut one, mut two) = ([0.0f32; 8], [0.0f32; 8]);
        for sample in &self.block {
            let mut next = [0.0f32; 8];
            for (place, next) in next.iter_mut().enumerate() {
                *next = sample + self.coefficients[place] * one[place] - two[place];
            }
            (one, two) = (next, one);
        }
        let mut energies = [0.0; 8];
        for (place, energy) in energies.iter_mut().enumerate() {
            let (one, two) = (one[place], two[place]);
            *energy = one * one + two * two - self.coefficients[place] * one * two;
        }
        energies
    }

    fn goertzel(&self, coefficient: f32) -> f32 {
        let (mut one, mut two) = (0.0f32, 0.0f32);
        for sample in &self.block {
            let next = sample + coefficient * one - two;
            (one, two) = (next, one);
        }
        one * one + two * two - coefficient * one * two
    }
}

/// The strongest of a group, if it is far above the others.
fn strongest(group: &[f32]) -> Option<(usize, f32)> {
    let (place, energy) = group.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let alone =
        group.iter().enumerate().all(|(other, weaker)| other == place || weaker * ABOVE_OTHERS < energy);
    alone.then_some((place, energy))
}

fn coefficient(frequency: f32) -> f32 {
    2.0 * (std::f32::consts::TAU * frequency / RATE_HZ).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;
    use std::path::Path;

    /// A sine of 0 dBm0, as peak.
    const PEAK_0_DBM0: f64 = 22_470.0;

    #[derive(Debug, Clone, Copy)]
    struct Tone {
        key: char,
        ms: usize,
        /// Level of each tone in dBm0.
        low: f64,
        high: f64,
        /// Deviation in parts.
        off: f64,
    }

    const USUAL: Tone = Tone { key: '5', ms: 80, low: -9.0, high: -9.0, off: 0.0 };

    impl Tone {
        fn samples(self) -> Vec<i16> {
            let place = KEYS.iter().enumerate().find_map(|(row, keys)| {
                keys.iter().position(|key| *key == self.key).map(|column| (row, column))
            });
            let (row, column) = place.unwrap();
            let sine = |frequency: f32, level: f64, n: usize| {
                let frequency = f64::from(frequency) * (1.0 + self.off);
                PEAK_0_DBM0 * 10f64.powf(level / 20.0) * (TAU * frequency * n as f64 / 8_000.0).sin()
            };
            (0..self.ms * 8)
                .map(|n| {
                    let both = sine(LOW_HZ[row], self.low, n) + sine(HIGH_HZ[column], self.high, n);
                    both.clamp(-32_768.0, 32_767.0) as i16
                })
                .collect()
        }
    }

    fn keys(samples: &[i16]) -> String {
        let mut detector = Detector::default();
        let silence = [0; 800];
        let frames = samples.chunks(160).chain(silence.chunks(160));
        frames.filter_map(|frame| detector.listen(frame)).map(|press| press.digit.as_char()).collect()
    }

    /// Behind as many samples of silence as `shift`, so that blocks begin anywhere in the tone.
    fn shifted(tone: Tone, shift: usize) -> String {
        keys(&[vec![0; shift], tone.samples()].concat())
    }

    #[test]
    fn every_key_is_heard_once_wherever_it_begins() {
        for key in KEYS.concat() {
            for shift in (0..BLOCK).step_by(7) {
                assert_eq!(
                    shifted(Tone { key, ms: 40, ..USUAL }, shift),
                    key.to_string(),
                    "{key} at {shift}"
                );
                assert_eq!(
                    shifted(Tone { key, ms: 500, ..USUAL }, shift),
                    key.to_string(),
                    "{key} at {shift}"
                );
            }
        }
    }

    #[test]
    fn levels_twist_and_deviation_of_q24_are_accepted() {
        for shift in (0..BLOCK).step_by(13) {
            for level in [-3.0, -10.0, -20.0, -27.0] {
                let tone = Tone { low: level, high: level, ..USUAL };
                assert_eq!(shifted(tone, shift), "5", "{level} dBm0");
            }
            for twist in [-8.0, -4.0, 2.0, 4.0] {
                assert_eq!(shifted(Tone { high: USUAL.low + twist, ..USUAL }, shift), "5", "{twist} dB");
            }
            for key in KEYS.concat() {
                for off in [-0.015, 0.015] {
                    let tone = Tone { key, off, ..USUAL };
                    assert_eq!(shifted(tone, shift), key.to_string(), "{key} off by {off}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for shift in (0..BLOCK).step_by(13) {
            for (what, tone) in [
                ("short", Tone { ms: 20, ..USUAL }),
                ("faint", Tone { low: -40.0, high: -40.0, ..USUAL }),
                ("twisted up", Tone { high: USUAL.low + 9.0, ..USUAL }),
                ("twisted down", Tone { high: USUAL.low - 13.0, ..USUAL }),
                ("off", Tone { off: 0.06, ..USUAL }),
            ] {
                assert_eq!(shifted(tone, shift), "", "{what}");
            }
        }
        let one = |frequency: f64| -> Vec<i16> {
            (0..1_600).map(|n| (9_000.0 * (TAU * frequency * n as f64 / 8_000.0).sin()) as i16).collect()
        };
        for frequency in [350.0, 425.0, 440.0, 697.0, 941.0, 1_000.0, 1_209.0, 1_633.0, 2_100.0] {
            assert_eq!(keys(&one(frequency)), "", "one tone of {frequency} Hz");
        }
        let dial: Vec<i16> = one(350.0).iter().zip(one(440.0)).map(|(a, b)| a / 2 + b / 2).collect();
        assert_eq!(keys(&dial), "");
    }

    #[test]
    fn a_row_of_digits_is_heard_one_by_one() {
        let number = "0612345678*#00";
        let gap = vec![0; 50 * 8];
        let samples: Vec<i16> = number
            .chars()
            .flat_map(|key| [Tone { key, ms: 60, ..USUAL }.samples(), gap.clone()].concat())
            .collect();
        assert_eq!(keys(&samples), number);
    }

    #[test]
    fn a_gap_of_ten_milliseconds_does_not_double_a_key() {
        let samples = [USUAL.samples(), vec![0; 80], USUAL.samples()].concat();
        assert_eq!(keys(&samples), "5");
    }

    #[test]
    fn the_time_a_key_was_held_is_told() {
        let mut detector = Detector::default();
        let samples = [Tone { ms: 400, ..USUAL }.samples(), vec![0; 400]].concat();
        let press = detector.listen(&samples).unwrap();
        assert!((370..=410).contains(&press.duration_ms), "{} ms", press.duration_ms);
    }

    fn noise(samples: usize, peak: f64, seed: u64) -> Vec<f64> {
        let mut random = seed;
        (0..samples)
            .map(|_| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((random >> 40) as f64 / f64::from(1 << 23) - 1.0) * peak
            })
            .collect()
    }

    #[test]
    fn keys_are_heard_in_noise_and_after_both_laws() {
        use crate::codec::Law;
        let mut heard = 0;
        for (seed, key) in (0u64..).zip(KEYS.concat()).take(16) {
            let tone = Tone { key, ms: 60, ..USUAL };
            // Noise 15 dB below the two tones together.
            let noise = noise(480, 22_470.0 * 10f64.powf(-21.0 / 20.0) * 1.73 / 1.41, seed);
            let mixed: Vec<i16> =
                tone.samples().iter().zip(noise).map(|(s, n)| (f64::from(*s) + n) as i16).collect();
            heard += usize::from(keys(&mixed) == key.to_string());
            for law in [Law::Mu, Law::A] {
                let coded: Vec<i16> = tone.samples().iter().map(|s| law.decode(law.encode(*s))).collect();
                assert_eq!(keys(&coded), key.to_string());
            }
        }
        assert_eq!(heard, 16, "at 15 dB");
    }

    #[test]
    fn noise_and_speech_press_no_keys() {
        for seed in 0..10 {
            let noise: Vec<i16> = noise(80_000, 16_000.0, seed).iter().map(|n| *n as i16).collect();
            assert_eq!(keys(&noise), "", "noise {seed}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/audio");
        let (mut seconds, mut pending) = (0, vec![folder]);
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_some_and(|extension| extension == "wav") {
                    let Some(samples) = spoken(&path) else { continue };
                    seconds += samples.len() / 8_000;
                    assert_eq!(keys(&samples), "", "{}", path.display());
                }
            }
        }
        assert!(seconds > 60, "only {seconds} s of speech");
    }

    /// The shipped sentences are G.711, which the WAV reader of this crate doesn't take.
    fn spoken(path: &Path) -> Option<Vec<i16>> {
        let bytes = std::fs::read(path).ok()?;
        let at = bytes.windows(4).position(|four| four == b"data")? + 8;
        Some(bytes[at..].iter().map(|codeword| crate::codec::Law::A.decode(*codeword)).collect())
    }
}
