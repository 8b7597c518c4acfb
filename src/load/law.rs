//! The two laws of G.711, which our telephones speak.

use media::codec::{Codec, g711};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// µ-law, RTP payload type 0 (RFC 3551 §6).
    Mu,
    /// A-law, RTP payload type 8.
    A,
}

impl Law {
    /// The law of a codec, if it is G.711.
    #[must_use]
    pub fn of(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Pcmu => Some(Self::Mu),
            Codec::Pcma => Some(Self::A),
            #[allow(unreachable_patterns, reason = "whatever other codec there is, it is none of the two")]
            _ => None,
        }
    }

    /// The codec.
    #[must_use]
    pub fn codec(self) -> Codec {
        match self {
            Self::Mu => Codec::Pcmu,
            Self::A => Codec::Pcma,
        }
    }

    /// Encodes a sample.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => g711::ulaw_encode(sample),
            Self::A => g711::alaw_encode(sample),
        }
    }

    /// Decodes a codeword.
    #[must_use]
    pub fn decode(self, codeword: u8) -> i16 {
        match self {
            Self::Mu => g711::ulaw_decode(codeword),
            Self::A => g711::alaw_decode(codeword),
        }
    }
}
