//! Cost of G.711 per 20 ms frame; the baseline is a plain copy of the frame.

#![allow(missing_docs, clippy::cast_possible_truncation, reason = "a ramp within 16 bits")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use media::codec::Codec;

fn frames(criterion: &mut Criterion) {
    let samples: Vec<i16> = (0..160i32).map(|n| (n * 399 - 32_000) as i16).collect();
    let mut codewords = [0u8; 160];
    let mut decoded = [0i16; 160];
    let mut group = criterion.benchmark_group("g711_20ms");
    group.bench_function("baseline_copy", |bencher| {
        bencher.iter(|| decoded.copy_from_slice(black_box(&samples)));
    });
    for codec in [Codec::Pcmu, Codec::Pcma] {
        group.bench_function(format!("encode_{}", codec.encoding_name()), |bencher| {
            bencher.iter(|| codec.encode_into(black_box(&samples), &mut codewords));
        });
        group.bench_function(format!("decode_{}", codec.encoding_name()), |bencher| {
            bencher.iter(|| codec.decode_into(black_box(&codewords), &mut decoded));
        });
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
