use super::*;
use proptest::prelude::*;

const BASE: u64 = 1 << 33;

/// A packet of 20 ms whose samples all decode to a value that tells its number.
fn codewords(number: u64) -> [u8; 160] {
    [0x80 | (number % 100) as u8; 160]
}

fn insert(buffer: &mut JitterBuffer, number: u64) -> Insert {
    buffer.insert(BASE + number, BASE + number * 160, Codec::Pcma, &codewords(number))
}

/// The number of the packet that fills the frame, if one does.
fn read(buffer: &mut JitterBuffer) -> Option<u64> {
    let mut frame = [0; 160];
    let played = buffer.read(&mut frame);
    assert!(frame.iter().all(|sample| *sample == frame[0]), "a frame of one packet or of silence");
    let number = (0..100).find(|number| Codec::Pcma.decode(codewords(*number)[0]) == frame[0]);
    assert_eq!(played == 160, number.is_some());
    number
}

#[test]
fn the_first_packet_plays_after_sixty_milliseconds() {
    let mut buffer = JitterBuffer::default();
    insert(&mut buffer, 0);
    insert(&mut buffer, 1);
    let frames: Vec<_> = (0..6).map(|_| read(&mut buffer)).collect();
    assert_eq!(frames, [None, None, None, Some(0), Some(1), None]);
}

#[test]
fn reordered_and_repeated_packets_play_once_in_order() {
    let mut buffer = JitterBuffer::default();
    for number in [0, 2, 1, 3, 3, 1] {
        insert(&mut buffer, number);
    }
    let frames: Vec<_> = (0..8).map(|_| read(&mut buffer)).collect();
    assert_eq!(frames, [None, None, None, Some(0), Some(1), Some(2), Some(3), None]);
    assert_eq!(buffer.stats().duplicate, 2);
}

#[test]
fn a_lost_packet_is_twenty_milliseconds_of_silence() {
    let mut buffer = JitterBuffer::default();
    for number in [0, 2] {
        insert(&mut buffer, number);
    }
    let frames: Vec<_> = (0..6).map(|_| read(&mut buffer)).collect();
    assert_eq!(frames, [None, None, None, Some(0), None, Some(2)]);
}

#[test]
fn a_late_packet_is_dropped_and_counted() {
    let mut buffer = JitterBuffer::default();
    insert(&mut buffer, 0);
    for _ in 0..5 {
        read(&mut buffer);
    }
    assert_eq!(insert(&mut buffer, 1), Insert::Late);
    assert_eq!(insert(&mut buffer, 3), Insert::Stored);
    assert_eq!(buffer.stats().late, 1);
}

#[test]
fn a_sender_whose_clock_stood_still_is_followed_after_silence() {
    let mut buffer = JitterBuffer::default();
    insert(&mut buffer, 0);
    for _ in 0..40 {
        read(&mut buffer);
    }
    assert_eq!(insert(&mut buffer, 1), Insert::Resynced);
    let frames: Vec<_> = (0..4).map(|_| read(&mut buffer)).collect();
    assert_eq!(frames, [None, None, None, Some(1)]);
}

#[test]
fn five_late_packets_in_a_row_move_the_time_base() {
    let mut buffer = JitterBuffer::default();
    insert(&mut buffer, 50);
    for _ in 0..4 {
        read(&mut buffer);
    }
    let outcomes: Vec<_> = (10..15).map(|number| insert(&mut buffer, number)).collect();
    assert_eq!(outcomes[..4], [Insert::Late; 4]);
    assert_eq!(outcomes[4], Insert::Resynced);
}

#[test]
fn a_burst_never_holds_more_than_two_hundred_milliseconds() {
    let mut buffer = JitterBuffer::default();
    for number in 0..90 {
        insert(&mut buffer, number);
        assert!(buffer.depth_ms() <= 200, "{} ms held", buffer.depth_ms());
    }
    assert!(buffer.stats().overflow > 0);
    let newest = (0..20).filter_map(|_| read(&mut buffer)).last();
    assert_eq!(newest, Some(89), "the newest audio is what is kept");
}

#[test]
fn packet_times_from_ten_to_sixty_milliseconds_play_without_a_gap() {
    for length in [80usize, 160, 240, 320, 400, 480] {
        let mut buffer = JitterBuffer::default();
        let (mut sent, mut played) = (0u64, 0);
        for frame in 0..300u64 {
            while sent * length as u64 <= frame * 160 {
                let data = vec![0x55; length];
                buffer.insert(BASE + sent, BASE + sent * length as u64, Codec::Pcmu, &data);
                sent += 1;
            }
            let mut out = [0; 160];
            played += buffer.read(&mut out);
        }
        assert_eq!(played, 300 * 160 - 480, "packets of {length} samples");
    }
}

#[test]
fn empty_and_oversized_packets_are_unfit() {
    let mut buffer = JitterBuffer::default();
    assert_eq!(buffer.insert(BASE, BASE, Codec::Pcmu, &[]), Insert::Unfit);
    assert_eq!(buffer.insert(BASE, BASE, Codec::Pcmu, &[0; 481]), Insert::Unfit);
}

proptest! {
    #[test]
    fn any_positions_keep_the_bounds(
        packets in proptest::collection::vec((0u64..200, 0u64..2_000_000, 1usize..481, any::<bool>()), 0..200),
    ) {
        let mut buffer = JitterBuffer::default();
        for (sequence, timestamp, length, tick) in packets {
            buffer.insert(sequence, timestamp, Codec::Pcmu, &vec![0; length]);
            prop_assert!(buffer.depth_ms() <= 200);
            if tick {
                let mut frame = [0; 160];
                prop_assert!(buffer.read(&mut frame) <= 160);
            }
        }
    }
}
