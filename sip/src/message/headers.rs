//! The header fields of a message, in order, as places in its bytes.

use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;

use super::lex;
use super::name::{HeaderName, NameId};

/// Where one header field is; offsets into [`Headers::text`], which parsing and building keep under 64 KB.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) start: u32,
    pub(crate) name_len: u16,
    /// From `start`.
    pub(crate) value_at: u16,
    pub(crate) value_len: u16,
    pub(crate) id: NameId,
}

pub(crate) type Entries = SmallVec<[Entry; 20]>;

/// The header fields of a message. Values are given unfolded and without white space at their ends.
#[derive(Clone, Default)]
pub struct Headers {
    /// Start line and header section with folded lines joined (RFC 3261 §7.3.1); shares the message's memory unless
    /// there was something to unfold.
    text: Bytes,
    entries: Entries,
}

/// One header field.
#[derive(Clone, Copy)]
pub struct HeaderField<'a> {
    headers: &'a Headers,
    entry: Entry,
}

impl Headers {
    pub(crate) fn new(text: Bytes, entries: Entries) -> Headers {
        Headers { text, entries }
    }

    /// How many header fields there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All header fields in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = HeaderField<'_>> {
        self.entries.iter().map(|&entry| HeaderField { headers: self, entry })
    }

    /// The value of the first header field of that name.
    pub fn get(&self, name: HeaderName) -> Option<&[u8]> {
        self.fields(&name).next().map(HeaderField::value)
    }

    /// The values of all header fields of that name, one for each line.
    pub fn get_all(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |field| field.is(&name)).map(HeaderField::value)
    }

    /// The elements of a comma-separated header field, over all its lines (RFC 3261 §7.3.1). Commas in quoted strings
    /// and angle brackets don't separate. Only for header fields whose grammar is a list.
    pub fn list(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).flat_map(elements)
    }

    /// Whether there is a header field of that name.
    pub fn contains(&self, name: HeaderName) -> bool {
        self.fields(&name).next().is_some()
    }

    /// How many lines each known name has.
    pub(crate) fn counts(&self) -> [u16; NameId::COUNT] {
        let mut counts = [0u16; NameId::COUNT];
        for entry in &self.entries {
            if let Some(count) = counts.get_mut(entry.id as usize) {
                *count = count.saturating_add(1);
            }
        }
        counts
    }

    pub(crate) fn first(&self, id: NameId) -> Option<Bytes> {
        self.entries.iter().find(|entry| entry.id == id).map(|entry| self.slice(entry))
    }

    pub(crate) fn first_value(&self, id: NameId) -> Option<&[u8]> {
        self.entries.iter().find(|entry| entry.id == id).map(|entry| self.value_of(entry))
    }

    /// The elements of a list as slices of the message.
    pub(crate) fn elements(&self, id: NameId) -> impl Iterator<Item = Bytes> {
        self.entries.iter().filter(move |entry| entry.id == id).flat_map(move |entry| {
            elements(self.value_of(entry))
                .map(move |element| self.text.slice(lex::range_in(&self.text, element)))
        })
    }

    pub(crate) fn raw_values(&self, id: NameId) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(move |entry| entry.id == id).map(|entry| self.value_of(entry))
    }

    fn fields<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = HeaderField<'a>> {
        self.iter().filter(move |field| field.is(name))
    }

    fn slice(&self, entry: &Entry) -> Bytes {
        let value = self.value_of(entry);
        self.text.slice(lex::range_in(&self.text, value))
    }

    fn value_of(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize + usize::from(entry.value_at);
        self.text.get(start..start + usize::from(entry.value_len)).unwrap_or_default()
    }
}

/// Splits one value at its commas; an empty value has no elements, `a,,b` has an empty one.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = (!value.is_empty()).then_some(value);
    std::iter::from_fn(move || {
        let (element, after) = lex::split_outside(rest?, b',');
        rest = after;
        Some(element)
    })
}

impl<'a> HeaderField<'a> {
    /// The name, compact forms made long.
    pub fn name(self) -> HeaderName {
        self.entry.id.known().unwrap_or_else(|| {
            let name = self.raw_name();
            HeaderName::other(self.headers.text.slice(lex::range_in(&self.headers.text, name)))
        })
    }

    /// The name as it is spelled in the message.
    pub fn raw_name(self) -> &'a [u8] {
        let start = self.entry.start as usize;
        self.headers.text.get(start..start + usize::from(self.entry.name_len)).unwrap_or_default()
    }

    /// The value, unfolded and trimmed.
    pub fn value(self) -> &'a [u8] {
        self.headers.value_of(&self.entry)
    }

    /// Whether it has this name; cheaper than comparing [`HeaderField::name`].
    pub fn is(self, name: &HeaderName) -> bool {
        match name {
            HeaderName::Other(_) => {
                self.entry.id == NameId::Other
                    && self.raw_name().eq_ignore_ascii_case(name.as_str().as_bytes())
            }
            known => self.entry.id == known.id(),
        }
    }
}

impl fmt::Debug for HeaderField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.raw_name().escape_ascii(), self.value().escape_ascii())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
