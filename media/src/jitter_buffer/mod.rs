//! Holds packets until their time has come, in the order of their timestamps, and decides what is heard when one is
//! missing.
//!
//! Times are in units of 1/8000 s, whatever the codec. The reader asks for the next step ([`JitterBuffer::next`]) as
//! often as it needs samples. While nothing is there the stream's time stands still: what then comes late is heard
//! late rather than lost, and the delay so gained is worked off by the reader ([`JitterBuffer::surplus`]), which
//! shortens or lengthens speech by a pitch period at a time. The delay aimed for follows the network's jitter within a
//! range, and the drift of the two clocks.

mod delay;
mod schedule;

use smallvec::SmallVec;

use crate::SAMPLES_PER_MS;
use crate::codec::Codec;
use crate::window::Window;
use delay::DelayEstimator;

/// Units in a millisecond.
pub(crate) const UNITS_PER_MS: u64 = SAMPLES_PER_MS as u64;
/// Delay before the network is known, in milliseconds.
pub const INITIAL_MS: u16 = 60;
/// Range of the delay that can be asked for, in milliseconds.
pub const ALLOWED_MS: std::ops::RangeInclusive<u16> = 20..=200;
/// Longest payload held, in bytes.
pub const MAX_PAYLOAD: usize = crate::MAX_FRAME_SAMPLES;

/// Audio held beyond the target before the oldest is dropped.
const SURPLUS: u64 = 140 * UNITS_PER_MS;
/// Packets held at most: 320 ms of 10 ms packets.
pub(crate) const SLOTS: usize = 32;
/// Bytes of a payload held without memory of its own: 20 ms.
const INLINE: usize = 160;
/// This many late packets in a row mean that the sender's time base moved.
const LATE_IN_A_ROW: u8 = 5;
/// After this much without a packet the next one begins a talkspurt, with the delay that is aimed for.
const STARVED: u64 = 60 * UNITS_PER_MS;
/// Longest step of silence, and of what is made up while nothing is there: 10 ms.
const STEP: u64 = 10 * UNITS_PER_MS;
/// Longest loss that is concealed in one go, so that a codec can do it with the packet behind: 60 ms.
const LONGEST_LOSS: u64 = 60 * UNITS_PER_MS;

/// Bounds of the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterRange {
    least_ms: u16,
    most_ms: u16,
}

impl Default for JitterRange {
    fn default() -> Self {
        Self { least_ms: 40, most_ms: 120 }
    }
}

impl JitterRange {
    /// Bounds in milliseconds, brought within [`ALLOWED_MS`] and in order.
    #[must_use]
    pub fn new(least_ms: u16, most_ms: u16) -> Self {
        let least_ms = least_ms.clamp(*ALLOWED_MS.start(), *ALLOWED_MS.end());
        Self { least_ms, most_ms: most_ms.clamp(least_ms, *ALLOWED_MS.end()) }
    }

    fn least_units(self) -> u64 {
        u64::from(self.least_ms) * UNITS_PER_MS
    }

    fn most_units(self) -> u64 {
        u64::from(self.most_ms) * UNITS_PER_MS
    }

    fn initial_units(self) -> u64 {
        u64::from(INITIAL_MS.clamp(self.least_ms, self.most_ms)) * UNITS_PER_MS
    }
}

/// A packet of audio, or of comfort noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Extended sequence number.
    pub sequence: u64,
    /// Extended timestamp, in units.
    pub timestamp: u64,
    /// What the payload is; `None` for comfort noise (RFC 3389).
    pub codec: Option<Codec>,
    /// The payload.
    pub payload: &'a [u8],
}

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
    /// Empty, too long, or no payload of its codec.
    Unfit,
}

/// What is heard next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A packet, without its first `skip` units.
    Packet {
        /// What it is.
        codec: Codec,
        /// Its payload.
        payload: &'a [u8],
        /// Units at its start whose time has passed.
        skip: u64,
    },
    /// Silence begins, described by a comfort-noise payload; takes no time itself.
    Noise {
        /// The description.
        payload: &'a [u8],
    },
    /// Speech is missing for so long: make something up.
    Conceal {
        /// How long.
        units: u64,
        /// The packet behind the gap, when this is its last part: it may repeat what was lost.
        next: Option<(Codec, &'a [u8])>,
    },
    /// Nobody speaks for so long.
    Quiet {
        /// How long.
        units: u64,
    },
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
    /// Packets that were empty, too long, or unreadable.
    pub unfit: u64,
    /// Times that nothing was there although a stream was running.
    pub underruns: u64,
}

/// The buffer of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    slots: Box<[Slot]>,
    /// Bit n: slot n holds a packet.
    occupied: u32,
    estimator: DelayEstimator,
    /// Sequence numbers that came, of whatever kind: what is missing among them was lost.
    came: Window,
    position: Option<Position>,
    late_in_a_row: u8,
    stats: JitterStats,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    /// Timestamp of the next unit to be read.
    head: u64,
    /// Sequence number of the packet read last.
    last: Option<u64>,
    /// Units filled in while nothing was there; the head stood still meanwhile.
    owed: u64,
    /// Nobody speaks: comfort noise was announced, or the stream has yet to begin.
    quiet: bool,
    /// The silence before the next packet was fitted to the delay aimed for.
    fitted: bool,
}

#[derive(Debug, Clone)]
struct Slot {
    sequence: u64,
    timestamp: u64,
    /// In units; zero for comfort noise.
    length: u64,
    codec: Option<Codec>,
    payload: SmallVec<[u8; INLINE]>,
}

const EMPTY: Slot =
    Slot { sequence: 0, timestamp: 0, length: 0, codec: None, payload: SmallVec::new_const() };

impl Slot {
    fn end(&self) -> u64 {
        self.timestamp + self.length
    }
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self::new(JitterRange::default())
    }
}

impl JitterBuffer {
    /// A buffer whose delay stays within a range.
    #[must_use]
    pub fn new(range: JitterRange) -> Self {
        Self {
            slots: vec![EMPTY; SLOTS].into_boxed_slice(),
            occupied: 0,
            estimator: DelayEstimator::new(range),
            came: Window::default(),
            position: None,
            late_in_a_row: 0,
            stats: JitterStats::default(),
        }
    }

    /// Forgets everything held: a new stream begins.
    pub fn reset(&mut self) {
        self.occupied = 0;
        self.position = None;
        self.came = Window::default();
        self.late_in_a_row = 0;
        self.estimator.rebase();
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        self.stats
    }

    /// The delay aimed for, in milliseconds.
    #[must_use]
    pub fn target_ms(&self) -> u64 {
        self.estimator.target() / UNITS_PER_MS
    }

    /// Audio held from now to the end of the latest packet, in milliseconds, gaps included.
    #[must_use]
    pub fn depth_ms(&self) -> u64 {
        let Some(position) = self.position else { return 0 };
        let end = self.held().map(Slot::end).max().unwrap_or(position.head);
        end.saturating_sub(position.head + position.owed) / UNITS_PER_MS
    }

    /// How much later than aimed for the stream is heard, in units, if what is read next is heard at `heard_at`.
    /// Nothing while the stream isn't running.
    #[must_use]
    pub fn surplus(&self, heard_at: u64) -> Option<i64> {
        let position = self.position.filter(|position| position.owed == 0 && !position.quiet)?;
        let lateness = self.estimator.lateness(position.head, heard_at)?;
        Some(lateness - i64::try_from(self.estimator.target()).unwrap_or(0))
    }

    /// Whether the next step is a packet.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let Some(position) = self.position else { return false };
        self.held().any(|slot| slot.timestamp <= position.head)
    }

    /// Notes a packet that isn't audio, so that its sequence number doesn't count as lost.
    pub fn note(&mut self, sequence: u64) {
        self.came.insert(sequence);
    }

    /// Stores a packet that arrived at `now`.
    pub fn insert(&mut self, packet: Incoming<'_>, now: u64) -> Insert {
        let length = match packet.codec {
            Some(codec) => codec.duration(packet.payload),
            None => Some(0),
        };
        let length = length.map(|length| length as u64).filter(|length| *length <= MAX_PAYLOAD as u64);
        let Some(length) = length.filter(|_| packet.payload.len() <= MAX_PAYLOAD) else {
            self.stats.unfit += 1;
            return Insert::Unfit;
        };
        if self.position.is_some() && !self.came.is_new(packet.sequence) {
            self.stats.duplicate += 1;
            return Insert::Duplicate;
        }
        self.came.insert(packet.sequence);
        let moved = self.estimator.arrived(packet.timestamp, now);
        let mut outcome = Insert::Stored;
        let position = match self.position {
            Some(position) => position,
            None => self.start_at(packet.timestamp),
        };
        let horizon = position.head + position.owed + self.estimator.target() + SURPLUS;
        let end = packet.timestamp + length;
        let over = if length > 0 { end <= position.head } else { end < position.head };
        if over {
            self.late_in_a_row = self.late_in_a_row.saturating_add(1);
            if !moved && self.late_in_a_row < LATE_IN_A_ROW && position.owed < STARVED {
                self.stats.late += 1;
                return Insert::Late;
            }
            self.resync(packet.timestamp);
            outcome = Insert::Resynced;
        } else if end > horizon {
            self.resync(packet.timestamp);
            outcome = Insert::Resynced;
        }
        if outcome == Insert::Resynced {
            self.estimator.arrived(packet.timestamp, now);
        }
        self.late_in_a_row = 0;
        self.store(packet, length);
        outcome
    }

    /// Lets time pass without playing, as when frames were skipped after a stall.
    pub fn skip(&mut self, units: u64) {
        if let Some(position) = &mut self.position {
            position.head += units;
            let head = position.head;
            self.drop_where(|slot| slot.length > 0 && slot.end() <= head);
        }
    }

    fn start_at(&mut self, timestamp: u64) -> Position {
        let head = timestamp.saturating_sub(self.estimator.target());
        let position = Position { head, last: None, owed: 0, quiet: true, fitted: true };
        self.position = Some(position);
        position
    }

    /// Moves the clock so that `timestamp` plays after the delay aimed for. What is still to come then is kept.
    fn resync(&mut self, timestamp: u64) {
        let head = self.start_at(timestamp).head;
        self.stats.resyncs += 1;
        self.estimator.rebase();
        let horizon = timestamp + SURPLUS;
        let dropped = self.drop_where(|slot| slot.end() <= head || slot.end() > horizon);
        self.stats.overflow += u64::from(dropped);
    }

    fn store(&mut self, packet: Incoming<'_>, length: u64) {
        let index = usize::try_from(packet.sequence % SLOTS as u64).unwrap_or(0);
        let bit = 1u32 << index;
        let Some(slot) = self.slots.get_mut(index) else { return };
        if self.occupied & bit != 0 {
            self.stats.overflow += 1;
        }
        self.occupied |= bit;
        (slot.sequence, slot.timestamp, slot.length, slot.codec) =
            (packet.sequence, packet.timestamp, length, packet.codec);
        // Keeps the memory of longer packets once it has it.
        slot.payload.clear();
        slot.payload.extend_from_slice(packet.payload);
    }

    /// The earliest packet; of two with one timestamp the one that was sent first.
    fn earliest(&self) -> Option<usize> {
        self.held_slots().min_by_key(|(_, slot)| (slot.timestamp, slot.sequence)).map(|(index, _)| index)
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

#[cfg(test)]
mod tests;
