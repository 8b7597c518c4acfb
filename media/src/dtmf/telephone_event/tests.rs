use super::*;
use proptest::prelude::*;

struct Line {
    receiver: EventReceiver,
    now: Instant,
    presses: Vec<(char, u32)>,
}

impl Line {
    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin for a test's own clock")]
    fn new() -> Self {
        Self { receiver: EventReceiver::default(), now: Instant::now(), presses: Vec::new() }
    }

    fn packet(&mut self, key: char, timestamp: u32, duration: u16, end: bool) {
        self.packet_of(1, key, timestamp, duration, end);
    }

    fn packet_of(&mut self, ssrc: u32, key: char, timestamp: u32, duration: u16, end: bool) {
        let sent = packet(Digit::from_char(key).unwrap(), timestamp, u32::from(duration), false, end);
        let presses = self.receiver.handle(EventPacket { ssrc, timestamp, payload: &sent.payload }, self.now);
        self.presses.extend(presses.iter().map(|press| (press.digit.as_char(), press.duration_ms)));
    }

    fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.now += Duration::from_millis(20);
            let press = self.receiver.poll(self.now);
            self.presses.extend(press.map(|press| (press.digit.as_char(), press.duration_ms)));
        }
    }
}

#[test]
fn a_press_with_three_ends_is_reported_once_with_its_length() {
    let mut line = Line::new();
    for duration in [160, 320, 480, 640] {
        line.packet('5', 1000, duration, false);
        line.wait(20);
    }
    for _ in 0..3 {
        line.packet('5', 1000, 800, true);
        line.wait(20);
    }
    line.wait(1000);
    assert_eq!(line.presses, [('5', 100)]);
}

#[test]
fn an_end_packet_alone_is_a_press() {
    let mut line = Line::new();
    line.packet('#', 1000, 800, true);
    assert_eq!(line.presses, [('#', 100)]);
}

#[test]
fn a_press_without_end_is_over_after_a_while() {
    let mut line = Line::new();
    line.packet('1', 1000, 160, false);
    line.packet('1', 1000, 320, false);
    line.wait(180);
    assert_eq!(line.presses, []);
    line.wait(40);
    assert_eq!(line.presses, [('1', 40)]);
    line.packet('1', 1000, 800, true);
    assert_eq!(line.presses.len(), 1, "its late end isn't a second press");
}

#[test]
fn the_next_press_completes_one_whose_end_was_lost() {
    let mut line = Line::new();
    line.packet('1', 1000, 480, false);
    line.packet('1', 2000, 160, false);
    line.packet('1', 2000, 800, true);
    assert_eq!(line.presses, [('1', 60), ('1', 100)]);
}

#[test]
fn the_same_key_twice_is_two_presses() {
    let mut line = Line::new();
    line.packet('7', 1000, 800, true);
    line.packet('7', 3000, 800, true);
    assert_eq!(line.presses.len(), 2);
}

#[test]
fn stragglers_of_an_earlier_press_are_ignored() {
    let mut line = Line::new();
    line.packet('1', 1000, 800, true);
    line.packet('2', 3000, 160, false);
    line.packet('1', 1000, 800, true);
    line.packet('1', 1000, 640, false);
    line.packet('2', 3000, 800, true);
    line.packet('2', 3000, 640, false);
    line.wait(1000);
    assert_eq!(line.presses, [('1', 100), ('2', 100)]);
}

#[test]
fn packets_of_one_press_may_come_out_of_order() {
    let mut line = Line::new();
    for duration in [480, 160, 320, 640] {
        line.packet('9', 1000, duration, false);
    }
    line.packet('9', 1000, 800, true);
    assert_eq!(line.presses, [('9', 100)]);
}

#[test]
fn a_long_press_in_segments_is_one_press() {
    let mut line = Line::new();
    line.packet('0', 1000, 65_000, false);
    line.packet('0', 1000, 65_535, false);
    line.packet('0', 1000 + 65_535, 160, false);
    line.packet('0', 1000 + 65_535, 16_000, true);
    line.packet('0', 1000 + 65_535, 16_000, true);
    assert_eq!(line.presses, [('0', (65_535 + 16_000) / 8)]);
}

#[test]
fn a_segment_whose_last_packet_was_lost_still_continues() {
    let mut line = Line::new();
    line.packet('0', 1000, 65_400, false);
    line.packet('0', 1000 + 65_535, 160, false);
    line.packet('0', 1000 + 65_535, 800, true);
    assert_eq!(line.presses, [('0', (65_535 + 800) / 8)]);
}

#[test]
fn a_duration_that_wraps_under_one_timestamp_goes_on_counting() {
    let mut line = Line::new();
    line.packet('0', 1000, 65_500, false);
    line.packet('0', 1000, 124, false);
    line.packet('0', 1000, 800, true);
    assert_eq!(line.presses, [('0', (65_536 + 800) / 8)]);
}

#[test]
fn a_new_ssrc_starts_afresh() {
    let mut line = Line::new();
    line.packet_of(1, '1', 50_000, 800, true);
    line.packet_of(2, '1', 1000, 800, true);
    assert_eq!(line.presses.len(), 2);
}

#[test]
fn timestamps_may_wrap() {
    let mut line = Line::new();
    line.packet('1', u32::MAX - 100, 800, true);
    line.packet('2', 5_000, 800, true);
    line.packet('1', u32::MAX - 100, 800, true);
    assert_eq!(line.presses, [('1', 100), ('2', 100)]);
}

#[test]
fn flash_tones_and_short_payloads_are_no_keys() {
    let mut line = Line::new();
    for payload in [&[16u8, 0x8A, 3, 32][..], &[1, 0x8A, 3], &[], &[255, 255, 255, 255]] {
        let packet = EventPacket { ssrc: 1, timestamp: 0, payload };
        assert!(line.receiver.handle(packet, line.now).is_empty());
    }
}

#[test]
fn a_sent_key_has_marker_growth_three_ends_and_a_pause() {
    let mut sender = EventSender::default();
    assert!(sender.push(Digit::from_char('4').unwrap(), 100));
    assert!(sender.push(Digit::from_char('2').unwrap(), 40));
    let mut timeline = Vec::new();
    for frame in 0..14u32 {
        let sent = sender.next(frame * 160, 160);
        timeline.push(sent.map(|event| {
            let [key, flags, d0, d1] = event.payload;
            (key, event.marker, event.timestamp, u16::from_be_bytes([d0, d1]), flags & 0x80 != 0)
        }));
    }
    let expected = [
        Some((4, true, 0, 160, false)),
        Some((4, false, 0, 320, false)),
        Some((4, false, 0, 480, false)),
        Some((4, false, 0, 640, false)),
        Some((4, false, 0, 800, true)),
        Some((4, false, 0, 800, true)),
        Some((4, false, 0, 800, true)),
        None,
        None,
        Some((2, true, 1440, 160, false)),
        Some((2, false, 1440, 320, true)),
        Some((2, false, 1440, 320, true)),
        Some((2, false, 1440, 320, true)),
        None,
    ];
    assert_eq!(timeline, expected);
}

#[test]
fn the_send_queue_is_bounded() {
    let mut sender = EventSender::default();
    let accepted = (0..100).filter(|_| sender.push(Digit::from_char('1').unwrap(), 100)).count();
    assert_eq!(accepted, SEND_QUEUE);
}

proptest! {
    /// Whatever is lost, as long as one packet of each press arrives, and whatever is repeated.
    #[test]
    fn every_press_is_reported_exactly_once(
        keys in proptest::collection::vec((0u8..16, 1usize..127), 1..20),
    ) {
        let mut line = Line::new();
        for (index, (key, survivors)) in keys.iter().enumerate() {
            let key = Digit::from_event(*key).unwrap().as_char();
            let timestamp = index as u32 * 2400;
            for step in 0..7u16 {
                if survivors & (1 << step) != 0 {
                    line.packet(key, timestamp, 160 * (step + 1).min(5), step >= 4);
                }
                line.wait(20);
            }
            line.wait(160);
        }
        line.wait(400);
        let reported: Vec<char> = line.presses.iter().map(|press| press.0).collect();
        let sent: Vec<char> = keys.iter().map(|key| Digit::from_event(key.0).unwrap().as_char()).collect();
        prop_assert_eq!(reported, sent);
    }
}
