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
    /// While a cut fades: the samples at the head of the queue that are left of the fade, and its whole length.
    fade: Option<Fade>,
    /// Utterances begun and not yet reported, in order.
    live: VecDeque<Live>,
    cut: VecDeque<UtteranceId>,
    events: VecDeque<PlayoutEvent>,
    line: Line,
    pause: Option<Pause>,
    /// Units of the rise after a pause that are left.
    rise: usize,
}

/// Playout stands still. What is heard of the fade was made when it began, and counts for nothing.
#[derive(Debug)]
struct Pause {
    faded: Box<[i16]>,
    at: usize,
}

#[derive(Debug)]
enum Entry {
    Audio { utterance: UtteranceId, store: Store, from: usize, to: usize },
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
            queue: VecDeque::with_capacity(16),
            queued: 0,
            cap: usize::try_from(cap_ms).unwrap_or(usize::MAX).saturating_mul(SAMPLES_PER_MS),
            fade: None,
            live: VecDeque::with_capacity(8),
            cut: VecDeque::with_capacity(REMEMBERED_CUTS),
            events: VecDeque::with_capacity(8),
            line: Line::new(Codec::Pcma),
            pause: None,
            rise: 0,
        }
    }

    /// Tells the codec of the line: playout renders to its rate. What is queued stays as it is.
    pub fn set_codec(&mut self, codec: Codec) {
        self.line = Line::new(codec);
        if let Some(pause) = &mut self.pause {
            // A fade under way has the wrong rate now.
            pause.at = pause.faded.len();
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
            PlayoutCommand::Pause => {
                self.pause();
                Ok(())
            }
            PlayoutCommand::Resume => {
                if self.pause.take().is_some() {
                    self.rise = RISE_SAMPLES;
                }
                Ok(())
            }
        }
    }

    /// Draws the next samples in the form of the line that [`Playout::set_codec`] told, silence where there is no
    /// audio. Returns how many units of 1/8000 s were audio that counts as heard.
    pub fn fill(&mut self, mut out: Output<'_>) -> usize {
        let units = out.units();
        if self.pause.is_some() {
            self.fade_out(&mut out);
            return 0;
        }
        let mut played = 0;
        while played < units {
            let count = self.draw(&mut out.part(played, units));
            if count == 0 {
                break;
            }
            played += count;
        }
        out.part(played, units).fill_silence();
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

    /// Whether playout was told to stand still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
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
        let room = self.fade.map_or(room, |fade| room.min(fade.left));
        let mut out = out.part(0, room);
        let count = self.line.render(store, *from, &mut out);
        *from += count;
        let used_up = from == to;
        if let Some(fade) = &mut self.fade {
            out.part(0, count).turn_down(|| fade.gain());
            if fade.left == 0 {
                self.fade = None;
            }
        } else if self.rise > 0 {
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

    /// Renders the fade ahead of where playout stands still.
    fn pause(&mut self) {
        if self.pause.is_some() {
            return;
        }
        let scale = self.line.scale();
        let mut faded = Vec::with_capacity(FADE_SAMPLES * scale);
        let mut fade = self.fade.unwrap_or(Fade { left: FADE_SAMPLES, total: FADE_SAMPLES });
        let mut gains = std::iter::from_fn(|| (fade.left > 0).then(|| fade.gain()));
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
        self.pause = Some(Pause { faded: faded.into(), at: 0 });
    }

    /// What is left of the fade, then silence.
    fn fade_out(&mut self, out: &mut Output<'_>) {
        let Some(pause) = &mut self.pause else { return };
        let wanted = out.units() * self.line.scale();
        let left = pause.faded.get(pause.at..).unwrap_or_default();
        let now = left.get(..wanted.min(left.len())).unwrap_or_default();
        out.fill_silence();
        out.write(now);
        pause.at += now.len();
    }

    /// Keeps 40 ms (or what is left of a fade under way), drops the rest, and puts a cut behind the fade for every
    /// utterance that isn't completely inside it.
    fn clear(&mut self) {
        // Behind a pause nothing is heard any more but the end of its fade, which the listener gets anyway.
        let keep = match self.pause.take() {
            Some(_) => 0,
            None => self.fade.map_or(FADE_SAMPLES, |fade| fade.left),
        };
        let (mut kept, mut dropped) = (0, SmallVec::<[(UtteranceId, usize); 4]>::new());
        let mut settled = SmallVec::<[UtteranceId; 4]>::new();
        let mut faded = VecDeque::with_capacity(64);
        for entry in self.queue.drain(..) {
            match entry {
                Entry::Audio { utterance, store, from, to } => {
                    let take = (to - from).min(keep - kept);
                    kept += take;
                    add(&mut dropped, utterance, to - from - take);
                    if take > 0 {
                        faded.push_back(Entry::Audio { utterance, store, from, to: from + take });
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
    /// The next unit's gain in 1/1024, on the way from full volume to none.
    fn gain(&mut self) -> usize {
        let gain = self.left * 1_024 / self.total.max(1);
        self.left = self.left.saturating_sub(1);
        gain
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
