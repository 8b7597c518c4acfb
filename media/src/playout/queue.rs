//! The playout queue.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::line::{Line, Output, Store};
use super::{CAP_MS, Chunk, FADE_MS, LOOSE_MS, PlayoutCommand, PlayoutEvent, PlayoutFull, UtteranceId};
use crate::SAMPLES_PER_MS;
use crate::codec::Codec;

/// Entries (chunks and ends) and unread events held at most. Two minutes in pieces of 10 ms are 12,000.
const MAX_ENTRIES: usize = 16_384;
/// Cut utterances remembered, so that audio still under way for them is dropped.
const REMEMBERED_CUTS: usize = 32;
const FADE_SAMPLES: usize = FADE_MS * SAMPLES_PER_MS;
/// Length of the rise after a pause: 5 ms.
const RISE_SAMPLES: usize = 5 * SAMPLES_PER_MS;

/// The queue of one call. Nothing is allocated when a frame is drawn.
#[derive(Debug)]
pub struct Playout {
    queue: VecDeque<Entry>,
    /// Samples in `queue`.
    queued: usize,
    cap: usize,
    /// What is still heard of a fade, before anything of the queue.
    tail: Tail,
    paused: bool,
    /// Utterances begun and not yet reported, in order.
    live: VecDeque<Live>,
    cut: VecDeque<UtteranceId>,
    events: VecDeque<PlayoutEvent>,
    line: Line,
    /// Units of the rise after a pause that are left.
    rise: usize,
}

/// A fade: made when it began, and counted for nothing, since nobody understands half a word that dies away.
#[derive(Debug, Default)]
struct Tail {
    samples: Box<[i16]>,
    at: usize,
    /// What fades will be said again: it is in the queue still.
    again: bool,
}

#[derive(Debug)]
enum Entry {
    Audio { utterance: UtteranceId, store: Store, from: usize, to: usize },
    End { utterance: UtteranceId },
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
            queue: VecDeque::with_capacity(16),
            queued: 0,
            tail: Tail::default(),
            paused: false,
            cap: usize::try_from(cap_ms).unwrap_or(usize::MAX).saturating_mul(SAMPLES_PER_MS),
            live: VecDeque::with_capacity(8),
            cut: VecDeque::with_capacity(REMEMBERED_CUTS),
            events: VecDeque::with_capacity(8),
            line: Line::new(Codec::Pcma),
            rise: 0,
        }
    }

    /// Tells the codec of the line: playout renders to its rate. What is queued stays as it is.
    pub fn set_codec(&mut self, codec: Codec) {
        self.line = Line::new(codec);
        // A fade under way has the wrong rate now.
        self.tail = Tail::default();
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
            PlayoutCommand::Pause => {
                self.pause();
                Ok(())
            }
            PlayoutCommand::Resume => {
                self.resume();
                Ok(())
            }
        }
    }

    /// Draws the next samples in the form of the line that [`Playout::set_codec`] told, silence where there is no
    /// audio. Returns how many units of 1/8000 s were audio that counts as heard.
    pub fn fill(&mut self, mut out: Output<'_>) -> usize {
        let units = out.units();
        let faded = self.tail.play(self.line.scale(), &mut out);
        let mut done = faded;
        while done < units && !self.paused {
            let count = self.draw(&mut out.part(done, units));
            if count == 0 {
                break;
            }
            done += count;
        }
        out.part(done, units).fill_silence();
        done - faded
    }

    /// Audio queued, in milliseconds (rounded down).
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        ms(self.queued)
    }

    /// Whether nothing is left to play.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queued == 0 && self.tail.is_over()
    }

    /// Whether playout was told to stand still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Bytes of audio held that nobody else holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let bytes = |entry: &Entry| if let Entry::Audio { store, .. } = entry { store.bytes() } else { 0 };
        self.queue.iter().map(bytes).sum()
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
        let store = Store::new(chunk);
        self.line.prepare(&store);
        let waits = self.queued + samples > LOOSE_MS * SAMPLES_PER_MS;
        let store = if waits { store.compact(self.line.law) } else { store };
        self.queued += samples;
        self.queue.push_back(Entry::Audio { utterance, store, from: 0, to: samples });
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
    fn draw(&mut self, out: &mut Output<'_>) -> usize {
        let Some(Entry::Audio { utterance, store, from, to }) = self.queue.front_mut() else { return 0 };
        let (utterance, room) = (*utterance, out.units().min(*to - *from));
        let mut out = out.part(0, room);
        let count = self.line.render(store, *from, &mut out);
        *from += count;
        let used_up = from == to;
        if self.rise > 0 {
            out.part(0, count).turn_down(|| {
                self.rise = self.rise.saturating_sub(1);
                (RISE_SAMPLES - self.rise) * 1_024 / RISE_SAMPLES
            });
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

    /// Reports the ends that have reached the head of the queue.
    fn settle(&mut self) {
        while let Some(Entry::End { utterance }) = self.queue.front() {
            let utterance = *utterance;
            self.queue.pop_front();
            let sent_ms = ms(self.take_live(utterance));
            self.events.push_back(PlayoutEvent::Drained { utterance, sent_ms });
        }
    }

    fn take_live(&mut self, utterance: UtteranceId) -> usize {
        let position = self.live.iter().position(|live| live.utterance == utterance);
        position.and_then(|position| self.live.remove(position)).map_or(0, |live| live.sent)
    }

    /// Stands still from here on.
    fn pause(&mut self) {
        if self.paused {
            return;
        }
        self.paused = true;
        if self.tail.is_over() {
            self.tail = Tail { again: true, ..self.fading() };
        }
    }

    /// Goes on from where it stood still: what faded is said again.
    fn resume(&mut self) {
        if !self.paused {
            return;
        }
        self.paused = false;
        self.rise = RISE_SAMPLES;
        if self.tail.again {
            self.tail = Tail::default();
        }
    }

    /// The next 40 ms of the queue, dying away.
    fn fading(&self) -> Tail {
        let scale = self.line.scale();
        let mut faded = Vec::with_capacity(FADE_SAMPLES * scale);
        let total = FADE_SAMPLES.min(self.queued);
        let mut gains = (1..=total).rev().map(|left| left * 1_024 / total);
        'entries: for entry in &self.queue {
            let Entry::Audio { store, from, to, .. } = entry else { continue };
            let mut at = *from;
            while at < *to {
                let mut samples = [0; 320];
                let room = 320 / scale;
                let count = self.line.render_linear(store, at, (*to - at).min(room), &mut samples);
                if count == 0 {
                    break;
                }
                at += count;
                for unit in samples.chunks(scale).take(count) {
                    let Some(gain) = gains.next() else { break 'entries };
                    faded.extend(unit.iter().map(|sample| super::line::scale(*sample, gain)));
                }
            }
        }
        Tail { samples: faded.into(), at: 0, again: false }
    }

    /// Drops everything, and reports it at once: what is heard from here on is a fade.
    fn clear(&mut self) {
        if self.tail.is_over() && !self.paused {
            self.tail = self.fading();
        }
        self.tail.again = false;
        self.paused = false;
        self.rise = 0;
        let (mut dropped, mut ended) =
            (SmallVec::<[(UtteranceId, usize); 4]>::new(), SmallVec::<[_; 4]>::new());
        for entry in self.queue.drain(..) {
            match entry {
                Entry::Audio { utterance, from, to, .. } => add(&mut dropped, utterance, to - from),
                Entry::End { utterance } => ended.push(utterance),
            }
        }
        self.queued = 0;
        for live in self.live.drain(..) {
            let (utterance, sent_ms) = (live.utterance, ms(live.sent));
            let unsent =
                dropped.iter().find(|(known, _)| *known == utterance).map_or(0, |(_, samples)| *samples);
            if unsent == 0 && ended.contains(&utterance) {
                self.events.push_back(PlayoutEvent::Drained { utterance, sent_ms });
                continue;
            }
            let unsent_ms = ms(unsent + SAMPLES_PER_MS - 1);
            self.events.push_back(PlayoutEvent::Cleared { utterance, sent_ms, unsent_ms });
            if self.cut.len() == REMEMBERED_CUTS {
                self.cut.pop_front();
            }
            self.cut.push_back(utterance);
        }
    }
}

impl Tail {
    fn is_over(&self) -> bool {
        self.at >= self.samples.len()
    }

    /// Writes what is left of it; returns the units.
    fn play(&mut self, scale: usize, out: &mut Output<'_>) -> usize {
        if self.is_over() {
            return 0;
        }
        let left = self.samples.get(self.at..).unwrap_or_default();
        let now = left.get(..left.len().min(out.units() * scale)).unwrap_or_default();
        out.write(now);
        self.at += now.len();
        now.len() / scale
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
