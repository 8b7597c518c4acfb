//! The lines of a rule's text: `RRULE`, and with it `DTSTART` and `EXDATE` (RFC 5545 §3.8).

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::local_time::{When, resolve};
use super::rule::{HoursError, MAX_RULE_BYTES, Rule};

/// The most exceptions one rule takes.
const MAX_EXCEPTIONS: usize = 1_000;

/// What the text says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RuleText {
    pub(crate) rule: Rule,
    pub(crate) start: Option<NaiveDateTime>,
    pub(crate) exceptions: Exceptions,
}

/// Occurrences that don't happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    /// Whole days: nothing starts on them. Sorted.
    days: Vec<NaiveDate>,
    /// Starts that are left out. Sorted.
    instants: Vec<DateTime<Utc>>,
}

impl Exceptions {
    pub(crate) fn add(&mut self, when: When, tz: Tz) {
        match when {
            When::Date(day) => self.days.push(day),
            When::Local(local) => self.instants.push(resolve(local, tz).to_utc()),
            When::Utc(at) => self.instants.push(at),
        }
    }

    /// Makes what was added findable.
    pub(crate) fn sort(&mut self) -> Result<(), HoursError> {
        if self.days.len() + self.instants.len() > MAX_EXCEPTIONS {
            return Err(HoursError::TooLong("1000 exceptions at most"));
        }
        self.days.sort_unstable();
        self.instants.sort_unstable();
        Ok(())
    }

    pub(crate) fn holds(&self, local: NaiveDateTime, at: DateTime<Utc>) -> bool {
        self.days.binary_search(&local.date()).is_ok() || self.instants.binary_search(&at).is_ok()
    }
}

/// Reads a bare rule (`FREQ=…`) or lines; times without a zone of their own are in `tz`.
pub(crate) fn parse(text: &str, tz: Tz) -> Result<RuleText, HoursError> {
    if text.len() > MAX_RULE_BYTES {
        return Err(HoursError::TooLong("4096 characters at most"));
    }
    let (mut rule, mut start, mut exceptions) = (None, None, Exceptions::default());
    for line in unfold(text).lines().map(str::trim).filter(|line| !line.is_empty()) {
        match Line::split(line) {
            Line { name: None, value, .. } if rule.is_none() => rule = Some(Rule::parse(value)?),
            line @ Line { name: Some(_), .. } => match line.upper_name().as_str() {
                "RRULE" if rule.is_none() => rule = Some(Rule::parse(line.value)?),
                "DTSTART" if start.is_none() => {
                    let zone = line.zone(tz)?;
                    let when = When::parse(line.value).ok_or_else(|| HoursError::Start(clip(line.value)))?;
                    start = Some(in_zone(when, zone, tz).local(tz));
                }
                "EXDATE" => {
                    let zone = line.zone(tz)?;
                    for one in line.value.split(',').map(str::trim) {
                        let when = When::parse(one).ok_or_else(|| HoursError::Exception(clip(one)))?;
                        exceptions.add(in_zone(when, zone, tz), tz);
                    }
                }
                _ => return Err(HoursError::Line(clip(line.whole))),
            },
            line => return Err(HoursError::Line(clip(line.whole))),
        }
    }
    exceptions.sort()?;
    Ok(RuleText { rule: rule.ok_or(HoursError::NoFrequency)?, start, exceptions })
}

/// A start or exception given in another zone than the rule's is that zone's instant.
fn in_zone(when: When, zone: Tz, tz: Tz) -> When {
    match when {
        When::Local(local) if zone != tz => When::Utc(resolve(local, zone).to_utc()),
        other => other,
    }
}

/// Undoes line folding (RFC 5545 §3.1), and takes `\n` spelled out, as it arrives from
/// environments and spreadsheets.
fn unfold(text: &str) -> String {
    text.replace("\\n", "\n").replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

struct Line<'a> {
    whole: &'a str,
    name: Option<&'a str>,
    parameters: &'a str,
    value: &'a str,
}

impl<'a> Line<'a> {
    /// `NAME;PARAMETER=…:value`; a bare rule has no colon.
    fn split(whole: &'a str) -> Self {
        let Some((head, value)) = whole.split_once(':') else {
            return Self { whole, name: None, parameters: "", value: whole };
        };
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        Self { whole, name: Some(name.trim()), parameters, value: value.trim() }
    }

    fn upper_name(&self) -> String {
        self.name.unwrap_or_default().to_ascii_uppercase()
    }

    /// The TZID parameter's zone, else `default`.
    fn zone(&self, default: Tz) -> Result<Tz, HoursError> {
        let zone = self
            .parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("TZID"));
        match zone {
            None => Ok(default),
            Some((_, name)) => name.trim().parse().map_err(|_| HoursError::Zone(clip(name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: Tz = Tz::Europe__Paris;

    #[test]
    fn a_rule_may_stand_alone_or_among_lines() {
        let bare = parse("FREQ=DAILY;BYHOUR=9", PARIS).unwrap();
        assert_eq!(parse("RRULE:FREQ=DAILY;BYHOUR=9", PARIS).unwrap(), bare);
        assert_eq!(parse("rrule:freq=daily;byhour=9\r\n", PARIS).unwrap(), bare);
        let lines = "DTSTART;TZID=Europe/London:20260105T080000\nRRULE:FREQ=DAILY;BYHOUR=9\n\
                     EXDATE;VALUE=DATE:20261225\nEXDATE:20260107T090000,20260108T\n 090000";
        let read = parse(lines, PARIS).unwrap();
        assert_eq!(read.start.unwrap().to_string(), "2026-01-05 09:00:00");
        assert_eq!((read.exceptions.days.len(), read.exceptions.instants.len()), (1, 2));
    }

    #[test]
    fn other_lines_and_doubles_are_refused() {
        for bad in [
            "",
            "DTSTART:20260105T080000",
            "RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY",
            "FREQ=DAILY\nFREQ=DAILY",
            "RRULE:FREQ=DAILY\nRDATE:20260105T080000",
            "EXRULE:FREQ=DAILY",
            "RRULE:FREQ=DAILY\nEXDATE:soon",
            "DTSTART;TZID=Mars/Base:20260105T080000\nRRULE:FREQ=DAILY",
        ] {
            assert!(parse(bad, PARIS).is_err(), "{bad}");
        }
        assert!(parse(&"A".repeat(5000), PARIS).is_err());
    }
}
