//! Reordering and de-jittering of the caller's audio, in slots that are allocated once.
//!
//! Playing time is the sender's timestamp clock: `head` is the next sample to play, packets are copied to where their
//! timestamps say. A gap is silence. The delay is fixed at a target (60 ms) for now; [`JitterBuffer::set_target_ms`]
//! is the one thing an adaptive policy has to turn.

use crate::codec::Codec;
use crate::{MAX_FRAME_SAMPLES, SAMPLES_PER_MS};

/// Default delay in milliseconds.
pub const TARGET_MS: u16 = 60;
/// Range of the delay in milliseconds.
pub const TARGET_RANGE_MS: std::ops::RangeInclusive<u16> = 20..=200;
/// Audio held beyond the target before the oldest is dropped, in milliseconds.
const SURPLUS_MS: u16 = 140;
/// Packets held at most: 320 ms of 10 ms packets.
const SLOTS: usize = 32;
/// This many late packets in a row mean that the sender's time base moved.
const LATE_IN_A_ROW: u8 = 5;
/// After this much silence (200 ms in samples) a late packet is the start of something new.
const STARVED_SAMPLES: usize = 1_600;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insert {
    /// Stored.
    Stored,
    /// Stored, after older audio was dropped or the time base was moved to it.
    Resynced,
    /// Already there.
    Duplicate,
    /// Its time to play has passed.
    Late,
    /// Empty, or longer than 60 ms.
    Unfit,
}

/// Counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JitterStats {
    /// Packets that came too late to be played.
    pub late: u64,
    /// Packets received twice.
    pub duplicate: u64,
    /// Times that the time base was moved.
    pub resyncs: u64,
    /// Packets thrown away unplayed because too much was held.
    pub overflow: u64,
    /// Packets that were empty or too long.
    pub unfit: u64,
    /// Samples played as silence although a stream was running.
    pub missing_samples: u64,
}

/// The buffer of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    slots: Box<[Slot]>,
    /// Bit n: slot n holds a packet.
    occupied: u32,
    head: Option<u64>,
    target: u64,
    late_in_a_row: u8,
    starved: usize,
    stats: JitterStats,
}

#[derive(Debug, Clone)]
struct Slot {
    sequence: u64,
    timestamp: u64,
    codec: Codec,
    length: usize,
    codewords: [u8; MAX_FRAME_SAMPLES],
}

const EMPTY: Slot =
    Slot { sequence: 0, timestamp: 0, codec: Codec::Pcma, length: 0, codewords: [0; MAX_FRAME_SAMPLES] };

impl Slot {
    fn end(&self) -> u64 {
        self.timestamp + self.length as u64
    }
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self::new(TARGET_MS)
    }
}

impl JitterBuffer {
    /// A buffer with a delay in milliseconds, clamped to [`TARGET_RANGE_MS`].
    #[must_use]
    pub fn new(target_ms: u16) -> Self {
        let mut buffer = Self {
            slots: vec![EMPTY; SLOTS].into_boxed_slice(),
            occupied: 0,
            head: None,
            target: 0,
            late_in_a_row: 0,
            starved: 0,
            stats: JitterStats::default(),
        };
        buffer.set_target_ms(target_ms);
        buffer
    }

    /// Changes the delay; it takes effect at the next (re)start of the stream.
    pub fn set_target_ms(&mut self, target_ms: u16) {
        let target_ms = target_ms.clamp(*TARGET_RANGE_MS.start(), *TARGET_RANGE_MS.end());
        self.target = samples(target_ms);
    }

    /// Forgets everything held: a new stream begins.
    pub fn reset(&mut self) {
        self.occupied = 0;
        self.head = None;
        self.late_in_a_row = 0;
        self.starved = 0;
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        self.stats
    }

    /// Audio held from now to the end of the latest packet, in milliseconds, gaps included.
    #[must_use]
    pub fn depth_ms(&self) -> u64 {
        let Some(head) = self.head else { return 0 };
        self.held().map(Slot::end).max().unwrap_or(head).saturating_sub(head) / SAMPLES_PER_MS as u64
    }

    /// Stores a packet by its extended sequence number and timestamp (see [`crate::rtp::session::Position`]).
    pub fn insert(&mut self, sequence: u64, timestamp: u64, codec: Codec, codewords: &[u8]) -> Insert {
        if codewords.is_empty() || codewords.len() > MAX_FRAME_SAMPLES {
            self.stats.unfit += 1;
            return Insert::Unfit;
        }
        let end = timestamp + codewords.len() as u64;
        let head = self.head.unwrap_or_else(|| self.start_at(timestamp));
        let mut outcome = Insert::Stored;
        if end <= head {
            if !self.time_base_moved() {
                self.stats.late += 1;
                return Insert::Late;
            }
            self.resync(timestamp);
            outcome = Insert::Resynced;
        } else if end > head + self.target + samples(SURPLUS_MS) {
            self.resync(timestamp);
            outcome = Insert::Resynced;
        }
        self.late_in_a_row = 0;
        if self.store(sequence, timestamp, codec, codewords) { outcome } else { Insert::Duplicate }
    }

    /// Plays the next samples. Returns how many of them came from packets; the others are silence.
    pub fn read(&mut self, out: &mut [i16]) -> usize {
        let Some(mut head) = self.head else {
            out.fill(0);
            return 0;
        };
        let (mut rest, mut played) = (out, 0);
        while !rest.is_empty() {
            let (silent, codewords) = match self.next_from(head) {
                None => (rest.len(), None),
                Some((index, slot)) => (gap(head, slot.timestamp, rest.len()), Some(index)),
            };
            let (quiet, remaining) = rest.split_at_mut(silent.min(rest.len()));
            quiet.fill(0);
            head += quiet.len() as u64;
            let count = codewords.map_or(0, |index| self.play(index, head, remaining));
            head += count as u64;
            played += count;
            rest = remaining.get_mut(count..).unwrap_or_default();
            self.starved = if count > 0 { 0 } else { self.starved.saturating_add(silent) };
            self.stats.missing_samples += silent as u64;
        }
        self.head = Some(head);
        self.release_before(head);
        played
    }

    /// Lets time pass without playing, as when frames were skipped after a stall.
    pub fn skip(&mut self, count: u64) {
        if let Some(head) = self.head {
            self.head = Some(head + count);
            self.release_before(head + count);
        }
    }

    fn start_at(&mut self, timestamp: u64) -> u64 {
        let head = timestamp.saturating_sub(self.target);
        self.head = Some(head);
        head
    }

    /// A late packet is believed instead of the clock when it isn't alone, or when there is nothing else to play.
    fn time_base_moved(&mut self) -> bool {
        self.late_in_a_row = self.late_in_a_row.saturating_add(1);
        self.late_in_a_row >= LATE_IN_A_ROW || (self.occupied == 0 && self.starved >= STARVED_SAMPLES)
    }

    /// Moves the clock so that `timestamp` plays after the target delay. What is still to come then is kept.
    fn resync(&mut self, timestamp: u64) {
        let head = self.start_at(timestamp);
        self.stats.resyncs += 1;
        self.starved = 0;
        let horizon = timestamp + samples(SURPLUS_MS);
        let dropped = self.drop_where(|slot| slot.end() <= head || slot.end() > horizon);
        self.stats.overflow += u64::from(dropped);
    }

    /// `false` if this packet, or a later one in the same slot, is already there.
    fn store(&mut self, sequence: u64, timestamp: u64, codec: Codec, codewords: &[u8]) -> bool {
        let index = sequence % SLOTS as u64;
        let bit = 1u32 << index;
        let Some(slot) = usize::try_from(index).ok().and_then(|index| self.slots.get_mut(index)) else {
            return false;
        };
        if self.occupied & bit != 0 {
            if slot.sequence >= sequence {
                self.stats.duplicate += 1;
                return false;
            }
            self.stats.overflow += 1;
        }
        self.occupied |= bit;
        (slot.sequence, slot.timestamp, slot.codec, slot.length) =
            (sequence, timestamp, codec, codewords.len());
        for (place, codeword) in slot.codewords.iter_mut().zip(codewords) {
            *place = *codeword;
        }
        true
    }

    /// The earliest packet that isn't over at `head`.
    fn next_from(&self, head: u64) -> Option<(usize, &Slot)> {
        self.held_slots().filter(|(_, slot)| slot.end() > head).min_by_key(|(_, slot)| slot.timestamp)
    }

    /// Decodes from where `head` lies in the packet; 0 if it lies outside.
    fn play(&self, index: usize, head: u64, out: &mut [i16]) -> usize {
        let Some(slot) = self.slots.get(index) else { return 0 };
        let offset = head.checked_sub(slot.timestamp).and_then(|offset| usize::try_from(offset).ok());
        offset
            .and_then(|offset| slot.codewords.get(offset..slot.length))
            .map_or(0, |codewords| slot.codec.decode_into(codewords, out))
    }

    fn release_before(&mut self, head: u64) {
        self.drop_where(|slot| slot.end() <= head);
    }

    fn drop_where(&mut self, condition: impl Fn(&Slot) -> bool) -> u32 {
        let mut dropped = 0u32;
        for (index, slot) in self.held_slots() {
            if condition(slot) {
                dropped |= 1 << index;
            }
        }
        self.occupied &= !dropped;
        dropped.count_ones()
    }

    fn held_slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        let mut bits = self.occupied;
        std::iter::from_fn(move || {
            let index = bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
            self.slots.get(index).map(|slot| (index, slot))
        })
    }

    fn held(&self) -> impl Iterator<Item = &Slot> {
        self.held_slots().map(|(_, slot)| slot)
    }
}

fn samples(ms: u16) -> u64 {
    u64::from(ms) * SAMPLES_PER_MS as u64
}

/// Samples from `head` to the start of the next packet, at most `room`.
fn gap(head: u64, start: u64, room: usize) -> usize {
    usize::try_from(start.saturating_sub(head)).unwrap_or(room).min(room)
}

#[cfg(test)]
mod tests;
