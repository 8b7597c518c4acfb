//! Walks a table of the file key by key. What is never asked for is unknown: the set of known
//! keys is what the code reads, so that the two can't drift apart.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ProblemKind, Sink};
use super::suggest::nearest;
use super::value::{FromValue, Located, read, read_list, read_whole};

/// A table being read.
pub(super) struct Table<'a> {
    entries: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    /// What messages call the table, with a separator at the end; empty for the root.
    label: String,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The document.
    pub fn root(document: &'a Spanned<DeTable<'a>>) -> Self {
        Self::new(Some(document.get_ref()), 0..0, String::new())
    }

    fn new(entries: Option<&'a DeTable<'a>>, span: Range<usize>, label: String) -> Self {
        Self { entries, span, label, known: Vec::new() }
    }

    /// Names the table in messages, once its name is known.
    pub fn rename(&mut self, label: String) {
        self.label = label;
    }

    /// Where the table begins.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What messages call a key of the table.
    pub fn subject(&self, key: &str) -> String {
        format!("{}key `{key}`", self.label)
    }

    /// A subtable; an empty one when it isn't there.
    pub fn table(&mut self, key: &'static str, sink: &mut Sink<'_>) -> Table<'a> {
        let value = self.get(key);
        let entries = value.and_then(|value| self.expect_table(value, key, sink));
        let span = value.map_or(0..0, Spanned::span);
        Table::new(entries, span, format!("[{key}], "))
    }

    /// An array of tables, `[[key]]`; empty when it isn't there.
    pub fn tables(&mut self, key: &'static str, sink: &mut Sink<'_>) -> Vec<Table<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let found = value.get_ref().type_str();
            let kind = ProblemKind::WrongType {
                found,
                wanted: "[[trunk]] with two brackets, or what its name is, for each entry",
            };
            sink.problem(Some(value.span()), self.subject(key), kind);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (at, entry) in array.iter().enumerate() {
            if let Some(entries) = self.expect_table(entry, key, sink) {
                tables.push(Table::new(
                    Some(entries),
                    entry.span(),
                    format!("{}[[{key}]] number {}, ", self.label, at + 1),
                ));
            }
        }
        tables
    }

    fn expect_table(
        &self,
        value: &'a Spanned<DeValue<'a>>,
        key: &str,
        sink: &mut Sink<'_>,
    ) -> Option<&'a DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let kind = ProblemKind::WrongType { found: value.get_ref().type_str(), wanted: "a table" };
            sink.problem(Some(value.span()), self.subject(key), kind);
        }
        table
    }

    /// A value, if the key is there and the value is right.
    pub fn take<T: FromValue>(&mut self, key: &'static str, sink: &mut Sink<'_>) -> Option<Located<T>> {
        let value = self.get(key)?;
        read(value, &self.subject(key), sink)
    }

    /// A value, or the default.
    pub fn or<T: FromValue>(&mut self, key: &'static str, default: T, sink: &mut Sink<'_>) -> T {
        self.take(key, sink).map_or(default, |located| located.value)
    }

    /// A list without repetition, if the key is there and every entry is right.
    pub fn list<T: FromValue + PartialEq>(
        &mut self,
        key: &'static str,
        sink: &mut Sink<'_>,
    ) -> Option<Located<Vec<T>>> {
        let value = self.get(key)?;
        read_list(value, &self.subject(key), sink)
    }

    /// One value, or a list of them without repetition.
    pub fn one_or_more<T: FromValue + PartialEq>(
        &mut self,
        key: &'static str,
        sink: &mut Sink<'_>,
    ) -> Option<Located<Vec<T>>> {
        let value = self.get(key)?;
        if value.get_ref().as_array().is_some() {
            return read_list(value, &self.subject(key), sink);
        }
        let one = read(value, &self.subject(key), sink)?;
        Some(Located { value: vec![one.value], span: one.span })
    }

    /// A whole number within bounds, if the key is there and the value is right.
    pub fn whole(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        sink: &mut Sink<'_>,
    ) -> Option<Located<u32>> {
        let value = self.get(key)?;
        read_whole(value, range, &self.subject(key), sink)
    }

    /// Whether the key is there, be its value right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Where the key stands, when it is there.
    pub fn key_span(&self, key: &str) -> Option<Range<usize>> {
        let (key, _) = self.entries?.get_key_value(key)?;
        Some(key.span())
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.entries?.get(key)
    }

    /// Reports the keys that nobody asked for. Gives the known ones.
    pub fn finish(self, sink: &mut Sink<'_>) -> Vec<&'static str> {
        for (key, _) in self.entries.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let kind = ProblemKind::UnknownKey {
                    nearest: nearest(name, &self.known),
                    known: self.known.clone(),
                };
                sink.problem(Some(key.span()), self.subject(name), kind);
            }
        }
        self.known
    }
}
