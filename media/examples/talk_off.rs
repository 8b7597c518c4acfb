//! Keys that the in-band detector hears in recordings in which nobody presses any: `talk_off FILE.wav…`, 8 kHz, 16 bits.

#![allow(clippy::expect_used, missing_docs, reason = "a tool may stop at a surprise")]

use media::dtmf::inband::Detector;

fn main() {
    let (mut seconds, mut keys) = (0, 0);
    for path in std::env::args().skip(1) {
        let mut file = hound::WavReader::open(&path).expect("a WAV file");
        assert_eq!(file.spec().sample_rate, 8_000, "{path}");
        let samples: Vec<i16> = file.samples().map(|sample| sample.expect("16 bits")).collect();
        let mut detector = Detector::default();
        let heard = samples.chunks(160).filter(|frame| detector.listen(frame).is_some()).count();
        println!("{path}: {heard} keys in {} s", samples.len() / 8_000);
        seconds += samples.len() / 8_000;
        keys += heard;
    }
    println!("{keys} keys in {seconds} s");
}
