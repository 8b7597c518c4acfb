//! Cost of 20 ms in each codec, of concealing them, of resampling them, and of changing their length; the baseline is a
//! plain copy of the frame.

#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a ramp within 16 bits; a bench may stop at a surprise"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use media::codec::{Codec, Decoder, Encoder};
use media::concealment::Concealment;
use media::resample::Resampler;
use media::stretch::{Direction, stretch};

fn voice(rate: u32, samples: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU / f64::from(rate);
    let voice = |n: usize| {
        let phase = step * n as f64;
        6_000.0 * (118.0 * phase).sin() + 3_000.0 * (590.0 * phase).sin() + 1_000.0 * (2_300.0 * phase).sin()
    };
    (0..samples).map(|n| voice(n) as i16).collect()
}

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec_20ms");
    let mut copied = [0i16; 160];
    let samples = voice(8_000, 160);
    group.bench_function("baseline_copy", |bencher| {
        bencher.iter(|| copied.copy_from_slice(black_box(&samples)));
    });
    for codec in Codec::ALL {
        let samples = voice(codec.rate_hz(), codec.rate_hz() as usize / 50);
        let (mut payload, mut decoded) = ([0u8; 480], [0i16; 960]);
        let mut encoder = Encoder::new(*codec).expect("an encoder");
        let length = encoder.encode(&samples, &mut payload);
        group.bench_function(format!("encode_{}", codec.encoding_name()), |bencher| {
            bencher.iter(|| encoder.encode(black_box(&samples), &mut payload));
        });
        let mut decoder = Decoder::new(*codec).expect("a decoder");
        group.bench_function(format!("decode_{}", codec.encoding_name()), |bencher| {
            bencher.iter(|| decoder.decode(black_box(&payload[..length]), &mut decoded));
        });
    }
    group.finish();
}

fn repairs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("repair_20ms");
    for rate in [8_000u32, 16_000] {
        let frame = rate as usize / 50;
        let speech = voice(rate, 5 * frame);
        let mut concealment = Concealment::new(rate);
        let mut passing = speech.clone();
        group.bench_function(format!("pass_{rate}"), |bencher| {
            bencher.iter(|| concealment.pass(black_box(&mut passing[..frame])));
        });
        concealment.pass(&mut speech.clone());
        let mut lost = vec![0; frame];
        group.bench_function(format!("lose_and_resume_{rate}"), |bencher| {
            bencher.iter(|| {
                concealment.conceal(black_box(&mut lost));
                concealment.pass(&mut passing[..frame]);
            });
        });
        let scale = (rate / 8_000) as usize;
        let mut buffer = vec![0; 6 * frame];
        group.bench_function(format!("shorten_{rate}"), |bencher| {
            bencher.iter(|| {
                buffer[..2 * frame].copy_from_slice(&speech[..2 * frame]);
                stretch(&mut buffer, 2 * frame, scale, Direction::Shorter, true)
            });
        });
    }
    for (from, to) in
        [(8_000u32, 16_000u32), (16_000, 8_000), (24_000, 8_000), (8_000, 24_000), (48_000, 8_000)]
    {
        let samples = voice(from, from as usize / 50);
        let mut resampler = Resampler::new(from, to).expect("rates");
        let mut out = vec![0; resampler.room_for(samples.len())];
        group.bench_function(format!("resample_{from}_to_{to}"), |bencher| {
            bencher.iter(|| resampler.process(black_box(&samples), &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, codecs, repairs);
criterion_main!(benches);
