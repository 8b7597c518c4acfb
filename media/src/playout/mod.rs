//! What the caller hears: utterances one after the other, drawn on one packet at a time.
//!
//! After `End`, an utterance is reported exactly once: `Drained` when its last sample was sent, or `Cleared` when it
//! was cut. A cut utterance is cut whether or not its `End` had come, and what still arrives for it is dropped.

mod line;
mod queue;
pub mod tone;

use std::sync::Arc;

use bytes::Bytes;

pub use line::Output;
pub use queue::Playout;

/// Audio queued at most, in milliseconds: two minutes.
pub const CAP_MS: u64 = 120_000;
/// Length of the fade before a cut or a pause, in milliseconds.
pub const FADE_MS: usize = 40;
/// What waits beyond this is held compactly, as code words, in milliseconds.
pub const LOOSE_MS: usize = 1_000;

/// Identity of something said. Never reused within a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UtteranceId(pub u64);

/// A piece of mono audio of any length. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Linear samples at 8 kHz.
    Pcm(Arc<[i16]>),
    /// Linear samples at 16 kHz; an odd one at the end is left out.
    Wide(Arc<[i16]>),
    /// G.711 µ-law codewords.
    Pcmu(Bytes),
    /// G.711 A-law codewords.
    Pcma(Bytes),
}

/// What to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayoutCommand {
    /// Queue audio of an utterance.
    Audio {
        /// The utterance it belongs to.
        utterance: UtteranceId,
        /// The audio.
        chunk: Chunk,
    },
    /// The utterance has no more audio: report [`PlayoutEvent::Drained`] when its last sample was sent.
    End {
        /// The utterance.
        utterance: UtteranceId,
    },
    /// Fade out within 40 ms, and drop everything that was queued before this command. What was heard while fading
    /// isn't counted. Ends a pause.
    Clear,
    /// Fade out within 40 ms and stand still. What was heard while fading isn't counted: playout goes on from where it
    /// was when this command came.
    Pause,
    /// Go on from where it paused.
    Resume,
}

/// What happened to an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlayoutEvent {
    /// The last sample of an ended utterance was sent.
    Drained {
        /// The utterance.
        utterance: UtteranceId,
        /// Audio sent of it, in milliseconds (rounded down).
        sent_ms: u64,
    },
    /// An utterance was cut by [`PlayoutCommand::Clear`].
    Cleared {
        /// The utterance.
        utterance: UtteranceId,
        /// Audio sent of it, without the fade, in milliseconds (rounded down).
        sent_ms: u64,
        /// Audio that had been queued and was dropped, in milliseconds (rounded up).
        unsent_ms: u64,
    },
}

/// The queue is at its limit: the audio was not taken; offer it again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("playout queue full with {queued_ms} ms queued: send no further ahead")]
pub struct PlayoutFull {
    /// Audio queued now, in milliseconds.
    pub queued_ms: u64,
}

impl Chunk {
    /// Length in units of 1/8000 s: samples, if it is narrow-band.
    #[must_use]
    pub fn samples(&self) -> usize {
        match self {
            Self::Pcm(samples) => samples.len(),
            Self::Wide(samples) => samples.len() / 2,
            Self::Pcmu(codewords) | Self::Pcma(codewords) => codewords.len(),
        }
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let law = match self {
            Self::Pcm(_) => "Pcm",
            Self::Wide(_) => "Wide",
            Self::Pcmu(_) => "Pcmu",
            Self::Pcma(_) => "Pcma",
        };
        write!(f, "{law}({} samples)", self.samples())
    }
}
