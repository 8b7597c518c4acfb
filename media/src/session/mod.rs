//! One RTP session of a call leg: datagrams and ticks in, packets, caller audio and events out.
//!
//! The owner drains its socket into [`Session::handle_rtp`], then calls [`Session::tick`] until it gives `None`; every
//! `Some` is one packet time gone by, with a packet to send (unless on hold) and one frame of caller audio to take.
//! Neither allocates.

mod config;
mod hearing;
mod liveness;
mod pacer;
mod receive;
mod relay;
mod report;
mod security;
pub mod source;
mod transmit;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use config::{Agreement, MediaEvent, SessionConfig, SessionStats};
pub use liveness::{FIRST_MEDIA, SILENCE};
pub use report::MAX_REPORT_BYTES;
pub use source::{Prefix, SourcePolicy};

use crate::dtmf::Digit;
use crate::dtmf::inband::Detector;
use crate::dtmf::telephone_event::{EventReceiver, EventSender, KeyPress};
use crate::jitter_buffer::UNITS_PER_MS;
use crate::playout::{Playout, PlayoutCommand, PlayoutEvent, PlayoutFull};
use crate::rtp::packet::HEADER_BYTES;
use crate::rtp::report::Reports;
use crate::rtp::session::{Receiver, Sender};
use crate::srtp::MAX_RTP_OVERHEAD;
use crate::vad::{SpeechEdge, Vad};
use crate::{MAX_FRAME_SAMPLES, MAX_PTIME_MS, MIN_PTIME_MS, SAMPLES_PER_MS};
use hearing::{Hearing, MAX_WIDE_SAMPLES};
use liveness::Liveness;
use pacer::Pacer;
use relay::{Live, Relay};
use security::{Rekeyed, Security};
use source::SourceFilter;
use transmit::Voice;

/// Room that [`Session::tick`] needs for any packet.
pub const MAX_PACKET_BYTES: usize = HEADER_BYTES + MAX_FRAME_SAMPLES + MAX_RTP_OVERHEAD;
/// Events kept for the owner; it reads them after every tick, so this is a flood.
const MAX_EVENTS: usize = 256;

/// A session.
#[derive(Debug)]
pub struct Session {
    agreement: Agreement,
    signalling: Option<std::net::IpAddr>,
    started: Instant,
    /// Units of 1/8000 s that have gone by, a frame at a time.
    clock: u64,
    /// Narrow-band samples in a frame.
    frame_samples: usize,
    source: SourceFilter,
    security: Option<Box<Security>>,
    receiver: Receiver,
    reports: Reports,
    hearing: Hearing,
    keys: EventReceiver,
    /// Keys in the audio, while no telephone-event is agreed.
    inband: Option<Box<Detector>>,
    liveness: Liveness,
    sender: Sender,
    voice: Voice,
    playout: Playout,
    relay: Option<Box<Relay>>,
    live: Option<Box<Live>>,
    outgoing_keys: EventSender,
    pacer: Pacer,
    /// The next audio packet starts a talkspurt (RFC 3551 §4.1): start, resumption, gap.
    mark: bool,
    vad: Option<Box<Vad>>,
    frame: [i16; MAX_FRAME_SAMPLES],
    /// What we sent in the same time, at 8 kHz.
    sent_frame: [i16; MAX_FRAME_SAMPLES],
    wide_frame: Box<[i16]>,
    frame_fresh: bool,
    events: VecDeque<MediaEvent>,
    stats: SessionStats,
}

impl Session {
    /// Starts a session; the first packet is due at once.
    #[must_use]
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        let agreement = config.agreement;
        let frame_samples = frame_samples(&agreement);
        let security = agreement.keys.as_ref().and_then(Security::new).map(Box::new);
        // The first turn of the sequence number shall not come before the peer has seen a packet (RFC 3711 §3.3.1).
        let sequence = if security.is_some() { config.sequence & 0x7FFF } else { config.sequence };
        let seed = u64::from(config.ssrc) << 32 | u64::from(config.timestamp);
        let mut session = Self {
            signalling: config.signalling,
            started: now,
            clock: 0,
            frame_samples,
            source: SourceFilter::new(config.source, agreement.remote, config.signalling),
            security,
            receiver: Receiver::default(),
            reports: Reports::new(config.ntp, seed, now),
            hearing: Hearing::new(agreement.codec, config.jitter, config.ssrc ^ config.timestamp),
            keys: EventReceiver::default(),
            inband: None,
            liveness: Liveness::new(now, parks_timeout(&agreement)),
            sender: Sender::new(config.ssrc, sequence, config.timestamp),
            voice: Voice::new(agreement.codec),
            playout: Playout::default(),
            relay: None,
            live: None,
            outgoing_keys: EventSender::default(),
            pacer: Pacer::new(now, period(frame_samples)),
            mark: true,
            vad: config.vad.map(Vad::new).map(Box::new),
            frame: [0; MAX_FRAME_SAMPLES],
            sent_frame: [0; MAX_FRAME_SAMPLES],
            wide_frame: wide_frame(&agreement),
            frame_fresh: false,
            events: VecDeque::with_capacity(16),
            stats: SessionStats::default(),
            agreement,
        };
        session.playout.set_codec(session.agreement.codec);
        session.set_keys();
        session
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
        let heard_at = self.units_at(now);
        let frame = self.frame.get_mut(..self.frame_samples).unwrap_or_default();
        let steady = self.inband.as_ref().is_some_and(|inband| inband.hears_tone());
        self.hearing.read(frame, &mut self.wide_frame, heard_at, steady);
        self.frame_fresh = true;
        if let Some(press) = self.inband.as_mut().and_then(|inband| inband.listen(frame)) {
            self.pressed(press);
        }
        let length = self.transmit(out);
        self.clock += self.frame_samples as u64;
        self.watch_speech();
        self.sender.advance(self.clock_units(self.frame_samples));
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

    /// The same frame at 16 kHz, if the codec gives it; may be asked before or after [`Session::next_frame`].
    #[must_use]
    pub fn wide_frame(&self) -> Option<&[i16]> {
        let samples = if self.hearing.is_wide() { 2 * self.frame_samples } else { return None };
        self.wide_frame.get(..samples)
    }

    /// What was sent in the same time, at 8 kHz; silence while nothing was. For the other channel of a recording.
    #[must_use]
    pub fn sent_frame(&self) -> &[i16] {
        self.sent_frame.get(..self.frame_samples).unwrap_or_default()
    }

    /// The session's clock: samples at 8 kHz that have gone by, those skipped after a stall among them. The frame of
    /// the last tick ends there.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Whether the caller is speaking, as far as we can tell.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.vad.as_ref().is_some_and(|vad| vad.is_speech())
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
        self.frame_samples = frame_samples(&agreement);
        self.pacer.set_period(period(self.frame_samples));
        if agreement.codec != self.agreement.codec {
            self.hearing.set_codec(agreement.codec);
            self.voice.set_codec(agreement.codec);
            self.playout.set_codec(agreement.codec);
            self.wide_frame = wide_frame(&agreement);
        }
        self.agreement = agreement;
        self.set_keys();
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

    fn set_keys(&mut self) {
        match (&self.agreement.telephone_event, &self.inband) {
            (Some(_), _) => self.inband = None,
            (None, None) => self.inband = Some(Box::default()),
            (None, Some(_)) => {}
        }
        let clock_khz = self.agreement.event_clock_hz / 1_000;
        self.keys.set_clock(clock_khz);
        self.outgoing_keys.set_clock(clock_khz);
    }

    fn watch_speech(&mut self) {
        let caller = self.frame.get(..self.frame_samples).unwrap_or_default();
        let ours = self.sent_frame.get(..self.frame_samples).unwrap_or_default();
        let now_ms = self.clock / UNITS_PER_MS;
        let at = |ago_ms: u32| now_ms.saturating_sub(u64::from(ago_ms));
        let event = match self.vad.as_mut().and_then(|vad| vad.listen(caller, ours)) {
            Some(SpeechEdge::Started { ago_ms }) => MediaEvent::SpeechStarted { at_ms: at(ago_ms), ago_ms },
            Some(SpeechEdge::Ended { ago_ms, lasted_ms }) => {
                MediaEvent::SpeechEnded { at_ms: at(ago_ms), ago_ms, lasted_ms }
            }
            None => return,
        };
        self.event(event);
    }

    /// A stall ate frames: both time lines go on as if they had been sent and heard.
    fn skip(&mut self, frames: u32) {
        let samples = u64::from(frames) * self.frame_samples as u64;
        self.stats.skipped_frames += u64::from(frames);
        self.clock += samples;
        self.mark = true;
        self.hearing.skip(samples);
        // Timestamps wrap: only the lower half counts.
        let clock = samples * u64::from(self.agreement.codec.clock_hz() / 8_000);
        let [.., t0, t1, t2, t3] = clock.to_be_bytes();
        self.sender.advance(u32::from_be_bytes([t0, t1, t2, t3]));
    }

    /// The session's time line: units of 1/8000 s since its start.
    fn units_at(&self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.started).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX).saturating_mul(UNITS_PER_MS) / 1_000
    }

    /// Units of 1/8000 s in units of our codec's RTP clock.
    fn clock_units(&self, units: usize) -> u32 {
        u32::try_from(units).unwrap_or(0) * (self.agreement.codec.clock_hz() / 8_000)
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

fn frame_samples(agreement: &Agreement) -> usize {
    let ptime_ms = agreement.ptime_ms.clamp(MIN_PTIME_MS, MAX_PTIME_MS);
    let ptime_ms = ptime_ms - ptime_ms % 10;
    let ptime_ms = if agreement.codec.can_packetize(ptime_ms) { ptime_ms } else { 20 };
    usize::from(ptime_ms) * SAMPLES_PER_MS
}

fn wide_frame(agreement: &Agreement) -> Box<[i16]> {
    let samples = if agreement.codec.rate_hz() > crate::codec::NARROW_HZ { MAX_WIDE_SAMPLES } else { 0 };
    vec![0; samples].into()
}

fn period(frame_samples: usize) -> Duration {
    Duration::from_millis((frame_samples / SAMPLES_PER_MS) as u64)
}

#[cfg(test)]
mod tests;
