//! G.722 at 64 kbit/s: 16 kHz in two bands of adaptive differential PCM (ITU-T G.722, 11/88 and 9/12).
//!
//! Names and numbers are those of the Recommendation's block diagrams (§3 and §4), so that it can be read beside
//! them. Arithmetic is in 16 bits with saturation, as it demands; products are 32 bits wide.
#![allow(clippy::indexing_slicing, reason = "indices come from tables and masks as long as what they index")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "values are clamped to their width"
)]

/// Coefficients of the quadrature mirror filters (Table 11); the other half mirrors them.
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the low band's quantiser (Table 14).
const Q6: [i32; 31] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121,
    1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, 0,
];
/// Code words of the low band for negative and positive differences, by decision level.
const ILN: [u8; 32] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8,
    7, 6, 5, 4, 0,
];
const ILP: [u8; 32] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37,
    36, 35, 34, 33, 32, 0,
];
/// Logarithmic scale factor multipliers, and which of them a code word means (Tables 17 and 18).
const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const RL42: [u8; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
/// 2^(n/32) in 11 bits: the antilogarithm of the scale factor.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// Reconstruction levels: of four bits (adaptation), six bits (output), two bits (high band).
const QM4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
const IHN: [u8; 3] = [0, 1, 0];
const IHP: [u8; 3] = [0, 3, 2];
const WH: [i32; 3] = [0, -214, 798];
const RH2: [u8; 4] = [2, 1, 2, 1];

/// Taps of the two filters together, and samples before a pair that they reach.
const TAPS: usize = 24;
const HISTORY: usize = TAPS - 2;
/// Pairs filtered at a time: 20 ms.
const BLOCK: usize = 160;

/// The two halves of a mirror filter over the samples at even and at odd places.
fn mirrored(line: &[i32]) -> (i32, i32) {
    let (mut at_even, mut at_odd) = (0, 0);
    for (tap, pair) in line.chunks_exact(2).enumerate() {
        at_even += pair[0] * QMF[tap];
        at_odd += pair[1] * QMF[11 - tap];
    }
    (at_even, at_odd)
}

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// Predictor and scale factor of one band (§3.6 and §3.5).
#[derive(Debug, Clone)]
struct Band {
    /// Signal estimate, and its part from the zero section.
    s: i32,
    sz: i32,
    r: [i32; 3],
    p: [i32; 3],
    /// Pole section.
    a: [i32; 3],
    d: [i32; 7],
    /// Zero section.
    b: [i32; 7],
    /// Logarithm of the scale factor, and the scale factor.
    nb: i32,
    det: i32,
}

impl Band {
    const fn new(det: i32) -> Self {
        Self { s: 0, sz: 0, r: [0; 3], p: [0; 3], a: [0; 3], d: [0; 7], b: [0; 7], nb: 0, det }
    }

    /// LOGSCL and SCALEL of the low band (§3.5): `code` is the code word without its two lowest bits.
    fn scale_low(&mut self, code: usize) {
        self.nb = (((self.nb * 127) >> 7) + WL[usize::from(RL42[code & 15])]).clamp(0, 18_432);
        self.det = self.antilog(8);
    }

    fn scale_high(&mut self, code: usize) {
        self.nb = (((self.nb * 127) >> 7) + WH[usize::from(RH2[code & 3])]).clamp(0, 22_528);
        self.det = self.antilog(10);
    }

    fn antilog(&self, exponent: i32) -> i32 {
        let mantissa = ILB[(self.nb >> 6) as usize & 31];
        let shift = exponent - (self.nb >> 11);
        (if shift < 0 { mantissa << -shift } else { mantissa >> shift }) << 2
    }

    /// The predictor's step with a quantised difference (block 4: RECONS to PREDIC).
    fn step(&mut self, d: i32) {
        self.d[0] = d;
        self.r[0] = saturate(self.s + d);
        self.p[0] = saturate(self.sz + d);
        let poles = self.poles();
        self.zeros();
        let [d0, d1, d2, d3, d4, d5, _] = self.d;
        self.d = [d0, d0, d1, d2, d3, d4, d5];
        self.r = [self.r[0], self.r[0], self.r[1]];
        self.p = [self.p[0], self.p[0], self.p[1]];
        [self.a[1], self.a[2]] = poles;
        let sp = saturate(
            ((self.a[1] * saturate(2 * self.r[1])) >> 15) + ((self.a[2] * saturate(2 * self.r[2])) >> 15),
        );
        let sz = self.d[1..].iter().zip(&self.b[1..]).map(|(d, b)| (b * saturate(2 * d)) >> 15).sum();
        self.sz = saturate(sz);
        self.s = saturate(sp + self.sz);
    }

    /// UPPOL2 and UPPOL1.
    fn poles(&self) -> [i32; 2] {
        let [p0, p1, p2] = self.p.map(|p| p < 0);
        let steep = saturate(self.a[1] * 4);
        let leaning = if p0 == p1 { -steep } else { steep }.min(32_767);
        let (far, near) = (if p0 == p2 { 128 } else { -128 }, if p0 == p1 { 192 } else { -192 });
        let second = ((leaning >> 7) + far + ((self.a[2] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let first = saturate(near + ((self.a[1] * 32_640) >> 15));
        let limit = saturate(15_360 - second);
        [first.clamp(-limit, limit), second]
    }

    /// UPZERO.
    fn zeros(&mut self) {
        let step = if self.d[0] == 0 { 0 } else { 128 };
        let negative = self.d[0] < 0;
        for (b, d) in self.b[1..].iter_mut().zip(&self.d[1..]) {
            let towards = if (*d < 0) == negative { step } else { -step };
            *b = saturate(towards + ((*b * 32_640) >> 15));
        }
    }
}

/// 16 kHz samples to code words, one for every two.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// Samples before the next pair.
    x: [i32; HISTORY],
    low: Band,
    high: Band,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { x: [0; HISTORY], low: Band::new(32), high: Band::new(8) }
    }
}

impl Encoder {
    /// Encodes pairs of samples as far as `out` has room; returns the code words written. An odd sample at the end is
    /// left out.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let mut count = 0;
        for (pairs, places) in samples.chunks(2 * BLOCK).zip(out.chunks_mut(BLOCK)) {
            let pairs_here = (pairs.len() / 2).min(places.len());
            let mut line = [0; HISTORY + 2 * BLOCK];
            line[..HISTORY].copy_from_slice(&self.x);
            for (place, sample) in line[HISTORY..].iter_mut().zip(pairs) {
                *place = i32::from(*sample);
            }
            for (n, place) in places.iter_mut().take(pairs_here).enumerate() {
                *place = self.pair(&line[2 * n..2 * n + TAPS]);
            }
            self.x.copy_from_slice(&line[2 * pairs_here..2 * pairs_here + HISTORY]);
            count += pairs_here;
        }
        count
    }

    fn pair(&mut self, line: &[i32]) -> u8 {
        let (odd, even) = mirrored(line);
        let low = self.low_band((even + odd) >> 14);
        let high = self.high_band((even - odd) >> 14);
        high << 6 | low
    }

    fn low_band(&mut self, x: i32) -> u8 {
        let band = &mut self.low;
        let el = saturate(x - band.s);
        let size = if el >= 0 { el } else { !el };
        let level = (1..30).find(|level| size < (Q6[*level] * band.det) >> 12).unwrap_or(30);
        let code = if el < 0 { ILN[level] } else { ILP[level] };
        let four = usize::from(code >> 2);
        let d = (band.det * QM4[four]) >> 15;
        band.scale_low(four);
        band.step(d);
        code
    }

    fn high_band(&mut self, x: i32) -> u8 {
        let band = &mut self.high;
        let eh = saturate(x - band.s);
        let size = if eh >= 0 { eh } else { !eh };
        let level = if size >= (564 * band.det) >> 12 { 2 } else { 1 };
        let code = if eh < 0 { IHN[level] } else { IHP[level] };
        let two = usize::from(code);
        let d = (band.det * QM2[two]) >> 15;
        band.scale_high(two);
        band.step(d);
        code
    }
}

/// Code words to 16 kHz samples, two for every one.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Sums and differences before the next pair.
    x: [i32; HISTORY],
    low: Band,
    high: Band,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { x: [0; HISTORY], low: Band::new(32), high: Band::new(8) }
    }
}

impl Decoder {
    /// Decodes code words as far as `out` has room; returns the samples written.
    pub fn decode(&mut self, codewords: &[u8], out: &mut [i16]) -> usize {
        let mut count = 0;
        for (codewords, places) in codewords.chunks(BLOCK).zip(out.chunks_mut(2 * BLOCK)) {
            let pairs_here = codewords.len().min(places.len() / 2);
            let mut line = [0; HISTORY + 2 * BLOCK];
            line[..HISTORY].copy_from_slice(&self.x);
            for (n, codeword) in codewords.iter().take(pairs_here).enumerate() {
                let [sum, difference] = self.bands(*codeword);
                (line[HISTORY + 2 * n], line[HISTORY + 2 * n + 1]) = (sum, difference);
            }
            for (n, place) in places.chunks_exact_mut(2).take(pairs_here).enumerate() {
                let (second, first) = mirrored(&line[2 * n..2 * n + TAPS]);
                place.copy_from_slice(&[saturate(first >> 11) as i16, saturate(second >> 11) as i16]);
            }
            self.x.copy_from_slice(&line[2 * pairs_here..2 * pairs_here + HISTORY]);
            count += 2 * pairs_here;
        }
        count
    }

    /// Sum and difference of the two bands.
    fn bands(&mut self, codeword: u8) -> [i32; 2] {
        let (six, two) = (usize::from(codeword & 0x3F), usize::from(codeword >> 6));
        let low = &mut self.low;
        let rlow = (low.s + ((low.det * QM6[six]) >> 15)).clamp(-16_384, 16_383);
        let d = (low.det * QM4[six >> 2]) >> 15;
        low.scale_low(six >> 2);
        low.step(d);
        let high = &mut self.high;
        let d = (high.det * QM2[two]) >> 15;
        let rhigh = (d + high.s).clamp(-16_384, 16_383);
        high.scale_high(two);
        high.step(d);
        [rlow + rhigh, rlow - rhigh]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn tone(frequency: f64, peak: f64, samples: usize) -> Vec<i16> {
        (0..samples).map(|n| (peak * (TAU * frequency * n as f64 / 16_000.0).sin()).round() as i16).collect()
    }

    fn through(samples: &[i16]) -> Vec<i16> {
        let mut codewords = vec![0; samples.len() / 2];
        let mut decoded = vec![0; samples.len()];
        assert_eq!(Encoder::default().encode(samples, &mut codewords), codewords.len());
        assert_eq!(Decoder::default().decode(&codewords, &mut decoded), decoded.len());
        decoded
    }

    /// Signal to noise in dB, once the delay of the two filters is taken off: 22 samples.
    fn snr(samples: &[i16], decoded: &[i16]) -> f64 {
        let pairs = samples[400..samples.len() - 60].iter().zip(&decoded[422..]);
        let noise: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        let signal: f64 = samples[400..samples.len() - 60].iter().map(|s| f64::from(*s).powi(2)).sum();
        10.0 * (signal / noise.max(1.0)).log10()
    }

    #[test]
    fn tones_of_both_bands_survive() {
        for (frequency, least) in
            [(300.0, 30.0), (1_000.0, 30.0), (3_000.0, 25.0), (5_000.0, 12.0), (6_500.0, 12.0)]
        {
            let samples = tone(frequency, 10_000.0, 8_000);
            let snr = snr(&samples, &through(&samples));
            assert!(snr > least, "{frequency} Hz: {snr:.1} dB");
        }
    }

    #[test]
    fn it_agrees_bit_by_bit_with_another_implementation() {
        use ezk_g722::libg722::Bitrate;
        use ezk_g722::libg722::decoder::Decoder as TheirDecoder;
        use ezk_g722::libg722::encoder::Encoder as TheirEncoder;
        let mut random = 7u32;
        let mut noise = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from((random >> 16) as i16)
        };
        let samples: Vec<i16> = (0..64_000)
            .map(|n| {
                let t = n as f64 / 16_000.0;
                let envelope = (TAU * 1.5 * t).sin().abs() * if t > 3.0 { 2.0 } else { 1.0 };
                let voice = (TAU * 140.0 * t).sin()
                    + (TAU * 1_900.0 * t).sin() * 0.4
                    + (TAU * 5_100.0 * t).sin() * 0.2;
                (envelope * (voice * 11_000.0 + noise() * 0.1)).clamp(-32_768.0, 32_767.0) as i16
            })
            .collect();
        let mut codewords = vec![0; samples.len() / 2];
        // Theirs starts with scale factors of 0, where the Recommendation has 32 and 8 (§3.5).
        let [low, high] = [Band::new(0), Band::new(0)];
        Encoder { x: [0; HISTORY], low: low.clone(), high: high.clone() }.encode(&samples, &mut codewords);
        let theirs = TheirEncoder::new(Bitrate::Mode1_64000, false, false).encode(&samples);
        assert!(codewords == theirs, "code words differ");
        let mut decoded = vec![0; samples.len()];
        Decoder { x: [0; HISTORY], low, high }.decode(&codewords, &mut decoded);
        let theirs = TheirDecoder::new(Bitrate::Mode1_64000, false, false).decode(&codewords);
        assert!(decoded == theirs, "samples differ");
    }

    #[test]
    fn silence_stays_silent() {
        assert!(through(&[0; 1_600]).iter().all(|sample| sample.abs() <= 8));
    }

    proptest! {
        #[test]
        fn any_code_words_decode(codewords in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut out = vec![0; codewords.len() * 2];
            prop_assert_eq!(Decoder::default().decode(&codewords, &mut out), out.len());
        }

        #[test]
        fn any_samples_encode(samples in proptest::collection::vec(any::<i16>(), 0..600)) {
            let mut out = vec![0; samples.len()];
            prop_assert_eq!(Encoder::default().encode(&samples, &mut out), samples.len() / 2);
        }
    }
}
