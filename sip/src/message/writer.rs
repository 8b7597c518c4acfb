//! Writing header fields: what goes through here can't end its line.

use super::headers::{Entries, Entry};
use super::name::HeaderName;

/// A message in the making: bytes, and where its header fields are.
pub(crate) struct Writer {
    pub(crate) buf: Vec<u8>,
    pub(crate) entries: Entries,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Writer {
        Writer { buf: Vec::with_capacity(capacity), entries: Entries::new() }
    }

    /// `name: value CRLF`
    pub(crate) fn field(&mut self, name: &HeaderName, value: &[u8]) {
        self.field_of(name, &[value]);
    }

    /// As [`Writer::field`], the value being all parts in a row.
    pub(crate) fn field_of(&mut self, name: &HeaderName, parts: &[&[u8]]) {
        let start = self.buf.len();
        let text = name.as_str().as_bytes();
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b": ");
        let value_start = self.buf.len();
        for part in parts {
            self.inert(part);
        }
        let value_len = self.buf.len() - value_start;
        self.buf.extend_from_slice(b"\r\n");
        let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        self.entries.push(Entry {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            name_len: short(text.len()),
            value_at: short(value_start - start),
            value_len: short(value_len),
            id: name.id(),
        });
    }

    /// All of another writer's fields.
    pub(crate) fn append(&mut self, other: &Writer) {
        let offset = u32::try_from(self.buf.len()).unwrap_or(u32::MAX);
        self.buf.extend_from_slice(&other.buf);
        let moved = |entry: &Entry| Entry { start: entry.start.saturating_add(offset), ..*entry };
        self.entries.extend(other.entries.iter().map(moved));
    }

    /// Content-Length, the empty line and the body; gives where the body begins.
    pub(crate) fn finish(&mut self, body: &[u8]) -> usize {
        let mut digits = [0u8; 20];
        self.field(&HeaderName::ContentLength, decimal(body.len(), &mut digits));
        self.buf.extend_from_slice(b"\r\n");
        let start = self.buf.len();
        self.buf.extend_from_slice(body);
        start
    }

    /// Bytes whose line ends and NULs have become spaces.
    pub(crate) fn inert(&mut self, bytes: &[u8]) {
        if memchr::memchr3(b'\r', b'\n', 0, bytes).is_none() {
            self.buf.extend_from_slice(bytes);
        } else {
            self.buf.extend(bytes.iter().map(|&b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { b }));
        }
    }
}

/// The number in decimal, in the space given.
pub(crate) fn decimal(mut number: usize, space: &mut [u8; 20]) -> &[u8] {
    let mut start = space.len();
    for slot in space.iter_mut().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        start -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    space.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        let mut space = [0; 20];
        assert_eq!(decimal(0, &mut space), b"0");
        assert_eq!(decimal(65_535, &mut space), b"65535");
        assert_eq!(decimal(usize::MAX, &mut space), usize::MAX.to_string().as_bytes());
    }

    #[test]
    fn line_ends_and_nuls_in_values_become_spaces() {
        let mut writer = Writer::with_capacity(0);
        writer.field(&HeaderName::Subject, b"a\r\nVia: evil\0");
        assert_eq!(writer.buf, b"Subject: a  Via: evil \r\n");
    }
}
