//! What is sent.

use super::Session;
use super::hearing::MAX_WIDE_SAMPLES;
use crate::codec::{Codec, Encoder, NARROW_HZ};
use crate::dtmf::telephone_event::{OutgoingEvent, PAYLOAD_BYTES};
use crate::playout::Output;
use crate::resample::Resampler;
use crate::rtp::packet::HEADER_BYTES;

/// The sending codec.
#[derive(Debug)]
pub(super) struct Voice {
    codec: Codec,
    /// For codecs other than G.711, whose code words come from playout as they are.
    encoder: Option<Encoder>,
    /// From the codec's rate to 8 kHz, for who wants to know what was sent.
    down: Option<Resampler>,
}

impl Voice {
    pub fn new(codec: Codec) -> Self {
        let coded = codec.law().is_none();
        let rate_hz = codec.rate_hz();
        let down = if rate_hz == NARROW_HZ { None } else { Resampler::new(rate_hz, NARROW_HZ) };
        Self { codec, encoder: if coded { Encoder::new(codec) } else { None }, down }
    }

    pub fn set_codec(&mut self, codec: Codec) {
        if codec != self.codec {
            *self = Self::new(codec);
        }
    }

    /// Makes the payload of as many units of 1/8000 s as `sent` holds, and what it sounds like; returns its length.
    /// `draw` gives the audio.
    fn fill(&mut self, mut draw: impl FnMut(Output<'_>), sent: &mut [i16], out: &mut [u8]) -> usize {
        let units = sent.len();
        if let Some(law) = self.codec.law() {
            let out = out.get_mut(..units).unwrap_or_default();
            draw(Output::Law(law, out));
            law.decode_into(out, sent);
            return out.len();
        }
        let Some(encoder) = &mut self.encoder else { return 0 };
        let mut wide = [0; MAX_WIDE_SAMPLES];
        let wide = wide.get_mut(..2 * units).unwrap_or_default();
        draw(Output::Wide(wide));
        if let Some(down) = &mut self.down {
            down.process(wide, sent);
        }
        encoder.encode(wide, out)
    }
}

impl Session {
    /// Writes the packet that is due; its length, 0 if there is none.
    pub(super) fn transmit(&mut self, out: &mut [u8]) -> usize {
        self.sent_frame.fill(0);
        if !self.agreement.direction.sends() || self.relay_speaks() {
            self.mark = true;
            return 0;
        }
        let length = self.write_packet(out);
        match &mut self.security {
            Some(security) if length > 0 => security.protect(out, length),
            _ => length,
        }
    }

    fn write_packet(&mut self, out: &mut [u8]) -> usize {
        let event_type = self.agreement.telephone_event.map(|types| types.send);
        let due = self.clock_units(self.frame_samples);
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
        let room = out.get_mut(HEADER_BYTES..).unwrap_or_default();
        let sent = self.sent_frame.get_mut(..samples).unwrap_or_default();
        let (playout, live) = (&mut self.playout, &mut self.live);
        let draw = |mut output: Output<'_>| {
            let spoken = playout.is_idle() && live.as_mut().is_some_and(|live| live.draw(&mut output));
            if !spoken {
                playout.fill(output);
            }
        };
        let length = self.voice.fill(draw, sent, room);
        if length == 0 {
            // An encoder that gives nothing: a gap to the listener, who conceals it.
            self.mark = true;
            return 0;
        }
        let mark = std::mem::take(&mut self.mark);
        let payload_type = self.agreement.payload_type.send;
        let header = self.sender.header(payload_type, mark, self.sender.timestamp(), length);
        if header.write(out, length).is_none() {
            return 0;
        }
        HEADER_BYTES + length
    }
}
