//! Tones that a call plays: the beep before a message, and ringing.

use std::f64::consts::TAU;
use std::sync::{Arc, LazyLock};

use media::playout::Chunk;

/// Samples a second.
const RATE: usize = 8_000;
/// How long ringing lasts before it falls silent; longer than any transfer is waited for.
const RINGBACK_SECONDS: usize = 50;

/// Ringing as a country has it (ITU-T E.180 Supplement 2).
struct Cadence {
    frequencies: &'static [f64],
    /// Milliseconds on, off, on, off.
    pattern: &'static [(usize, usize)],
}

const FRANCE: Cadence = Cadence { frequencies: &[440.0], pattern: &[(1_500, 3_500)] };
const NORTH_AMERICA: Cadence = Cadence { frequencies: &[440.0, 480.0], pattern: &[(2_000, 4_000)] };
const UNITED_KINGDOM: Cadence =
    Cadence { frequencies: &[400.0, 450.0], pattern: &[(400, 200), (400, 2_000)] };
const EUROPE: Cadence = Cadence { frequencies: &[425.0], pattern: &[(1_000, 4_000)] };

/// 400 ms of 1000 Hz at −14 dBFS.
pub(super) fn beep() -> Chunk {
    static BEEP: LazyLock<Arc<[i16]>> = LazyLock::new(|| tone(&[1_000.0], RATE * 2 / 5).into());
    Chunk::Pcm(Arc::clone(&BEEP))
}

/// Ringing in the cadence of the locale's country.
pub(super) fn ringback(locale: &str) -> Chunk {
    static RINGING: LazyLock<[Arc<[i16]>; 4]> =
        LazyLock::new(|| [&FRANCE, &NORTH_AMERICA, &UNITED_KINGDOM, &EUROPE].map(|c| ringing(c).into()));
    let [france, north_america, united_kingdom, europe] = &*RINGING;
    let samples = match locale.rsplit(['-', '_']).next().unwrap_or_default().to_ascii_uppercase().as_str() {
        "FR" => france,
        "US" | "CA" => north_america,
        "GB" | "IE" | "AU" | "NZ" => united_kingdom,
        _ => europe,
    };
    Chunk::Pcm(Arc::clone(samples))
}

fn ringing(cadence: &Cadence) -> Vec<i16> {
    let mut samples = Vec::with_capacity(RATE * RINGBACK_SECONDS);
    while samples.len() < RATE * RINGBACK_SECONDS {
        for (on, off) in cadence.pattern {
            samples.extend(tone(cadence.frequencies, on * RATE / 1_000));
            samples.extend(std::iter::repeat_n(0, off * RATE / 1_000));
        }
    }
    samples
}

/// Sines of equal strength, together at −14 dBFS, faded in and out over 5 ms.
fn tone(frequencies: &[f64], count: usize) -> Vec<i16> {
    let amplitude = 6_540.0 / frequencies.len().max(1) as f64;
    let fade = RATE / 200;
    (0..count)
        .map(|at| {
            let seconds = at as f64 / RATE as f64;
            let edge = at.min(count - at).min(fade) as f64 / fade as f64;
            let sum: f64 = frequencies.iter().map(|f| (TAU * f * seconds).sin()).sum();
            (sum * amplitude * edge) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_country_rings_in_its_own_rhythm() {
        let length = |chunk: Chunk| match chunk {
            Chunk::Pcm(samples) => samples.iter().skip(8).take_while(|s| **s != 0).count(),
            _ => 0,
        };
        // A sine passes through zero; what is counted is that there is sound at once.
        assert!(length(ringback("fr-FR")) > 0 && length(ringback("en-US")) > 0);
        let Chunk::Pcm(british) = ringback("en-GB") else { panic!() };
        let silent = |from_ms: usize, to_ms: usize| british[from_ms * 8..to_ms * 8].iter().all(|s| *s == 0);
        assert!(silent(401, 599) && !silent(600, 1_000) && silent(1_001, 2_999));
    }
}
