//! Comfort noise: what is heard while the other side sends none of its silence (RFC 3389).

/// Level of silence that nobody described, in −dBov: nothing at all.
const QUIETEST: u8 = 127;
/// 0 dBov is a square wave of full scale (RFC 3389 §3.1).
const FULL_SCALE: f32 = 32_768.0;

/// Makes noise of the level that was last described. White: the spectrum that RFC 3389 allows is left out.
#[derive(Debug, Clone)]
pub struct ComfortNoise {
    level: u8,
    /// Peak of the uniform noise.
    peak: i32,
    state: u32,
}

impl ComfortNoise {
    /// Starts without any noise. `seed` may be anything.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut noise = Self { level: 0, peak: 0, state: seed };
        noise.set_level(QUIETEST);
        noise
    }

    /// Takes a comfort-noise payload; its first byte is the level (RFC 3389 §3). An empty one changes nothing.
    pub fn describe(&mut self, payload: &[u8]) {
        if let Some(level) = payload.first() {
            self.set_level(level & 0x7F);
        }
    }

    /// The level, in −dBov.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Fills with noise.
    pub fn fill(&mut self, out: &mut [i16]) {
        for place in out {
            // Numerical Recipes' generator: only its upper half is random enough.
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [high, low, ..] = self.state.to_be_bytes();
            let uniform = i32::from(i16::from_be_bytes([high, low]));
            *place = i16::try_from((uniform * self.peak) >> 15).unwrap_or(0);
        }
    }

    fn set_level(&mut self, level: u8) {
        // Louder than −30 dBov isn't a background any more.
        self.level = level.clamp(30, 127);
        let effective = FULL_SCALE * 10f32.powf(-f32::from(self.level) / 20.0);
        // Uniform noise has √3 times its effective value as peak; at most 1,800 here.
        #[allow(clippy::cast_possible_truncation)]
        let peak = (effective * 3f32.sqrt()).round() as i32;
        self.peak = peak;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(noise: &mut ComfortNoise) -> f64 {
        let mut out = [0; 8_000];
        noise.fill(&mut out);
        let energy: f64 = out.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 8_000.0;
        10.0 * (energy.max(1e-9) / 32_768.0f64.powi(2)).log10()
    }

    #[test]
    fn it_is_as_loud_as_described() {
        let mut noise = ComfortNoise::new(1);
        for wanted in [40u8, 50, 60] {
            noise.describe(&[wanted, 1, 2, 3]);
            let level = level(&mut noise);
            assert!((level + f64::from(wanted)).abs() < 1.0, "{level:.1} dB for {wanted}");
        }
    }

    #[test]
    fn nobody_can_make_it_loud() {
        let mut noise = ComfortNoise::new(1);
        noise.describe(&[0]);
        assert!(level(&mut noise) < -29.0);
        noise.describe(&[127]);
        assert!(level(&mut noise) < -80.0);
        noise.describe(&[]);
        assert_eq!(noise.level(), 127);
    }
}
