//! From packets of any length to frames of 20 ms.

use super::{CALLER_FRAME, CallerFrame};

/// Caller audio on its way from packets of any length to frames of 20 ms.
pub(super) struct Block {
    samples: CallerFrame,
    length: usize,
}

impl Default for Block {
    fn default() -> Self {
        Self { samples: [0; CALLER_FRAME], length: 0 }
    }
}

impl Block {
    /// Moves samples into the frame; gives it when it is full.
    pub fn fill(&mut self, samples: &mut &[i16]) -> Option<&CallerFrame> {
        if self.length == CALLER_FRAME {
            self.length = 0;
        }
        let (taken, rest) = samples.split_at(samples.len().min(CALLER_FRAME - self.length));
        let free = self.samples.get_mut(self.length..self.length + taken.len())?;
        free.copy_from_slice(taken);
        self.length += taken.len();
        *samples = rest;
        (self.length == CALLER_FRAME).then_some(&self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_any_length_become_frames_without_a_gap() {
        for ptime in [80, 160, 240, 320, 480] {
            let mut block = Block::default();
            let all: Vec<i16> = (0..960).collect();
            let mut got = Vec::new();
            for packet in all.chunks(ptime) {
                let mut samples = packet;
                while let Some(frame) = block.fill(&mut samples) {
                    got.extend_from_slice(frame);
                }
            }
            assert_eq!(got, all);
        }
    }
}
