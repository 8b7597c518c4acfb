//! Which voice speaks a locale.

/// A voice of espeak-ng, by the language name it goes under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Voice(&'static str);

/// Languages by their first subtag, in the tag's letters, and the voice for each. Regions that
/// sound different come before the language itself.
const VOICES: &[(&str, Option<&str>, &str)] = &[
    ("fr", Some("BE"), "fr-be"),
    ("fr", Some("CH"), "fr-ch"),
    ("fr", None, "fr-fr"),
    ("en", Some("GB"), "en-gb"),
    ("en", Some("IE"), "en-gb"),
    ("en", Some("AU"), "en-gb"),
    ("en", Some("NZ"), "en-gb"),
    ("en", None, "en-us"),
    ("de", None, "de"),
    ("es", Some("AR"), "es-419"),
    ("es", Some("CL"), "es-419"),
    ("es", Some("CO"), "es-419"),
    ("es", Some("MX"), "es-419"),
    ("es", Some("PE"), "es-419"),
    ("es", Some("US"), "es-419"),
    ("es", Some("419"), "es-419"),
    ("es", None, "es"),
    ("it", None, "it"),
    ("nl", None, "nl"),
    ("pt", Some("BR"), "pt-br"),
    ("pt", None, "pt"),
    ("ar", None, "ar"),
    ("bg", None, "bg"),
    ("ca", None, "ca"),
    ("cs", None, "cs"),
    ("cy", None, "cy"),
    ("da", None, "da"),
    ("el", None, "el"),
    ("et", None, "et"),
    ("eu", None, "eu"),
    ("fa", None, "fa"),
    ("fi", None, "fi"),
    ("ga", None, "ga"),
    ("he", None, "he"),
    ("hi", None, "hi"),
    ("hr", None, "hr"),
    ("hu", None, "hu"),
    ("id", None, "id"),
    ("is", None, "is"),
    ("ja", None, "ja"),
    ("ko", None, "ko"),
    ("lb", None, "lb"),
    ("lt", None, "lt"),
    ("lv", None, "lv"),
    ("ms", None, "ms"),
    ("mt", None, "mt"),
    ("nb", None, "nb"),
    ("nn", None, "nb"),
    ("no", None, "nb"),
    ("pl", None, "pl"),
    ("ro", None, "ro"),
    ("ru", None, "ru"),
    ("sk", None, "sk"),
    ("sl", None, "sl"),
    ("sq", None, "sq"),
    ("sr", None, "sr"),
    ("sv", None, "sv"),
    ("sw", None, "sw"),
    ("ta", None, "ta"),
    ("th", None, "th"),
    ("tr", None, "tr"),
    ("uk", None, "uk"),
    ("ur", None, "ur"),
    ("vi", None, "vi"),
    ("zh", Some("HK"), "yue"),
    ("zh", None, "cmn"),
];

impl Voice {
    /// The voice for a BCP 47 tag; American English for a language without one. Doesn't
    /// allocate.
    #[must_use]
    pub fn for_locale(locale: &str) -> Self {
        let mut subtags = locale.split(['-', '_']);
        let language = subtags.next().unwrap_or_default();
        // RFC 5646 §2.2.4: a region is two letters or three digits; a script before it has four.
        let region = subtags.find(|tag| matches!(tag.len(), 2 | 3)).unwrap_or_default();
        VOICES
            .iter()
            .find(|(known, only_in, _)| {
                known.eq_ignore_ascii_case(language)
                    && only_in.is_none_or(|only| only.eq_ignore_ascii_case(region))
            })
            .map_or(Self("en-us"), |(_, _, name)| Self(name))
    }

    /// The voice of this name, if it is one of ours.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        VOICES.iter().find(|(_, _, known)| *known == name).map(|(_, _, known)| Self(known))
    }

    /// The name espeak-ng knows it by: letters, digits and hyphens, never first a hyphen.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The language's subtag.
    #[must_use]
    pub fn language(self) -> &'static str {
        self.0.split('-').next().unwrap_or(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_gets_the_voice_of_its_region_else_of_its_language() {
        for (locale, name) in [
            ("fr-FR", "fr-fr"),
            ("fr", "fr-fr"),
            ("fr-CA", "fr-fr"),
            ("fr-BE", "fr-be"),
            ("en", "en-us"),
            ("en_gb", "en-gb"),
            ("zh-Hant-HK", "yue"),
            ("zh-Hans-CN", "cmn"),
            ("pt-BR", "pt-br"),
            ("tlh", "en-us"),
            ("", "en-us"),
            ("--stdout", "en-us"),
        ] {
            assert_eq!(Voice::for_locale(locale).name(), name, "{locale}");
        }
    }

    #[test]
    fn voice_names_are_safe_on_a_command_line() {
        for (_, _, name) in VOICES {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            assert!(!name.starts_with('-'));
            assert_eq!(Voice::named(name).map(Voice::name), Some(*name));
        }
    }
}
