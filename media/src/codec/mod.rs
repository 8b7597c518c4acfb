//! Codecs: G.711 and G.722 always, Opus with the feature `opus`.
//!
//! A codec has an audio rate (what its samples are taken at: 8 or 16 kHz) and an RTP clock (what its timestamps
//! count), which are not always the same. The crate's own time line counts in *units* of 1/8000 s for all of them.

pub mod g711;
pub mod g722;
#[cfg(feature = "opus")]
pub mod opus;

pub use g711::Law;

/// Rate of narrow-band audio.
pub const NARROW_HZ: u32 = 8_000;
/// Rate of wide-band audio.
pub const WIDE_HZ: u32 = 16_000;

/// An audio codec that can be agreed in SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, RTP payload type 0 (RFC 3551 §6).
    Pcmu,
    /// G.711 A-law, RTP payload type 8 (RFC 3551 §6).
    Pcma,
    /// G.722 at 64 kbit/s, RTP payload type 9 (RFC 3551 §6).
    G722,
    /// Opus (RFC 7587).
    #[cfg(feature = "opus")]
    Opus,
}

impl Codec {
    /// All codecs of this build.
    pub const ALL: &[Self] = &[
        Self::Pcmu,
        Self::Pcma,
        Self::G722,
        #[cfg(feature = "opus")]
        Self::Opus,
    ];

    /// The RTP payload type in our own offers: that of RFC 3551 §6, or one from the dynamic range.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            #[cfg(feature = "opus")]
            Self::Opus => 111,
        }
    }

    /// The encoding name of the `rtpmap` attribute.
    #[must_use]
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            #[cfg(feature = "opus")]
            Self::Opus => "opus",
        }
    }

    /// The clock of its RTP timestamps. G.722's is 8,000 by an old mistake that was kept (RFC 3551 §4.5.2).
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            #[cfg(feature = "opus")]
            Self::Opus => 48_000,
        }
    }

    /// Channels in its `rtpmap`; Opus always says two (RFC 7587 §4.1).
    #[must_use]
    pub const fn channels(self) -> u8 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
            #[cfg(feature = "opus")]
            Self::Opus => 2,
        }
    }

    /// The rate of its samples, [`NARROW_HZ`] or [`WIDE_HZ`].
    #[must_use]
    pub const fn rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => NARROW_HZ,
            Self::G722 => WIDE_HZ,
            #[cfg(feature = "opus")]
            Self::Opus => WIDE_HZ,
        }
    }

    /// Parameters for our `fmtp` line.
    #[must_use]
    pub const fn format_parameters(self) -> Option<&'static str> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => None,
            // RFC 7587 §6.1: what we would like to receive. The rate is that of [`opus::BITRATE`].
            #[cfg(feature = "opus")]
            Self::Opus => Some("useinbandfec=1;stereo=0;maxplaybackrate=16000;maxaveragebitrate=40000"),
        }
    }

    /// The codec of a static payload type (RFC 3551 §6), if it is one of ours.
    #[must_use]
    pub const fn from_static_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            9 => Some(Self::G722),
            _ => None,
        }
    }

    /// The codec of an `rtpmap`: name without regard to case (RFC 4855 §3), clock and channels as they must be.
    #[must_use]
    pub fn from_rtpmap(name: &str, clock_hz: u32, channels: u8) -> Option<Self> {
        let known = |codec: &&Self| {
            codec.encoding_name().eq_ignore_ascii_case(name)
                && codec.clock_hz() == clock_hz
                && codec.channels() == channels
        };
        Self::ALL.iter().find(known).copied()
    }

    /// The law, if it is G.711.
    #[must_use]
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Mu),
            Self::Pcma => Some(Law::A),
            Self::G722 => None,
            #[cfg(feature = "opus")]
            Self::Opus => None,
        }
    }

    /// Whether a packet of so many milliseconds can be made.
    #[must_use]
    pub const fn can_packetize(self, ms: u8) -> bool {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => ms.is_multiple_of(10),
            // RFC 7587 §4.2.
            #[cfg(feature = "opus")]
            Self::Opus => matches!(ms, 10 | 20 | 40 | 60),
        }
    }

    /// Duration of a payload in units of 1/8000 s; `None` if it is no payload of this codec.
    #[must_use]
    pub fn duration(self, payload: &[u8]) -> Option<usize> {
        match self {
            // 64 kbit/s all: a byte is 125 µs.
            Self::Pcmu | Self::Pcma | Self::G722 => (!payload.is_empty()).then_some(payload.len()),
            #[cfg(feature = "opus")]
            Self::Opus => opus::duration(payload),
        }
    }
}

/// The receiving side of one stream, with what its codec remembers.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one to a call")]
pub enum Decoder {
    /// G.711 remembers nothing.
    Law(Law),
    /// G.722's predictors.
    G722(g722::Decoder),
    /// libopus' state.
    #[cfg(feature = "opus")]
    Opus(opus::Decoder),
}

impl Decoder {
    /// A fresh decoder; `None` if libopus has no memory.
    #[must_use]
    pub fn new(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Pcmu => Some(Self::Law(Law::Mu)),
            Codec::Pcma => Some(Self::Law(Law::A)),
            Codec::G722 => Some(Self::G722(g722::Decoder::default())),
            #[cfg(feature = "opus")]
            Codec::Opus => opus::Decoder::new().ok().map(Self::Opus),
        }
    }

    /// What it decodes.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        match self {
            Self::Law(Law::Mu) => Codec::Pcmu,
            Self::Law(Law::A) => Codec::Pcma,
            Self::G722(_) => Codec::G722,
            #[cfg(feature = "opus")]
            Self::Opus(_) => Codec::Opus,
        }
    }

    /// Decodes a payload; returns the samples written, at the codec's rate.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Self::Law(law) => law.decode_into(payload, out),
            Self::G722(decoder) => decoder.decode(payload, out),
            #[cfg(feature = "opus")]
            Self::Opus(decoder) => decoder.decode(payload, out),
        }
    }

    /// Conceals a lost stretch with the codec's own means; 0 if it has none.
    pub fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        match self {
            Self::Law(_) | Self::G722(_) => {
                let _ = (next, out);
                0
            }
            #[cfg(feature = "opus")]
            Self::Opus(decoder) => decoder.conceal(next, out),
        }
    }
}

/// The sending side of one stream.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one to a call")]
pub enum Encoder {
    /// G.711 remembers nothing.
    Law(Law),
    /// G.722's predictors.
    G722(g722::Encoder),
    /// libopus' state.
    #[cfg(feature = "opus")]
    Opus(opus::Encoder),
}

impl Encoder {
    /// A fresh encoder; `None` if libopus has no memory.
    #[must_use]
    pub fn new(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Pcmu => Some(Self::Law(Law::Mu)),
            Codec::Pcma => Some(Self::Law(Law::A)),
            Codec::G722 => Some(Self::G722(g722::Encoder::default())),
            #[cfg(feature = "opus")]
            Codec::Opus => opus::Encoder::new().ok().map(Self::Opus),
        }
    }

    /// What it encodes to.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        match self {
            Self::Law(Law::Mu) => Codec::Pcmu,
            Self::Law(Law::A) => Codec::Pcma,
            Self::G722(_) => Codec::G722,
            #[cfg(feature = "opus")]
            Self::Opus(_) => Codec::Opus,
        }
    }

    /// Encodes one packet's samples, at the codec's rate; returns the bytes written.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        match self {
            Self::Law(law) => law.encode_into(samples, out),
            Self::G722(encoder) => encoder.encode(samples, out),
            #[cfg(feature = "opus")]
            Self::Opus(encoder) => encoder.encode(samples, out),
        }
    }
}
