//! One RTP session of a call leg: datagrams and ticks in, packets, caller audio and events out.
//!
//! The owner drains its socket into [`Session::handle_rtp`], then calls [`Session::tick`] until it gives `None`; every
//! `Some` is one packet time gone by, with a packet to send (unless on hold) and one frame of caller audio to take.
//! Neither allocates.

mod config;
mod liveness;
mod pacer;
mod security;
pub mod source;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use config::{Agreement, MediaEvent, SessionConfig, SessionStats};
pub use liveness::{FIRST_MEDIA, SILENCE};
pub use source::{Prefix, SourcePolicy};

use crate::codec::Codec;
use crate::dtmf::Digit;
use crate::dtmf::telephone_event::{
    EventPacket, EventReceiver, EventSender, KeyPress, OutgoingEvent, PAYLOAD_BYTES,
};
use crate::jitter_buffer::JitterBuffer;
use crate::playout::{Playout, PlayoutCommand, PlayoutEvent, PlayoutFull};
use crate::rtp::packet::{HEADER_BYTES, Packet, is_rtcp};
use crate::rtp::session::{Receiver, Sender};
use crate::srtp::{MAX_RTP_OVERHEAD, SrtpError};
use crate::{MAX_FRAME_SAMPLES, MAX_PTIME_MS, MIN_PTIME_MS, SAMPLES_PER_MS};
use liveness::Liveness;
use pacer::Pacer;
use security::{Rekeyed, Security};
use source::{SourceFilter, Verdict};

/// Room that [`Session::tick`] needs for any packet.
pub const MAX_PACKET_BYTES: usize = HEADER_BYTES + MAX_FRAME_SAMPLES + MAX_RTP_OVERHEAD;
/// Comfort noise (RFC 3389, RFC 3551 §6).
const COMFORT_NOISE: u8 = 13;
/// Events kept for the owner; it reads them after every tick, so this is a flood.
const MAX_EVENTS: usize = 256;

/// A session.
#[derive(Debug)]
pub struct Session {
    agreement: Agreement,
    signalling: Option<std::net::IpAddr>,
    frame_samples: usize,
    source: SourceFilter,
    security: Option<Box<Security>>,
    receiver: Receiver,
    jitter: JitterBuffer,
    keys: EventReceiver,
    liveness: Liveness,
    sender: Sender,
    playout: Playout,
    outgoing_keys: EventSender,
    pacer: Pacer,
    /// The next audio packet starts a talkspurt (RFC 3551 §4.1): start, resumption, gap.
    mark: bool,
    frame: [i16; MAX_FRAME_SAMPLES],
    frame_fresh: bool,
    events: VecDeque<MediaEvent>,
    stats: SessionStats,
}

enum Kind {
    Audio(Codec),
    Event,
    ComfortNoise,
}

impl Session {
    /// Starts a session; the first packet is due at once.
    #[must_use]
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        let agreement = config.agreement;
        let frame_samples = frame_samples(agreement.ptime_ms);
        let security = agreement.keys.as_ref().and_then(Security::new).map(Box::new);
        // The first turn of the sequence number shall not come before the peer has seen a packet (RFC 3711 §3.3.1).
        let sequence = if security.is_some() { config.sequence & 0x7FFF } else { config.sequence };
        Self {
            signalling: config.signalling,
            frame_samples,
            source: SourceFilter::new(config.source, agreement.remote, config.signalling),
            security,
            receiver: Receiver::default(),
            jitter: JitterBuffer::new(config.jitter_ms),
            keys: EventReceiver::default(),
            liveness: Liveness::new(now, parks_timeout(&agreement)),
            sender: Sender::new(config.ssrc, sequence, config.timestamp),
            playout: Playout::default(),
            outgoing_keys: EventSender::default(),
            pacer: Pacer::new(now, period(frame_samples)),
            mark: true,
            frame: [0; MAX_FRAME_SAMPLES],
            frame_fresh: false,
            events: VecDeque::with_capacity(16),
            stats: SessionStats::default(),
            agreement,
        }
    }

    /// Takes a datagram that came to the RTP port. Whatever it is, nothing worse happens than a counter going up.
    pub fn handle_rtp(&mut self, datagram: &[u8], source: SocketAddr, now: Instant) {
        if !self.source.permits(source) {
            self.stats.injected += 1;
            return;
        }
        if is_rtcp(datagram) {
            self.stats.rtcp += 1;
            return;
        }
        let Some(mut security) = self.security.take() else {
            return self.handle_plain(datagram, source, now);
        };
        match security.unprotect(datagram, now) {
            Ok(plain) => self.handle_plain(plain, source, now),
            Err(SrtpError::Replayed) => self.stats.replayed += 1,
            Err(_) => self.stats.unauthenticated += 1,
        }
        self.security = Some(security);
    }

    fn handle_plain(&mut self, datagram: &[u8], source: SocketAddr, now: Instant) {
        let Ok(packet) = Packet::parse(datagram) else {
            self.stats.malformed += 1;
            return;
        };
        let Some(kind) = self.kind(packet.payload_type) else {
            self.stats.unknown_payload += 1;
            return;
        };
        let locked_before = self.source.locked().is_some();
        match self.source.judge(source, packet.ssrc, packet.sequence) {
            Verdict::Accept => {}
            Verdict::Wait => {
                self.stats.unproven += 1;
                return;
            }
            Verdict::Refuse => {
                self.stats.injected += 1;
                return;
            }
        }
        if !locked_before {
            self.event(MediaEvent::FirstPacket { source });
        }
        if self.liveness.heard(now) {
            self.event(MediaEvent::Resumed);
        }
        self.accept(&kind, &packet, now);
    }

    /// Advances by one packet time if that is due: call it until it gives `None`.
    ///
    /// `Some(0)`: time went by, nothing to send (on hold). `Some(n)`: send `out[..n]` to [`Session::destination`].
    /// `out` must hold [`MAX_PACKET_BYTES`]; in less, a packet that doesn't fit is not sent.
    pub fn tick(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let skipped = self.pacer.advance(now)?;
        if skipped > 0 {
            self.skip(skipped);
        }
        if let Some(press) = self.keys.poll(now) {
            self.pressed(press);
        }
        if let Some((first_media, silence)) = self.liveness.check(now) {
            let silent_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
            self.event(MediaEvent::Timeout { first_media, silent_ms });
        }
        let samples = self.frame_samples;
        self.jitter.read(self.frame.get_mut(..samples).unwrap_or_default());
        self.frame_fresh = true;
        let mut length =
            if self.agreement.direction.sends() { self.write_packet(out) } else { self.stay_silent() };
        if let Some(security) = &mut self.security
            && length > 0
        {
            length = security.protect(out, length);
        }
        self.sender.advance(u32::try_from(samples).unwrap_or(0));
        Some(length)
    }

    /// When the next [`Session::tick`] is due.
    #[must_use]
    pub fn next_tick(&self) -> Instant {
        self.pacer.next()
    }

    /// Where packets go, if anywhere. May change with every packet received until the source is locked.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        self.source.destination()
    }

    /// The caller's audio of the packet time that the last [`Session::tick`] made pass: 8 kHz linear, silence where
    /// nothing came. Once per tick.
    pub fn next_frame(&mut self) -> Option<&[i16]> {
        if !std::mem::take(&mut self.frame_fresh) {
            return None;
        }
        self.frame.get(..self.frame_samples)
    }

    /// Samples in a frame: 8 per millisecond of packet time.
    #[must_use]
    pub fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    /// Queues or cuts what the caller hears. While we may not send (hold), the queue stands still.
    ///
    /// # Errors
    /// [`PlayoutFull`] if more than two minutes would be queued; nothing was taken.
    pub fn playout(&mut self, command: PlayoutCommand) -> Result<(), PlayoutFull> {
        self.playout.command(command)
    }

    /// Audio queued for the caller, in milliseconds.
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        self.playout.queued_ms()
    }

    /// Sends a key as telephone-event, 40–6,000 ms long; audio waits meanwhile. `false` if telephone-event wasn't
    /// agreed or 32 keys are waiting.
    pub fn send_digit(&mut self, digit: Digit, duration_ms: u16) -> bool {
        self.agreement.telephone_event.is_some() && self.outgoing_keys.push(digit, duration_ms)
    }

    /// The oldest event not yet read.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front().or_else(|| self.playout.poll_event().map(MediaEvent::from))
    }

    /// Goes on as a re-INVITE or UPDATE agreed. Queue, numbering and (if the address is the same) the lock stay.
    pub fn update(&mut self, agreement: Agreement, now: Instant) {
        if agreement.direction.sends() && !self.agreement.direction.sends() {
            self.mark = true;
        }
        self.rekey(&agreement, now);
        self.source.update(agreement.remote, self.signalling);
        self.liveness.park(parks_timeout(&agreement), now);
        self.frame_samples = frame_samples(agreement.ptime_ms);
        self.pacer.set_period(period(self.frame_samples));
        self.agreement = agreement;
    }

    fn rekey(&mut self, agreement: &Agreement, now: Instant) {
        let Some(keys) = &agreement.keys else {
            self.security = None;
            return;
        };
        let rekeyed = match &mut self.security {
            Some(security) => security.rekey(keys, now),
            None => {
                self.security = Security::new(keys).map(Box::new);
                Rekeyed::NewStream
            }
        };
        if rekeyed == Rekeyed::NewStream {
            self.sender.restart();
            self.mark = true;
        }
    }

    /// What was agreed last.
    #[must_use]
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Our SSRC.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.sender.ssrc()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        let totals = self.receiver.totals();
        let (sent, sent_octets) = self.sender.sent();
        SessionStats {
            received: totals.received,
            lost: self.receiver.lost(),
            reordered: totals.reordered,
            restarts: totals.restarts,
            jitter_ms: self.receiver.jitter_ms(),
            buffer: self.jitter.stats(),
            unproven: self.stats.unproven + totals.doubtful,
            sent,
            sent_octets,
            ..self.stats
        }
    }

    /// What a payload type means. Static numbers are understood even if only the other law was agreed: some gateways
    /// change law without a word.
    fn kind(&self, payload_type: u8) -> Option<Kind> {
        let agreement = &self.agreement;
        let is_event =
            |types: crate::sdp::PayloadTypes| payload_type == types.receive || payload_type == types.send;
        if payload_type == agreement.payload_type.receive || payload_type == agreement.payload_type.send {
            Some(Kind::Audio(agreement.codec))
        } else if agreement.telephone_event.is_some_and(is_event) {
            Some(Kind::Event)
        } else if payload_type == COMFORT_NOISE {
            Some(Kind::ComfortNoise)
        } else {
            Codec::from_static_payload_type(payload_type).map(Kind::Audio)
        }
    }

    fn accept(&mut self, kind: &Kind, packet: &Packet<'_>, now: Instant) {
        match kind {
            Kind::Event => {
                // Some gateways send events as a stream of their own: only one that is ours counts for loss.
                if self.receiver.ssrc().is_none_or(|ssrc| ssrc == packet.ssrc) {
                    self.receiver.admit(packet, false, now);
                }
                let event =
                    EventPacket { ssrc: packet.ssrc, timestamp: packet.timestamp, payload: packet.payload };
                for press in self.keys.handle(event, now) {
                    self.pressed(press);
                }
            }
            Kind::ComfortNoise => {
                self.stats.comfort_noise += 1;
                self.receiver.admit(packet, false, now);
            }
            Kind::Audio(codec) => {
                let Some(position) = self.receiver.admit(packet, true, now) else { return };
                if position.restarted {
                    self.jitter.reset();
                }
                if self.agreement.direction.receives() {
                    self.jitter.insert(position.sequence, position.timestamp, *codec, packet.payload);
                }
            }
        }
    }

    fn write_packet(&mut self, out: &mut [u8]) -> usize {
        let samples = self.frame_samples;
        let event_type = self.agreement.telephone_event.map(|types| types.send);
        let due = u32::try_from(samples).unwrap_or(0);
        let event =
            event_type.and_then(|kind| Some((kind, self.outgoing_keys.next(self.sender.timestamp(), due)?)));
        match event {
            Some((payload_type, event)) => self.write_event(payload_type, event, out),
            None => self.write_audio(out),
        }
    }

    fn write_event(&mut self, payload_type: u8, event: OutgoingEvent, out: &mut [u8]) -> usize {
        let header = self.sender.header(payload_type, event.marker, event.timestamp, PAYLOAD_BYTES);
        let Some(payload) = header.write(out, PAYLOAD_BYTES) else { return 0 };
        payload.copy_from_slice(&event.payload);
        HEADER_BYTES + PAYLOAD_BYTES
    }

    fn write_audio(&mut self, out: &mut [u8]) -> usize {
        let samples = self.frame_samples;
        if out.len() < HEADER_BYTES + samples {
            return 0;
        }
        let (codec, payload_type) = (self.agreement.codec, self.agreement.payload_type);
        let mark = std::mem::take(&mut self.mark);
        let header = self.sender.header(payload_type.send, mark, self.sender.timestamp(), samples);
        let Some(payload) = header.write(out, samples) else { return 0 };
        self.playout.fill(codec, payload);
        HEADER_BYTES + samples
    }

    fn stay_silent(&mut self) -> usize {
        self.mark = true;
        0
    }

    /// A stall ate frames: both time lines go on as if they had been sent and heard.
    fn skip(&mut self, frames: u32) {
        let samples = u64::from(frames) * self.frame_samples as u64;
        self.stats.skipped_frames += u64::from(frames);
        self.mark = true;
        self.jitter.skip(samples);
        let [.., t0, t1, t2, t3] = samples.to_be_bytes();
        self.sender.advance(u32::from_be_bytes([t0, t1, t2, t3]));
    }

    fn pressed(&mut self, press: KeyPress) {
        self.event(MediaEvent::Digit { digit: press.digit, duration_ms: press.duration_ms });
    }

    fn event(&mut self, event: MediaEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        } else {
            self.stats.events_dropped += 1;
        }
    }
}

impl From<PlayoutEvent> for MediaEvent {
    fn from(event: PlayoutEvent) -> Self {
        match event {
            PlayoutEvent::Drained { utterance, sent_ms } => Self::Drained { utterance, sent_ms },
            PlayoutEvent::Cleared { utterance, sent_ms, unsent_ms } => {
                Self::Cleared { utterance, sent_ms, unsent_ms }
            }
        }
    }
}

/// No media is expected from a peer that holds us, or that we don't listen to.
fn parks_timeout(agreement: &Agreement) -> bool {
    agreement.held || agreement.direction != crate::sdp::Direction::SendRecv
}

fn frame_samples(ptime_ms: u8) -> usize {
    let ptime_ms = ptime_ms.clamp(MIN_PTIME_MS, MAX_PTIME_MS);
    usize::from(ptime_ms - ptime_ms % 10) * SAMPLES_PER_MS
}

fn period(frame_samples: usize) -> Duration {
    Duration::from_millis((frame_samples / SAMPLES_PER_MS) as u64)
}

#[cfg(test)]
mod tests;
