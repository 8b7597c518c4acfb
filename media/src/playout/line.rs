//! From queued audio to what the line's codec takes.

use std::sync::Arc;

use bytes::Bytes;

use super::Chunk;
use crate::codec::{Codec, Law, NARROW_HZ, WIDE_HZ};
use crate::resample::Resampler;

/// Units rendered at a time: 20 ms.
const PIECE: usize = 160;

/// Audio held. One unit is 1/8000 s: a narrow-band sample, or two wide-band ones.
#[derive(Debug)]
pub(super) enum Store {
    /// Narrow-band samples.
    Narrow(Arc<[i16]>),
    /// Wide-band samples, two a unit.
    Wide(Arc<[i16]>),
    /// Narrow-band code words.
    Law(Law, Bytes),
    /// Wide-band samples in A-law, two a unit: half the memory, and as good as G.722.
    CompactWide(Bytes),
}

impl Store {
    pub fn new(chunk: Chunk) -> Self {
        match chunk {
            Chunk::Pcm(samples) => Self::Narrow(samples),
            Chunk::Wide(samples) => Self::Wide(samples),
            Chunk::Pcmu(codewords) => Self::Law(Law::Mu, codewords),
            Chunk::Pcma(codewords) => Self::Law(Law::A, codewords),
        }
    }

    /// The same in a quarter or half of the memory, for what will be waiting for long. Audio that others hold too is
    /// left alone: it costs nothing.
    pub fn compact(self, law: Law) -> Self {
        match self {
            Self::Narrow(samples) if Arc::strong_count(&samples) == 1 => {
                Self::Law(law, samples.iter().map(|sample| law.encode(*sample)).collect())
            }
            Self::Wide(samples) if Arc::strong_count(&samples) == 1 => {
                Self::CompactWide(samples.iter().map(|sample| Law::A.encode(*sample)).collect())
            }
            other => other,
        }
    }

    /// Bytes of memory that are ours.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Narrow(samples) | Self::Wide(samples) if Arc::strong_count(samples) == 1 => {
                2 * samples.len()
            }
            Self::Narrow(_) | Self::Wide(_) => 0,
            Self::Law(_, codewords) | Self::CompactWide(codewords) => codewords.len(),
        }
    }
}

/// Where audio goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// Code words of a G.711 line, one a unit.
    Law(Law, &'a mut [u8]),
    /// Samples of a wide-band line, two a unit.
    Wide(&'a mut [i16]),
}

impl Output<'_> {
    /// Units of room.
    pub(super) fn units(&self) -> usize {
        match self {
            Self::Law(_, out) => out.len(),
            Self::Wide(out) => out.len() / 2,
        }
    }

    /// The part from `from` units on, at most `units` long.
    pub(super) fn part(&mut self, from: usize, units: usize) -> Output<'_> {
        match self {
            Self::Law(law, out) => {
                let end = out.len().min(from + units);
                Output::Law(*law, out.get_mut(from..end).unwrap_or_default())
            }
            Self::Wide(out) => {
                let end = out.len().min(2 * (from + units));
                Output::Wide(out.get_mut(2 * from..end).unwrap_or_default())
            }
        }
    }

    pub(super) fn fill_silence(&mut self) {
        match self {
            Self::Law(law, out) => out.fill(law.silence()),
            Self::Wide(out) => out.fill(0),
        }
    }

    /// Turns each unit down by its gain, in 1/1024.
    pub(super) fn turn_down(&mut self, mut gain: impl FnMut() -> usize) {
        match self {
            Self::Law(law, out) => {
                for codeword in out.iter_mut() {
                    *codeword = law.encode(scale(law.decode(*codeword), gain()));
                }
            }
            Self::Wide(out) => {
                for pair in out.chunks_mut(2) {
                    let gain = gain();
                    pair.iter_mut().for_each(|sample| *sample = scale(*sample, gain));
                }
            }
        }
    }

    /// Writes samples of the line's own rate.
    pub(crate) fn write(&mut self, samples: &[i16]) {
        match self {
            Self::Law(law, out) => {
                law.encode_into(samples, out);
            }
            Self::Wide(out) => copy(samples, out),
        }
    }
}

/// The line as playout knows it: its rate, and the filters to and from the other.
#[derive(Debug)]
pub(super) struct Line {
    wide: bool,
    /// The law that long bursts are held in.
    pub law: Law,
    converter: Option<Resampler>,
}

impl Line {
    pub fn new(codec: Codec) -> Self {
        Self { wide: codec.rate_hz() == WIDE_HZ, law: codec.law().unwrap_or(Law::A), converter: None }
    }

    /// Samples in a unit.
    pub fn scale(&self) -> usize {
        if self.wide { 2 } else { 1 }
    }

    /// Renders audio from unit `from` on, as much as there is room; returns the units.
    pub fn render(&mut self, store: &Store, from: usize, out: &mut Output<'_>) -> usize {
        // The line's own code words aren't touched.
        if let (Store::Law(held, codewords), Output::Law(law, out)) = (store, &mut *out) {
            return held.transcode_into(*law, codewords.get(from..).unwrap_or_default(), out);
        }
        let mut done = 0;
        while done < out.units() {
            let mut part = out.part(done, PIECE);
            let count = self.piece(store, from + done, &mut part);
            if count == 0 {
                break;
            }
            done += count;
        }
        done
    }

    /// The same as samples of the line's rate, without touching the filter of what is really sent.
    pub fn render_linear(&self, store: &Store, from: usize, units: usize, out: &mut [i16]) -> usize {
        let mut line = Self { wide: self.wide, law: self.law, converter: self.converter.clone() };
        if self.wide {
            let out = out.get_mut(..2 * units).unwrap_or_default();
            return line.render(store, from, &mut Output::Wide(out));
        }
        let mut codewords = [0; 2 * PIECE];
        let codewords = codewords.get_mut(..units).unwrap_or_default();
        let count = line.render(store, from, &mut Output::Law(self.law, codewords));
        self.law.decode_into(codewords.get(..count).unwrap_or_default(), out);
        count
    }

    fn piece(&mut self, store: &Store, from: usize, out: &mut Output<'_>) -> usize {
        let units = out.units().min(PIECE);
        let mut samples = [0; 2 * PIECE];
        let (wide, count) = match store {
            Store::Narrow(held) => (false, take(held, from, units, &mut samples)),
            Store::Wide(held) => (true, take(held, 2 * from, 2 * units, &mut samples)),
            Store::Law(law, held) => {
                let end = held.len().min(from + units);
                (false, law.decode_into(held.get(from..end).unwrap_or_default(), &mut samples))
            }
            Store::CompactWide(held) => {
                let end = held.len().min(2 * (from + units));
                (true, Law::A.decode_into(held.get(2 * from..end).unwrap_or_default(), &mut samples))
            }
        };
        let samples = samples.get(..count).unwrap_or_default();
        let line_is_wide = matches!(out, Output::Wide(_));
        if wide == line_is_wide {
            out.write(samples);
        } else {
            let mut converted = [0; 2 * PIECE];
            let count = self.convert(store, samples, &mut converted);
            out.write(converted.get(..count).unwrap_or_default());
        }
        if wide { count / 2 } else { count }
    }

    /// Makes the filter that this audio will need, so that no frame has to.
    pub fn prepare(&mut self, store: &Store) {
        let wide = matches!(store, Store::Wide(_) | Store::CompactWide(_));
        if wide != self.wide && self.converter.is_none() {
            // A line has one rate: the other way is never asked for.
            let (from, to) = if wide { (WIDE_HZ, NARROW_HZ) } else { (NARROW_HZ, WIDE_HZ) };
            self.converter = Resampler::new(from, to);
        }
    }

    fn convert(&mut self, store: &Store, samples: &[i16], out: &mut [i16]) -> usize {
        // Only after a change of codec it isn't there yet.
        self.prepare(store);
        self.converter.as_mut().map_or(0, |converter| converter.process(samples, out))
    }
}

fn take(held: &[i16], from: usize, most: usize, out: &mut [i16]) -> usize {
    let end = held.len().min(from + most);
    let found = held.get(from..end).unwrap_or_default();
    copy(found, out);
    found.len()
}

fn copy(from: &[i16], to: &mut [i16]) {
    for (place, sample) in to.iter_mut().zip(from) {
        *place = *sample;
    }
}

/// A sample by a gain in 1/1024.
pub(super) fn scale(sample: i16, gain: usize) -> i16 {
    let scaled = i32::from(sample) * i32::try_from(gain.min(1_024)).unwrap_or(0) / 1_024;
    i16::try_from(scaled).unwrap_or(0)
}
