//! What the agent can say for a tenant. The menu speaks with these functions, and the catalogue
//! of shipped audio is rendered from [`sentences`], so the two can't differ.

use crate::agent::phrases::{self, Phrase};
use crate::agent::speech::Sentence;
use crate::tenant::document::Tenant;
use crate::tenant::refer::MenuItem;

/// One sentence to say, in the voice of whom it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Ours: in the language it is written in, which may not be the call's.
    Standard(String),
    /// The tenant's own words or the call machine's: in the call's locale.
    Own(String),
}

impl Line {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Standard(text) | Self::Own(text) => text,
        }
    }

    /// Some of its words, in the same voice.
    pub(super) fn part(&self, text: &str) -> Self {
        match self {
            Self::Standard(_) => Self::Standard(text.to_owned()),
            Self::Own(_) => Self::Own(text.to_owned()),
        }
    }

    /// The locale whose voice says it on a call in `locale`.
    pub(super) fn voice_locale<'a>(&self, locale: &'a str) -> &'a str {
        match self {
            Self::Standard(_) => phrases::spoken_locale(locale),
            Self::Own(_) => locale,
        }
    }
}

/// A standard sentence as a line.
pub(super) fn standard(locale: &str, phrase: Phrase<'_>) -> Line {
    Line::Standard(phrases::text(locale, phrase))
}

/// The first words of a call.
pub(super) fn greeting(tenant: &Tenant, locale: &str) -> Line {
    match &tenant.voice.greeting.text {
        Some(text) => Line::Own(text.clone()),
        None => standard(locale, Phrase::Greeting { name: tenant.spoken_name() }),
    }
}

/// What the tenant wants every caller to be told, if anything.
pub(super) fn disclosure(tenant: &Tenant, locale: &str) -> Option<Line> {
    let disclosure = &tenant.voice.disclosure;
    disclosure.enabled.then(|| match &disclosure.text {
        Some(text) => Line::Own(text.clone()),
        None if tenant.voice.recording => standard(locale, Phrase::RecordedDisclosure),
        None => standard(locale, Phrase::Disclosure),
    })
}

/// The keypad menu: what is open of `items`, then the message and repeat lines.
pub(super) fn menu(items: &[MenuItem], locale: &str) -> Vec<Line> {
    let mut lines: Vec<Line> =
        items.iter().filter(|item| item.open).map(|item| choice(item, locale)).collect();
    if lines.is_empty() && !items.is_empty() {
        lines.push(standard(locale, Phrase::Closed));
    }
    lines.push(standard(locale, Phrase::MessageLine));
    lines.push(standard(locale, Phrase::RepeatLine));
    lines
}

/// Asks before a transfer.
pub(super) fn confirmation(label: &str, locale: &str) -> Line {
    standard(locale, Phrase::Confirm { label })
}

fn choice(item: &MenuItem, locale: &str) -> Line {
    standard(locale, Phrase::MenuLine { label: &item.destination.label, key: item.key })
}

/// Every sentence that this agent and the call machine can say on a call in `locale` for this
/// tenant, whose voice is that of the number dialed, at whatever hour.
#[must_use]
pub fn sentences(tenant: &Tenant, locale: &str) -> Vec<Sentence> {
    let refer = &tenant.features.refer;
    let mut lines = vec![greeting(tenant, locale)];
    lines.extend(disclosure(tenant, locale));
    lines.extend(Phrase::STANDARD.map(|phrase| standard(locale, phrase)));
    if refer.enabled {
        lines.extend(refer.handoff_phrase.clone().map(Line::Own));
        for item in refer.menu(chrono::DateTime::UNIX_EPOCH) {
            lines.push(choice(&item, locale));
            lines.push(confirmation(&item.destination.label, locale));
        }
        // One that has no key of its own may still stand in for another.
        for destination in refer.destinations().iter().filter(|one| one.enabled) {
            lines.push(confirmation(&destination.label, locale));
        }
    }
    lines
        .into_iter()
        .map(|line| {
            let voice_locale = line.voice_locale(locale).to_owned();
            let (Line::Standard(text) | Line::Own(text)) = line;
            Sentence { locale: voice_locale, text }
        })
        .collect()
}
