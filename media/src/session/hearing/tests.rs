//! Hearing through a network that is made up: seeded, without sleeping.

use super::*;
use crate::codec::Encoder;
use std::f64::consts::TAU;

/// Units of 20 ms.
const FRAME: u64 = 160;

/// A network: each packet is lost, or delayed by some of the jitter; the sender's clock drifts.
#[derive(Debug, Clone, Copy)]
struct Network {
    seed: u64,
    loss_percent: u64,
    /// Packets lost in a row, when one is.
    burst: u64,
    jitter_ms: u64,
    /// Share of packets that are delayed at all, in percent.
    delayed_percent: u64,
    drift_ppm: i64,
}

const CLEAN: Network =
    Network { seed: 1, loss_percent: 0, burst: 1, jitter_ms: 0, delayed_percent: 100, drift_ppm: 0 };

struct Outcome {
    original: Vec<i16>,
    heard: Vec<i16>,
    jitter: JitterStats,
    stats: HearingStats,
    delay_ms: u64,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

/// A voice with pauses: one second of it, half a second of none.
fn speech(rate: u32, seconds: usize) -> Vec<i16> {
    let rate = rate as usize;
    (0..rate * seconds)
        .map(|n| {
            let t = n as f64 / rate as f64;
            let pitch = 120.0 + 15.0 * (TAU * 0.7 * t).sin();
            let speaks = if t % 1.5 < 1.0 { (TAU * 2.0 * t).sin().abs() } else { 0.0 };
            let phase = TAU * pitch * t;
            (speaks * (5_000.0 * phase.sin() + 3_000.0 * (3.0 * phase).sin() + 1_500.0 * (7.0 * phase).sin()))
                as i16
        })
        .collect()
}

impl Network {
    fn carry(self, codec: Codec, seconds: usize) -> Outcome {
        let scale = (codec.rate_hz() / NARROW_HZ) as usize;
        let original = speech(codec.rate_hz(), seconds);
        let mut encoder = Encoder::new(codec).unwrap();
        let mut random = Random(self.seed);
        let mut packets: Vec<(u64, u64, Vec<u8>)> = Vec::new();
        let mut lost = 0;
        for (n, samples) in (0u64..).zip(original.chunks_exact(160 * scale)) {
            let mut payload = vec![0; 480];
            let length = encoder.encode(samples, &mut payload);
            payload.truncate(length);
            if lost == 0 && random.below(100 * self.burst) < self.loss_percent {
                lost = self.burst;
            }
            if lost > 0 {
                lost -= 1;
                continue;
            }
            let sent = ((n + 1) * FRAME).cast_signed();
            let sent = (sent + sent * self.drift_ppm / 1_000_000).unsigned_abs();
            let delayed = random.below(100) < self.delayed_percent;
            let delay = if delayed { random.below(self.jitter_ms * 8 + 1) } else { 0 };
            packets.push((sent + delay, n, payload));
        }
        packets.sort_by_key(|(at, ..)| *at);
        let mut packets = packets.into_iter().peekable();
        let mut hearing = Hearing::new(codec, JitterRange::default(), 1);
        let mut heard = Vec::new();
        let base = 1u64 << 32;
        for tick in 0..(seconds as u64 * 50) {
            // The reader's phase has nothing to do with the sender's.
            let now = tick * FRAME + 37;
            while let Some((at, n, payload)) = packets.next_if(|(at, ..)| *at <= now) {
                let packet = Incoming {
                    sequence: base + n,
                    timestamp: base + n * FRAME,
                    codec: Some(codec),
                    payload: &payload,
                };
                hearing.insert(packet, at);
            }
            let (mut narrow, mut wide) = ([0; 160], [0; 320]);
            hearing.read(&mut narrow, &mut wide, now, false);
            heard.extend_from_slice(if scale == 1 { &narrow } else { &wide });
        }
        let (jitter, stats) = hearing.stats();
        Outcome { original, heard, jitter, stats, delay_ms: hearing.target_ms() }
    }
}

fn energy(samples: &[i16]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

#[test]
fn a_clean_line_is_heard_sample_by_sample() {
    for codec in [Codec::Pcma, Codec::Pcmu] {
        let outcome = CLEAN.carry(codec, 6);
        let law = codec.law().unwrap();
        // The third second: the delay has been brought to its least by then.
        let wanted: Vec<i16> =
            outcome.original[26_000..30_000].iter().map(|s| law.decode(law.encode(*s))).collect();
        let at = outcome.heard.windows(4_000).position(|heard| heard == wanted);
        assert!(at.is_some_and(|at| at - 26_000 <= (20 + 40 + 20) * 8), "found at {at:?}");
        assert_eq!((outcome.stats.concealed, outcome.jitter.late, outcome.jitter.underruns), (0, 0, 0));
        assert_eq!(outcome.delay_ms, 40);
    }
}

#[test]
fn three_percent_of_loss_and_forty_milliseconds_of_jitter_are_concealed_and_nothing_more() {
    for codec in [Codec::Pcma, Codec::G722] {
        for seed in 1..=5 {
            let network = Network { seed, loss_percent: 3, jitter_ms: 40, ..CLEAN };
            let outcome = network.carry(codec, 30);
            let concealed = outcome.stats.concealed as f64 / (30.0 * 8_000.0);
            assert!((0.015..0.055).contains(&concealed), "{codec:?} {seed}: {concealed:.3} concealed");
            let late = outcome.jitter.late + outcome.jitter.overflow;
            assert!(late <= 8, "{codec:?} {seed}: {late} of 1,500 packets late");
            assert!((50..=80).contains(&outcome.delay_ms), "{codec:?} {seed}: {} ms", outcome.delay_ms);
            let ratio = energy(&outcome.heard) / energy(&outcome.original);
            assert!((0.9..1.1).contains(&ratio), "{codec:?} {seed}: {ratio:.2} of the energy");
        }
    }
}

#[test]
fn the_clocks_may_drift_apart_for_ten_minutes() {
    for drift_ppm in [-100, 100] {
        let outcome = Network { drift_ppm, jitter_ms: 5, ..CLEAN }.carry(Codec::Pcma, 600);
        assert!(outcome.delay_ms <= 50, "{drift_ppm} ppm: {} ms", outcome.delay_ms);
        assert!(outcome.jitter.late + outcome.jitter.overflow <= 3, "{drift_ppm} ppm: {:?}", outcome.jitter);
        // 60 ms too much or too little.
        let changed = if drift_ppm < 0 { outcome.stats.shortened } else { outcome.stats.lengthened };
        let concealed = outcome.stats.concealed;
        assert!(changed + concealed >= 30 * 8, "{drift_ppm} ppm: {:?}", outcome.stats);
        assert!(concealed <= 100 * 8, "{drift_ppm} ppm: {:?}", outcome.stats);
    }
}

#[test]
fn bursts_of_loss_are_survived() {
    for seed in 1..=5 {
        let network = Network { seed, loss_percent: 5, burst: 5, jitter_ms: 20, ..CLEAN };
        let outcome = network.carry(Codec::Pcmu, 30);
        assert!(outcome.stats.concealed > 0);
        let ratio = energy(&outcome.heard) / energy(&outcome.original);
        assert!((0.8..1.1).contains(&ratio), "{seed}: {ratio:.2} of the energy");
    }
}

#[test]
fn rare_spikes_are_heard_late_instead_of_lost() {
    for seed in 1..=5 {
        let network = Network { seed, jitter_ms: 150, delayed_percent: 1, ..CLEAN };
        let outcome = network.carry(Codec::Pcma, 60);
        assert!(outcome.delay_ms <= 60, "{seed}: {} ms for all because of a few", outcome.delay_ms);
        assert!(outcome.stats.concealed <= 60 * 8_000 / 60, "{seed}: {:?}", outcome.stats);
    }
}

#[test]
fn a_rough_network_gets_more_delay_and_a_calm_one_has_it_taken_back() {
    let rough = Network { jitter_ms: 90, ..CLEAN }.carry(Codec::Pcma, 20);
    assert!((90..=120).contains(&rough.delay_ms), "{} ms", rough.delay_ms);
    let concealed = rough.stats.concealed / 8;
    assert!(concealed < 400, "{concealed} ms concealed while learning");
}

#[test]
fn a_codec_of_another_rate_is_brought_to_ours() {
    let mut hearing = Hearing::new(Codec::G722, JitterRange::default(), 1);
    let samples = speech(8_000, 1);
    let (mut narrow, mut wide, mut heard) = ([0; 160], [0; 320], Vec::new());
    for (n, chunk) in (0u64..).zip(samples.chunks(160)) {
        let mut payload = [0; 160];
        Encoder::new(Codec::Pcma).unwrap().encode(chunk, &mut payload);
        let packet = Incoming {
            sequence: n,
            timestamp: 1_000 + n * FRAME,
            codec: Some(Codec::Pcma),
            payload: &payload,
        };
        hearing.insert(packet, 5_000 + n * FRAME);
        hearing.read(&mut narrow, &mut wide, 5_000 + n * FRAME, false);
        heard.extend_from_slice(&narrow);
    }
    let ratio = energy(&heard[800..7_000]) / energy(&samples[320..6_520]);
    assert!((0.85..1.1).contains(&ratio), "{ratio:.2}");
}

#[test]
fn a_tone_that_must_keep_its_length_does() {
    let mut hearing = Hearing::new(Codec::Pcma, JitterRange::default(), 1);
    let (mut narrow, mut changed) = ([0; 160], 0);
    for n in 0..200u64 {
        let packet = Incoming {
            sequence: n,
            timestamp: 1_000 + n * FRAME,
            codec: Some(Codec::Pcma),
            payload: &[0xD5; 160],
        };
        // The network becomes faster by 50 ms: there is too much delay now.
        hearing.insert(packet, 5_000 + n * FRAME - if n > 20 { 400 } else { 0 });
        hearing.read(&mut narrow, &mut [], 5_000 + n * FRAME, n < 100);
        if n == 99 {
            changed = hearing.stats().1.shortened;
        }
    }
    assert_eq!(changed, 0);
    assert!(hearing.stats().1.shortened > 0);
}
