//! Messages that are nearly right.

use std::path::Path;

/// xorshift64*, so that a seed is all there is to a run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}

/// What mutations begin from, and what they put in.
pub struct Corpus(Vec<Vec<u8>>);

const PIECES: [&[u8]; 28] = [
    b"\r\n",
    b"\r\n ",
    b"\r",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"<",
    b">",
    b",",
    b";",
    b"=",
    b"%",
    b"%00",
    b"@",
    b"[",
    b"]",
    b"*",
    b"-1",
    b"4294967296",
    b"18446744073709551616",
    b"\r\nContent-Length: 0\r\n\r\n",
    b"\r\nVia: SIP/2.0/UDP h",
    b"\r\nTo: <sip:x@y>;tag=z",
    b"\r\nRequire: 100rel",
    b"\r\nMax-Forwards: 0",
    b"\xff",
    b"\xef\xbb\xbf",
];

impl Corpus {
    /// The messages that the SIP core is tested with.
    pub fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut messages: Vec<Vec<u8>> = ["sip/tests/corpus", "tests/golden/rfc4475"]
            .iter()
            .flat_map(|directory| std::fs::read_dir(root.join(directory)).expect("messages"))
            .map(|entry| entry.expect("a file").path())
            .filter(|path| path.extension().is_some_and(|e| e == "sip" || e == "dat"))
            .map(|path| std::fs::read(path).expect("a message"))
            .collect();
        messages.sort();
        assert!(messages.len() > 60);
        Self(messages)
    }

    /// One message, changed in up to four places. Most are of a transaction and a call of their
    /// own; to a stream, most have the Content-Length that they should.
    pub fn message(&self, random: &mut Random, stream: bool) -> Vec<u8> {
        let mut message = self.0[random.below(self.0.len())].clone();
        if random.below(4) > 0 {
            let own = format!("{:x}", random.next());
            replace(&mut message, b"z9hG4bK", format!("z9hG4bK{own}").as_bytes());
            replace(&mut message, b"Call-ID: ", format!("Call-ID: {own}").as_bytes());
        }
        for _ in 0..random.below(5) {
            let at = random.below(message.len() + 1);
            match random.below(6) {
                0 | 1 => drop(message.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
                2 => {
                    let end = (at + random.below(40)).min(message.len());
                    drop(message.drain(at..end));
                }
                3 => {
                    let end = (at + random.below(80)).min(message.len());
                    let copy = message[at..end].to_vec();
                    drop(message.splice(at..at, copy));
                }
                4 => {
                    let byte = (random.next() & 0xff) as u8;
                    if let Some(place) = message.get_mut(at) {
                        *place = byte;
                    }
                }
                _ => {
                    let bit = 1 << random.below(8);
                    if let Some(place) = message.get_mut(at) {
                        *place ^= bit;
                    }
                }
            }
        }
        message.truncate(60_000);
        if stream && random.below(8) > 0 { framed(&message) } else { message }
    }
}

fn replace(message: &mut Vec<u8>, what: &[u8], with: &[u8]) {
    if let Some(at) = message.windows(what.len()).position(|w| w == what) {
        drop(message.splice(at..at + what.len(), with.iter().copied()));
    }
}

/// The message with its end where its Content-Length says.
fn framed(message: &[u8]) -> Vec<u8> {
    let end = message.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(message.len());
    let (head, rest) = message.split_at(end);
    let body = rest.get(4..).unwrap_or_default();
    let lines = head.split(|b| *b == b'\n').filter(|line| {
        let name = line.split(|b| *b == b':').next().unwrap_or_default().trim_ascii();
        !name.eq_ignore_ascii_case(b"Content-Length") && !name.eq_ignore_ascii_case(b"l")
    });
    let mut framed = lines.collect::<Vec<_>>().join(&b'\n');
    while framed.ends_with(b"\r") || framed.ends_with(b"\n") {
        framed.pop();
    }
    framed.extend(format!("\r\nContent-Length: {}\r\n\r\n", body.len()).bytes());
    framed.extend_from_slice(body);
    framed
}
