//! From a synthesiser's output to what a telephone line carries well: the band and tilt of a
//! telephone, one loudness for every sentence, no idle time at the ends.

use media::SAMPLES_PER_MS;

/// Loudness of the spoken parts, in dB relative to full scale (RMS). Talkers on telephone lines
/// measure -26 to -16; announcements sit in the middle so that they need no volume change.
pub const TARGET_DBFS: f32 = -20.0;
/// The highest sample allowed, in dB relative to full scale. G.711 clips 3 dB below it on
/// analogue equipment that was lined up for 0 dBm0 sine waves.
pub const PEAK_DBFS: f32 = -3.0;
/// Silence kept before the first sound, in milliseconds.
pub const LEAD_MS: usize = 50;
/// Silence kept after the last sound, in milliseconds.
pub const TAIL_MS: usize = 100;

/// Frames quieter than the loudest one by this are pauses, not speech.
const PAUSE_BELOW_LOUDEST_DB: f32 = 35.0;
const FRAME: usize = 10 * SAMPLES_PER_MS;
const FULL_SCALE: f32 = 32_768.0;

/// Shapes 8 kHz samples. Gives `None` when there is no sound in them.
#[must_use]
pub fn for_telephone(samples: &[i16]) -> Option<Vec<i16>> {
    let mut signal: Vec<f32> = samples.iter().map(|&s| f32::from(s) / FULL_SCALE).collect();
    // Below 200 Hz a handset gives nothing back, so energy there only takes headroom. Sibilants
    // lost above 4 kHz are partly made up for by lifting what is left of them.
    Biquad::high_pass(200.0).run(&mut signal);
    Biquad::high_shelf(1_500.0, 5.0).run(&mut signal);
    let active = trim(&signal)?;
    let gain = gain(active)?;
    let silence = |ms: usize| std::iter::repeat_n(0_i16, ms * SAMPLES_PER_MS);
    let speech = active.iter().map(|s| to_sample(s * gain));
    Some(silence(LEAD_MS).chain(speech).chain(silence(TAIL_MS)).collect())
}

/// Loudness of the spoken parts in dB relative to full scale; `None` for silence.
#[cfg(test)]
pub(super) fn active_dbfs(samples: &[i16]) -> Option<f32> {
    let signal: Vec<f32> = samples.iter().map(|&s| f32::from(s) / FULL_SCALE).collect();
    active_power(&signal).map(|power| 10.0 * power.log10())
}

/// The part from the first frame with sound to the last.
fn trim(signal: &[f32]) -> Option<&[f32]> {
    let threshold = threshold(signal)?;
    let mut loud = signal.chunks(FRAME).enumerate().filter(|(_, frame)| power(frame) >= threshold);
    let (first, _) = loud.next()?;
    let last = loud.next_back().map_or(first, |(at, _)| at);
    // One frame more at each end keeps the soft start or end of a consonant.
    let from = first.saturating_sub(1) * FRAME;
    let to = ((last + 2) * FRAME).min(signal.len());
    signal.get(from..to)
}

fn gain(signal: &[f32]) -> Option<f32> {
    let loudness = active_power(signal)?.sqrt();
    let peak = signal.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
    Some((amplitude(TARGET_DBFS) / loudness).min(amplitude(PEAK_DBFS) / peak))
}

fn active_power(signal: &[f32]) -> Option<f32> {
    let threshold = threshold(signal)?;
    let (sum, count) = signal
        .chunks(FRAME)
        .map(power)
        .filter(|power| *power >= threshold)
        .fold((0.0, 0.0), |(sum, count), power| (sum + power, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn threshold(signal: &[f32]) -> Option<f32> {
    let loudest = signal.chunks(FRAME).map(power).fold(0.0_f32, f32::max);
    // Quieter than the smallest step of 16-bit samples: nothing was said.
    (loudest > 1e-9).then(|| loudest * 10.0_f32.powf(-PAUSE_BELOW_LOUDEST_DB / 10.0))
}

fn power(frame: &[f32]) -> f32 {
    let count = u16::try_from(frame.len()).map_or(f32::MAX, f32::from);
    frame.iter().map(|s| s * s).sum::<f32>() / count
}

fn amplitude(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}

fn to_sample(value: f32) -> i16 {
    let scaled = (value * FULL_SCALE).clamp(f32::from(i16::MIN), f32::from(i16::MAX));
    #[allow(clippy::cast_possible_truncation, reason = "clamped to the range of i16")]
    let sample = scaled as i16;
    sample
}

/// A second-order filter at 8 kHz, in the transposed direct form II. Coefficients after
/// R. Bristow-Johnson, "Audio EQ Cookbook".
struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
}

impl Biquad {
    fn high_pass(frequency_hz: f32) -> Self {
        let (cos, alpha) = Self::angle(frequency_hz);
        let edge = f32::midpoint(1.0, cos);
        Self::normalised([edge, -2.0 * edge, edge], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
    }

    fn high_shelf(frequency_hz: f32, gain_db: f32) -> Self {
        let (cos, alpha) = Self::angle(frequency_hz);
        let a = 10.0_f32.powf(gain_db / 40.0);
        let slope = 2.0 * a.sqrt() * alpha;
        Self::normalised(
            [
                a * ((a + 1.0) + (a - 1.0) * cos + slope),
                -2.0 * a * ((a - 1.0) + (a + 1.0) * cos),
                a * ((a + 1.0) + (a - 1.0) * cos - slope),
            ],
            [
                (a + 1.0) - (a - 1.0) * cos + slope,
                2.0 * ((a - 1.0) - (a + 1.0) * cos),
                (a + 1.0) - (a - 1.0) * cos - slope,
            ],
        )
    }

    /// Cosine of the angular frequency, and the bandwidth term for a Butterworth response.
    fn angle(frequency_hz: f32) -> (f32, f32) {
        let angle = std::f32::consts::TAU * frequency_hz / 8_000.0;
        (angle.cos(), angle.sin() * std::f32::consts::FRAC_1_SQRT_2)
    }

    fn normalised(b: [f32; 3], [a0, a1, a2]: [f32; 3]) -> Self {
        Self { b: b.map(|b| b / a0), a: [a1 / a0, a2 / a0] }
    }

    fn run(&self, signal: &mut [f32]) {
        let ([b0, b1, b2], [a1, a2]) = (self.b, self.a);
        let (mut z1, mut z2) = (0.0, 0.0);
        for sample in signal {
            let input = *sample;
            let output = b0 * input + z1;
            z1 = b1 * input - a1 * output + z2;
            z2 = b2 * input - a2 * output;
            *sample = output;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency_hz: f32, amplitude: f32, ms: usize) -> Vec<i16> {
        (0..ms * SAMPLES_PER_MS)
            .map(|n| (std::f32::consts::TAU * frequency_hz * n as f32 / 8_000.0).sin() * amplitude)
            .map(to_sample)
            .collect()
    }

    #[test]
    fn quiet_and_loud_input_come_out_equally_loud() {
        for amplitude in [0.01, 0.1, 0.9] {
            let shaped = for_telephone(&tone(800.0, amplitude, 500)).unwrap();
            let level = active_dbfs(&shaped).unwrap();
            assert!((level - TARGET_DBFS).abs() < 1.0, "{amplitude}: {level}");
        }
    }

    #[test]
    fn a_peaky_signal_stays_below_the_highest_sample_allowed() {
        let mut clicks = vec![0_i16; 8_000];
        for at in (0..8_000).step_by(400) {
            clicks[at] = 20_000;
        }
        let shaped = for_telephone(&clicks).unwrap();
        let peak = shaped.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(f32::from(peak) <= amplitude(PEAK_DBFS) * FULL_SCALE + 1.0);
    }

    #[test]
    fn idle_time_at_the_ends_is_cut_to_the_same_length() {
        let mut signal = vec![0_i16; 8_000];
        signal.extend(tone(500.0, 0.3, 300));
        signal.extend(vec![0_i16; 16_000]);
        let shaped = for_telephone(&signal).unwrap();
        let ms = shaped.len() / SAMPLES_PER_MS;
        assert!((300 + LEAD_MS + TAIL_MS..=330 + LEAD_MS + TAIL_MS).contains(&ms), "{ms} ms");
    }

    #[test]
    fn silence_has_no_shape() {
        assert_eq!(for_telephone(&[]), None);
        assert_eq!(for_telephone(&[0; 800]), None);
    }

    #[test]
    fn rumble_below_the_telephone_band_is_taken_out() {
        let mut mixed = tone(1_000.0, 0.1, 500);
        for (sample, rumble) in mixed.iter_mut().zip(tone(40.0, 0.5, 500)) {
            *sample = sample.saturating_add(rumble);
        }
        let mut signal: Vec<f32> = mixed.iter().map(|&s| f32::from(s) / FULL_SCALE).collect();
        Biquad::high_pass(200.0).run(&mut signal);
        let settled = &signal[1_600..];
        assert!((power(settled).sqrt() - 0.1 * std::f32::consts::FRAC_1_SQRT_2).abs() < 0.02);
    }
}
