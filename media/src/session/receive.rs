//! What arrives.

use std::net::SocketAddr;
use std::time::Instant;

use super::source::Verdict;
use super::{MediaEvent, Session};
use crate::codec::Codec;
use crate::dtmf::telephone_event::EventPacket;
use crate::jitter_buffer::Incoming;
use crate::rtp::packet::{Packet, is_rtcp};
use crate::rtp::session::Position;
use crate::sdp::PayloadTypes;
use crate::srtp::SrtpError;

/// Comfort noise (RFC 3389, RFC 3551 §6).
pub(super) const COMFORT_NOISE: u8 = 13;

/// What a payload is.
enum Kind {
    Audio(Codec),
    Event,
    ComfortNoise,
}

impl Session {
    /// Takes a datagram that came to the RTP port. Whatever it is, nothing worse happens than a counter going up.
    pub fn handle_rtp(&mut self, datagram: &[u8], source: SocketAddr, now: Instant) {
        if !self.source.permits(source) {
            self.stats.injected += 1;
            return;
        }
        if is_rtcp(datagram) {
            return self.handle_rtcp(datagram, source, now);
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

    /// Takes a datagram that came to the RTCP port. No number of them, whatever they are, ends or changes a call.
    pub fn handle_rtcp(&mut self, datagram: &[u8], source: SocketAddr, now: Instant) {
        if self.source.permits_reports(source) {
            self.handle_report(datagram, now);
        } else {
            self.stats.injected += 1;
        }
    }

    fn handle_report(&mut self, datagram: &[u8], now: Instant) {
        let (ours, clock_khz) = (self.sender.ssrc(), self.agreement.codec.clock_hz() / 1_000);
        let Some(security) = &mut self.security else {
            return self.reports.handle(datagram, ours, clock_khz, now);
        };
        match security.unprotect_rtcp(datagram, now) {
            Ok(plain) => self.reports.handle(plain, ours, clock_khz, now),
            Err(SrtpError::Replayed) => self.stats.replayed += 1,
            Err(_) => self.stats.unauthenticated += 1,
        }
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

    /// What a payload type means. Static numbers are understood even if only the other law was agreed: some gateways
    /// change law without a word.
    fn kind(&self, payload_type: u8) -> Option<Kind> {
        let agreement = &self.agreement;
        let is = |types: PayloadTypes| payload_type == types.receive || payload_type == types.send;
        if is(agreement.payload_type) {
            Some(Kind::Audio(agreement.codec))
        } else if agreement.telephone_event.is_some_and(is) {
            Some(Kind::Event)
        } else if payload_type == COMFORT_NOISE {
            Some(Kind::ComfortNoise)
        } else {
            Codec::from_static_payload_type(payload_type).map(Kind::Audio)
        }
    }

    fn accept(&mut self, kind: &Kind, packet: &Packet<'_>, now: Instant) {
        match kind {
            Kind::Event => self.accept_event(packet, now),
            Kind::ComfortNoise => {
                let Some(position) = self.receiver.admit(packet, None, now) else { return };
                self.stats.comfort_noise += 1;
                self.hand_on_audio(packet, position, None);
                self.hear(position, None, packet.payload, now);
            }
            Kind::Audio(codec) => {
                let clock_khz = codec.clock_hz() / 1_000;
                let Some(position) = self.receiver.admit(packet, Some(clock_khz), now) else { return };
                self.hand_on_audio(packet, position, Some(*codec));
                self.hear(position, Some(*codec), packet.payload, now);
            }
        }
    }

    fn accept_event(&mut self, packet: &Packet<'_>, now: Instant) {
        // Some gateways send events as a stream of their own: only one that is ours counts for loss.
        if self.receiver.ssrc().is_none_or(|ssrc| ssrc == packet.ssrc)
            && let Some(position) = self.receiver.admit(packet, None, now)
        {
            if position.restarted {
                self.hearing.reset();
            }
            self.hearing.note(position.sequence);
            self.hand_on_event(packet, position);
        }
        let event = EventPacket { ssrc: packet.ssrc, timestamp: packet.timestamp, payload: packet.payload };
        for press in self.keys.handle(event, now) {
            self.pressed(press);
        }
    }

    fn hear(&mut self, position: Position, codec: Option<Codec>, payload: &[u8], now: Instant) {
        if position.restarted {
            self.hearing.reset();
        }
        if !self.agreement.direction.receives() {
            return;
        }
        let clock = codec.unwrap_or(self.agreement.codec).clock_hz();
        let timestamp = position.timestamp / u64::from(clock / 8_000);
        let packet = Incoming { sequence: position.sequence, timestamp, codec, payload };
        let arrived = self.units_at(now);
        self.hearing.insert(packet, arrived);
    }
}
