//! Media quality and consumption of a call.

use serde::{Deserialize, Serialize};

/// Media quality of a call, over its whole length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MediaStats {
    /// The codec's RTP name, e.g. `PCMU`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// The SRTP suite, e.g. `AEAD_AES_256_GCM`, if media was encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp: Option<String>,
    /// RTP packets taken in.
    pub packets_received: u64,
    /// RTP packets that never came (RFC 3550 §6.4.1).
    pub packets_lost: u64,
    /// RTP packets that came too late to be played, or twice.
    pub packets_discarded: u64,
    /// Datagrams from sources that may not speak, or that failed SRTP's authentication.
    pub packets_refused: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Those of ours that the peer lost, as its last report says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_sent_lost: Option<i32>,
    /// Speech made up for what was missing, in milliseconds.
    pub concealed_ms: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1).
    pub jitter_ms: f64,
    /// Round trip in milliseconds, if the peer sent reports (RFC 3550 §6.4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// Estimated mean opinion score, 1 to 4.5 (ITU-T G.107).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos: Option<f64>,
}

/// What a call consumed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Model tokens taken in.
    pub input_tokens: u64,
    /// Model tokens given out.
    pub output_tokens: u64,
    /// Milliseconds of speech made or understood.
    pub audio_ms: u64,
    /// Cost in millionths of the currency's unit, by the tenant's price table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// ISO 4217 code of that currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}
