//! Cutting messages out of a stream (RFC 3261 §18.3; keep-alives of RFC 5626 §3.5.1).

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::message::content_length_of;
use crate::message::limits;

/// What a stream is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    /// One message, for [`parse`](crate::message::parse) with `Framing::Stream`.
    Message(Bytes),
    /// `CRLF CRLF` between messages: to be answered with [`PONG`].
    KeepAlivePing,
    /// `CRLF` between messages: the answer to our ping, or nothing.
    Pong,
}

/// The answer to [`Framed::KeepAlivePing`].
pub const PONG: &[u8] = b"\r\n";

/// Why a stream can't be read any further: close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FramingError {
    /// What arrives is no SIP.
    #[error("not SIP")]
    NotSip,
    /// No end of the header section within [`limits::HEADER_SECTION`].
    #[error("header section too long")]
    HeaderSectionTooLong,
    /// Content-Length is missing, malformed, contradictory or too large. The message came before, as far as its header
    /// section, so that `parse` can say what to answer.
    #[error("no usable Content-Length")]
    ContentLength,
}

/// Cuts one connection's bytes into messages. Holds at most one unfinished message and what was pushed after it.
///
/// Push what was read, then take until `None` (it is an iterator that goes on after the next push). After an error it
/// takes and gives nothing more.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between messages.
    #[default]
    Idle,
    /// One CRLF has been given as a pong; another makes it a ping.
    AfterLineEnd,
    /// In a header section, searched without success up to here; whether the start line is known to be one.
    Head {
        searched: usize,
        started: bool,
    },
    /// The message has this length.
    Body {
        length: usize,
    },
    /// To be given at the next call.
    Failing(FramingError),
    Failed,
}

impl StreamFramer {
    /// A framer at the start of a stream.
    pub fn new() -> StreamFramer {
        StreamFramer::default()
    }

    /// Takes bytes from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Failing(_) | State::Failed) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Bytes held.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the stream stands in the middle of a message; a peer that stays there is slow or gone.
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty() && !matches!(self.state, State::Failed)
    }

    fn fail(&mut self, error: FramingError) -> Option<Result<Framed, FramingError>> {
        self.state = State::Failed;
        self.buffer = BytesMut::new();
        Some(Err(error))
    }

    fn between(&mut self, after_line_end: bool) -> Option<Result<Framed, FramingError>> {
        match (&self.buffer[..], after_line_end) {
            ([], _) | ([b'\r'], _) => None,
            ([b'\r', b'\n', ..], true) => {
                self.buffer.advance(2);
                self.state = State::Idle;
                Some(Ok(Framed::KeepAlivePing))
            }
            ([b'\r', b'\n', b'\r', b'\n', ..], false) => {
                self.buffer.advance(4);
                Some(Ok(Framed::KeepAlivePing))
            }
            ([b'\r', b'\n', ..], false) => {
                self.buffer.advance(2);
                self.state = State::AfterLineEnd;
                Some(Ok(Framed::Pong))
            }
            _ => self.head(0, false),
        }
    }

    fn head(&mut self, searched: usize, started: bool) -> Option<Result<Framed, FramingError>> {
        let started = started
            || match start_line(&self.buffer, searched) {
                StartLine::Sip => true,
                StartLine::Unfinished => false,
                StartLine::Other => return self.fail(FramingError::NotSip),
            };
        // The end may straddle what was searched and what is new.
        let from = searched.saturating_sub(3);
        let found = self.buffer.get(from..).and_then(|new| memchr::memmem::find(new, b"\r\n\r\n"));
        let Some(found) = found else {
            if self.buffer.len() > limits::HEADER_SECTION {
                return self.fail(FramingError::HeaderSectionTooLong);
            }
            self.state = State::Head { searched: self.buffer.len(), started };
            return None;
        };
        let head = from + found + 4;
        if head > limits::HEADER_SECTION {
            return self.fail(FramingError::HeaderSectionTooLong);
        }
        let length =
            self.buffer.get(..head).and_then(content_length_of).filter(|&n| n <= limits::STREAM_BODY);
        match length {
            Some(body) => {
                self.state = State::Body { length: head + body };
                self.body(head + body)
            }
            None => {
                let message = self.buffer.split_to(head).freeze();
                self.buffer = BytesMut::new();
                self.state = State::Failing(FramingError::ContentLength);
                Some(Ok(Framed::Message(message)))
            }
        }
    }

    fn body(&mut self, length: usize) -> Option<Result<Framed, FramingError>> {
        if self.buffer.len() < length {
            return None;
        }
        self.state = State::Idle;
        Some(Ok(Framed::Message(self.buffer.split_to(length).freeze())))
    }
}

impl Iterator for StreamFramer {
    type Item = Result<Framed, FramingError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.state {
            State::Idle => self.between(false),
            State::AfterLineEnd => self.between(true),
            State::Head { searched, started } => self.head(searched, started),
            State::Body { length } => self.body(length),
            State::Failing(error) => self.fail(error),
            State::Failed => None,
        }
    }
}

enum StartLine {
    Sip,
    Unfinished,
    Other,
}

/// Whether the first line is, or may still become, a start line. Found out early, so that a peer speaking something
/// else is not listened to for 64 KB. Bytes before `searched` have been looked at.
fn start_line(buffer: &[u8], searched: usize) -> StartLine {
    let new = buffer.get(searched..).unwrap_or_default();
    let end = memchr::memchr(b'\n', new).map(|end| searched + end);
    let line = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
    // The same for a whole line as for a piece of one: what a stream says doesn't depend on how it was cut.
    if line.len() >= limits::START_LINE + 2 || line.iter().skip(searched).any(|&b| b < b' ' && b != b'\r') {
        return StartLine::Other;
    }
    if end.is_none() {
        return StartLine::Unfinished;
    }
    let names_sip = line.windows(4).any(|four| four.eq_ignore_ascii_case(b"SIP/"));
    if names_sip { StartLine::Sip } else { StartLine::Other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Framing, ParseError, parse};

    const ONE: &str = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nContent-Length: 4\r\n\r\nbody";

    fn message(text: &str) -> Framed {
        Framed::Message(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn messages_come_out_whatever_the_pieces_are() {
        let folded = ONE.replace("Content-Length: 4", "l :\r\n 4");
        let stream = format!("\r\n\r\n{ONE}{folded}\r\n{ONE}");
        for size in 1..stream.len() {
            let mut framer = StreamFramer::new();
            let mut got = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                framer.push(piece);
                got.extend(
                    framer.by_ref().map(Result::unwrap).filter(|framed| matches!(framed, Framed::Message(_))),
                );
            }
            assert_eq!(got, [message(ONE), message(&folded), message(ONE)], "in pieces of {size}");
            assert!(!framer.is_mid_message());
        }
    }

    #[test]
    fn keep_alives_are_told_apart() {
        let mut framer = StreamFramer::new();
        framer.push(b"\r\n\r\n");
        assert_eq!(framer.next(), Some(Ok(Framed::KeepAlivePing)));
        framer.push(b"\r\n");
        assert_eq!(framer.next(), Some(Ok(Framed::Pong)));
        framer.push(b"\r");
        assert_eq!(framer.next(), None);
        framer.push(b"\n");
        // It was the second half of a ping.
        assert_eq!(framer.next(), Some(Ok(Framed::KeepAlivePing)));
        assert_eq!(framer.next(), None);
    }

    #[test]
    fn a_message_without_usable_content_length_can_still_be_answered() {
        for length in ["", "l: x\r\n", "l: -999\r\n", "l: 4\r\nContent-Length: 5\r\n", "l: 99999999\r\n"] {
            let mut framer = StreamFramer::new();
            framer.push(ONE.replace("Content-Length: 4\r\n", length).as_bytes());
            let Some(Ok(Framed::Message(head))) = framer.next() else { panic!("{length}") };
            assert!(matches!(parse(head, Framing::Stream), Err(ParseError::Reply(_))), "{length}");
            assert_eq!(framer.next(), Some(Err(FramingError::ContentLength)));
            framer.push(ONE.as_bytes());
            assert_eq!((framer.next(), framer.buffered()), (None, 0));
        }
    }

    #[test]
    fn other_protocols_are_noticed_at_once() {
        for text in ["GET / HTTP/1.1\r\n", "\x16\x03\x01\x02", "hello\nworld"] {
            let mut framer = StreamFramer::new();
            framer.push(text.as_bytes());
            assert_eq!(framer.next(), Some(Err(FramingError::NotSip)), "{text:?}");
        }
    }

    #[test]
    fn a_bad_start_line_is_bad_in_one_piece_and_in_many() {
        let long = format!("OPTIONS sip:{} SIP/2.0\r\n", "a".repeat(limits::START_LINE));
        for text in ["OPTIONS sip:\x01a SIP/2.0\r\n\r\n", "OPTIONS\tsip:a SIP/2.0\r\n\r\n", &long] {
            for size in [1, 7, text.len()] {
                let mut framer = StreamFramer::new();
                let results: Vec<_> = text
                    .as_bytes()
                    .chunks(size)
                    .filter_map(|piece| {
                        framer.push(piece);
                        framer.next()
                    })
                    .collect();
                assert_eq!(results, [Err(FramingError::NotSip)], "in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_header_section_without_end_is_cut_off() {
        let mut framer = StreamFramer::new();
        framer.push(b"OPTIONS sip:a SIP/2.0\r\n");
        let mut pushed = 0;
        let error = loop {
            framer.push(b"X: y\r\n");
            pushed += 6;
            if let Some(result) = framer.next() {
                break result;
            }
        };
        assert_eq!(error, Err(FramingError::HeaderSectionTooLong));
        assert!(pushed <= limits::HEADER_SECTION + 6);
        assert_eq!(framer.buffered(), 0);
    }

    #[test]
    fn one_byte_at_a_time_takes_linear_time() {
        let mut framer = StreamFramer::new();
        let long = format!("OPTIONS sip:a SIP/2.0\r\nX: {}\r\nl: 0\r\n\r\n", "y".repeat(60_000));
        let mut got = None;
        for byte in long.as_bytes().chunks(1) {
            framer.push(byte);
            got = framer.next();
        }
        assert_eq!(got, Some(Ok(message(&long))));
    }
}
