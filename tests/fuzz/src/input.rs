//! Bytes as a list of choices, so that a mutation of the bytes is a change of some choices.

/// What is left of the input. When nothing is left every choice is the first one.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All of the input.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether all choices are made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `bound`, at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Yes, this often in 256.
    pub fn chance(&mut self, of_256: u8) -> bool {
        self.byte() < of_256
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// As many bytes as the next byte says.
    pub fn short(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// At most so many bytes.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// What stands in for something that mutation by single bytes rarely finds.
pub const PIECES: &[&[u8]] = &[
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
    b"?",
    b"&",
    b"@",
    b"[",
    b"]",
    b"*",
    b"(",
    b"-1",
    b"0",
    b"4294967295",
    b"4294967296",
    b"18446744073709551615",
    b"99999999999999999999999999",
    b"\r\nContent-Length: 0\r\n\r\n",
    b"\r\nContent-Length: -1",
    b"\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx",
    b"\r\nTo: <sip:x@y>;tag=z",
    b"\r\nRequire: 100rel",
    b"\r\nSupported: timer, 100rel, replaces",
    b"\r\nSession-Expires: 90;refresher=uac",
    b"\r\nReplaces: 1;to-tag=2;from-tag=3",
    b"\r\nRecord-Route: <sip:p;lr>, <sip:q>",
    b"\r\nRoute: <sip:p;lr>",
    b"\r\nMax-Forwards: 0",
    b"\r\nExpires: 1",
    b"\r\nContent-Encoding: gzip",
    b"\r\nContact: *",
    b"\xff",
    b"\xef\xbb\xbf",
];

/// Changes a message the way a bad network element or a tester would: a piece put in, bytes cut
/// out, a line doubled or dropped, a byte replaced.
pub fn mutate(message: &mut Vec<u8>, choices: &mut Choices<'_>) {
    for _ in 0..choices.below(4) {
        let at = usize::from(choices.u16()) % (message.len() + 1);
        match choices.below(6) {
            0 => drop(message.splice(at..at, choices.one_of(PIECES).iter().copied())),
            1 => {
                let end = (at + choices.below(40)).min(message.len());
                drop(message.drain(at..end));
            }
            2 => {
                let line = line_at(message, at);
                let copy = message[line.clone()].to_vec();
                drop(message.splice(line.start..line.start, copy));
            }
            3 => drop(message.drain(line_at(message, at))),
            4 => {
                let byte = choices.byte();
                if let Some(place) = message.get_mut(at) {
                    *place = byte;
                }
            }
            _ => drop(message.splice(at..at, choices.short().iter().copied())),
        }
    }
}

/// The line that holds this byte, its end included.
fn line_at(message: &[u8], at: usize) -> std::ops::Range<usize> {
    let (before, after) = message.split_at(at.min(message.len()));
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let end = after.iter().position(|b| *b == b'\n').map_or(message.len(), |end| at + end + 1);
    start..end.max(start)
}
