//! Media core of offhook: SDP, RTP, SRTP, codecs, telephone-event, jitter buffer and playout.
//!
//! Everything here is a machine without IO: no socket, no task, no clock and no random source. The time is an
//! argument ([`std::time::Instant`]), and so is every random value. Audio inside is mono, 16-bit linear (`i16`), at
//! 8 kHz, and at 16 kHz besides where the codec gives it; a G.711 codeword that can be passed through is left alone.
//!
//! [`session::Session`] is the entry: one per call leg, fed with datagrams and ticked once per packet time.
#![forbid(unsafe_code)]
// Outside tests: narrowing what came from a datagram is how lengths go wrong.
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

pub mod bridge;
pub mod codec;
pub mod comfort_noise;
pub mod concealment;
pub mod dtmf;
pub mod jitter_buffer;
pub mod playout;
pub mod quality;
pub mod recording;
pub mod resample;
pub mod rtp;
pub mod sdp;
pub mod session;
pub mod srtp;
pub mod stretch;
pub mod vad;
mod window;

/// Samples in a millisecond of narrow-band audio; also units of the crate's own time line, 1/8000 s.
pub const SAMPLES_PER_MS: usize = 8;
/// Shortest packet time accepted and sent, in milliseconds.
pub const MIN_PTIME_MS: u8 = 10;
/// Longest packet time accepted and sent, in milliseconds.
pub const MAX_PTIME_MS: u8 = 60;
/// Narrow-band samples in the longest packet: the size of every per-packet buffer.
pub const MAX_FRAME_SAMPLES: usize = MAX_PTIME_MS as usize * SAMPLES_PER_MS;
