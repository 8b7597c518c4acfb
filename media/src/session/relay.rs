//! The part of a session that a bridge needs: packets handed on, and live speech taken in.

use std::collections::VecDeque;

use super::Session;
use super::hearing::MAX_WIDE_SAMPLES;
use crate::codec::Codec;
use crate::playout::Output;
use crate::resample::Resampler;
use crate::rtp::packet::Packet;
use crate::rtp::session::Position;
use crate::{MAX_FRAME_SAMPLES, SAMPLES_PER_MS};

/// Packets that wait to be handed on; the owner takes them at once.
const WAITING: usize = 16;
/// Longest payload handed on.
const MAX_PAYLOAD: usize = MAX_FRAME_SAMPLES;
/// Without a packet to relay for this long, our own comfort silence keeps the line open.
const OWN_AFTER: usize = 200 * SAMPLES_PER_MS;
/// Live speech that waits at most: two frames, whose phases may differ, and a bit.
const MAX_LIVE_MS: usize = 60;

/// What a packet to relay holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Audio(Codec),
    /// telephone-event, with its clock.
    Event(u32),
    ComfortNoise,
}

/// A packet of the peer, for the other leg.
#[derive(Debug, Clone)]
pub(crate) struct Relayed {
    content: Content,
    marker: bool,
    sequence: u64,
    timestamp: u64,
    restarted: bool,
    length: usize,
    payload: [u8; MAX_PAYLOAD],
}

/// Both directions of a relay.
#[derive(Debug)]
pub(super) struct Relay {
    incoming: VecDeque<Relayed>,
    /// The other leg's numbers against ours, while packets come.
    offset: Option<Offset>,
    /// Samples since the last packet that we relayed.
    silent: usize,
}

#[derive(Debug, Clone, Copy)]
struct Offset {
    sequence: u64,
    timestamp: u64,
    our_sequence: u16,
    our_timestamp: u32,
}

/// Speech of the other leg, in samples of our line's rate.
#[derive(Debug)]
pub(super) struct Live {
    samples: VecDeque<i16>,
    rate_hz: u32,
    converter: Option<(u32, Resampler)>,
}

impl Relay {
    fn new() -> Self {
        Self { incoming: VecDeque::with_capacity(WAITING), offset: None, silent: OWN_AFTER }
    }
}

impl Session {
    pub(crate) fn set_relayed(&mut self, relayed: bool) {
        match (relayed, &self.relay) {
            (true, None) => self.relay = Some(Box::new(Relay::new())),
            (false, Some(_)) => self.relay = None,
            _ => {}
        }
    }

    /// The caller's audio of the last tick, as often as wanted.
    #[must_use]
    pub fn frame(&self) -> &[i16] {
        self.frame.get(..self.frame_samples).unwrap_or_default()
    }

    pub(super) fn hand_on_audio(&mut self, packet: &Packet<'_>, position: Position, codec: Option<Codec>) {
        let content = codec.map_or(Content::ComfortNoise, Content::Audio);
        self.hand_on(packet, position, content);
    }

    pub(super) fn hand_on_event(&mut self, packet: &Packet<'_>, position: Position) {
        self.hand_on(packet, position, Content::Event(self.agreement.event_clock_hz));
    }

    fn hand_on(&mut self, packet: &Packet<'_>, position: Position, content: Content) {
        let Some(relay) = &mut self.relay else { return };
        if packet.payload.len() > MAX_PAYLOAD {
            return;
        }
        if relay.incoming.len() == WAITING {
            relay.incoming.pop_front();
            self.stats.relay_dropped += 1;
        }
        let mut relayed = Relayed {
            content,
            marker: packet.marker,
            sequence: position.sequence,
            timestamp: position.timestamp,
            restarted: position.restarted,
            length: packet.payload.len(),
            payload: [0; MAX_PAYLOAD],
        };
        for (place, byte) in relayed.payload.iter_mut().zip(packet.payload) {
            *place = *byte;
        }
        relay.incoming.push_back(relayed);
    }

    pub(crate) fn next_relayed(&self) -> Option<&Relayed> {
        self.relay.as_ref()?.incoming.front()
    }

    pub(crate) fn drop_relayed(&mut self) {
        if let Some(relay) = &mut self.relay {
            relay.incoming.pop_front();
        }
    }

    /// Writes a packet of the other leg for our peer; 0 if it isn't for us: another codec, on hold, or while we play
    /// something of our own.
    pub(crate) fn write_relayed(&mut self, packet: &Relayed, out: &mut [u8]) -> usize {
        let payload_type = match packet.content {
            Content::Audio(codec) if codec == self.agreement.codec => Some(self.agreement.payload_type.send),
            Content::Event(clock) if clock == self.agreement.event_clock_hz => {
                self.agreement.telephone_event.map(|types| types.send)
            }
            Content::ComfortNoise => Some(super::receive::COMFORT_NOISE),
            Content::Audio(_) | Content::Event(_) => None,
        };
        let speaks =
            self.agreement.direction.sends() && self.playout.is_idle() && !self.outgoing_keys.is_busy();
        let Some(payload_type) = payload_type.filter(|_| speaks) else {
            self.stats.relay_dropped += 1;
            return 0;
        };
        let Some(relay) = &mut self.relay else { return 0 };
        if packet.restarted || relay.silent >= OWN_AFTER {
            relay.offset = None;
        }
        let fresh = relay.offset.is_none();
        let offset = *relay.offset.get_or_insert(Offset {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            our_sequence: self.sender.sequence(),
            our_timestamp: self.sender.timestamp(),
        });
        // Gaps and order of the other leg are kept: the numbers differ by a constant.
        let sequence = offset.our_sequence.wrapping_add(low16(packet.sequence.wrapping_sub(offset.sequence)));
        let timestamp =
            offset.our_timestamp.wrapping_add(low32(packet.timestamp.wrapping_sub(offset.timestamp)));
        let marker = packet.marker || fresh;
        let header = self.sender.relayed_header(payload_type, marker, sequence, timestamp, packet.length);
        let payload = packet.payload.get(..packet.length).unwrap_or_default();
        let Some(room) = header.write(out, payload.len()) else { return 0 };
        room.copy_from_slice(payload);
        relay.silent = 0;
        let length = crate::rtp::packet::HEADER_BYTES + payload.len();
        match &mut self.security {
            Some(security) => security.protect(out, length),
            None => length,
        }
    }

    /// Whether this tick's packet comes from the other leg, or is silence that nobody needs.
    pub(super) fn relay_speaks(&mut self) -> bool {
        let idle = self.playout.is_idle() && !self.outgoing_keys.is_busy();
        let Some(relay) = &mut self.relay else { return false };
        if !idle {
            relay.silent = OWN_AFTER;
            return false;
        }
        relay.silent = relay.silent.saturating_add(self.frame_samples);
        relay.silent < OWN_AFTER
    }

    /// Takes live speech for our peer, at 8,000 or 16,000 Hz. What waits longer than 60 ms is left out. Playout goes
    /// before it.
    pub fn speak(&mut self, samples: &[i16], rate_hz: u32) {
        let line_hz = self.agreement.codec.rate_hz();
        let live = self.live.get_or_insert_with(|| Box::new(Live::new(line_hz)));
        if live.rate_hz != line_hz {
            **live = Live::new(line_hz);
        }
        live.push(samples, rate_hz);
    }

    /// Forgets the live speech that waits.
    pub fn stop_speaking(&mut self) {
        self.live = None;
    }
}

impl Live {
    fn new(rate_hz: u32) -> Self {
        // A frame more than may wait, so that taking one in never allocates.
        let room = MAX_LIVE_MS * 16 + MAX_WIDE_SAMPLES;
        Self { samples: VecDeque::with_capacity(room), rate_hz, converter: None }
    }

    fn push(&mut self, samples: &[i16], rate_hz: u32) {
        if rate_hz == self.rate_hz {
            self.samples.extend(samples.iter().take(MAX_WIDE_SAMPLES));
        } else {
            if self.converter.as_ref().is_none_or(|(from, _)| *from != rate_hz) {
                self.converter = Resampler::new(rate_hz, self.rate_hz).map(|converter| (rate_hz, converter));
            }
            let mut converted = [0; MAX_WIDE_SAMPLES];
            let Some((_, converter)) = &mut self.converter else { return };
            let count = converter.process(samples, &mut converted);
            self.samples.extend(converted.get(..count).unwrap_or_default());
        }
        let most = MAX_LIVE_MS * self.rate_hz as usize / 1_000;
        let surplus = self.samples.len().saturating_sub(most);
        self.samples.drain(..surplus);
    }

    /// Fills with speech; `false` if less than that waits.
    pub fn draw(&mut self, out: &mut Output<'_>) -> bool {
        let mut samples = [0; MAX_WIDE_SAMPLES];
        let wanted = match out {
            Output::Law(_, out) => out.len(),
            Output::Wide(out) => out.len(),
        };
        if self.samples.len() < wanted {
            return false;
        }
        for (place, sample) in samples.iter_mut().zip(self.samples.drain(..wanted)) {
            *place = sample;
        }
        out.write(samples.get(..wanted).unwrap_or_default());
        true
    }
}

fn low16(value: u64) -> u16 {
    let [.., high, low] = value.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn low32(value: u64) -> u32 {
    let [.., b0, b1, b2, b3] = value.to_be_bytes();
    u32::from_be_bytes([b0, b1, b2, b3])
}
