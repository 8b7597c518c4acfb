//! Telephone numbers as they arrive, brought to E.164.

use std::fmt;
use std::str::FromStr;

use phonenumber::country::Id;
use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Type};

use crate::ids::E164;

/// The longest text looked at, in bytes; longer ones are no numbers.
const MAX_BYTES: usize = 256;
/// The most digits looked at: 15 of a number (ITU-T E.164 §6), an international prefix, slack.
const MAX_DIGITS: usize = 20;

/// The kinds of numbers that can be dialed from another country.
const DIALED_KINDS: [Type; 10] = [
    Type::FixedLine,
    Type::Mobile,
    Type::Voip,
    Type::TollFree,
    Type::SharedCost,
    Type::PremiumRate,
    Type::PersonalNumber,
    Type::Uan,
    Type::Pager,
    Type::Voicemail,
];

/// A country by its ISO 3166 code, for numbers in national form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country(Id);

/// The text is no country code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no country has this code: write two capital letters (ISO 3166), such as \"FR\"")]
pub struct UnknownCountry;

impl FromStr for Country {
    type Err = UnknownCountry;

    fn from_str(text: &str) -> Result<Self, UnknownCountry> {
        let id = text.to_ascii_uppercase().parse::<Id>().map_err(|_| UnknownCountry)?;
        // The library looks its metadata up without checking.
        DATABASE.by_id(id.as_ref()).map(|_| Self(id)).ok_or(UnknownCountry)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref())
    }
}

/// The E.164 number that a text stands for: a number in national or international form, with
/// visual separators and parameters (`;npdi`, `;phone-context=`, RFC 3966, RFC 4694), alone or
/// in a `tel:`, `sip:` or `sips:` URI, bare or in angle brackets. Numbers that the numbering plan
/// hasn't assigned are taken; `None` is for what is no number at all.
#[must_use]
pub fn normalise(raw: &str, default_country: Country) -> Option<E164> {
    if raw.len() > MAX_BYTES {
        return None;
    }
    let user = user_part(raw.trim())?;
    let user = decode(user)?;
    let (base, parameters) = user.split_once(';').unwrap_or((&user, ""));
    let (plus, digits) = digits_of(base)?;
    if plus {
        return international(&digits);
    }
    match phone_context(parameters).and_then(digits_of) {
        // RFC 3966 §5.1.5: the context is a prefix of global numbers.
        Some((true, context)) => match country_of_code(&context) {
            Some(country) => national(&digits, country),
            None => international(&format!("{context}{digits}")),
        },
        // A domain, or a context without a plus: says nothing about the number.
        _ => national(&digits, default_country.0),
    }
}

/// Reads the numbering plans of all countries, which the first number would wait for otherwise.
pub fn load_plans() {
    let _: &phonenumber::metadata::Database = &phonenumber::metadata::DATABASE;
}

/// The part of a URI or address that can hold a number.
fn user_part(text: &str) -> Option<&str> {
    let text = match text.rsplit_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => text,
    };
    let Some((scheme, rest)) = text.split_once(':') else {
        return Some(text.split_once('@').map_or(text, |(user, _)| user));
    };
    if scheme.eq_ignore_ascii_case("tel") {
        Some(rest)
    } else if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
        rest.split_once('@').map(|(user, _)| user)
    } else {
        None
    }
}

/// Undoes `%2B` and the like. `None` for escapes that aren't ASCII.
fn decode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = u8::from_str_radix(after.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        decoded.push(char::from(byte));
        rest = after.get(2..)?;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// Whether there is a leading plus, and the digits without separators. `None` when there is
/// anything else.
fn digits_of(text: &str) -> Option<(bool, String)> {
    let text = text.trim();
    let (plus, rest) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut digits = String::with_capacity(MAX_DIGITS);
    for c in rest.chars() {
        match c {
            '0'..='9' if digits.len() < MAX_DIGITS => digits.push(c),
            // RFC 3966 §5.1.1 visual separators, and what else people put between digits.
            '-' | '.' | '(' | ')' | ' ' | '/' | '\u{a0}' | '\u{202f}' => {}
            _ => return None,
        }
    }
    (!digits.is_empty()).then_some((plus, digits))
}

fn phone_context(parameters: &str) -> Option<&str> {
    let mut named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    named.find(|(name, _)| name.trim().eq_ignore_ascii_case("phone-context")).map(|(_, value)| value)
}

/// The main country of a country calling code; `None` when the digits are no such code, or one
/// that belongs to no country.
fn country_of_code(digits: &str) -> Option<Id> {
    plan_of_code(digits)?.id().parse().ok()
}

/// The numbering plan of a country calling code: the main country's, where several share one.
fn plan_of_code(digits: &str) -> Option<&'static Metadata> {
    let code = digits.parse::<u16>().ok().filter(|_| !digits.starts_with('0') && digits.len() <= 3)?;
    let plans = DATABASE.by_code(&code)?;
    let main = plans.iter().find(|plan| plan.is_main_country_for_code());
    main.or(plans.first()).copied()
}

/// A number split behind its country calling code. No code is the beginning of another.
struct International<'a> {
    code: &'a str,
    rest: &'a str,
    plan: &'static Metadata,
}

impl<'a> International<'a> {
    fn split(digits: &'a str) -> Option<Self> {
        (1..=3).find_map(|length| {
            let (code, rest) = digits.split_at_checked(length)?;
            Some(Self { code, rest, plan: plan_of_code(code)? })
        })
    }

    /// Whether the plan has such numbers. The library's own check takes a number whose
    /// beginning matches.
    fn is_planned(&self, rest: &str) -> bool {
        // The length first: the library compiles patterns when they are first asked, which is
        // nothing to do for every number that a scanner tries.
        self.has_length(rest) && {
            let pattern = self.plan.descriptors().general().national_number();
            pattern.find(rest).is_some_and(|found| found.start() == 0 && found.end() == rest.len())
        }
    }

    /// Whether the plan has numbers that long. The general description leaves the lengths to those
    /// of its kinds of numbers.
    fn has_length(&self, rest: &str) -> bool {
        let kinds = self.plan.descriptors();
        let mut lengths =
            DIALED_KINDS.iter().filter_map(|kind| kinds.get(*kind)).flat_map(|kind| kind.possible_length());
        lengths.any(|length| usize::from(*length) == rest.len())
    }

    /// The number without a national prefix that doesn't belong there, as in +33 (0)6 …. It is
    /// taken out only when what remains fits the plan better: elsewhere the same digit begins a
    /// number, as 0 does in Italy.
    fn number(&self) -> Option<E164> {
        let without =
            self.plan.national_prefix().and_then(|prefix| self.rest.strip_prefix(prefix)).filter(|without| {
                let fits =
                    || self.is_planned(without) || (!self.has_length(self.rest) && self.has_length(without));
                !self.is_planned(self.rest) && fits()
            });
        match without {
            // What remains may begin with it again.
            Some(rest) => International { rest, ..*self }.number(),
            None => E164::new(&format!("+{}{}", self.code, self.rest)).ok(),
        }
    }
}

/// What follows the prefix that a country dials before foreign numbers. Looked for here because
/// the library goes on to take the caller's national prefix out of the foreign number.
fn after_international_prefix(digits: &str, country: Id) -> Option<&str> {
    let prefix = DATABASE.by_id(country.as_ref())?.international_prefix()?.find(digits)?;
    let rest = digits.get(prefix.end()..).filter(|_| prefix.start() == 0)?;
    International::split(rest).map(|_| rest)
}

/// Digits that begin with a country code.
fn international(digits: &str) -> Option<E164> {
    International::split(digits)?.number()
}

/// Digits as dialed within a country: with its international prefix, its national one, or none.
fn national(digits: &str, country: Id) -> Option<E164> {
    if let Some(dialed) = after_international_prefix(digits, country) {
        return international(dialed);
    }
    let parsed = phonenumber::parse(Some(country), digits).ok();
    let read = parsed.map(|number| format!("{}{}", number.code().value(), number.national()));
    // Many trunks send international numbers without the plus. What the country's plan has, or
    // else what has a length that it has, isn't one of those.
    let readings: Vec<_> =
        [read.as_deref(), Some(digits)].into_iter().flatten().filter_map(International::split).collect();
    let planned = readings.iter().find(|reading| reading.is_planned(reading.rest));
    let best = planned.or_else(|| readings.iter().find(|reading| reading.has_length(reading.rest)));
    best.or(readings.first()).and_then(International::number)
}

#[cfg(test)]
#[path = "number_tests.rs"]
mod tests;
