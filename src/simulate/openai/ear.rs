//! The server's ear: G.711 or linear samples in, edges of speech out, by their energy alone. It
//! hears what it really gets.

use crate::agent::caller_audio::Law;

/// How audio comes, or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// G.711.
    G711(Law),
    /// 16 bits at 24 kHz.
    Pcm24,
}

impl Format {
    /// Bytes of a millisecond.
    pub(super) fn bytes_per_ms(self) -> usize {
        match self {
            Self::G711(_) => 8,
            Self::Pcm24 => 48,
        }
    }

    /// Samples at 8 kHz in this form.
    pub(super) fn encode(self, samples: &[i16]) -> Vec<u8> {
        match self {
            Self::G711(law) => {
                let mut bytes = vec![0; samples.len()];
                law.encode_into(samples, &mut bytes);
                bytes
            }
            Self::Pcm24 => samples.iter().flat_map(|s| s.to_le_bytes().repeat(3)).collect(),
        }
    }
}

/// When a turn ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Vad {
    pub(super) threshold: f64,
    pub(super) prefix_ms: u64,
    pub(super) silence_ms: u64,
    pub(super) create_response: bool,
    pub(super) interrupt_response: bool,
}

/// An edge of speech, in milliseconds of audio since the session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Started { at_ms: u64 },
    Stopped { at_ms: u64 },
}

/// Audio is judged in pieces of so many milliseconds.
const STEP_MS: u64 = 20;
/// Speech in a row before it counts.
const ONSET_MS: u64 = 60;
/// Energy of a sample on average at threshold 0.5: about −40 dBFS.
const LOUD: f64 = 330.0 * 330.0;

/// The ear.
#[derive(Debug)]
pub(super) struct Ear {
    format: Format,
    heard_ms: u64,
    energy: f64,
    count: usize,
    /// Milliseconds of speech, or of silence, in a row.
    loud_ms: u64,
    quiet_ms: u64,
    speaking: bool,
}

impl Ear {
    pub(super) fn new(format: Format) -> Self {
        Self { format, heard_ms: 0, energy: 0.0, count: 0, loud_ms: 0, quiet_ms: 0, speaking: false }
    }

    pub(super) fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    pub(super) fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// Hears bytes; calls `edge` for each edge.
    pub(super) fn hear(&mut self, bytes: &[u8], vad: Option<Vad>, mut edge: impl FnMut(Edge)) {
        let step = self.format.bytes_per_ms() * usize::try_from(STEP_MS).unwrap_or(20);
        let mut rest = bytes;
        while !rest.is_empty() {
            let take = step.saturating_sub(self.count).min(rest.len());
            let (piece, after) = rest.split_at(take);
            rest = after;
            self.energy += self.energy_of(piece);
            self.count += take;
            if self.count >= step {
                let samples = match self.format {
                    Format::G711(_) => self.count,
                    Format::Pcm24 => self.count / 2,
                };
                let mean = self.energy / samples.max(1) as f64;
                (self.energy, self.count) = (0.0, 0);
                self.heard_ms += STEP_MS;
                if let Some(vad) = vad
                    && let Some(happened) = self.judge(mean, vad)
                {
                    edge(happened);
                }
            }
        }
    }

    fn energy_of(&self, bytes: &[u8]) -> f64 {
        match self.format {
            Format::G711(law) => {
                let mut samples = [0; 160];
                let count = law.decode_into(bytes, &mut samples);
                let sum: i64 = samples.iter().take(count).map(|s| i64::from(*s) * i64::from(*s)).sum();
                sum as f64
            }
            Format::Pcm24 => {
                let (pairs, _) = bytes.as_chunks::<2>();
                pairs.iter().map(|pair| f64::from(i16::from_le_bytes(*pair)).powi(2)).sum()
            }
        }
    }

    fn judge(&mut self, mean: f64, vad: Vad) -> Option<Edge> {
        if mean >= LOUD * 4.0 * vad.threshold * vad.threshold {
            self.loud_ms += STEP_MS;
            self.quiet_ms = 0;
        } else {
            self.quiet_ms += STEP_MS;
            if self.quiet_ms > ONSET_MS {
                self.loud_ms = 0;
            }
        }
        if !self.speaking && self.loud_ms >= ONSET_MS {
            self.speaking = true;
            let at_ms = self.heard_ms.saturating_sub(ONSET_MS + vad.prefix_ms);
            return Some(Edge::Started { at_ms });
        }
        if self.speaking && self.quiet_ms >= vad.silence_ms {
            self.speaking = false;
            self.loud_ms = 0;
            return Some(Edge::Stopped { at_ms: self.heard_ms });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAD: Vad = Vad {
        threshold: 0.5,
        prefix_ms: 300,
        silence_ms: 500,
        create_response: false,
        interrupt_response: false,
    };

    #[test]
    fn speech_has_two_edges_whatever_the_size_of_the_pieces() {
        let format = Format::G711(Law::Mu);
        let mut samples = vec![0_i16; 8 * 1_000];
        samples.extend((0..8 * 800).map(|n| if n % 16 < 8 { 4_000 } else { -4_000 }));
        samples.extend(vec![0; 8 * 1_000]);
        let bytes = format.encode(&samples);
        for size in [80, 160, 480, 1_000, 4_000] {
            let mut ear = Ear::new(format);
            let mut edges = Vec::new();
            for piece in bytes.chunks(size) {
                ear.hear(piece, Some(VAD), |edge| edges.push(edge));
            }
            assert_eq!(edges, [Edge::Started { at_ms: 700 }, Edge::Stopped { at_ms: 2_300 }], "{size}");
            assert_eq!(ear.heard_ms(), 2_800);
        }
    }
}
