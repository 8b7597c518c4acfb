//! Media quality and consumption of a call.

use serde::{Deserialize, Serialize};

/// Media quality of a call, over its whole length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MediaStats {
    /// The codec's RTP name, e.g. `PCMU`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// RTP packets taken in.
    pub packets_received: u64,
    /// RTP packets that never came (RFC 3550 §6.4.1).
    pub packets_lost: u64,
    /// RTP packets that came too late to be played, or twice.
    pub packets_discarded: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1).
    pub jitter_ms: f64,
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
