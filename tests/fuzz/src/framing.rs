//! Streams: what comes out doesn't depend on the pieces that went in.

use bytes::Bytes;
use sip::framing::{Framed, FramingError, StreamFramer};
use sip::message::limits;

/// Target `framing`: a byte that says how to cut, then the stream.
pub fn framing(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let whole = read(&mut std::iter::once(stream));
    let size = usize::from(*cut % 16) + 1;
    assert_eq!(whole, read(&mut stream.chunks(size)), "in pieces of {size}");
    let uneven = usize::from(*cut) * stream.len() / 256;
    let (first, second) = stream.split_at(uneven);
    assert_eq!(whole, read(&mut [first, second].into_iter()), "cut at {uneven}");
}

/// The messages, and how it ended. Keep-alives are left out: a ping in two pieces is two pongs.
fn read(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Bytes>, Option<FramingError>) {
    let mut framer = StreamFramer::new();
    let (mut messages, mut error) = (Vec::new(), None);
    let mut pushed = 0;
    for piece in pieces {
        framer.push(piece);
        pushed += piece.len();
        let mut taken = 0;
        for framed in framer.by_ref() {
            taken += 1;
            match framed {
                Ok(Framed::Message(message)) => messages.push(message),
                Ok(_) => {}
                Err(failure) => assert_eq!(error.replace(failure), None, "one error is the last word"),
            }
            assert!(taken <= pushed + 2, "it comes to an end");
        }
        let most = limits::HEADER_SECTION + limits::STREAM_BODY + piece.len();
        assert!(framer.buffered() <= most && (error.is_none() || framer.buffered() == 0));
    }
    (messages, error)
}
