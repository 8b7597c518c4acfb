//! From packets to what the caller is heard to say: jitter buffer, decoder, concealment, comfort noise.

use crate::codec::{Codec, Decoder, NARROW_HZ, WIDE_HZ};
use crate::comfort_noise::ComfortNoise;
use crate::concealment::Concealment;
use crate::jitter_buffer::{
    Incoming, Insert, JitterBuffer, JitterRange, JitterStats, SLOTS, Step, UNITS_PER_MS,
};
use crate::resample::Resampler;
use crate::stretch::{Direction, stretch};
use crate::{MAX_FRAME_SAMPLES, SAMPLES_PER_MS};

/// Samples in the longest frame at 16 kHz.
pub(super) const MAX_WIDE_SAMPLES: usize = 2 * MAX_FRAME_SAMPLES;
/// Units that wait: a frame being read, a packet behind it, and what stretching adds.
const WAITING: usize = 2 * MAX_FRAME_SAMPLES + 240;
/// A surplus of delay, and a lack of it, that is worked off in speech. A surplus does little harm.
const TOLERATED_SURPLUS: u64 = 60 * UNITS_PER_MS;
const TOLERATED_LACK: u64 = 20 * UNITS_PER_MS;
/// Either is worked off down to this between sentences, where nobody notices.
const TOLERATED_QUIET: u64 = 8 * UNITS_PER_MS;
/// Silence that is no pause between words, in units: 160 ms.
const BETWEEN_SENTENCES: usize = 160 * SAMPLES_PER_MS;
/// Quieter than the loudest of late by this factor in amplitude, 26 dB, is silence; and so is what is below −50 dBFS.
const QUIETER: f32 = 0.05;
const QUIET: f32 = 100.0;
/// How fast the loudest of late is forgotten: by half in some 14 s of 20 ms frames.
const FORGET: f32 = 0.999;
/// A surplus that is worked off even if it is heard.
const UNBEARABLE: u64 = 100 * UNITS_PER_MS;
/// Concealment is silent after this long; what follows isn't counted as concealed.
const AUDIBLE: u64 = 60 * UNITS_PER_MS;
/// The longest period that stretching takes out.
const LONGEST_PERIOD: usize = 15 * SAMPLES_PER_MS;
/// Frames between two changes of the delay.
const REST: u8 = 3;

/// The hearing of one session.
#[derive(Debug)]
pub(super) struct Hearing {
    buffer: JitterBuffer,
    rate_hz: u32,
    scale: usize,
    decoder: Option<Decoder>,
    /// Brings a codec of another rate to ours.
    converter: Option<(Codec, Resampler)>,
    concealment: Concealment,
    noise: ComfortNoise,
    waiting: Box<[i16]>,
    length: usize,
    /// To 8 kHz, if we hear at 16.
    narrow: Option<Resampler>,
    /// Units concealed in the gap under way.
    gap: u64,
    rest: u8,
    /// The loudest of late, and the units of silence in a row.
    loudest: f32,
    quiet: usize,
    stats: HearingStats,
}

/// Counters, in units of 1/8000 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HearingStats {
    /// Speech made up for what was missing.
    pub concealed: u64,
    /// Speech from packets.
    pub decoded: u64,
    /// Cut out and added to fit the delay.
    pub shortened: u64,
    pub lengthened: u64,
}

impl Hearing {
    /// Hears at the rate of `codec`.
    pub fn new(codec: Codec, range: JitterRange, seed: u32) -> Self {
        let mut hearing = Self {
            buffer: JitterBuffer::new(range),
            rate_hz: NARROW_HZ,
            scale: 1,
            decoder: None,
            converter: None,
            concealment: Concealment::new(NARROW_HZ),
            noise: ComfortNoise::new(seed),
            waiting: Box::default(),
            length: 0,
            narrow: None,
            gap: 0,
            rest: 0,
            loudest: 0.0,
            quiet: 0,
            stats: HearingStats::default(),
        };
        hearing.set_rate(codec.rate_hz());
        hearing
    }

    /// Another codec was agreed: hears at its rate from now on.
    pub fn set_codec(&mut self, codec: Codec) {
        if codec.rate_hz() != self.rate_hz {
            self.set_rate(codec.rate_hz());
        }
    }

    fn set_rate(&mut self, rate_hz: u32) {
        self.rate_hz = rate_hz;
        self.scale = (rate_hz / NARROW_HZ) as usize;
        self.concealment = Concealment::new(rate_hz);
        self.converter = None;
        self.length = 0;
        self.waiting = vec![0; WAITING * self.scale].into();
        self.narrow = if rate_hz == NARROW_HZ { None } else { Resampler::new(rate_hz, NARROW_HZ) };
    }

    /// Another stream begins.
    pub fn reset(&mut self) {
        self.buffer.reset();
        self.decoder = None;
    }

    /// Takes a packet.
    pub fn insert(&mut self, packet: Incoming<'_>, now: u64) -> Insert {
        self.buffer.insert(packet, now)
    }

    /// Notes a packet that isn't audio.
    pub fn note(&mut self, sequence: u64) {
        self.buffer.note(sequence);
    }

    /// Lets time pass unheard.
    pub fn skip(&mut self, units: u64) {
        self.buffer.skip(units);
    }

    pub fn stats(&self) -> (JitterStats, HearingStats) {
        (self.buffer.stats(), self.stats)
    }

    pub fn target_ms(&self) -> u64 {
        self.buffer.target_ms()
    }

    /// Whether frames come at 16 kHz as well.
    pub fn is_wide(&self) -> bool {
        self.rate_hz == WIDE_HZ
    }

    /// Reads the next `narrow.len()` samples at 8 kHz, and the same at 16 kHz into `wide` if [`Hearing::is_wide`].
    /// `steady` forbids to change the delay now, as while a tone is heard that must keep its length.
    pub fn read(&mut self, narrow: &mut [i16], wide: &mut [i16], now: u64, steady: bool) {
        let wanted = narrow.len() * self.scale;
        self.fill(wanted, now);
        self.note_level(wanted);
        if !steady {
            self.adapt(wanted, now);
        }
        match &mut self.narrow {
            None => take(&self.waiting, narrow),
            Some(resampler) => {
                let wide = wide.get_mut(..wanted).unwrap_or_default();
                take(&self.waiting, wide);
                resampler.process(wide, narrow);
            }
        }
        self.waiting.copy_within(wanted..self.length.max(wanted), 0);
        self.length = self.length.saturating_sub(wanted);
    }

    /// Makes samples until so many wait.
    fn fill(&mut self, wanted: usize, now: u64) {
        // Every step makes at least one sample, but for comfort noise and packets whose time has passed.
        for _ in 0..2 * WAITING {
            if self.length >= wanted {
                return;
            }
            self.make(now);
        }
    }

    fn make(&mut self, now: u64) {
        let heard_at = now + (self.length / self.scale) as u64;
        let Self { buffer, waiting, length, concealment, noise, decoder, scale, stats, .. } = self;
        let room = waiting.get_mut(*length..).unwrap_or_default();
        match buffer.next(heard_at) {
            Step::Packet { codec, payload, skip } => {
                if decoder.as_ref().is_none_or(|decoder| decoder.codec() != codec) {
                    *decoder = Decoder::new(codec);
                    self.converter = None;
                }
                let count = if codec.rate_hz() == self.rate_hz {
                    decoder.as_mut().map_or(0, |decoder| decoder.decode(payload, room))
                } else {
                    decode_converted(decoder, &mut self.converter, self.rate_hz, codec, payload, room)
                };
                let skipped = usize::try_from(skip).unwrap_or(count).saturating_mul(*scale).min(count);
                room.copy_within(skipped..count, 0);
                let made = room.get_mut(..count - skipped).unwrap_or_default();
                concealment.pass(made);
                stats.decoded += (made.len() / *scale) as u64;
                self.gap = 0;
                *length += count - skipped;
            }
            Step::Conceal { units, next } => {
                let count = usize::try_from(units).unwrap_or(0).saturating_mul(*scale).min(room.len());
                let made = room.get_mut(..count).unwrap_or_default();
                let codec = decoder.as_ref().map(Decoder::codec);
                let next = next.filter(|(next, _)| Some(*next) == codec).map(|(_, payload)| payload);
                // A codec's own concealment knows more than the waveform tells.
                let own = match decoder.as_mut() {
                    Some(decoder) if codec.is_some_and(|codec| codec.rate_hz() == self.rate_hz) => {
                        decoder.conceal(next, made)
                    }
                    _ => 0,
                };
                if own < made.len() {
                    concealment.conceal(made.get_mut(own..).unwrap_or_default());
                }
                if self.gap < AUDIBLE {
                    stats.concealed += units;
                }
                self.gap += units;
                *length += count;
            }
            Step::Noise { payload } => noise.describe(payload),
            Step::Quiet { units } => {
                let count = usize::try_from(units).unwrap_or(0).saturating_mul(*scale).min(room.len());
                let made = room.get_mut(..count).unwrap_or_default();
                noise.fill(made);
                concealment.pass(made);
                self.gap = 0;
                *length += count;
            }
        }
    }

    fn note_level(&mut self, wanted: usize) {
        let level = level(self.waiting.get(..wanted).unwrap_or_default());
        self.loudest = (self.loudest * FORGET).max(level);
        let silent = level < QUIET || level < self.loudest * QUIETER;
        self.quiet = if silent { self.quiet.saturating_add(wanted / self.scale) } else { 0 };
    }

    /// Brings the delay nearer to what is aimed for.
    fn adapt(&mut self, wanted: usize, now: u64) {
        self.rest = self.rest.saturating_sub(1);
        if self.rest > 0 || self.concealment.is_concealing() {
            return;
        }
        let heard_at = now + (self.length / self.scale) as u64;
        let Some(surplus) = self.buffer.surplus(heard_at) else { return };
        let quiet = self.quiet >= BETWEEN_SENTENCES;
        let tolerated = match (quiet, surplus > 0) {
            (true, _) => TOLERATED_QUIET,
            (false, true) => TOLERATED_SURPLUS,
            (false, false) => TOLERATED_LACK,
        };
        if surplus.unsigned_abs() <= tolerated {
            return;
        }
        let direction = if surplus > 0 { Direction::Shorter } else { Direction::Longer };
        if direction == Direction::Shorter {
            // What is left out is made up for by what comes behind it, if that is there.
            let enough = wanted + LONGEST_PERIOD * self.scale;
            for _ in 0..SLOTS {
                if self.length >= enough || !self.buffer.is_due() {
                    break;
                }
                self.make(now);
            }
        }
        let force = surplus.unsigned_abs() > UNBEARABLE;
        let before = self.length;
        self.length = stretch(&mut self.waiting, before, self.scale, direction, force);
        let change = (before.abs_diff(self.length) / self.scale) as u64;
        match direction {
            Direction::Shorter => self.stats.shortened += change,
            Direction::Longer => self.stats.lengthened += change,
        }
        if change > 0 {
            self.rest = REST;
        }
        self.fill(wanted, now);
    }
}

/// Root mean square.
fn level(samples: &[i16]) -> f32 {
    let energy: u64 = samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    (energy as f32 / samples.len().max(1) as f32).sqrt()
}

/// A codec of another rate than ours: some gateways change it without a word.
fn decode_converted(
    decoder: &mut Option<Decoder>,
    converter: &mut Option<(Codec, Resampler)>,
    rate_hz: u32,
    codec: Codec,
    payload: &[u8],
    out: &mut [i16],
) -> usize {
    if converter.as_ref().is_none_or(|(known, _)| *known != codec) {
        *converter = Resampler::new(codec.rate_hz(), rate_hz).map(|resampler| (codec, resampler));
    }
    let mut samples = [0; MAX_WIDE_SAMPLES];
    let count = decoder.as_mut().map_or(0, |decoder| decoder.decode(payload, &mut samples));
    match converter {
        Some((_, resampler)) => resampler.process(samples.get(..count).unwrap_or_default(), out),
        None => 0,
    }
}

fn take(from: &[i16], out: &mut [i16]) {
    for (place, sample) in out.iter_mut().zip(from) {
        *place = *sample;
    }
}

#[cfg(test)]
mod tests;
