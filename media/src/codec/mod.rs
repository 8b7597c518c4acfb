//! Codecs. Only G.711 for now; every codec speaks 8 kHz mono `i16` to the rest of the crate.

pub mod g711;

/// An audio codec that can be agreed in SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, RTP payload type 0 (RFC 3551 §6).
    Pcmu,
    /// G.711 A-law, RTP payload type 8 (RFC 3551 §6).
    Pcma,
}

impl Codec {
    /// The static RTP payload type of RFC 3551 §6.
    #[must_use]
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name of the `rtpmap` attribute.
    #[must_use]
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The codec of a static payload type, if it is one of ours.
    #[must_use]
    pub const fn from_static_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            _ => None,
        }
    }

    /// The codec of an encoding name, compared without regard to case (RFC 4855 §3).
    #[must_use]
    pub fn from_encoding_name(name: &str) -> Option<Self> {
        [Self::Pcmu, Self::Pcma].into_iter().find(|codec| codec.encoding_name().eq_ignore_ascii_case(name))
    }

    /// The codeword of digital silence.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcmu => g711::ULAW_SILENCE,
            Self::Pcma => g711::ALAW_SILENCE,
        }
    }

    /// Decodes one codeword.
    #[must_use]
    pub const fn decode(self, codeword: u8) -> i16 {
        match self {
            Self::Pcmu => g711::ulaw_decode(codeword),
            Self::Pcma => g711::alaw_decode(codeword),
        }
    }

    /// Encodes one sample.
    #[must_use]
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcmu => g711::ulaw_encode(sample),
            Self::Pcma => g711::alaw_encode(sample),
        }
    }

    /// Decodes as many codewords as both slices hold; returns how many.
    pub fn decode_into(self, codewords: &[u8], samples: &mut [i16]) -> usize {
        match self {
            Self::Pcmu => fill(codewords, samples, |&codeword| g711::ulaw_decode(codeword)),
            Self::Pcma => fill(codewords, samples, |&codeword| g711::alaw_decode(codeword)),
        }
    }

    /// Encodes as many samples as both slices hold; returns how many.
    pub fn encode_into(self, samples: &[i16], codewords: &mut [u8]) -> usize {
        match self {
            Self::Pcmu => fill(samples, codewords, |&sample| g711::ulaw_encode(sample)),
            Self::Pcma => fill(samples, codewords, |&sample| g711::alaw_encode(sample)),
        }
    }

    /// Turns codewords of this law into codewords of `to`; the same law is copied untouched. Returns how many.
    pub fn transcode_into(self, to: Self, from: &[u8], out: &mut [u8]) -> usize {
        match (self, to) {
            (Self::Pcmu, Self::Pcma) => fill(from, out, |&codeword| g711::ulaw_to_alaw(codeword)),
            (Self::Pcma, Self::Pcmu) => fill(from, out, |&codeword| g711::alaw_to_ulaw(codeword)),
            (Self::Pcmu, Self::Pcmu) | (Self::Pcma, Self::Pcma) => fill(from, out, |&codeword| codeword),
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
