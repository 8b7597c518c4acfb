//! How a call sounds, as a number: the E-model (ITU-T G.107) with its simplifications for packet networks.
//!
//! Echo, noise and loudness are taken as they should be; what is left is delay and loss.

use crate::codec::Codec;

/// What everything else leaves of R with the default values of G.107.
const BEST: f32 = 93.2;
/// Delay from which talking over each other begins, in milliseconds (ITU-T G.107, in the form of Cole and Rosenbluth).
const NOTICED_MS: f32 = 177.3;

/// What the estimate is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// The codec heard.
    pub codec: Codec,
    /// Share of packets that were not heard, lost or too late, in percent.
    pub loss_percent: f32,
    /// Delay from mouth to ear, in milliseconds.
    pub delay_ms: f32,
}

impl Conditions {
    /// The transmission rating R, 0 to 93.2.
    #[must_use]
    pub fn rating(&self) -> f32 {
        let delay = self.delay_ms.max(0.0);
        let talking_over = 0.024 * delay + 0.11 * (delay - NOTICED_MS).max(0.0);
        let (impairment, robustness) = factors(self.codec);
        let loss = self.loss_percent.clamp(0.0, 100.0);
        // G.107 §7.4, equation 7-29, for losses that come at random.
        let lossy = impairment + (95.0 - impairment) * loss / (loss + robustness);
        (BEST - talking_over - lossy).clamp(0.0, BEST)
    }

    /// The mean opinion score that R stands for, 1 to 4.4 (G.107 Annex B).
    #[must_use]
    pub fn mos(&self) -> f32 {
        let r = self.rating();
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
    }
}

/// Equipment impairment Ie and robustness to loss Bpl (ITU-T G.113 Appendix I: G.711 with its concealment). Wide-band
/// codecs are better than this scale goes: they count as G.711.
fn factors(codec: Codec) -> (f32, f32) {
    match codec {
        Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
        Codec::G722 => (0.0, 20.0),
        #[cfg(feature = "opus")]
        Codec::Opus => (0.0, 25.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mos(loss_percent: f32, delay_ms: f32) -> f32 {
        Conditions { codec: Codec::Pcma, loss_percent, delay_ms }.mos()
    }

    #[test]
    fn a_good_line_scores_four_and_a_bit() {
        assert!((mos(0.0, 50.0) - 4.39).abs() < 0.02, "{}", mos(0.0, 50.0));
    }

    #[test]
    fn loss_and_delay_cost_what_the_model_says() {
        // R = 93.2 - 95 * 3 / 28.1 - 0.024 * 100
        assert!((mos(3.0, 100.0) - 4.04).abs() < 0.03, "{}", mos(3.0, 100.0));
        assert!((mos(0.0, 300.0) - 3.70).abs() < 0.05, "{}", mos(0.0, 300.0));
        assert!((mos(20.0, 100.0) - 2.51).abs() < 0.1, "{}", mos(20.0, 100.0));
        assert!(mos(5.0, 100.0) < mos(1.0, 100.0) && mos(1.0, 400.0) < mos(1.0, 100.0));
    }

    #[test]
    fn the_score_stays_on_its_scale() {
        for (loss, delay) in [(100.0, 5_000.0), (1e9, -50.0), (-3.0, f32::MAX), (f32::NAN, 0.0)] {
            let score = mos(loss, delay);
            assert!(score.is_nan() || (1.0..=4.5).contains(&score), "{loss} {delay}: {score}");
        }
    }
}
