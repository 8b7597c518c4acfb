//! Cost of answering an offer; the baseline is `sdp-types` reading the same offer and nothing else.

#![allow(missing_docs, clippy::expect_used, reason = "a bench may stop at a surprise")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use media::sdp::{LocalMedia, answer};

const CARRIER: &[u8] = include_bytes!("../tests/golden/sdp/carrier-sbc-france.offer.sdp");
const VIDEO: &[u8] = include_bytes!("../tests/golden/sdp/cisco-cucm-video.offer.sdp");

fn answers(criterion: &mut Criterion) {
    let local = LocalMedia::new("192.0.2.10".parse().expect("an address"), 40_000, 1);
    let mut group = criterion.benchmark_group("sdp");
    for (name, offer) in [("carrier", CARRIER), ("video", VIDEO)] {
        group.bench_function(format!("baseline_sdp_types_parse_{name}"), |bencher| {
            bencher.iter(|| sdp_types::Session::parse(black_box(offer)));
        });
        group.bench_function(format!("negotiate_{name}"), |bencher| {
            bencher.iter(|| answer::negotiate(black_box(offer), &local));
        });
    }
    group.finish();
}

criterion_group!(benches, answers);
criterion_main!(benches);
