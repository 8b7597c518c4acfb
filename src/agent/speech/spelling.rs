//! Text as a synthesiser is to read it: abbreviations written out, nothing in it that it would
//! take for a command.

use super::voice::Voice;

/// Longest text spoken at once, in characters: about two minutes.
pub const MAX_CHARS: usize = 2_000;

const FRENCH: &[(&str, &str)] = &[
    ("M.", "monsieur"),
    ("MM.", "messieurs"),
    ("Mme", "madame"),
    ("Mmes", "mesdames"),
    ("Mlle", "mademoiselle"),
    ("Dr", "docteur"),
    ("Dr.", "docteur"),
    ("Pr", "professeur"),
    ("n°", "numéro"),
    ("N°", "numéro"),
];

/// A full stop after these would be read as the end of a sentence.
const ENGLISH: &[(&str, &str)] = &[
    ("Mr.", "mister"),
    ("Mrs.", "missus"),
    ("Ms.", "miz"),
    ("Dr.", "doctor"),
    ("Prof.", "professor"),
    ("No.", "number"),
];

/// The text as it is read aloud.
#[must_use]
pub fn read_aloud(voice: Voice, text: &str) -> String {
    let table = match voice.language() {
        "fr" => FRENCH,
        "en" => ENGLISH,
        _ => &[],
    };
    // espeak-ng reads `[[…]]` as phoneme codes, and control characters can end its input.
    let plain = text.replace(|c: char| c.is_control() || matches!(c, '[' | ']' | '<' | '>'), " ");
    let mut out = String::with_capacity(plain.len() + 16);
    for word in plain.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(written_out(table, word).unwrap_or(word));
    }
    out
}

fn written_out(table: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(short, _)| *short == word).map(|(_, long)| *long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_written_out_in_the_language_of_the_voice() {
        let french = Voice::for_locale("fr-FR");
        assert_eq!(read_aloud(french, "Pour M. Roy ou Mme Gogny,"), "Pour monsieur Roy ou madame Gogny,");
        let english = Voice::for_locale("en-US");
        assert_eq!(read_aloud(english, "For Dr. Smith, press 1."), "For doctor Smith, press 1.");
        assert_eq!(read_aloud(Voice::for_locale("de"), "Dr. Meier"), "Dr. Meier");
    }

    #[test]
    fn nothing_is_left_that_a_synthesiser_takes_for_a_command() {
        let text = read_aloud(Voice::for_locale("en"), "a [[h@]] <speak>\0\u{1b}b\nc");
        assert_eq!(text, "a h@ speak b c");
    }
}
