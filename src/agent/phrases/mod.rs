//! The standard sentences a caller hears, in French and in English. A locale whose language
//! isn't here gets English.
//!
//! Every sentence stands on its own, so that it is rendered to audio once and shared by all the
//! tenants that can say it. Keys are spelt as digits, which every voice reads right, save `*`.

mod en;
mod fr;

/// A standard sentence. Labels and names are the tenant's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phrase<'a> {
    /// First words of a tenant that has written none.
    Greeting {
        /// What the tenant is called aloud.
        name: &'a str,
    },
    /// Says that the caller talks to a machine, for a tenant without a text of its own.
    Disclosure,
    /// The same where calls are recorded.
    RecordedDisclosure,
    /// One line of the keypad menu.
    MenuLine {
        /// The destination, as it is said aloud.
        label: &'a str,
        /// The key that chooses it.
        key: char,
    },
    /// The menu's line for leaving a message, always key 9.
    MessageLine,
    /// The menu's line for hearing it again, always `*`.
    RepeatLine,
    /// Asks whether to connect to this destination: 1 yes, 2 no.
    Confirm {
        /// The destination, as it is said aloud.
        label: &'a str,
    },
    /// Said before a transfer by a tenant without a handoff phrase of its own.
    Handoff,
    /// The transfer was refused, failed or wasn't answered.
    TransferFailed,
    /// The destination asked for is outside its hours; another may be offered next.
    DestinationClosed,
    /// Nobody can be reached at this hour.
    Closed,
    /// Said just before the tone that starts the recording of a message.
    LeaveMessage,
    /// The message has been kept.
    MessageThanks,
    /// The message couldn't be kept.
    MessageFailed,
    /// Last words of a call that went its course.
    Goodbye,
    /// Last words of a call cut short because the service stops.
    DrainingGoodbye,
    /// Thirty seconds are left of the longest call the tenant allows.
    TimeAlmostUp,
    /// The key pressed stands for nothing here.
    InvalidKey,
    /// No key was pressed; the choices follow again.
    NothingPressed,
    /// Something takes longer than a caller waits in silence.
    OneMoment,
    /// The agent that the caller talked with is gone; another goes on.
    Trouble,
}

impl Phrase<'static> {
    /// The sentences that hold no name or label, which any call may need.
    pub const STANDARD: [Self; 18] = [
        Self::Disclosure,
        Self::RecordedDisclosure,
        Self::MessageLine,
        Self::RepeatLine,
        Self::Handoff,
        Self::TransferFailed,
        Self::DestinationClosed,
        Self::Closed,
        Self::LeaveMessage,
        Self::MessageThanks,
        Self::MessageFailed,
        Self::Goodbye,
        Self::DrainingGoodbye,
        Self::TimeAlmostUp,
        Self::InvalidKey,
        Self::NothingPressed,
        Self::OneMoment,
        Self::Trouble,
    ];
}

/// A language that the standard sentences are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// French.
    French,
    /// English, also in place of every language that isn't here.
    English,
}

impl Language {
    /// The language of a BCP 47 tag: its first subtag counts (RFC 5646 §2.2.1).
    #[must_use]
    pub fn of(locale: &str) -> Self {
        if primary_subtag(locale).eq_ignore_ascii_case("fr") { Self::French } else { Self::English }
    }
}

/// The sentence in the locale's language, else in English.
#[must_use]
pub fn text(locale: &str, phrase: Phrase<'_>) -> String {
    match Language::of(locale) {
        Language::French => fr::text(phrase),
        Language::English => en::text(phrase),
    }
}

/// The locale whose voice suits the standard sentences of a call in `locale`: itself when its
/// language is here, else that of the English that stands in.
#[must_use]
pub fn spoken_locale(locale: &str) -> &str {
    match (Language::of(locale), primary_subtag(locale)) {
        (Language::English, tag) if !tag.eq_ignore_ascii_case("en") => "en-US",
        _ => locale,
    }
}

fn primary_subtag(locale: &str) -> &str {
    locale.split(['-', '_']).next().unwrap_or(locale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_subtag_chooses_the_language() {
        for (locale, language) in [
            ("fr-FR", Language::French),
            ("fr", Language::French),
            ("FR_be", Language::French),
            ("en-GB", Language::English),
            ("de-DE", Language::English),
            ("fry", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::of(locale), language, "{locale}");
        }
    }

    #[test]
    fn menu_lines_and_confirmation_are_worded_as_specified() {
        let line = Phrase::MenuLine { label: "le service planning", key: '2' };
        assert_eq!(text("fr-FR", line), "Pour le service planning, tapez 2.");
        assert_eq!(text("en-US", line), "For le service planning, press 2.");
        assert_eq!(text("fr", Phrase::MessageLine), "Pour laisser un message, tapez 9.");
        assert_eq!(
            text("fr", Phrase::Confirm { label: "Mme Gogny" }),
            "Vous allez être mis en relation avec Mme Gogny. Tapez 1 pour confirmer, 2 pour annuler."
        );
    }

    #[test]
    fn every_phrase_is_written_in_both_languages() {
        for phrase in Phrase::STANDARD {
            let (french, english) = (text("fr", phrase), text("en", phrase));
            assert_ne!(french, english);
            for sentence in [french, english] {
                assert!(sentence.ends_with('.'), "{sentence}");
                assert!(sentence.len() < 160, "too long to say in one breath: {sentence}");
            }
        }
    }

    #[test]
    fn english_that_stands_in_for_another_language_keeps_an_english_voice() {
        assert_eq!(spoken_locale("de-DE"), "en-US");
        assert_eq!(spoken_locale("en-GB"), "en-GB");
        assert_eq!(spoken_locale("fr-CA"), "fr-CA");
    }
}
