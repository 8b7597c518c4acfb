//! Live resampling between 8, 16, 24 and 48 kHz: a polyphase FIR filter that allocates only when it is made.

use std::f64::consts::PI;

/// Rates that live audio comes at.
const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];
/// Taps for each output sample, at the lower of the two rates: 3 ms of delay at 8 kHz.
const TAPS: usize = 48;
/// Middle of the transition, as a part of the lower rate's band: passes 3.4 of 4 kHz, stops at 4.6.
const CUTOFF: f64 = 0.97;
/// Kaiser window: 60 dB.
const BETA: f64 = 5.65;
/// Input samples taken before the oldest are let go.
const BLOCK: usize = 512;
/// Products summed side by side: floats are added in the order written.
const LANES: usize = 8;

/// Resamples one stream. Pieces may have any length; nothing is lost between them.
#[derive(Debug, Clone)]
pub struct Resampler {
    up: usize,
    down: usize,
    /// One filter for each of `up` phases, the oldest sample's coefficient first.
    phases: Box<[Box<[f32]>]>,
    /// As many samples as a filter is long, and those that came behind them.
    history: Box<[f32]>,
    /// End of the newest sample in `history`.
    end: usize,
    /// Place of the next output sample behind the oldest unread input, in `1/up` of input samples.
    position: usize,
}

impl Resampler {
    /// `None` for rates other than 8,000, 16,000, 24,000 and 48,000 Hz.
    #[must_use]
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        if !RATES_HZ.contains(&from_hz) || !RATES_HZ.contains(&to_hz) {
            return None;
        }
        let divisor = greatest_common_divisor(from_hz, to_hz);
        let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        let lower = from_hz.min(to_hz);
        let per_phase = TAPS * (from_hz / lower) as usize / if from_hz < to_hz { 2 } else { 1 };
        // A multiple of the lanes for every pair of these rates.
        debug_assert!(per_phase.is_multiple_of(LANES));
        let length = per_phase * up;
        // Cutoff in cycles per sample of the common rate.
        let cutoff = CUTOFF * f64::from(lower) / 2.0 / (f64::from(from_hz) * up as f64);
        let centre = (length as f64 - 1.0) / 2.0;
        let taps: Vec<f64> = (0..length)
            .map(|n| {
                let x = n as f64 - centre;
                let sinc = if x == 0.0 { 2.0 * cutoff } else { (2.0 * PI * cutoff * x).sin() / (PI * x) };
                sinc * kaiser(x / (centre + 1.0))
            })
            .collect();
        let phases = (0..up).map(|phase| {
            let own: Vec<f64> = taps.iter().skip(phase).step_by(up).rev().copied().collect();
            // Each phase passes a constant unchanged.
            let sum: f64 = own.iter().sum();
            // Coefficients below one: a float holds them as well.
            #[allow(clippy::cast_possible_truncation)]
            let own: Box<[f32]> = own.iter().map(|tap| (tap / sum) as f32).collect();
            own
        });
        Some(Self {
            up,
            down,
            phases: phases.collect(),
            history: vec![0.0; per_phase + BLOCK].into(),
            end: per_phase,
            position: 0,
        })
    }

    /// Samples that [`Resampler::process`] gives for `input` samples, at most.
    #[must_use]
    pub fn room_for(&self, input: usize) -> usize {
        (input * self.up).div_ceil(self.down)
    }

    /// Resamples a piece; returns the samples written. `out` must have [`Resampler::room_for`] it; with less, the end
    /// is lost.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let mut places = out.iter_mut();
        let mut count = 0;
        for sample in input {
            if self.end == self.history.len() {
                self.history.copy_within(BLOCK.., 0);
                self.end -= BLOCK;
            }
            if let Some(newest) = self.history.get_mut(self.end) {
                *newest = f32::from(*sample);
            }
            self.end += 1;
            while self.position < self.up {
                if let Some(place) = places.next() {
                    *place = self.output();
                    count += 1;
                }
                self.position += self.down;
            }
            self.position -= self.up;
        }
        count
    }

    fn output(&self) -> i16 {
        let Some(phase) = self.phases.get(self.position) else { return 0 };
        let Some(samples) = self.history.get(self.end - phase.len()..self.end) else { return 0 };
        let mut sums = [0.0f32; LANES];
        let (taps, _) = phase.as_chunks::<LANES>();
        let (samples, _) = samples.as_chunks::<LANES>();
        for (taps, samples) in taps.iter().zip(samples) {
            for (sum, (tap, sample)) in sums.iter_mut().zip(taps.iter().zip(samples)) {
                *sum += tap * sample;
            }
        }
        let sum: f32 = sums.iter().sum();
        // A float to integer cast cuts off and saturates; `round` is a call on processors of 2003.
        #[allow(clippy::cast_possible_truncation)]
        let sample = (sum + 0.5f32.copysign(sum)) as i16;
        sample
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The Kaiser window at −1…1.
fn kaiser(x: f64) -> f64 {
    bessel(BETA * (1.0 - x * x).max(0.0).sqrt()) / bessel(BETA)
}

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..25 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(rate: u32, frequency: f64, samples: usize) -> Vec<i16> {
        let step = TAU * frequency / f64::from(rate);
        (0..samples).map(|n| (12_000.0 * (step * n as f64).sin()).round() as i16).collect()
    }

    /// Level in dB against the tone's.
    fn level(samples: &[i16]) -> f64 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let energy: f64 = middle.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / middle.len() as f64;
        10.0 * (energy.max(1e-9) / (12_000.0f64.powi(2) / 2.0)).log10()
    }

    fn convert(from: u32, to: u32, frequency: f64) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to).unwrap();
        let mut result = Vec::new();
        for piece in tone(from, frequency, from as usize).chunks(137) {
            let mut out = vec![0; resampler.room_for(piece.len())];
            let count = resampler.process(piece, &mut out);
            result.extend_from_slice(&out[..count]);
        }
        result
    }

    #[test]
    fn every_pair_of_rates_keeps_length_and_passes_the_telephone_band() {
        for from in RATES_HZ {
            for to in RATES_HZ {
                for frequency in [300.0, 1_000.0, 3_000.0] {
                    let out = convert(from, to, frequency);
                    assert!((out.len() as i64 - i64::from(to)).abs() <= 1, "{from} to {to}: {}", out.len());
                    let level = level(&out);
                    assert!(level.abs() < 0.3, "{from} to {to} at {frequency} Hz: {level:.2} dB");
                }
                let edge = level(&convert(from, to, 3_400.0));
                assert!(edge > -1.2, "{from} to {to} at 3,400 Hz: {edge:.2} dB");
            }
        }
    }

    #[test]
    fn what_does_not_fit_the_lower_rate_is_taken_away() {
        for (from, frequency) in [(16_000, 4_600.0), (16_000, 7_000.0), (24_000, 9_000.0), (48_000, 20_000.0)]
        {
            let level = level(&convert(from, 8_000, frequency));
            assert!(level < -50.0, "{frequency} Hz of {from}: {level:.1} dB");
        }
    }

    #[test]
    fn upsampling_makes_no_images() {
        // All energy that isn't the tone is an image or noise.
        let out = convert(8_000, 16_000, 1_000.0);
        let (mut real, mut imaginary, mut energy) = (0.0, 0.0, 0.0);
        let middle = &out[4_000..12_000];
        for (n, sample) in middle.iter().enumerate() {
            let phase = TAU * 1_000.0 * n as f64 / 16_000.0;
            real += f64::from(*sample) * phase.cos();
            imaginary += f64::from(*sample) * phase.sin();
            energy += f64::from(*sample).powi(2);
        }
        let count = middle.len() as f64;
        let wanted = (real.powi(2) + imaginary.powi(2)) * 2.0 / count;
        let rest = 10.0 * ((energy - wanted).max(1e-3) / energy).log10();
        assert!(rest < -55.0, "{rest:.1} dB");
    }

    #[test]
    fn frames_are_exact_and_other_rates_are_refused() {
        let mut resampler = Resampler::new(8_000, 16_000).unwrap();
        for _ in 0..50 {
            assert_eq!(resampler.process(&[100; 160], &mut [0; 320]), 320);
        }
        let mut back = Resampler::new(48_000, 8_000).unwrap();
        for _ in 0..50 {
            assert_eq!(back.process(&[100; 960], &mut [0; 160]), 160);
        }
        assert!(Resampler::new(8_000, 11_025).is_none());
    }
}
