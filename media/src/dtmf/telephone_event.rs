//! telephone-event (RFC 4733): keys as RTP packets.
//!
//! A key press is one RTP timestamp: its packets repeat and grow, the last is sent three times. Everything below is
//! keyed by that timestamp, so that lost markers, lost ends, repetitions and reordering give one report per press.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::Digit;

/// Timestamp units in a millisecond of telephone-event/8000.
pub const USUAL_KHZ: u32 = 8;
/// Length of the payload in bytes (RFC 4733 §2.3).
pub const PAYLOAD_BYTES: usize = 4;
/// A press whose end was lost is over when nothing was heard of it for this long: four times the usual 50 ms between
/// updates (RFC 4733 §2.5.1.2).
const LOST_END: Duration = Duration::from_millis(200);
/// An older timestamp within this span is a straggler, beyond it a new time base.
const STRAGGLER_MS: u32 = 10_000;
/// A segment of a long event ends when its 16-bit duration is nearly used up (RFC 4733 §2.5.1.3).
const SEGMENT_END: u16 = 0xE000;

/// A key that was pressed and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPress {
    /// The key.
    pub digit: Digit,
    /// How long, as reported by the sender.
    pub duration_ms: u32,
}

/// Presses completed by one packet: the one that it ended, and possibly the one before whose end was lost.
pub type KeyPresses = SmallVec<[KeyPress; 2]>;

/// What a received packet says besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket<'a> {
    /// RTP synchronisation source.
    pub ssrc: u32,
    /// RTP timestamp: the identity of the press.
    pub timestamp: u32,
    /// RTP payload.
    pub payload: &'a [u8],
}

/// Receiving side.
#[derive(Debug)]
pub struct EventReceiver {
    clock_khz: u32,
    ssrc: Option<u32>,
    open: Option<Press>,
    /// The timestamp of the press completed last.
    closed: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    digit: Digit,
    timestamp: u32,
    /// Samples in earlier segments or earlier turns of the 16-bit duration.
    carried: u32,
    duration: u16,
    heard: Instant,
}

impl Default for EventReceiver {
    fn default() -> Self {
        Self { clock_khz: USUAL_KHZ, ssrc: None, open: None, closed: None }
    }
}

impl EventReceiver {
    /// Tells the clock of telephone-event's timestamps and durations, in kHz.
    pub fn set_clock(&mut self, clock_khz: u32) {
        self.clock_khz = clock_khz.max(1);
    }

    /// Takes a packet; returns the presses it completed, in order. Malformed payloads and events that aren't keys are
    /// ignored.
    pub fn handle(&mut self, packet: EventPacket<'_>, now: Instant) -> KeyPresses {
        let mut done = KeyPresses::new();
        let [event, flags, d0, d1, ..] = *packet.payload else { return done };
        let Some(digit) = Digit::from_event(event) else { return done };
        if self.ssrc.replace(packet.ssrc) != Some(packet.ssrc) {
            done.extend(self.close());
            self.closed = None;
        }
        if self.is_straggler(packet.timestamp) {
            return done;
        }
        let duration = u16::from_be_bytes([d0, d1]);
        match &mut self.open {
            Some(press) if press.continues(digit, packet.timestamp) => {
                press.update(packet.timestamp, duration, now)
            }
            _ => {
                done.extend(self.close());
                self.open =
                    Some(Press { digit, timestamp: packet.timestamp, carried: 0, duration, heard: now });
            }
        }
        if flags & 0x80 != 0 {
            done.extend(self.close());
        }
        done
    }

    /// Completes a press whose end packets were lost; call it once per frame.
    pub fn poll(&mut self, now: Instant) -> Option<KeyPress> {
        let press = self.open.as_ref()?;
        if now.saturating_duration_since(press.heard) < LOST_END {
            return None;
        }
        self.close()
    }

    /// Whether the packet belongs to the press completed last or to one before the present.
    fn is_straggler(&self, timestamp: u32) -> bool {
        let behind = |reference: u32| reference.wrapping_sub(timestamp);
        let straggler = STRAGGLER_MS.saturating_mul(self.clock_khz);
        self.closed.is_some_and(|closed| behind(closed) <= straggler)
            || self.open.is_some_and(|press| (1..=straggler).contains(&behind(press.timestamp)))
    }

    fn close(&mut self) -> Option<KeyPress> {
        let press = self.open.take()?;
        self.closed = Some(press.timestamp);
        let samples = press.carried.saturating_add(u32::from(press.duration));
        Some(KeyPress { digit: press.digit, duration_ms: samples / self.clock_khz })
    }
}

impl Press {
    fn continues(&self, digit: Digit, timestamp: u32) -> bool {
        digit == self.digit && (timestamp == self.timestamp || self.is_next_segment(timestamp))
    }

    /// RFC 4733 §2.5.1.3: a press longer than 65,535 samples goes on as a new event right where the old one stopped.
    fn is_next_segment(&self, timestamp: u32) -> bool {
        let step = timestamp.wrapping_sub(self.timestamp);
        self.duration >= SEGMENT_END && (u32::from(self.duration)..=0x1_0000).contains(&step)
    }

    fn update(&mut self, timestamp: u32, duration: u16, now: Instant) {
        self.heard = now;
        if timestamp != self.timestamp {
            self.carried = self.carried.saturating_add(timestamp.wrapping_sub(self.timestamp));
            self.timestamp = timestamp;
            self.duration = duration;
        } else if self.duration >= SEGMENT_END && duration < 0x2000 {
            // Some senders let the duration wrap under the same timestamp instead of starting a segment.
            self.carried = self.carried.saturating_add(0x1_0000);
            self.duration = duration;
        } else {
            self.duration = self.duration.max(duration);
        }
    }
}

/// Keys that can wait to be sent.
pub const SEND_QUEUE: usize = 32;
/// Shortest and longest key sent, in milliseconds: Q.24 asks for 40 ms; one segment holds 8 s.
const SEND_MS: std::ops::RangeInclusive<u16> = 40..=6_000;
/// Audio between two keys, beyond the repeated end packets.
const PAUSE_MS: u32 = 40;
/// −10 dBm0 (RFC 4733 §2.3.3).
const VOLUME: u8 = 10;
/// The end is sent three times (RFC 4733 §2.5.1.4).
const REPEATED_ENDS: u8 = 2;

/// Sending side: one packet per frame while a key is being sent.
#[derive(Debug)]
pub struct EventSender {
    clock_khz: u32,
    queue: VecDeque<(Digit, u16)>,
    state: Sending,
}

#[derive(Debug, Clone, Copy)]
enum Sending {
    Idle,
    Key { digit: Digit, timestamp: u32, sent: u32, total: u32 },
    Ends { digit: Digit, timestamp: u32, total: u32, left: u8 },
    Pause { left: u32 },
}

/// A packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutgoingEvent {
    /// Marker bit: first packet of the key.
    pub marker: bool,
    /// RTP timestamp: that of the key's first packet.
    pub timestamp: u32,
    /// RTP payload.
    pub payload: [u8; PAYLOAD_BYTES],
}

impl Default for EventSender {
    fn default() -> Self {
        Self { clock_khz: USUAL_KHZ, queue: VecDeque::with_capacity(SEND_QUEUE), state: Sending::Idle }
    }
}

impl EventSender {
    /// Tells the clock of telephone-event's timestamps and durations, in kHz. A key under way keeps its own.
    pub fn set_clock(&mut self, clock_khz: u32) {
        self.clock_khz = clock_khz.max(1);
    }

    /// Whether a key is being sent or waits.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.state, Sending::Idle) || !self.queue.is_empty()
    }

    /// Queues a key, 40–6,000 ms long (clamped); `false` if the queue is full.
    pub fn push(&mut self, digit: Digit, duration_ms: u16) -> bool {
        let duration_ms = duration_ms.clamp(*SEND_MS.start(), *SEND_MS.end());
        let room = self.queue.len() < SEND_QUEUE;
        if room {
            self.queue.push_back((digit, duration_ms));
        }
        room
    }

    /// The event packet for the frame at `timestamp` of `samples` (both of telephone-event's clock), or `None` when the frame carries audio.
    pub fn next(&mut self, timestamp: u32, samples: u32) -> Option<OutgoingEvent> {
        match self.state {
            Sending::Idle => {
                let (digit, duration_ms) = self.queue.pop_front()?;
                // One segment holds 65,535 units: 1.3 s at 48 kHz.
                let total = (u32::from(duration_ms) * self.clock_khz).min(u32::from(u16::MAX));
                Some(self.send(digit, timestamp, samples, total, true))
            }
            Sending::Key { digit, timestamp, sent, total } => {
                Some(self.send(digit, timestamp, sent + samples, total, false))
            }
            Sending::Ends { digit, timestamp, total, left } => {
                self.state = match left {
                    0 | 1 => Sending::Pause { left: PAUSE_MS * self.clock_khz },
                    _ => Sending::Ends { digit, timestamp, total, left: left - 1 },
                };
                Some(packet(digit, timestamp, total, false, true))
            }
            Sending::Pause { left } => {
                self.state = match left.saturating_sub(samples) {
                    0 => Sending::Idle,
                    left => Sending::Pause { left },
                };
                None
            }
        }
    }

    fn send(&mut self, digit: Digit, timestamp: u32, sent: u32, total: u32, marker: bool) -> OutgoingEvent {
        let end = sent >= total;
        let sent = sent.min(total);
        self.state = if end {
            Sending::Ends { digit, timestamp, total, left: REPEATED_ENDS }
        } else {
            Sending::Key { digit, timestamp, sent, total }
        };
        packet(digit, timestamp, sent, marker, end)
    }
}

fn packet(digit: Digit, timestamp: u32, duration: u32, marker: bool, end: bool) -> OutgoingEvent {
    let [d0, d1] = u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes();
    let flags = VOLUME | if end { 0x80 } else { 0 };
    OutgoingEvent { marker, timestamp, payload: [digit.event(), flags, d0, d1] }
}

#[cfg(test)]
mod tests;
