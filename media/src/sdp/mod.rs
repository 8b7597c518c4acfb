//! Offer/answer for one telephone call (RFC 3264 on RFC 8866): one audio stream, every other `m=` line refused.

pub mod answer;
mod crypto;
mod description;
pub mod offer;
mod write;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::codec::Codec;
use crypto::Crypto;
pub use crypto::{Keys, SrtpPolicy};

/// Direction of a stream as seen from our side (RFC 3264 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// We send and receive.
    SendRecv,
    /// We only send.
    SendOnly,
    /// We only receive.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether we send.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether we receive.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same stream seen from the other end.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The name of the SDP attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    fn from_attribute(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str().eq_ignore_ascii_case(name))
    }
}

/// Whose order of codecs decides in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CodecOrder {
    /// The first codec of the offer that we have (RFC 3264 §6.1 suggests it).
    #[default]
    Offer,
    /// The first of ours that was offered.
    Local,
}

/// RTP payload type numbers for one format. They differ per direction only when a peer answers our offer with other
/// numbers than we offered (RFC 3264 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadTypes {
    /// The number we put into packets.
    pub send: u8,
    /// The number the peer puts into packets.
    pub receive: u8,
}

impl PayloadTypes {
    /// One number in both directions.
    #[must_use]
    pub const fn same(payload_type: u8) -> Self {
        Self { send: payload_type, receive: payload_type }
    }
}

/// Identity and version of our session description (the `o=` line), and what it last said.
///
/// The version rises by one when, and only when, the description differs from the last (RFC 3264 §8).
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// Identifier of the session, unique on this host; at most 63 bits so that signed parsers take it.
    pub session_id: u64,
    /// Version of `last`, or the version to start with.
    pub version: u64,
    /// The description sent last. It may hold keys.
    pub last: Option<Bytes>,
    /// Our key line, once SRTP was agreed: from then on nothing less is accepted.
    secured: Option<Crypto>,
}

impl Origin {
    /// A new session at version 1 that has said nothing yet.
    #[must_use]
    pub const fn new(session_id: u64) -> Self {
        Self { session_id: session_id & (u64::MAX >> 1), version: 1, last: None, secured: None }
    }
}

impl fmt::Debug for Origin {
    /// Without the description: it may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("session_id", &self.session_id)
            .field("version", &self.version)
            .field("secured", &self.secured.is_some())
            .finish_non_exhaustive()
    }
}

/// What we bring to a negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address to put into `c=` and `o=`: where the peer shall send to.
    pub address: IpAddr,
    /// RTP port to put into `m=`.
    pub port: u16,
    /// Our codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// Whose order decides.
    pub order: CodecOrder,
    /// What we want; the result is never more than this. Normally [`Direction::SendRecv`].
    pub direction: Direction,
    /// Packet time to ask for in our own offers, 10–60 ms; answers follow the offer.
    pub ptime_ms: u8,
    /// Payload type of telephone-event in our own offers (the next number for a second clock); answers follow the
    /// offer.
    pub telephone_event: u8,
    /// Whether SRTP is used.
    pub srtp: SrtpPolicy,
    /// Identity, version and last text of our description.
    pub origin: Origin,
}

impl LocalMedia {
    /// The usual choice: A-law and µ-law by the offer's order, both directions, 20 ms, telephone-event at 101,
    /// no SRTP.
    #[must_use]
    pub fn new(address: IpAddr, port: u16, session_id: u64) -> Self {
        Self {
            address,
            port,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            order: CodecOrder::Offer,
            direction: Direction::SendRecv,
            ptime_ms: 20,
            telephone_event: 101,
            srtp: SrtpPolicy::Off,
            origin: Origin::new(session_id),
        }
    }
}

/// What was agreed. Everything a media session needs to start or to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Our description: the answer to send, or (from [`offer::accept_answer`]) the offer that was answered.
    pub sdp: Bytes,
    /// Our origin to put into [`LocalMedia::origin`] before the next negotiation of this call.
    pub origin: Origin,
    /// The codec to send; both laws of G.711 are understood when received.
    pub codec: Codec,
    /// Its payload type numbers.
    pub payload_type: PayloadTypes,
    /// Payload type numbers of telephone-event, if agreed.
    pub telephone_event: Option<PayloadTypes>,
    /// The clock of telephone-event, in Hz.
    pub event_clock_hz: u32,
    /// Packet time of what we send: a multiple of 10 from 10 to 60 ms that the codec can make.
    pub ptime_ms: u8,
    /// Where the peer says that it receives RTP. The address is unspecified under RFC 2543 hold, and where the peer
    /// named one of another family than ours: it stands for the address of its signalling.
    pub remote: SocketAddr,
    /// Where the peer says that it receives RTCP (RFC 3605, else the next port).
    pub remote_rtcp: Option<SocketAddr>,
    /// Direction from our side.
    pub direction: Direction,
    /// RTCP shares the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Whether the peer has put us on hold: it doesn't want to receive (`sendonly`, `inactive`, or `c=0.0.0.0`).
    pub held: bool,
    /// The keys, if SRTP was agreed.
    pub keys: Option<Keys>,
}

/// Why a description can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Larger than [`MAX_BYTES`], or too many or too long lines.
    #[error("session description over the size limits")]
    TooLarge,
    /// Not a session description.
    #[error("malformed session description: {0}")]
    Malformed(String),
    /// Only transports that we don't speak, or that the policy rules out, were offered for audio.
    #[error(
        "audio only over a transport that we don't speak here: offer RTP/AVP, or RTP/SAVP where SRTP is on"
    )]
    UnsupportedTransport,
    /// No `m=audio` line with a port, plain RTP and a usable address.
    #[error("no usable audio stream: offer RTP/AVP audio with a unicast IP address and a port")]
    NoAudio,
    /// SRTP without a key that we can use.
    #[error("no usable a=crypto line: offer AES_CM_128_HMAC_SHA1_80, _32 or AEAD_AES_256_GCM with one key")]
    NoCommonCrypto,
    /// The policy asks for SRTP, and none was offered.
    #[error("SRTP is required here: offer RTP/SAVP with a=crypto")]
    SrtpRequired,
    /// The call is encrypted, and the new description isn't.
    #[error("the call is encrypted and stays so: offer a=crypto again")]
    SrtpDowngrade,
    /// The audio line has no codec of ours.
    #[error("no common codec: offer PCMA, PCMU or what the trunk names")]
    NoCommonCodec,
    /// An answer that doesn't fit the offer: other number of lines, or a codec that was not offered.
    #[error("the answer does not match our offer")]
    AnswerMismatch,
}

impl SdpError {
    /// The SIP status that tells it to an offerer (RFC 3261 §21.4).
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Malformed(_) => 400,
            Self::UnsupportedTransport
            | Self::NoAudio
            | Self::NoCommonCodec
            | Self::NoCommonCrypto
            | Self::SrtpRequired
            | Self::SrtpDowngrade
            | Self::AnswerMismatch => 488,
        }
    }
}

/// Largest description accepted, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// Most lines accepted.
pub const MAX_LINES: usize = 512;
/// Longest line accepted, in bytes.
pub const MAX_LINE_BYTES: usize = 2048;
/// Most `m=` lines accepted.
pub const MAX_MEDIA: usize = 16;
