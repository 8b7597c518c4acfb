//! The playout queue.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::{CAP_MS, Chunk, FADE_MS, PlayoutCommand, PlayoutEvent, PlayoutFull, UtteranceId};
use crate::SAMPLES_PER_MS;
use crate::codec::Law;

/// Entries (chunks and ends) and unread events held at most. Two minutes in pieces of 10 ms are 12,000.
const MAX_ENTRIES: usize = 16_384;
/// Cut utterances remembered, so that audio still under way for them is dropped.
const REMEMBERED_CUTS: usize = 32;
const FADE_SAMPLES: usize = FADE_MS * SAMPLES_PER_MS;

/// The queue of one call. Nothing is allocated when a frame is drawn.
#[derive(Debug)]
pub struct Playout {
    queue: VecDeque<Entry>,
    /// Samples in `queue`.
    queued: usize,
    cap: usize,
    /// While a cut fades: the samples at the head of the queue that are left of the fade, and its whole length.
    fade: Option<Fade>,
    /// Utterances begun and not yet reported, in order.
    live: VecDeque<Live>,
    cut: VecDeque<UtteranceId>,
    events: VecDeque<PlayoutEvent>,
}

#[derive(Debug)]
enum Entry {
    Audio { utterance: UtteranceId, chunk: Chunk, from: usize, to: usize },
    End { utterance: UtteranceId },
    Cut { utterance: UtteranceId, unsent: usize },
}

#[derive(Debug, Clone, Copy)]
struct Fade {
    left: usize,
    total: usize,
}

#[derive(Debug, Clone, Copy)]
struct Live {
    utterance: UtteranceId,
    sent: usize,
}

impl Default for Playout {
    fn default() -> Self {
        Self::new(CAP_MS)
    }
}

impl Playout {
    /// A queue that holds at most `cap_ms` of audio.
    #[must_use]
    pub fn new(cap_ms: u64) -> Self {
        Self {
            queue: VecDeque::with_capacity(64),
            queued: 0,
            cap: usize::try_from(cap_ms).unwrap_or(usize::MAX).saturating_mul(SAMPLES_PER_MS),
            fade: None,
            live: VecDeque::with_capacity(8),
            cut: VecDeque::with_capacity(REMEMBERED_CUTS),
            events: VecDeque::with_capacity(8),
        }
    }

    /// Takes a command.
    ///
    /// # Errors
    /// [`PlayoutFull`] if the audio would exceed the cap; nothing of it was taken. `Clear` always succeeds.
    pub fn command(&mut self, command: PlayoutCommand) -> Result<(), PlayoutFull> {
        match command {
            PlayoutCommand::Audio { utterance, chunk } => self.push_audio(utterance, chunk),
            PlayoutCommand::End { utterance } => self.push_end(utterance),
            PlayoutCommand::Clear => {
                self.clear();
                Ok(())
            }
        }
    }

    /// Draws the next samples as codewords, silence where there is no audio. Returns how many were audio.
    pub fn fill(&mut self, law: Law, out: &mut [u8]) -> usize {
        let (mut rest, mut played) = (out, 0);
        while !rest.is_empty() {
            let count = self.draw(law, rest);
            if count == 0 {
                break;
            }
            played += count;
            rest = rest.get_mut(count..).unwrap_or_default();
        }
        rest.fill(law.silence());
        played
    }

    /// The same as linear samples.
    pub fn fill_linear(&mut self, out: &mut [i16]) -> usize {
        let mut codewords = [0; 160];
        let mut played = 0;
        for chunk in out.chunks_mut(codewords.len()) {
            let codewords = codewords.get_mut(..chunk.len()).unwrap_or_default();
            played += self.fill(Law::A, codewords);
            Law::A.decode_into(codewords, chunk);
        }
        played
    }

    /// Audio queued, in milliseconds (rounded down).
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        ms(self.queued)
    }

    /// Whether nothing is left to play.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queued == 0
    }

    /// What happened since the last call, oldest first.
    pub fn poll_event(&mut self) -> Option<PlayoutEvent> {
        self.events.pop_front()
    }

    fn push_audio(&mut self, utterance: UtteranceId, chunk: Chunk) -> Result<(), PlayoutFull> {
        let samples = chunk.samples();
        if self.cut.contains(&utterance) || samples == 0 {
            return Ok(());
        }
        if samples > self.cap.saturating_sub(self.queued) {
            return Err(self.full());
        }
        self.check_entries()?;
        self.begin(utterance);
        self.queued += samples;
        self.queue.push_back(Entry::Audio { utterance, chunk, from: 0, to: samples });
        Ok(())
    }

    fn push_end(&mut self, utterance: UtteranceId) -> Result<(), PlayoutFull> {
        if self.cut.contains(&utterance) {
            return Ok(());
        }
        self.check_entries()?;
        self.begin(utterance);
        self.queue.push_back(Entry::End { utterance });
        self.settle();
        Ok(())
    }

    fn check_entries(&self) -> Result<(), PlayoutFull> {
        let held = self.queue.len().max(self.live.len()).max(self.events.len());
        if held < MAX_ENTRIES { Ok(()) } else { Err(self.full()) }
    }

    fn full(&self) -> PlayoutFull {
        PlayoutFull { queued_ms: self.queued_ms() }
    }

    fn begin(&mut self, utterance: UtteranceId) {
        if !self.live.iter().any(|live| live.utterance == utterance) {
            self.live.push_back(Live { utterance, sent: 0 });
        }
    }

    /// Draws from the entry at the head; 0 when there is no audio.
    fn draw(&mut self, law: Law, out: &mut [u8]) -> usize {
        let Some(Entry::Audio { utterance, chunk, from, to }) = self.queue.front_mut() else { return 0 };
        let (utterance, room) = (*utterance, out.len().min(*to - *from));
        let room = self.fade.map_or(room, |fade| room.min(fade.left));
        let count = chunk.encode(*from, law, out.get_mut(..room).unwrap_or_default());
        *from += count;
        let used_up = from == to;
        if let Some(fade) = &mut self.fade {
            fade.apply(law, out.get_mut(..count).unwrap_or_default());
            if fade.left == 0 {
                self.fade = None;
            }
        }
        if let Some(live) = self.live.iter_mut().find(|live| live.utterance == utterance) {
            live.sent += count;
        }
        self.queued -= count;
        if used_up {
            self.queue.pop_front();
            self.settle();
        }
        count
    }

    /// Reports the ends and cuts that have reached the head of the queue.
    fn settle(&mut self) {
        while let Some(Entry::End { .. } | Entry::Cut { .. }) = self.queue.front() {
            let event = match self.queue.pop_front() {
                Some(Entry::End { utterance }) => {
                    PlayoutEvent::Drained { utterance, sent_ms: ms(self.take_live(utterance)) }
                }
                Some(Entry::Cut { utterance, unsent }) => PlayoutEvent::Cleared {
                    utterance,
                    sent_ms: ms(self.take_live(utterance)),
                    unsent_ms: ms(unsent + SAMPLES_PER_MS - 1),
                },
                Some(Entry::Audio { .. }) | None => return,
            };
            self.events.push_back(event);
        }
    }

    fn take_live(&mut self, utterance: UtteranceId) -> usize {
        let position = self.live.iter().position(|live| live.utterance == utterance);
        position.and_then(|position| self.live.remove(position)).map_or(0, |live| live.sent)
    }

    /// Keeps 40 ms (or what is left of a fade under way), drops the rest, and puts a cut behind the fade for every
    /// utterance that isn't completely inside it.
    fn clear(&mut self) {
        let keep = self.fade.map_or(FADE_SAMPLES, |fade| fade.left);
        let (mut kept, mut dropped) = (0, SmallVec::<[(UtteranceId, usize); 4]>::new());
        let mut settled = SmallVec::<[UtteranceId; 4]>::new();
        let mut faded = VecDeque::with_capacity(64);
        for entry in self.queue.drain(..) {
            match entry {
                Entry::Audio { utterance, chunk, from, to } => {
                    let take = (to - from).min(keep - kept);
                    kept += take;
                    add(&mut dropped, utterance, to - from - take);
                    if take > 0 {
                        faded.push_back(Entry::Audio { utterance, chunk, from, to: from + take });
                    }
                }
                Entry::End { utterance } => {
                    if !dropped.iter().any(|(known, _)| *known == utterance) {
                        settled.push(utterance);
                        faded.push_back(Entry::End { utterance });
                    }
                }
                Entry::Cut { utterance, unsent } => {
                    settled.push(utterance);
                    faded.push_back(Entry::Cut { utterance, unsent });
                }
            }
        }
        for live in &self.live {
            if settled.contains(&live.utterance) {
                continue;
            }
            let unsent =
                dropped.iter().find(|(known, _)| *known == live.utterance).map_or(0, |(_, samples)| *samples);
            faded.push_back(Entry::Cut { utterance: live.utterance, unsent });
            if self.cut.len() == REMEMBERED_CUTS {
                self.cut.pop_front();
            }
            self.cut.push_back(live.utterance);
        }
        self.queue = faded;
        self.queued = kept;
        self.fade = match self.fade {
            _ if kept == 0 => None,
            Some(under_way) => Some(under_way),
            None => Some(Fade { left: kept, total: kept }),
        };
        self.settle();
    }
}

impl Fade {
    /// Turns down codewords on the way from full volume to none.
    fn apply(&mut self, law: Law, codewords: &mut [u8]) {
        for codeword in codewords {
            let gain = self.left * 1_024 / self.total.max(1);
            let sample = i32::from(law.decode(*codeword)) * i32::try_from(gain).unwrap_or(0) / 1_024;
            *codeword = law.encode(i16::try_from(sample).unwrap_or(0));
            self.left = self.left.saturating_sub(1);
        }
    }
}

impl Chunk {
    /// Writes codewords from sample `from` on; the chunk's own law is copied untouched. Returns how many.
    fn encode(&self, from: usize, law: Law, out: &mut [u8]) -> usize {
        match self {
            Self::Pcm(samples) => law.encode_into(samples.get(from..).unwrap_or_default(), out),
            Self::Pcmu(codewords) => {
                Law::Mu.transcode_into(law, codewords.get(from..).unwrap_or_default(), out)
            }
            Self::Pcma(codewords) => {
                Law::A.transcode_into(law, codewords.get(from..).unwrap_or_default(), out)
            }
        }
    }
}

fn add(counts: &mut SmallVec<[(UtteranceId, usize); 4]>, utterance: UtteranceId, samples: usize) {
    match counts.iter_mut().find(|(known, _)| *known == utterance) {
        Some((_, total)) => *total += samples,
        None if samples > 0 => counts.push((utterance, samples)),
        None => {}
    }
}

fn ms(samples: usize) -> u64 {
    (samples / SAMPLES_PER_MS) as u64
}

#[cfg(test)]
mod tests;
