//! G.711 µ-law and A-law, by tables that are built at compile time.
//!
//! Decoding gives the values of ITU-T G.711 Tables 1a/1b (A-law) and 2a/2b (µ-law), scaled to 16 bits. Encoding
//! follows the reference program of ITU-T G.191 (`alaw_compress`, `ulaw_compress`): 12-bit magnitude for A-law,
//! 13-bit for µ-law, negative values in one's complement.
#![allow(clippy::indexing_slicing, reason = "tables cover the whole range of the masked index types")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

/// The µ-law codeword of zero.
pub const ULAW_SILENCE: u8 = 0xFF;
/// The A-law codeword nearest to zero (A-law has no zero: this is its smallest positive step).
pub const ALAW_SILENCE: u8 = 0xD5;

/// Samples that share their 14 upper bits share their µ-law codeword, those that share 12 their A-law codeword.
const ULAW_DROPPED_BITS: u32 = 2;
const ALAW_DROPPED_BITS: u32 = 4;

static ULAW_DECODE: [i16; 256] = {
    let mut table = [0; 256];
    let mut codeword = 0;
    while codeword < 256 {
        table[codeword] = expand_ulaw(codeword as u8);
        codeword += 1;
    }
    table
};

static ALAW_DECODE: [i16; 256] = {
    let mut table = [0; 256];
    let mut codeword = 0;
    while codeword < 256 {
        table[codeword] = expand_alaw(codeword as u8);
        codeword += 1;
    }
    table
};

static ULAW_ENCODE: [u8; 1 << (16 - ULAW_DROPPED_BITS)] = {
    let mut table = [0; 1 << (16 - ULAW_DROPPED_BITS)];
    let mut index = 0;
    while index < table.len() {
        table[index] = compress_ulaw(((index as u16) << ULAW_DROPPED_BITS) as i16);
        index += 1;
    }
    table
};

static ALAW_ENCODE: [u8; 1 << (16 - ALAW_DROPPED_BITS)] = {
    let mut table = [0; 1 << (16 - ALAW_DROPPED_BITS)];
    let mut index = 0;
    while index < table.len() {
        table[index] = compress_alaw(((index as u16) << ALAW_DROPPED_BITS) as i16);
        index += 1;
    }
    table
};

static ULAW_TO_ALAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut codeword = 0;
    while codeword < 256 {
        table[codeword] = compress_alaw(expand_ulaw(codeword as u8));
        codeword += 1;
    }
    table
};

static ALAW_TO_ULAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut codeword = 0;
    while codeword < 256 {
        table[codeword] = compress_ulaw(expand_alaw(codeword as u8));
        codeword += 1;
    }
    table
};

/// One of the two laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law: North America, Japan.
    Mu,
    /// A-law: everywhere else.
    A,
}

impl Law {
    /// The codeword of digital silence.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => ULAW_SILENCE,
            Self::A => ALAW_SILENCE,
        }
    }

    /// Decodes one codeword.
    #[must_use]
    pub const fn decode(self, codeword: u8) -> i16 {
        match self {
            Self::Mu => ulaw_decode(codeword),
            Self::A => alaw_decode(codeword),
        }
    }

    /// Encodes one sample.
    #[must_use]
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => ulaw_encode(sample),
            Self::A => alaw_encode(sample),
        }
    }

    /// Decodes as many codewords as both slices hold; returns how many.
    pub fn decode_into(self, codewords: &[u8], samples: &mut [i16]) -> usize {
        match self {
            Self::Mu => fill(codewords, samples, |&codeword| ulaw_decode(codeword)),
            Self::A => fill(codewords, samples, |&codeword| alaw_decode(codeword)),
        }
    }

    /// Encodes as many samples as both slices hold; returns how many.
    pub fn encode_into(self, samples: &[i16], codewords: &mut [u8]) -> usize {
        match self {
            Self::Mu => fill(samples, codewords, |&sample| ulaw_encode(sample)),
            Self::A => fill(samples, codewords, |&sample| alaw_encode(sample)),
        }
    }

    /// Turns codewords of this law into codewords of `to`; the same law is copied untouched. Returns how many.
    pub fn transcode_into(self, to: Self, from: &[u8], out: &mut [u8]) -> usize {
        match (self, to) {
            (Self::Mu, Self::A) => fill(from, out, |&codeword| ulaw_to_alaw(codeword)),
            (Self::A, Self::Mu) => fill(from, out, |&codeword| alaw_to_ulaw(codeword)),
            (Self::Mu, Self::Mu) | (Self::A, Self::A) => fill(from, out, |&codeword| codeword),
        }
    }
}

fn fill<A, B>(from: &[A], to: &mut [B], convert: impl Fn(&A) -> B) -> usize {
    let mut count = 0;
    for (input, output) in from.iter().zip(to.iter_mut()) {
        *output = convert(input);
        count += 1;
    }
    count
}

/// Decodes a µ-law codeword.
#[must_use]
pub const fn ulaw_decode(codeword: u8) -> i16 {
    ULAW_DECODE[codeword as usize]
}

/// Decodes an A-law codeword.
#[must_use]
pub const fn alaw_decode(codeword: u8) -> i16 {
    ALAW_DECODE[codeword as usize]
}

/// Encodes a sample in µ-law.
#[must_use]
pub const fn ulaw_encode(sample: i16) -> u8 {
    ULAW_ENCODE[(sample as u16 >> ULAW_DROPPED_BITS) as usize]
}

/// Encodes a sample in A-law.
#[must_use]
pub const fn alaw_encode(sample: i16) -> u8 {
    ALAW_ENCODE[(sample as u16 >> ALAW_DROPPED_BITS) as usize]
}

/// The A-law codeword nearest to a µ-law codeword's value.
#[must_use]
pub const fn ulaw_to_alaw(codeword: u8) -> u8 {
    ULAW_TO_ALAW[codeword as usize]
}

/// The µ-law codeword nearest to an A-law codeword's value.
#[must_use]
pub const fn alaw_to_ulaw(codeword: u8) -> u8 {
    ALAW_TO_ULAW[codeword as usize]
}

/// G.711 Table 2: segments double in step size; 33 is the bias that makes them join.
const fn expand_ulaw(codeword: u8) -> i16 {
    let inverted = !codeword;
    let segment = (inverted >> 4) & 0x07;
    let step = (inverted & 0x0F) as i16;
    let magnitude = ((((step << 1) + 33) << segment) - 33) << 2;
    if inverted & 0x80 == 0 { magnitude } else { -magnitude }
}

/// G.711 Table 1; even bits are inverted on the line (§3.2).
const fn expand_alaw(codeword: u8) -> i16 {
    let plain = codeword ^ 0x55;
    let segment = (plain >> 4) & 0x07;
    let step = ((plain & 0x0F) as i16) << 4;
    let magnitude = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    if plain & 0x80 == 0 { -magnitude } else { magnitude }
}

const fn compress_ulaw(sample: i16) -> u8 {
    const CLIP: u16 = 0x1FFF;
    let ones_complement = if sample < 0 { !sample } else { sample };
    let mut magnitude = (ones_complement as u16 >> 2) + 33;
    if magnitude > CLIP {
        magnitude = CLIP;
    }
    // The bias puts the leading one at bit 5 or above; its place is the segment.
    let segment = (15 - magnitude.leading_zeros()) as u16 - 5;
    let step = (magnitude >> (segment + 1)) & 0x0F;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !((segment << 4 | step) as u8 | sign)
}

const fn compress_alaw(sample: i16) -> u8 {
    let ones_complement = if sample < 0 { !sample } else { sample };
    let magnitude = ones_complement as u16 >> 4;
    let code = if magnitude < 16 {
        magnitude
    } else {
        let segment = (15 - magnitude.leading_zeros()) as u16 - 3;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0F)
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (code as u8 | sign) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positive decoder outputs of G.711 Table 2a at segment starts, and the step inside each segment (16-bit scale).
    const ULAW_SEGMENTS: [(i16, i16); 8] =
        [(0, 8), (132, 16), (396, 32), (924, 64), (1980, 128), (4092, 256), (8316, 512), (16764, 1024)];
    /// The same of Table 1a.
    const ALAW_SEGMENTS: [(i16, i16); 8] =
        [(8, 16), (264, 16), (528, 32), (1056, 64), (2112, 128), (4224, 256), (8448, 512), (16896, 1024)];

    #[test]
    fn all_ulaw_codewords_decode_to_the_itu_values() {
        for codeword in 0..=255u8 {
            let character = usize::from(!codeword & 0x7F);
            let (start, step) = ULAW_SEGMENTS[character >> 4];
            let magnitude = start + step * (character as i16 & 0x0F);
            let expected = if codeword & 0x80 == 0 { -magnitude } else { magnitude };
            assert_eq!(ulaw_decode(codeword), expected, "codeword {codeword:#04x}");
        }
        assert_eq!((ulaw_decode(0x00), ulaw_decode(0x80), ulaw_decode(0xFF)), (-32124, 32124, 0));
    }

    #[test]
    fn all_alaw_codewords_decode_to_the_itu_values() {
        for codeword in 0..=255u8 {
            let character = usize::from((codeword ^ 0x55) & 0x7F);
            let (start, step) = ALAW_SEGMENTS[character >> 4];
            let magnitude = start + step * (character as i16 & 0x0F);
            let expected = if codeword & 0x80 == 0 { -magnitude } else { magnitude };
            assert_eq!(alaw_decode(codeword), expected, "codeword {codeword:#04x}");
        }
        assert_eq!((alaw_decode(0xD5), alaw_decode(0x55), alaw_decode(0xAA)), (8, -8, 32256));
    }

    /// `ulaw_compress` of ITU-T G.191, transcribed loop by loop.
    fn g191_ulaw_compress(sample: i16) -> u8 {
        let lin = i32::from(sample);
        let mut absno = if lin < 0 { (!lin >> 2) + 33 } else { (lin >> 2) + 33 };
        absno = absno.min(0x1FFF);
        let (mut i, mut segno) = (absno >> 6, 1);
        while i != 0 {
            segno += 1;
            i >>= 1;
        }
        let high_nibble = 0x0008 - segno;
        let low_nibble = 0x000F - ((absno >> segno) & 0x000F);
        let log = (high_nibble << 4) | low_nibble;
        (if lin >= 0 { log | 0x0080 } else { log }) as u8
    }

    /// `alaw_compress` of ITU-T G.191.
    fn g191_alaw_compress(sample: i16) -> u8 {
        let lin = i32::from(sample);
        let mut ix = if lin < 0 { !lin >> 4 } else { lin >> 4 };
        if ix > 15 {
            let mut iexp = 1;
            while ix > 16 + 15 {
                ix >>= 1;
                iexp += 1;
            }
            ix -= 16;
            ix += iexp << 4;
        }
        if lin >= 0 {
            ix |= 0x0080;
        }
        (ix ^ 0x0055) as u8
    }

    #[test]
    fn all_samples_encode_as_the_itu_reference_program_does() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(ulaw_encode(sample), g191_ulaw_compress(sample), "µ-law of {sample}");
            assert_eq!(alaw_encode(sample), g191_alaw_compress(sample), "A-law of {sample}");
        }
    }

    #[test]
    fn a_codeword_survives_decoding_and_encoding() {
        for codeword in 0..=255u8 {
            assert_eq!(alaw_encode(alaw_decode(codeword)), codeword);
            // µ-law has two zeros; the negative one (0x7F) comes back as the positive.
            let expected = if codeword == 0x7F { ULAW_SILENCE } else { codeword };
            assert_eq!(ulaw_encode(ulaw_decode(codeword)), expected);
        }
    }

    #[test]
    fn encoding_never_strays_further_than_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            // Above the last decision value everything is the largest codeword.
            let (x, largest) = (i32::from(sample), 32124);
            let clipped = x.clamp(-largest, largest);
            let ulaw_error = (clipped - i32::from(ulaw_decode(ulaw_encode(sample)))).abs();
            let alaw_error = (x.clamp(-32256, 32256) - i32::from(alaw_decode(alaw_encode(sample)))).abs();
            assert!(ulaw_error <= (clipped.abs() + 132) / 32 + 4, "µ-law of {sample} is off by {ulaw_error}");
            assert!(alaw_error <= x.abs() / 32 + 16, "A-law of {sample} is off by {alaw_error}");
        }
    }

    #[test]
    fn silence_codewords_are_the_smallest_values() {
        assert_eq!(ulaw_encode(0), ULAW_SILENCE);
        assert_eq!(alaw_encode(0), ALAW_SILENCE);
    }
}
