//! Opus (RFC 6716, RFC 7587) by libopus; speech at 16 kHz mono, whatever the stream holds.

use opus::{Application, Bitrate, Channels};

/// What the encoder may spend, also asked of the peer by `maxaveragebitrate` (RFC 7587 §6.1): wide-band speech is
/// transparent below it, and 60 ms of it fit a packet.
pub const BITRATE: i32 = 40_000;
/// Loss that the encoder arms itself against, in percent: in-band forward error correction.
const EXPECTED_LOSS: i32 = 5;
/// Of ten: 90 µs a frame at the most, a third of that here, for a difference that a telephone doesn't show.
const COMPLEXITY: i32 = 5;

/// libopus refused; only memory can be the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("libopus gives no coder")]
pub struct OpusError;

/// Packets to samples.
#[derive(Debug)]
pub struct Decoder(opus::Decoder);

impl Decoder {
    /// A decoder to 16 kHz.
    ///
    /// # Errors
    /// [`OpusError`] without memory.
    pub fn new() -> Result<Self, OpusError> {
        opus::Decoder::new(super::WIDE_HZ, Channels::Mono).map(Self).map_err(|_| OpusError)
    }

    /// Decodes a packet; 0 if it is none, or `out` has no room.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> usize {
        if packet.is_empty() { 0 } else { self.0.decode(packet, out, false).unwrap_or(0) }
    }

    /// Fills `out` in place of a lost packet: from what the next one repeats of it, or from what came before.
    pub fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        // Both forms want a multiple of 2.5 ms.
        let whole = out.len() - out.len() % 40;
        let out = out.get_mut(..whole).unwrap_or_default();
        let repeated = next.and_then(|next| self.0.decode(next, out, true).ok());
        repeated.or_else(|| self.0.decode(&[], out, false).ok()).unwrap_or(0)
    }
}

/// Samples to packets.
#[derive(Debug)]
pub struct Encoder(opus::Encoder);

impl Encoder {
    /// An encoder from 16 kHz.
    ///
    /// # Errors
    /// [`OpusError`] without memory.
    pub fn new() -> Result<Self, OpusError> {
        let mut encoder =
            opus::Encoder::new(super::WIDE_HZ, Channels::Mono, Application::Voip).map_err(|_| OpusError)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE)).map_err(|_| OpusError)?;
        encoder.set_complexity(COMPLEXITY).map_err(|_| OpusError)?;
        encoder.set_inband_fec(true).map_err(|_| OpusError)?;
        encoder.set_packet_loss_perc(EXPECTED_LOSS).map_err(|_| OpusError)?;
        Ok(Self(encoder))
    }

    /// Encodes 10, 20, 40 or 60 ms; 0 for other lengths.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        self.0.encode(samples, out).unwrap_or(0)
    }
}

/// Duration of a packet in units of 8 kHz (RFC 6716 §3.1 and §3.2); `None` if it is none.
#[must_use]
pub fn duration(packet: &[u8]) -> Option<usize> {
    let toc = *packet.first()?;
    // In halves of a millisecond.
    let frame = match toc >> 3 {
        config @ 0..12 => [20, 40, 80, 120].get(usize::from(config & 3)),
        config @ 12..16 => [20, 40].get(usize::from(config & 1)),
        config => [5, 10, 20, 40].get(usize::from(config & 3)),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(packet.get(1)? & 0x3F),
    };
    let units = frame.copied()? * frames * 4;
    // RFC 6716 §3.2.5: at most 120 ms, at least one frame.
    (1..=960).contains(&units).then_some(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn speech(samples: usize) -> Vec<i16> {
        (0..samples).map(|n| (8_000.0 * (TAU * 300.0 * n as f64 / 16_000.0).sin()).round() as i16).collect()
    }

    #[test]
    fn packets_of_every_packet_time_are_as_long_as_they_say() {
        let mut encoder = Encoder::new().unwrap();
        let mut decoder = Decoder::new().unwrap();
        for ms in [10, 20, 40, 60] {
            let mut packet = [0; 480];
            let length = encoder.encode(&speech(ms * 16), &mut packet);
            assert!(length > 0 && length < 400);
            assert_eq!(duration(&packet[..length]), Some(ms * 8));
            let mut out = [0; 960];
            assert_eq!(decoder.decode(&packet[..length], &mut out), ms * 16);
        }
        assert_eq!(encoder.encode(&speech(30 * 16), &mut [0; 480]), 0);
    }

    #[test]
    fn a_lost_packet_is_concealed() {
        let mut encoder = Encoder::new().unwrap();
        let mut decoder = Decoder::new().unwrap();
        let (mut packet, mut out) = ([0; 480], [0; 320]);
        for chunk in speech(6_400).chunks(320) {
            let length = encoder.encode(chunk, &mut packet);
            decoder.decode(&packet[..length], &mut out);
        }
        assert_eq!(decoder.conceal(None, &mut out), 320);
        let energy: f64 = out.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 320.0;
        assert!(energy.sqrt() > 2_000.0, "{energy}");
    }

    #[test]
    fn junk_is_no_packet() {
        assert_eq!(duration(&[]), None);
        assert_eq!(duration(&[3]), None);
        assert_eq!(duration(&[3, 0]), None);
        assert_eq!(duration(&[(3 << 3) | 3, 63]), None);
        assert_eq!(Decoder::new().unwrap().decode(&[0xFF; 30], &mut [0; 960]), 0);
    }
}
