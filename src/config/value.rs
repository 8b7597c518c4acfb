//! Single values of the file: what each type accepts, and what it tells when it doesn't.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::address::{AddressError, Cidr, HostPort, PortRange};
use super::choice::Choice;
use super::problem::{ProblemKind, Sink};
use super::suggest::nearest;
use crate::ids::TrunkName;

/// A value with the place it stands at.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// A type that a value of the file can be read as.
pub(super) trait FromValue: Sized {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind>;
}

/// Reads a value, reporting what is wrong with it.
pub(super) fn read<T: FromValue>(
    value: &Spanned<DeValue<'_>>,
    subject: &str,
    sink: &mut Sink<'_>,
) -> Option<Located<T>> {
    match T::from_value(value.get_ref()) {
        Ok(read) => Some(Located { value: read, span: value.span() }),
        Err(kind) => {
            sink.problem(Some(value.span()), subject, kind);
            None
        }
    }
}

/// Reads a list, reporting each entry that is wrong at its own place, and entries that repeat.
pub(super) fn read_list<T: FromValue + PartialEq>(
    value: &Spanned<DeValue<'_>>,
    subject: &str,
    sink: &mut Sink<'_>,
) -> Option<Located<Vec<T>>> {
    let Some(entries) = value.get_ref().as_array() else {
        let kind = wrong_type(value.get_ref(), "a list in brackets, such as [\"one\", \"two\"]");
        sink.problem(Some(value.span()), subject, kind);
        return None;
    };
    if entries.is_empty() {
        sink.problem(Some(value.span()), subject, ProblemKind::EmptyList);
        return None;
    }
    let mut list = Vec::with_capacity(entries.len());
    for entry in entries.iter() {
        let read = read::<T>(entry, subject, sink)?.value;
        if list.contains(&read) {
            sink.problem(Some(entry.span()), subject, ProblemKind::Repeated);
        }
        list.push(read);
    }
    Some(Located { value: list, span: value.span() })
}

/// Reads a whole number within bounds.
pub(super) fn read_whole(
    value: &Spanned<DeValue<'_>>,
    range: RangeInclusive<u32>,
    subject: &str,
    sink: &mut Sink<'_>,
) -> Option<Located<u32>> {
    let (least, most) = range.into_inner();
    let result = match value.get_ref().as_integer() {
        None => Err(wrong_type(value.get_ref(), "a whole number without quotes")),
        Some(number) => i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (least..=most).contains(number))
            .ok_or(ProblemKind::Range { least, most }),
    };
    match result {
        Ok(number) => Some(Located { value: number, span: value.span() }),
        Err(kind) => {
            sink.problem(Some(value.span()), subject, kind);
            None
        }
    }
}

fn wrong_type(value: &DeValue<'_>, wanted: &'static str) -> ProblemKind {
    ProblemKind::WrongType { found: value.type_str(), wanted }
}

/// The text of a string value.
pub(super) fn text<'a>(value: &'a DeValue<'_>, wanted: &'static str) -> Result<&'a str, ProblemKind> {
    value.as_str().ok_or_else(|| wrong_type(value, wanted))
}

fn form(found: &str, wanted: &'static str) -> ProblemKind {
    ProblemKind::Form { found: found.to_owned(), wanted }
}

impl FromValue for bool {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        value.as_bool().ok_or_else(|| wrong_type(value, "true or false, without quotes"))
    }
}

impl<T: Choice> FromValue for T {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        let word = text(value, "one of the words allowed here, in quotes")?;
        let found = T::CHOICES.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice);
        found.ok_or_else(|| {
            let known: Vec<&'static str> = T::CHOICES.iter().map(|(name, _)| *name).collect();
            ProblemKind::Choice { found: word.to_owned(), nearest: nearest(word, &known), known }
        })
    }
}

/// Text that isn't empty and holds no control character: it may end up in a SIP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(pub String);

impl FromValue for Line {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        const WANTED: &str = "a text in quotes, on one line and not empty";
        let line = text(value, WANTED)?;
        if line.trim().is_empty() || line.chars().any(char::is_control) {
            return Err(form(&line.escape_default().to_string(), WANTED));
        }
        Ok(Self(line.to_owned()))
    }
}

/// A password written in the file. It isn't shown when it is wrong.
pub(super) struct InlinePassword(pub String);

impl FromValue for InlinePassword {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        text(value, "a text in quotes").map(|text| Self(text.to_owned()))
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        const WANTED: &str = "a path in quotes, such as \"/var/lib/offhook\"";
        match text(value, WANTED)? {
            "" => Err(form("", WANTED)),
            path => Ok(path.into()),
        }
    }
}

impl FromValue for TrunkName {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        const WANTED: &str = "a name in quotes, of a-z, 0-9, '_' and '-', at most 64 of them";
        let name = text(value, WANTED)?;
        Self::new(name).map_err(|_| form(name, WANTED))
    }
}

/// Types that are read from a string by `FromStr`, with what to write when that fails.
macro_rules! from_text {
    ($($type:ty: $wanted:literal,)+) => {
        $(impl FromValue for $type {
            fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
                let text = text(value, $wanted)?;
                text.parse().map_err(|_| form(text, $wanted))
            }
        })+
    };
}

from_text! {
    SocketAddr: "an address with a port in quotes, such as \"127.0.0.1:5060\" or \"[::]:5060\"",
    IpAddr: "an address without a port in quotes, such as \"203.0.113.7\"",
    HostPort: "a host with an optional port in quotes, without `sip:`, such as \"sip.example.com\", \"192.0.2.1:5060\" or \"[2001:db8::1]:5060\"",
    PortRange: "two ports from 1024 to 65535 with a hyphen, in quotes, such as \"16384-32767\"",
    phonenumber::country::Id: "a country by its two letters of ISO 3166-1 in capitals, such as \"FR\"",
}

impl FromValue for Cidr {
    fn from_value(value: &DeValue<'_>) -> Result<Self, ProblemKind> {
        const WANTED: &str = "an address or a network in quotes, such as \"192.0.2.7\" or \"192.0.2.0/24\"";
        let text = text(value, WANTED)?;
        text.parse().map_err(|error| match error {
            AddressError::InsideNetwork(network) => ProblemKind::InsideNetwork(network),
            _ => form(text, WANTED),
        })
    }
}
