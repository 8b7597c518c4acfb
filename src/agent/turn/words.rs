//! Words that change who speaks, by language: acknowledgements, stop words, questions for
//! something that is dictated. Counting words alone fails: "okay" is one, and so is "stop".

use crate::agent::phrases::Language;

const ACKNOWLEDGEMENTS_EN: &[&str] = &[
    "mm", "mmm", "mhm", "mmhm", "mm-hm", "mm-hmm", "mhmm", "hm", "hmm", "uh", "uh-huh", "uhuh", "um", "ah",
    "oh", "ok", "okay", "yeah", "yep", "yes", "yup", "right", "sure", "good", "fine", "great", "i", "see",
    "alright", "all", "got", "it", "cool", "perfect", "exactly", "indeed", "thanks",
];
const ACKNOWLEDGEMENTS_FR: &[&str] = &[
    "mm",
    "mmm",
    "mhm",
    "hm",
    "hmm",
    "hum",
    "euh",
    "ah",
    "oh",
    "ok",
    "okay",
    "oui",
    "ouais",
    "mouais",
    "d'accord",
    "daccord",
    "bien",
    "très",
    "entendu",
    "voilà",
    "parfait",
    "exactement",
    "c'est",
    "ça",
    "je",
    "vois",
    "bon",
    "compris",
    "super",
    "merci",
];
const STOPS_EN: &[&str] = &["stop", "wait", "hold on", "no no", "hang on", "excuse me", "one moment"];
const STOPS_FR: &[&str] =
    &["stop", "attendez", "attends", "non non", "arrêtez", "arrête", "pardon", "excusez-moi", "un instant"];
const DICTATED_EN: &[&str] = &[
    "number",
    "e-mail",
    "email",
    "address",
    "spell",
    "zip",
    "postcode",
    "postal code",
    "digits",
    "reference",
    "date of birth",
];
const DICTATED_FR: &[&str] = &[
    "numéro",
    "e-mail",
    "email",
    "mail",
    "adresse",
    "épeler",
    "épelez",
    "code postal",
    "chiffres",
    "référence",
    "date de naissance",
];
/// Longer ones say something.
const MOST_WORDS: usize = 4;
/// Digits from which on the caller dictates.
const DICTATED_DIGITS: usize = 3;

/// Whether the words, if any, only say that somebody listens.
pub(super) fn is_acknowledgement(text: &str, locale: &str) -> bool {
    let known = match Language::of(locale) {
        Language::French => ACKNOWLEDGEMENTS_FR,
        Language::English => ACKNOWLEDGEMENTS_EN,
    };
    let lower = text.to_lowercase();
    let mut words = words(&lower);
    words.by_ref().take(MOST_WORDS).all(|word| known.contains(&word)) && words.next().is_none()
}

/// Whether the words begin with one that means: stop talking.
pub(super) fn is_stop(text: &str, locale: &str) -> bool {
    let stops = match Language::of(locale) {
        Language::French => STOPS_FR,
        Language::English => STOPS_EN,
    };
    let lower = text.to_lowercase();
    let spoken: Vec<&str> = words(&lower).take(MOST_WORDS).collect();
    let spoken = spoken.join(" ");
    stops
        .iter()
        .any(|stop| spoken.strip_prefix(stop).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
}

/// Whether the agent asks for something that is said in pieces.
pub(super) fn asks_for_dictation(text: &str, locale: &str) -> bool {
    let asked = match Language::of(locale) {
        Language::French => DICTATED_FR,
        Language::English => DICTATED_EN,
    };
    let lower = text.to_lowercase();
    let last = lower.rsplit(['.', '!']).find(|sentence| !sentence.trim().is_empty());
    last.is_some_and(|last| last.contains('?') && asked.iter().any(|word| last.contains(word)))
}

/// Whether the caller is saying digits, or an e-mail address.
pub(super) fn is_dictation(text: &str) -> bool {
    text.contains('@') || text.bytes().filter(u8::is_ascii_digit).count() >= DICTATED_DIGITS
}

fn words(lower: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| !(c.is_alphanumeric() || c == '\'' || c == '-' || c == '’');
    lower.split(part).map(|word| word.trim_matches('-')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_told_from_words_that_say_something() {
        for (text, locale, expected) in [
            ("Mm-hm.", "en-US", true),
            ("Okay, I see.", "en-GB", true),
            ("", "en-US", true),
            ("…", "fr-FR", true),
            ("Oui, d'accord.", "fr-FR", true),
            ("Ouais.", "fr-CA", true),
            ("Oui mais non.", "fr-FR", false),
            ("Okay but when?", "en-US", false),
            ("No.", "en-US", false),
            ("Yes yes yes yes yes", "en-US", false),
            ("mm-hm", "de-DE", true),
        ] {
            assert_eq!(is_acknowledgement(text, locale), expected, "{text}");
        }
    }

    #[test]
    fn stop_words_count_at_the_beginning_only() {
        for (text, locale, expected) in [
            ("Stop!", "en-US", true),
            ("Wait, wait", "en-US", true),
            ("Attendez une seconde", "fr-FR", true),
            ("I can't wait to see", "en-US", false),
            ("stopping by later", "en-US", false),
            ("", "fr-FR", false),
        ] {
            assert_eq!(is_stop(text, locale), expected, "{text}");
        }
    }

    #[test]
    fn a_question_for_a_number_is_known_by_its_last_sentence() {
        for (text, locale, expected) in [
            ("Thanks. What is your phone number?", "en-US", true),
            ("Quelle est votre adresse ?", "fr-FR", true),
            ("I have your number. Anything else?", "en-US", false),
            ("Our number is 12.", "en-US", false),
        ] {
            assert_eq!(asks_for_dictation(text, locale), expected, "{text}");
        }
        assert!(is_dictation("it's 06 39") && is_dictation("me@example") && !is_dictation("at 10"));
    }
}
