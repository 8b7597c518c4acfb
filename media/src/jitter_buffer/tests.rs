use super::*;
use proptest::prelude::*;

const BASE: u64 = 1 << 33;
const FRAME: u64 = 160;

/// A buffer with a reader that takes 20 ms at a time, and a network that delivers on time unless told.
struct Line {
    buffer: JitterBuffer,
    now: u64,
}

/// What a frame of 20 ms was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Packet(u64),
    Concealed,
    Quiet,
    Mixed,
}

impl Line {
    fn new() -> Self {
        Self { buffer: JitterBuffer::new(JitterRange::new(60, 120)), now: 1_000_000 }
    }

    fn put(&mut self, number: u64) -> Insert {
        self.put_at(number, BASE + number * FRAME)
    }

    fn put_at(&mut self, number: u64, timestamp: u64) -> Insert {
        let payload = [number as u8; FRAME as usize];
        let codec = Some(Codec::Pcma);
        self.buffer
            .insert(Incoming { sequence: BASE + number, timestamp, codec, payload: &payload }, self.now)
    }

    fn put_noise(&mut self, number: u64) {
        let packet = Incoming {
            sequence: BASE + number,
            timestamp: BASE + number * FRAME,
            codec: None,
            payload: &[60],
        };
        self.buffer.insert(packet, self.now);
    }

    fn read(&mut self) -> Heard {
        let (mut left, mut heard) = (FRAME, None);
        while left > 0 {
            let (units, what) = match self.buffer.next(self.now + FRAME - left) {
                Step::Packet { payload, skip, .. } => {
                    (payload.len() as u64 - skip, Heard::Packet(u64::from(payload[0])))
                }
                Step::Conceal { units, .. } => (units, Heard::Concealed),
                Step::Quiet { units } => (units, Heard::Quiet),
                Step::Noise { .. } => continue,
            };
            assert!(units <= left, "steps of this test end with the frame");
            left -= units;
            heard = Some(if heard.is_none_or(|before| before == what) { what } else { Heard::Mixed });
        }
        self.now += FRAME;
        heard.unwrap()
    }

    fn read_all(&mut self, frames: usize) -> Vec<Heard> {
        (0..frames).map(|_| self.read()).collect()
    }

    /// Packets come and are heard at the same pace.
    fn run(&mut self, numbers: std::ops::Range<u64>) -> Vec<Heard> {
        numbers
            .map(|number| {
                self.put(number);
                self.read()
            })
            .collect()
    }
}

use Heard::{Concealed, Packet, Quiet};

#[test]
fn the_first_packet_plays_after_sixty_milliseconds() {
    let mut line = Line::new();
    line.put(0);
    line.put(1);
    assert_eq!(line.read_all(6), [Quiet, Quiet, Quiet, Packet(0), Packet(1), Concealed]);
}

#[test]
fn reordered_and_repeated_packets_play_once_in_order() {
    let mut line = Line::new();
    for number in [0, 2, 1, 3, 3, 1] {
        line.put(number);
    }
    assert_eq!(line.read_all(7)[3..], [Packet(0), Packet(1), Packet(2), Packet(3)]);
    assert_eq!(line.buffer.stats().duplicate, 2);
    assert_eq!(line.put(2), Insert::Duplicate, "also once played");
}

#[test]
fn a_lost_packet_is_concealed_for_as_long_as_it_was() {
    let mut line = Line::new();
    for number in [0, 2, 5] {
        line.put(number);
    }
    let expected = [Packet(0), Concealed, Packet(2), Concealed, Concealed, Packet(5)];
    let mut heard = Vec::new();
    // The loss of two is made up in one go, which this reader takes in two.
    line.read_all(3);
    for _ in 0..3 {
        heard.push(line.read());
    }
    assert_eq!(heard, expected[..3]);
    assert_eq!(
        line.buffer.next(line.now),
        Step::Conceal { units: 320, next: Some((Codec::Pcma, &[5; 160])) }
    );
    line.now += 320;
    assert_eq!(line.read(), Packet(5));
}

#[test]
fn a_pause_that_the_sender_announced_by_its_timestamps_is_silence() {
    let mut line = Line::new();
    line.put_at(0, BASE);
    assert_eq!(line.read_all(3), [Quiet; 3]);
    line.put_at(1, BASE + 3 * FRAME);
    assert_eq!(line.read_all(4), [Packet(0), Quiet, Quiet, Packet(1)]);
}

#[test]
fn keys_between_audio_are_no_loss() {
    let mut line = Line::new();
    line.put_at(0, BASE);
    for sequence in 1..=5 {
        line.buffer.note(BASE + sequence);
    }
    line.read_all(3);
    line.put_at(6, BASE + 3 * FRAME);
    assert_eq!(line.read_all(4), [Packet(0), Quiet, Quiet, Packet(6)]);
}

#[test]
fn comfort_noise_takes_the_place_of_concealment() {
    let mut line = Line::new();
    line.put(0);
    assert_eq!(line.read(), Quiet);
    line.put_noise(1);
    assert_eq!(line.read_all(9)[2..], [Packet(0), Quiet, Quiet, Quiet, Quiet, Quiet, Quiet]);
    assert_eq!(line.buffer.stats().underruns, 0);
    // Speech goes on as long after as the clock says, and has its full delay again.
    line.put(10);
    assert_eq!(line.read_all(4), [Quiet, Quiet, Quiet, Packet(10)]);
}

#[test]
fn what_comes_late_is_heard_late_rather_than_lost() {
    let mut line = Line::new();
    line.run(0..10);
    // Nothing for 40 ms beyond the delay, then all at once.
    let gap = line.read_all(5);
    assert_eq!(gap[3..], [Concealed, Concealed]);
    for number in 10..15 {
        assert_eq!(line.put(number), Insert::Stored, "{number}");
    }
    assert_eq!(line.read_all(5), [Packet(10), Packet(11), Packet(12), Packet(13), Packet(14)]);
    assert_eq!(line.buffer.stats().underruns, 1);
    assert!(line.buffer.surplus(line.now).is_none_or(|surplus| surplus > 0), "and the delay is now too long");
}

#[test]
fn what_is_late_although_something_was_there_to_play_is_dropped() {
    let mut line = Line::new();
    for number in [0, 2, 3, 4] {
        line.put(number);
    }
    line.read_all(6);
    assert_eq!(line.put(1), Insert::Late);
    assert_eq!(line.buffer.stats().late, 1);
}

#[test]
fn after_a_long_silence_the_delay_is_what_is_aimed_for() {
    let mut line = Line::new();
    line.run(0..50);
    line.read_all(40);
    assert_eq!(line.run(90..95), [Quiet, Quiet, Quiet, Packet(90), Packet(91)]);
}

#[test]
fn of_what_the_network_held_back_only_the_latest_is_heard() {
    let mut line = Line::new();
    line.run(0..50);
    line.read_all(25);
    for number in 50..75 {
        line.put(number);
    }
    let heard = line.read_all(8);
    let first = heard.iter().find_map(|heard| if let Packet(number) = heard { Some(*number) } else { None });
    assert!(first.is_some_and(|number| (66..74).contains(&number)), "{heard:?}");
    assert!(line.buffer.stats().overflow >= 16);
}

#[test]
fn a_sender_whose_clock_stood_still_is_followed() {
    let mut line = Line::new();
    line.run(0..50);
    line.read_all(40);
    line.put_at(50, BASE + 50 * FRAME);
    line.put_at(51, BASE + 51 * FRAME);
    assert!(line.read_all(6).contains(&Packet(50)));
}

#[test]
fn five_late_packets_in_a_row_move_the_time_base() {
    let mut line = Line::new();
    line.run(0..20);
    let moved = |number: u64| BASE + number * FRAME - 100 * FRAME;
    let outcomes: Vec<_> = (20..25).map(|number| line.put_at(number, moved(number))).collect();
    assert_eq!(outcomes[..4], [Insert::Late; 4]);
    assert_eq!(outcomes[4], Insert::Resynced);
}

#[test]
fn a_burst_never_holds_more_than_the_target_and_its_surplus() {
    let mut line = Line::new();
    for number in 0..90 {
        line.put(number);
        assert!(line.buffer.depth_ms() <= 260, "{} ms held", line.buffer.depth_ms());
    }
    assert!(line.buffer.stats().overflow > 0);
    let newest = line.read_all(20).into_iter().rfind(|heard| matches!(heard, Packet(_)));
    assert_eq!(newest, Some(Packet(89)), "the newest audio is what is kept");
}

#[test]
fn packet_times_from_ten_to_sixty_milliseconds_play_without_a_gap() {
    for length in [80usize, 160, 240, 320, 400, 480] {
        let mut buffer = JitterBuffer::default();
        let (mut sent, mut head, mut quiet) = (0u64, 0u64, 0u64);
        for now in (0..48_000u64).step_by(80) {
            // A packet leaves when it is full.
            while (sent + 1) * length as u64 <= now {
                let payload = vec![0x55; length];
                let packet = Incoming {
                    sequence: BASE + sent,
                    timestamp: BASE + sent * length as u64,
                    codec: Some(Codec::Pcmu),
                    payload: &payload,
                };
                buffer.insert(packet, now);
                sent += 1;
            }
            while head <= now {
                head += match buffer.next(head.max(now)) {
                    Step::Packet { payload, skip, .. } => payload.len() as u64 - skip,
                    Step::Quiet { units } => {
                        quiet += units;
                        units
                    }
                    step => panic!("packets of {length} samples: {step:?}"),
                };
            }
        }
        assert!(quiet <= 480 + 480 + 80, "packets of {length} samples: {quiet} units of silence");
    }
}

#[test]
fn unfit_packets_are_refused() {
    let mut buffer = JitterBuffer::default();
    let mut put = |payload: &[u8]| {
        let packet = Incoming { sequence: BASE, timestamp: BASE, codec: Some(Codec::Pcmu), payload };
        buffer.insert(packet, 0)
    };
    assert_eq!(put(&[]), Insert::Unfit);
    assert_eq!(put(&[0; 481]), Insert::Unfit);
}

proptest! {
    #[test]
    fn any_positions_keep_the_bounds(
        packets in proptest::collection::vec(
            (0u64..200, 0u64..2_000_000, 0usize..481, any::<bool>(), any::<bool>()), 0..200),
    ) {
        let mut buffer = JitterBuffer::default();
        let mut now = 5_000_000;
        for (sequence, timestamp, length, noise, tick) in packets {
            let payload = vec![0; length];
            let codec = (!noise).then_some(Codec::Pcmu);
            buffer.insert(Incoming { sequence, timestamp, codec, payload: &payload }, now);
            // Twice the delay, since a talkspurt may begin anew, and the surplus.
            prop_assert!(buffer.depth_ms() <= 120 + 120 + 140 + 60);
            if tick {
                for _ in 0..4 {
                    let taken = match buffer.next(now) {
                        Step::Packet { payload, .. } => payload.len() as u64,
                        Step::Conceal { units, .. } | Step::Quiet { units } => {
                            prop_assert!(units > 0 && units <= 480);
                            units
                        }
                        Step::Noise { .. } => 0,
                    };
                    now += taken;
                }
            }
        }
    }
}
