//! What was heard, measured: where a sentence is in it, how loud, with which holes.
#![allow(clippy::cast_precision_loss, reason = "samples are small numbers")]

use std::path::Path;

/// Samples a second, everywhere here.
pub const RATE: usize = 8000;
/// The steps of the coarse search, in samples: a quarter of the rate still holds a voice's
/// fundamental and first formant.
const COARSE: usize = 4;
const FRAME: usize = RATE / 50;

/// Where a sentence is.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The sample that it begins at.
    pub at: usize,
    /// Normalised cross-correlation there, at most 1.
    pub correlation: f32,
}

impl Found {
    pub fn seconds(self) -> f32 {
        self.at as f32 / RATE as f32
    }
}

/// The shipped audio whose file's name begins so.
pub fn shipped(voice: &str, begins: &str) -> Vec<i16> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/audio").join(voice);
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(begins))
        .collect();
    files.sort();
    let file =
        files.first().unwrap_or_else(|| panic!("{}: nothing begins with {begins}", directory.display()));
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(bytes[20], 6, "{}: not A-law", file.display());
    let chunk = bytes.windows(4).position(|window| window == b"data").unwrap();
    let (header, data) = bytes[chunk..].split_at(8);
    let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    // A chunk of odd length is followed by a byte that isn't part of it.
    data[..usize::try_from(length).unwrap()].iter().map(|byte| a_law(*byte)).collect()
}

/// A-law to linear (ITU-T G.711, table 1a), written apart from the service's own.
fn a_law(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let (segment, step) = (u32::from(bits >> 4 & 7), i16::from(bits & 15));
    let magnitude = if segment == 0 { step * 16 + 8 } else { (step * 16 + 264) << (segment - 1) };
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Where `sentence` is most likely in `heard`.
pub fn find(sentence: &[i16], heard: &[i16]) -> Found {
    let thin = |samples: &[i16]| -> Vec<f32> {
        samples.chunks(COARSE).map(|some| some.iter().map(|s| f32::from(*s)).sum()).collect()
    };
    let coarse = best(&thin(sentence), &thin(heard), 0, usize::MAX);
    let full = |samples: &[i16]| -> Vec<f32> { samples.iter().map(|s| f32::from(*s)).collect() };
    let from = (coarse.at * COARSE).saturating_sub(2 * COARSE);
    best(&full(sentence), &full(heard), from, from + 4 * COARSE)
}

fn best(needle: &[f32], hay: &[f32], from: usize, to: usize) -> Found {
    let last =
        hay.len().checked_sub(needle.len()).expect("what was heard is shorter than the sentence").min(to);
    (from..=last)
        .map(|at| Found { at, correlation: correlation(needle, &hay[at..at + needle.len()]) })
        .max_by(|a, b| a.correlation.total_cmp(&b.correlation))
        .expect("a place to look at")
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        product += x * y;
        left += x * x;
        right += y * y;
    }
    product / (left * right).sqrt().max(1.0)
}

/// The level in dB relative to full scale.
pub fn level(samples: &[i16]) -> f32 {
    let power = samples.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / samples.len().max(1) as f32;
    20.0 * (power.sqrt().max(1.0) / 32768.0).log10()
}

/// When something is heard first, in seconds.
pub fn begins(heard: &[i16]) -> f32 {
    let frames = heard.chunks(FRAME).position(|frame| level(frame) > -45.0).expect("something is heard");
    (frames * FRAME) as f32 / RATE as f32
}

/// The longest time, in milliseconds, that nothing is heard where the sentence has a voice.
pub fn longest_hole(sentence: &[i16], heard: &[i16]) -> usize {
    let (mut longest, mut hole) = (0, 0);
    for (spoken, received) in sentence.chunks(FRAME / 4).zip(heard.chunks(FRAME / 4)) {
        if level(spoken) > -45.0 && level(received) < -55.0 {
            hole += 5;
            longest = longest.max(hole);
        } else {
            hole = 0;
        }
    }
    longest
}

/// The largest difference between what was said and what was heard, as a share of the sample
/// beyond a floor of quantisation: a click, a lost or doubled packet is far above a codec's step.
pub fn largest_error(sentence: &[i16], heard: &[i16]) -> f32 {
    let error = |(said, heard): (&i16, &i16)| {
        let (said, heard) = (f32::from(*said), f32::from(*heard));
        (said - heard).abs() / said.abs().max(256.0)
    };
    sentence.iter().zip(heard).map(error).fold(0.0, f32::max)
}

/// Wide-band audio at 8 kHz: what is above 4 kHz is averaged away, roughly.
pub fn halved(samples: &[i16]) -> Vec<i16> {
    const TAPS: [i32; 7] = [-1, 0, 9, 16, 9, 0, -1];
    samples
        .windows(TAPS.len())
        .step_by(2)
        .map(|some| {
            let sum: i32 = some.iter().zip(TAPS).map(|(sample, tap)| i32::from(*sample) * tap).sum();
            i16::try_from((sum / 32).clamp(-32_768, 32_767)).unwrap()
        })
        .collect()
}
