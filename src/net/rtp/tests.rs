use super::*;

use std::net::UdpSocket;

use media::codec::{Codec, Law};
use media::dtmf::Digit;
use media::playout::{Chunk, UtteranceId};
use media::sdp::{Direction, PayloadTypes};
use media::session::{Agreement, SessionConfig};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const UTTERANCE: UtteranceId = UtteranceId(2);

/// Pairs of ports in the pool of each test.
const PAIRS: u16 = 16;

/// A pool with ports of its own: tests run side by side, in one process or in many.
fn pool() -> RtpPool {
    static POOLS: AtomicU64 = AtomicU64::new(0);
    let number = u64::from(std::process::id()) * 7 + POOLS.fetch_add(1, Ordering::Relaxed);
    let first = 10_000 + (number % 700) as u16 * 2 * PAIRS;
    let config = RtpConfig { ports: first..=first + 2 * PAIRS - 1, ..RtpConfig::default() };
    RtpPool::start(&config, Instant::now()).unwrap()
}

/// A far end, the call attached to it, and what the call's owner holds.
struct Line {
    far: UdpSocket,
    near: SocketAddr,
    handle: MediaHandle,
    playout: mpsc::Sender<PlayoutCommand>,
    events: mpsc::Receiver<RtpEvent>,
    sequence: u16,
}

fn agreement(remote: SocketAddr) -> Agreement {
    Agreement { telephone_event: Some(PayloadTypes::same(101)), ..Agreement::new(Codec::Pcmu, remote) }
}

fn line(pool: &RtpPool, room: usize) -> Line {
    let far = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    far.set_read_timeout(Some(SOON)).unwrap();
    let now = Instant::now();
    let config = SessionConfig::new(agreement(far.local_addr().unwrap()), 1, 100, 1000);
    let port = pool.open(now).unwrap();
    let near = port.local();
    let (playout, commands) = mpsc::channel(8);
    let (sender, events) = mpsc::channel(room);
    let attachment =
        Attachment { session: Session::new(config, now), playout: commands, events: sender, audio: None };
    let handle = pool.attach(port, attachment).unwrap();
    Line { far, near, handle, playout, events, sequence: 0 }
}

impl Line {
    fn hear(&self) -> Vec<u8> {
        let mut packet = [0; 2048];
        let (length, source) = self.far.recv_from(&mut packet).unwrap();
        assert_eq!(source, self.near);
        packet[..length].to_vec()
    }

    /// Passes over what has been sent to it so far.
    fn catch_up(&self) {
        self.far.set_nonblocking(true).unwrap();
        while self.far.recv_from(&mut [0; 2048]).is_ok() {}
        self.far.set_nonblocking(false).unwrap();
    }

    fn say(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([9; 4]);
        packet.extend(payload);
        self.sequence += 1;
        self.far.send_to(&packet, self.near).unwrap();
    }

    /// Speaks in the rhythm of the packets it hears.
    fn talk(&mut self, packets: u32) {
        for _ in 0..packets {
            self.hear();
            self.say(0, u32::from(self.sequence) * 160, &[0x10; 160]);
        }
    }

    /// A short key press of RFC 4733: its end, three times.
    fn press(&mut self, event: u8, timestamp: u32) {
        for _ in 0..3 {
            self.say(101, timestamp, &[event, 0x8a, 0x03, 0x20]);
        }
    }

    async fn media_event(&mut self, wanted: impl Fn(&MediaEvent) -> bool) -> MediaEvent {
        loop {
            match next(&mut self.events).await {
                RtpEvent::Media(event) if wanted(&event) => return event,
                _ => {}
            }
        }
    }
}

async fn next(events: &mut mpsc::Receiver<RtpEvent>) -> RtpEvent {
    timeout(SOON, events.recv()).await.unwrap().unwrap()
}

async fn recording(events: &mut mpsc::Receiver<RtpEvent>) -> RecordingStopped {
    loop {
        if let RtpEvent::RecordingStopped(stopped) = next(events).await {
            return stopped;
        }
    }
}

fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

#[test]
fn packets_flow_from_the_start_one_each_packet_time() {
    let pool = pool();
    let attached = Instant::now();
    let line = line(&pool, 8);
    let first = line.hear();
    assert!(attached.elapsed() < Duration::from_millis(20), "the first leaves at once");
    let started = Instant::now();
    let numbers: Vec<u16> = (0..25).map(|_| sequence(&line.hear())).collect();
    let took = started.elapsed();
    assert_eq!(numbers, (101..126).collect::<Vec<_>>());
    assert_eq!((sequence(&first), first.len()), (100, 172));
    assert!((480..530).contains(&took.as_millis()), "25 packets took {took:?}");
}

#[tokio::test]
async fn an_interruption_does_not_wait_behind_audio_that_there_is_no_room_for() {
    let pool = pool();
    let mut line = line(&pool, 8);
    // Two minutes fill the queue; two more chunks wait outside of it, then come the ends.
    let chunk = Chunk::Pcmu(vec![0x2a; 30 * 8_000].into());
    for _ in 0..6 {
        line.playout
            .send(PlayoutCommand::Audio { utterance: UTTERANCE, chunk: chunk.clone() })
            .await
            .unwrap();
    }
    let other = UtteranceId(4);
    line.playout.send(PlayoutCommand::Audio { utterance: other, chunk }).await.unwrap();
    line.playout.send(PlayoutCommand::End { utterance: other }).await.unwrap();
    line.playout.send(PlayoutCommand::Clear).await.unwrap();
    let cleared = line.media_event(|e| matches!(e, MediaEvent::Cleared { .. })).await;
    let MediaEvent::Cleared { utterance, sent_ms, unsent_ms } = cleared else { panic!("{cleared:?}") };
    assert_eq!((utterance, sent_ms + unsent_ms), (UTTERANCE, 120_000));
    assert!(sent_ms < 2_000, "at once: {sent_ms}");
    let ended = line.media_event(|e| matches!(e, MediaEvent::Drained { .. })).await;
    assert_eq!(ended, MediaEvent::Drained { utterance: other, sent_ms: 0 }, "reported as empty");
}

#[tokio::test]
async fn what_is_played_is_heard_and_its_end_reported() {
    let pool = pool();
    let mut line = line(&pool, 8);
    let chunk = Chunk::Pcmu(vec![0x2a; 320].into());
    let audio = PlayoutCommand::Audio { utterance: UTTERANCE, chunk };
    line.playout.send(audio).await.unwrap();
    line.playout.send(PlayoutCommand::End { utterance: UTTERANCE }).await.unwrap();
    let drained = line.media_event(|e| matches!(e, MediaEvent::Drained { .. })).await;
    assert_eq!(drained, MediaEvent::Drained { utterance: UTTERANCE, sent_ms: 40 });
    let heard: Vec<u8> = (0..5).flat_map(|_| line.hear().split_off(12)).collect();
    assert_eq!(heard.iter().filter(|byte| **byte == 0x2a).count(), 320);
}

#[tokio::test]
async fn the_callers_audio_reaches_the_listener_and_nobody_else_does() {
    let pool = pool();
    let mut line = line(&pool, 8);
    let (sender, mut frames) = mpsc::channel(64);
    line.handle.listen(Some(sender)).unwrap();
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    let mut loud = 0;
    while loud < 10 {
        line.talk(1);
        stranger.send_to(&[0x80; 172], line.near).unwrap();
        while let Ok(frame) = frames.try_recv() {
            loud += usize::from(frame.iter().all(|sample| *sample == frame[0] && *sample != 0));
        }
    }
    line.media_event(|event| matches!(event, MediaEvent::FirstPacket { .. })).await;
}

#[tokio::test]
async fn keys_are_reported_in_order_also_to_an_owner_that_is_slow() {
    let pool = pool();
    let mut line = line(&pool, 1);
    line.talk(8);
    for event in 1..=4 {
        line.press(event, 10_000 * u32::from(event));
        line.talk(3);
    }
    for event in 1..=4 {
        let key = line.media_event(|event| matches!(event, MediaEvent::Digit { .. })).await;
        assert_eq!(key, MediaEvent::Digit { digit: Digit::from_event(event).unwrap(), duration_ms: 100 });
    }
}

#[tokio::test]
async fn a_message_is_recorded_after_the_beep_and_complete_when_the_caller_hangs_up() {
    let pool = pool();
    let mut line = line(&pool, 8);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("message.wav");
    line.handle.beep(UTTERANCE).unwrap();
    let beep = line.media_event(|e| matches!(e, MediaEvent::Drained { .. })).await;
    assert_eq!(beep, MediaEvent::Drained { utterance: UTTERANCE, sent_ms: 300 });
    let limit = Duration::from_secs(60);
    line.handle.record(RecordingSpec { path: path.clone(), limit, silence: None }).unwrap();
    line.catch_up();
    line.talk(30);
    let Line { handle, mut events, .. } = line;
    handle.close();
    let stopped = recording(&mut events).await;
    assert_eq!((stopped.end, stopped.missed, &stopped.path), (RecordingEnd::Closed, 0, &path));
    let samples: Vec<i16> =
        hound::WavReader::open(&path).unwrap().into_samples().map(Result::unwrap).collect();
    let voice = Law::Mu.decode(0x10);
    let spoken = samples.iter().filter(|sample| **sample == voice).count();
    assert!(spoken > 20 * 160, "{spoken} samples of voice in {}", samples.len());
    assert_eq!(stopped.written.unwrap().as_millis() as usize * 8, samples.len());
}

#[tokio::test]
async fn a_recording_ends_at_its_limit_and_when_told() {
    let pool = pool();
    let mut line = line(&pool, 8);
    let directory = tempfile::tempdir().unwrap();
    let spec = |name: &str, millis| RecordingSpec {
        path: directory.path().join(name),
        limit: Duration::from_millis(millis),
        silence: None,
    };
    line.handle.record(spec("a.wav", 100)).unwrap();
    let stopped = recording(&mut line.events).await;
    assert_eq!(stopped.end, RecordingEnd::Limit);
    assert_eq!(stopped.written.unwrap(), Duration::from_millis(100));
    line.handle.record(spec("b.wav", 10_000)).unwrap();
    line.handle.stop_recording().unwrap();
    assert_eq!(recording(&mut line.events).await.end, RecordingEnd::Stopped);
    line.handle.record(spec("no/such/directory.wav", 10_000)).unwrap();
    line.handle.stop_recording().unwrap();
    assert!(recording(&mut line.events).await.written.is_err());
}

#[tokio::test]
async fn a_recording_ends_when_the_caller_falls_silent() {
    let pool = pool();
    let mut line = line(&pool, 8);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.wav");
    let silence = Some(Duration::from_millis(300));
    line.handle.record(RecordingSpec { path, limit: Duration::from_secs(60), silence }).unwrap();
    line.talk(30);
    let stopped = recording(&mut line.events).await;
    assert_eq!(stopped.end, RecordingEnd::Silence);
    let told = stopped.written.unwrap();
    assert!((400..=900).contains(&told.as_millis()), "{told:?} for 600 ms of voice");
}

#[tokio::test]
async fn clearing_drops_what_is_played_and_what_waits_in_the_channel() {
    let pool = pool();
    let mut line = line(&pool, 8);
    for _ in 0..6 {
        let chunk = Chunk::Pcmu(vec![0x2a; 8 * 60_000].into());
        let audio = PlayoutCommand::Audio { utterance: UTTERANCE, chunk };
        line.playout.send(audio).await.unwrap();
    }
    while !line.hear()[12..].contains(&0x2a) {}
    line.handle.clear().unwrap();
    line.media_event(|event| matches!(event, MediaEvent::Cleared { .. })).await;
    let silent = (0..50).find(|_| !line.hear()[12..].contains(&0x2a));
    assert!(silent.is_some_and(|packets| packets < 20), "{silent:?}");
}

#[tokio::test]
async fn hold_stops_the_packets_and_resumption_starts_them_again() {
    let pool = pool();
    let line = line(&pool, 8);
    line.hear();
    let remote = line.far.local_addr().unwrap();
    let held = Agreement { direction: Direction::Inactive, held: true, ..agreement(remote) };
    line.handle.update(held).unwrap();
    line.far.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut packet = [0; 2048];
    while line.far.recv_from(&mut packet).is_ok() {}
    line.handle.update(agreement(remote)).unwrap();
    line.far.set_read_timeout(Some(SOON)).unwrap();
    line.hear();
}

#[tokio::test]
async fn a_closed_call_tells_its_figures_and_its_port_rests_if_media_came() {
    let pool = pool();
    let mut line = line(&pool, 8);
    line.talk(5);
    let Line { near, handle, mut events, .. } = line;
    handle.close();
    let stats = loop {
        if let RtpEvent::Ended(stats) = next(&mut events).await {
            break stats;
        }
    };
    assert!(stats.sent >= 5 && stats.received >= 4, "{stats:?}");
    let soon = Instant::now() + Duration::from_secs(1);
    let others: Vec<RtpPort> = std::iter::from_fn(|| pool.open(soon).ok()).collect();
    // Other processes may hold some of the range.
    assert!(!others.is_empty() && others.len() < usize::from(PAIRS));
    assert!(others.iter().all(|port| port.local() != near));
    let later = soon + Duration::from_secs(30);
    // The figures come before the port has been filed.
    let again = std::iter::repeat_with(|| pool.open(later)).find_map(Result::ok).unwrap();
    assert_eq!(again.local(), near);
}

#[test]
fn a_pool_that_is_dropped_ends_its_threads_though_handles_remain() {
    let pool = pool();
    let line = line(&pool, 8);
    line.hear();
    drop(pool);
    assert_eq!(line.handle.stop_recording(), Err(ControlError::Ended));
}
