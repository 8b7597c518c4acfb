//! Reads JSON into types, noting every fault with its path instead of stopping at the first.
//!
//! `serde`'s derive stops at the first fault and speaks of Rust types; an administrator who
//! imports forty documents needs all of them, in words that say what to write.

use std::fmt::Display;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::problem::Problems;

/// The longest text a field takes unless it says otherwise, in characters.
pub(crate) const TEXT_LIMIT: usize = 4_000;
/// The most entries a list takes unless it says otherwise.
pub(crate) const LIST_LIMIT: usize = 1_000;

/// A JSON object under reading.
#[derive(Debug, Clone)]
pub(crate) struct Object<'a> {
    map: &'a Map<String, Value>,
    path: String,
    problems: &'a Problems,
}

/// One field of an object, or one entry of a list. `null` reads as absent.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    value: Option<&'a Value>,
    path: String,
    problems: &'a Problems,
}

impl<'a> Object<'a> {
    /// The root of a document, whose path is `$`.
    pub(crate) fn root(value: &'a Value, problems: &'a Problems) -> Option<Self> {
        Field { value: Some(value), path: "$".to_owned(), problems }.object()
    }

    pub(crate) fn field(&self, name: &str) -> Field<'a> {
        Field {
            value: self.map.get(name).filter(|value| !value.is_null()),
            path: format!("{}.{name}", self.path),
            problems: self.problems,
        }
    }

    pub(crate) fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    /// The fields of the object, in the document's order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> + '_ {
        self.map.keys().map(|name| (name.as_str(), self.field(name)))
    }
}

impl<'a> Field<'a> {
    pub(crate) fn value(&self) -> Option<&'a Value> {
        self.value
    }

    pub(crate) fn is_present(&self) -> bool {
        self.value.is_some()
    }

    pub(crate) fn problem(&self, message: impl Into<String>) {
        self.problems.add(&self.path, message);
    }

    /// Notes that a required field is missing.
    pub(crate) fn missing(&self, write: &str) {
        self.problem(format!("is missing: write {write}"));
    }

    fn refuse<T>(&self, found: &Value, write: &str) -> Option<T> {
        self.problem(format!("is {}: write {write}", kind(found)));
        None
    }

    pub(crate) fn object(&self) -> Option<Object<'a>> {
        match self.value? {
            Value::Object(map) => Some(Object { map, path: self.path.clone(), problems: self.problems }),
            other => self.refuse(other, "an object, { … }"),
        }
    }

    /// Reads a section: an absent one has its defaults.
    pub(crate) fn section<T: Default>(&self, read: impl FnOnce(&Object<'a>) -> T) -> T {
        self.object().map_or_else(T::default, |object| read(&object))
    }

    pub(crate) fn list_up_to(&self, max: usize) -> Vec<Field<'a>> {
        let entries = match self.value {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(other) => return self.refuse(other, "a list, [ … ]").unwrap_or_default(),
        };
        if entries.len() > max {
            self.problem(format!("has {} entries: {max} at most", entries.len()));
        }
        entries
            .iter()
            .take(max)
            .enumerate()
            .map(|(at, value)| Field {
                value: Some(value),
                path: format!("{}[{at}]", self.path),
                problems: self.problems,
            })
            .collect()
    }

    pub(crate) fn list(&self) -> Vec<Field<'a>> {
        self.list_up_to(LIST_LIMIT)
    }

    /// The entries that `read` accepts.
    pub(crate) fn list_of<T>(&self, read: impl Fn(&Field<'a>) -> Option<T>) -> Vec<T> {
        self.list().iter().filter_map(read).collect()
    }

    /// The objects of a list, each read by `read`.
    pub(crate) fn objects<T>(&self, read: impl Fn(&Object<'a>) -> Option<T>) -> Vec<T> {
        self.list_of(|entry| match entry.value {
            Some(_) => read(&entry.object()?),
            None => None,
        })
    }

    /// A text of one to `max` characters, without control characters other than line ends and
    /// tabs: such texts are spoken, shown and put into headers.
    pub(crate) fn text_up_to(&self, max: usize) -> Option<String> {
        let text = self.raw_text("a text in quotes")?;
        if text.trim().is_empty() {
            self.problem("is empty: write a text, or leave the field out");
        } else if text.chars().count() > max {
            self.problem(format!("is too long: {max} characters at most"));
        } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.problem("holds control characters: remove them");
        } else {
            return Some(text.to_owned());
        }
        None
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.text_up_to(TEXT_LIMIT)
    }

    pub(crate) fn required_text(&self, write: &str) -> Option<String> {
        if !self.is_present() {
            self.missing(write);
        }
        self.text()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.list_of(Field::text)
    }

    fn raw_text(&self, write: &str) -> Option<&'a str> {
        match self.value? {
            Value::String(text) => Some(text),
            other => self.refuse(other, write),
        }
    }

    /// A text that `parse` understands; the parser's words are the fault's.
    pub(crate) fn parsed<T, E: Display>(
        &self,
        write: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.raw_text(write)?;
        parse(text).map_err(|error| self.problem(format!("{error}: write {write}"))).ok()
    }

    pub(crate) fn required<T, E: Display>(
        &self,
        write: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !self.is_present() {
            self.missing(write);
        }
        self.parsed(write, parse)
    }

    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let names = || {
            let quoted: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            quoted.join(" or ")
        };
        let text = self.raw_text("a text in quotes")?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            self.problem(format!("is not one of the choices: write {}", names()));
        }
        found.map(|(_, value)| *value)
    }

    pub(crate) fn boolean(&self, default: bool) -> bool {
        match self.value {
            None => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => self.refuse(other, "true or false").unwrap_or(default),
        }
    }

    /// A whole number in `range`; MongoDB's `{"$numberInt": "5"}` forms are taken too.
    pub(crate) fn whole<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let value = self.value?;
        let number = plain_integer(value).and_then(|number| T::try_from(number).ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let (low, high) = (range.start(), range.end());
                self.problem(format!("is not a whole number in range: write one from {low} to {high}"));
                None
            }
        }
    }

    /// A number in `range`.
    pub(crate) fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        match plain_number(self.value?) {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let (low, high) = (range.start(), range.end());
                self.problem(format!("is not a number in range: write one from {low} to {high}"));
                None
            }
        }
    }

    /// A time: RFC 3339, or MongoDB's `{"$date": …}`.
    pub(crate) fn time(&self) -> Option<DateTime<Utc>> {
        let value = self.value?;
        let time = parse_time(value);
        if time.is_none() {
            self.problem(
                "is not a time: write it in RFC 3339 form such as \"2026-03-01T09:00:00Z\", \
                 or as {\"$date\": …}",
            );
        }
        time
    }

    pub(crate) fn email(&self) -> Option<String> {
        self.parsed("an address such as \"name@example.com\"", |text| {
            if is_email(text) { Ok(text.to_owned()) } else { Err("is not an e-mail address") }
        })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The member of `{"$name": member}`, MongoDB's extended JSON for types that JSON lacks.
fn extended<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    names.iter().find_map(|name| map.get(*name))
}

fn plain_integer(value: &Value) -> Option<i64> {
    match extended(value, &["$numberInt", "$numberLong"]) {
        Some(inner) => inner.as_str()?.parse().ok(),
        None => value.as_i64(),
    }
}

fn plain_number(value: &Value) -> Option<f64> {
    match extended(value, &["$numberInt", "$numberLong", "$numberDouble"]) {
        Some(inner) => inner.as_str()?.parse().ok().filter(|number: &f64| number.is_finite()),
        None => value.as_f64(),
    }
}

fn parse_time(value: &Value) -> Option<DateTime<Utc>> {
    let inner = extended(value, &["$date"]).unwrap_or(value);
    match inner {
        Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|t| t.to_utc()),
        // Milliseconds since 1970: relaxed form before MongoDB 2.6, or canonical `$numberLong`.
        // Outside `$date` a bare number could as well be seconds, so it is refused.
        _ if std::ptr::eq(inner, value) => None,
        number => DateTime::from_timestamp_millis(plain_integer(number)?),
    }
}

/// A plain check, not RFC 5321's grammar: enough to catch slips, and nothing that could end a
/// mail header early.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let clean = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| !c.is_whitespace() && !c.is_control())
            && !part.contains(['<', '>', ',', ';', '"', '@'])
    };
    text.len() <= 254 && clean(local) && clean(domain) && domain.contains('.') && !domain.ends_with('.')
}

/// An enumeration written in documents as one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ } default $default:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            pub(crate) const WORDS: &'static [(&'static str, Self)] =
                &[$(($word, Self::$variant),)+];

            /// The word that stands for it in documents.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
