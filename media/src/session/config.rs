//! What a session is told, and what it tells.

use std::net::{IpAddr, SocketAddr};

use super::source::SourcePolicy;
use crate::codec::Codec;
use crate::dtmf::Digit;
use crate::jitter_buffer::{JitterRange, JitterStats};
use crate::playout::UtteranceId;
use crate::rtp::report::{RemoteReport, RtcpStats};
use crate::sdp::{Direction, Keys, Negotiated, PayloadTypes};
use crate::srtp::Suite;
use crate::vad::VadConfig;

/// What SDP agreed for a session: made from [`Negotiated`], and again at every re-INVITE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The codec to send. Both laws of G.711, and G.722, are understood when received.
    pub codec: Codec,
    /// Its payload types.
    pub payload_type: PayloadTypes,
    /// Payload types of telephone-event, if agreed.
    pub telephone_event: Option<PayloadTypes>,
    /// The clock of telephone-event, in Hz: 8,000, or that of Opus.
    pub event_clock_hz: u32,
    /// Packet time of what we send, in milliseconds; rounded down to a multiple of 10 within 10–60.
    pub ptime_ms: u8,
    /// RTP address of the peer's SDP.
    pub remote: SocketAddr,
    /// RTCP address of the peer's SDP, if reports are to be sent.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTCP shares the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Direction from our side.
    pub direction: Direction,
    /// Whether the peer has put us on hold.
    pub held: bool,
    /// SRTP keys, if agreed: then nothing else is sent or believed.
    pub keys: Option<Keys>,
}

impl Agreement {
    /// A codec under its usual number, both directions, 20 ms, nothing else.
    #[must_use]
    pub const fn new(codec: Codec, remote: SocketAddr) -> Self {
        Self {
            codec,
            payload_type: PayloadTypes::same(codec.payload_type()),
            telephone_event: None,
            event_clock_hz: 8_000,
            ptime_ms: 20,
            remote,
            remote_rtcp: None,
            rtcp_mux: false,
            direction: Direction::SendRecv,
            held: false,
            keys: None,
        }
    }
}

impl From<&Negotiated> for Agreement {
    fn from(negotiated: &Negotiated) -> Self {
        Self {
            codec: negotiated.codec,
            payload_type: negotiated.payload_type,
            telephone_event: negotiated.telephone_event,
            event_clock_hz: negotiated.event_clock_hz,
            ptime_ms: negotiated.ptime_ms,
            remote: negotiated.remote,
            remote_rtcp: negotiated.remote_rtcp,
            rtcp_mux: negotiated.rtcp_mux,
            direction: negotiated.direction,
            held: negotiated.held,
            keys: negotiated.keys.clone(),
        }
    }
}

/// What a session starts with.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionConfig {
    /// What SDP agreed.
    pub agreement: Agreement,
    /// Where media may come from.
    pub source: SourcePolicy,
    /// The address that the peer's signalling comes from: stands in for a private or unspecified address in SDP.
    pub signalling: Option<IpAddr>,
    /// Bounds of the jitter buffer's delay.
    pub jitter: JitterRange,
    /// What it takes to notice the caller's speech; nothing switches that off.
    pub vad: Option<VadConfig>,
    /// Our SSRC; random (RFC 3550 §5.1).
    pub ssrc: u32,
    /// Our first sequence number; random.
    pub sequence: u16,
    /// Our first timestamp; random.
    pub timestamp: u32,
    /// NTP time of the start (seconds since 1900 in the upper half, their fraction in the lower), for reports. Zero
    /// tells nobody the time, and measures round trips as well.
    pub ntp: u64,
}

impl SessionConfig {
    /// Defaults around an agreement: policy `address`, a jitter buffer of 40–120 ms.
    #[must_use]
    pub fn new(agreement: Agreement, ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            agreement,
            source: SourcePolicy::default(),
            signalling: None,
            jitter: JitterRange::default(),
            vad: Some(VadConfig::default()),
            ssrc,
            sequence,
            timestamp,
            ntp: 0,
        }
    }
}

/// Something that the call should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// The first packet of the peer was accepted; its source is locked.
    FirstPacket {
        /// Where it came from.
        source: SocketAddr,
    },
    /// A key was pressed and released.
    Digit {
        /// The key.
        digit: Digit,
        /// How long it was held, in milliseconds, as the sender says.
        duration_ms: u32,
    },
    /// The caller has begun to speak.
    SpeechStarted {
        /// When, on the session's clock: milliseconds of audio since it started. The jitter buffer's delay is in it.
        at_ms: u64,
        /// How long ago that was, in milliseconds.
        ago_ms: u32,
    },
    /// The caller has stopped speaking.
    SpeechEnded {
        /// When, on the session's clock.
        at_ms: u64,
        /// How long ago that was, in milliseconds.
        ago_ms: u32,
        /// How long the speech was, in milliseconds.
        lasted_ms: u32,
    },
    /// The last sample of an utterance was sent.
    Drained {
        /// The utterance.
        utterance: UtteranceId,
        /// Audio sent of it, in milliseconds.
        sent_ms: u64,
    },
    /// An utterance was cut.
    Cleared {
        /// The utterance.
        utterance: UtteranceId,
        /// Audio sent of it, without the fade, in milliseconds.
        sent_ms: u64,
        /// Audio queued and dropped, in milliseconds.
        unsent_ms: u64,
    },
    /// No packet of the peer for too long. Told once; [`MediaEvent::Resumed`] follows if media comes back.
    Timeout {
        /// Nothing ever came, as opposed to: it stopped.
        first_media: bool,
        /// How long nothing came, in milliseconds.
        silent_ms: u64,
    },
    /// Packets of the peer came again after a timeout.
    Resumed,
}

/// Counters of a session.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SessionStats {
    /// The codec agreed last.
    pub codec: Option<Codec>,
    /// The SRTP suite that protects what we send, if any does.
    pub srtp: Option<Suite>,
    /// RTP packets accepted.
    pub received: u64,
    /// Packets lost on the way, over all streams of the session.
    pub lost: u64,
    /// Packets received twice.
    pub duplicate: u64,
    /// Packets that came, but too late or too many to be heard.
    pub discarded: u64,
    /// Packets that arrived after a later one.
    pub reordered: u64,
    /// SSRC changes and restarts of the peer's stream.
    pub restarts: u32,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1).
    pub jitter_ms: f32,
    /// Delay that the jitter buffer aims for, in milliseconds.
    pub delay_ms: u64,
    /// Speech heard from packets, in milliseconds.
    pub heard_ms: u64,
    /// Speech made up for what was missing, in milliseconds.
    pub concealed_ms: u64,
    /// The jitter buffer's counters.
    pub buffer: JitterStats,
    /// Datagrams from sources that may not speak.
    pub injected: u64,
    /// Packets of a source that was not stable yet, or of a second stream of the peer: not used.
    pub unproven: u64,
    /// Datagrams that aren't RTP.
    pub malformed: u64,
    /// Packets that failed SRTP's authentication.
    pub unauthenticated: u64,
    /// SRTP packets seen before, or too old.
    pub replayed: u64,
    /// Packets with a payload type that was not agreed.
    pub unknown_payload: u64,
    /// RTCP's counters.
    pub rtcp: RtcpStats,
    /// What the peer reports of our stream, if it does.
    pub remote: Option<RemoteReport>,
    /// Round trip in milliseconds, once both sides have reported.
    pub round_trip_ms: Option<f32>,
    /// Estimated mean opinion score of what we hear, 1 to 4.4; nothing before the first packet.
    pub mos: Option<f32>,
    /// Comfort-noise packets (payload type 13).
    pub comfort_noise: u64,
    /// RTP packets handed out for sending.
    pub sent: u64,
    /// Payload bytes handed out for sending.
    pub sent_octets: u64,
    /// Frames of our own timeline that were skipped because `tick` came too late.
    pub skipped_frames: u64,
    /// Packets of the other leg of a bridge that were not passed on.
    pub relay_dropped: u64,
    /// Events dropped because nobody read them.
    pub events_dropped: u64,
}
