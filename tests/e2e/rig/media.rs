//! The telephone's ear and mouth: one RTP stream of G.711 A-law with RFC 4733 keys.
//!
//! It keeps the time of whoever talks to it: for each packet that comes, one leaves.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Samples, and bytes of A-law, in 20 ms.
pub const FRAME: usize = 160;
/// Our telephone-event payload type.
pub const EVENTS: u8 = 96;
const PCMA: u8 = 8;
/// A-law for silence.
const SILENCE: u8 = 0xd5;
/// A key is held for this many packets: 160 ms.
const KEY_PACKETS: u16 = 8;

/// One stream.
pub struct Media {
    shared: Arc<Shared>,
    pub port: u16,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    heard: Vec<u8>,
    to_send: VecDeque<Frame>,
    ended: bool,
}

enum Frame {
    Audio([u8; FRAME]),
    /// An event packet: the first of a key begins it.
    Key {
        first: bool,
        payload: [u8; 4],
    },
}

impl Media {
    /// Opens a port; the stream runs until it is dropped.
    pub fn open() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let shared = Arc::new(Shared::default());
        let stream = Arc::clone(&shared);
        std::thread::spawn(move || run(&socket, &stream));
        Self { shared, port }
    }

    /// Presses a key.
    pub fn press(&self, key: char) {
        let event = "0123456789*#".find(key).and_then(|at| u8::try_from(at).ok()).unwrap();
        let mut state = self.state();
        // The end goes out three times (RFC 4733 §2.5.1.4).
        for packet in 1..=KEY_PACKETS + 2 {
            let [high, low] = (packet.min(KEY_PACKETS) * 160).to_be_bytes();
            let end = if packet >= KEY_PACKETS { 0x80 } else { 0 };
            state.to_send.push_back(Frame::Key { first: packet == 1, payload: [event, end | 10, high, low] });
        }
    }

    /// Says linear samples at 8 kHz.
    pub fn say(&self, samples: &[i16]) {
        let mut frames = VecDeque::new();
        for chunk in samples.chunks(FRAME) {
            let mut frame = [SILENCE; FRAME];
            for (place, sample) in frame.iter_mut().zip(chunk) {
                *place = alaw(*sample);
            }
            frames.push_back(Frame::Audio(frame));
        }
        // The stream goes on while the speech is encoded.
        self.state().to_send.append(&mut frames);
    }

    /// Waits until everything that was to be sent has been sent.
    pub fn said(&self, within: Duration) {
        self.wait("the telephone to have said everything", within, |state| state.to_send.is_empty());
    }

    /// A place in what was heard: now.
    pub fn now(&self) -> usize {
        self.state().heard.len()
    }

    /// Waits until `sentence` has been heard whole after the place `from`; gives the place after it.
    pub fn hear(&self, name: &str, sentence: &[u8], from: usize, within: Duration) -> usize {
        let mut searched = from;
        let mut end = None;
        self.wait(name, within, |state| {
            end = find(&state.heard[searched..], sentence).map(|at| searched + at + sentence.len());
            searched = state.heard.len().saturating_sub(sentence.len()).max(from);
            end.is_some()
        });
        end.unwrap()
    }

    /// Waits for the tone of 1000 Hz after which callers speak.
    pub fn hear_beep(&self, from: usize, within: Duration) {
        // A tenth of a second in which every period of eight samples is as the one before, and loud.
        let is_beep = |audio: &[u8]| {
            audio.windows(9).all(|nine| nine[0] == nine[8])
                && audio.iter().any(|byte| linear(*byte).unsigned_abs() > 3_000)
        };
        self.wait("the beep", within, |state| state.heard[from..].chunks_exact(800).any(is_beep));
    }

    /// Whether the sentence was heard whole after the place `from`.
    pub fn heard(&self, sentence: &[u8], from: usize) -> bool {
        find(&self.state().heard[from..], sentence).is_some()
    }

    /// Waits for this much more audio, whatever it is.
    pub fn listen(&self, length: Duration, within: Duration) {
        let bytes = usize::try_from(length.as_millis()).unwrap() * 8;
        let until = self.now() + bytes;
        self.wait("audio", within, |state| state.heard.len() >= until);
    }

    /// The loudest of the last packets' samples is above a whisper.
    pub fn is_loud(&self, length: Duration) -> bool {
        let bytes = usize::try_from(length.as_millis()).unwrap() * 8;
        let state = self.state();
        let from = state.heard.len().saturating_sub(bytes);
        state.heard[from..].iter().any(|byte| linear(*byte).unsigned_abs() > 1_000)
    }

    fn wait(&self, what: &str, within: Duration, mut ready: impl FnMut(&State) -> bool) {
        let state = self.state();
        let (state, timeout) =
            self.shared.changed.wait_timeout_while(state, within, |state| !ready(state)).unwrap();
        let heard = state.heard.len() / 8;
        assert!(!timeout.timed_out(), "not heard within {within:?}: {what} (heard {heard} ms of audio)");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // A test that failed holding the lock has nothing to end.
        if let Ok(mut state) = self.shared.state.lock() {
            state.ended = true;
        }
    }
}

fn run(socket: &UdpSocket, shared: &Shared) {
    let mut sender = Sender::default();
    let mut packet = [0; 2_048];
    loop {
        let received = socket.recv_from(&mut packet).ok();
        let mut state = shared.state.lock().unwrap();
        if state.ended {
            return;
        }
        let Some((length, from)) = received else { continue };
        if length == 12 + FRAME && packet[1] & 0x7f == PCMA {
            state.heard.extend_from_slice(&packet[12..length]);
        }
        let frame = state.to_send.pop_front();
        shared.changed.notify_all();
        drop(state);
        sender.send(socket, from, frame.unwrap_or(Frame::Audio([SILENCE; FRAME])));
    }
}

#[derive(Default)]
struct Sender {
    sequence: u16,
    timestamp: u32,
    key_began: u32,
}

impl Sender {
    fn send(&mut self, socket: &UdpSocket, to: SocketAddr, frame: Frame) {
        let marker = if self.sequence == 0 { 0x80 } else { 0 };
        let (kind, timestamp) = match &frame {
            Frame::Audio(_) => (PCMA | marker, self.timestamp),
            Frame::Key { first, .. } => {
                if *first {
                    self.key_began = self.timestamp;
                }
                (EVENTS | if *first { 0x80 } else { 0 }, self.key_began)
            }
        };
        let mut packet = vec![0x80, kind];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(0x0ff4_00c4_u32.to_be_bytes());
        match &frame {
            Frame::Audio(audio) => packet.extend(audio),
            Frame::Key { payload, .. } => packet.extend(payload),
        }
        // Nobody listens any more when the call has ended.
        let _ = socket.send_to(&packet, to);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
    }
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

/// G.711 A-law: the code whose value is nearest.
fn alaw(sample: i16) -> u8 {
    (0..=255).min_by_key(|code| linear(*code).abs_diff(sample)).unwrap()
}

/// The value of a G.711 A-law code.
fn linear(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = ((code >> 4) & 7, i16::from(code & 0x0f));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        exponent => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// A sine at a level well above silence.
pub fn tone(hertz: f64, length: Duration) -> Vec<i16> {
    let samples = usize::try_from(length.as_millis()).unwrap() * 8;
    let sample = |at: usize| (at as f64 / 8_000.0 * hertz * std::f64::consts::TAU).sin() * 8_000.0;
    (0..samples).map(|at| sample(at) as i16).collect()
}

#[test]
fn a_law_comes_back_as_it_was() {
    for code in 0..=255 {
        assert_eq!(alaw(linear(code)), code);
    }
}
