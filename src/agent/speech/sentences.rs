//! Where a text may be cut.

/// Most sentences of a text that are looked at one by one; what follows stays whole.
const MOST: usize = 32;

/// Cuts a text between sentences into the longest runs that are `known` and what is between
/// them.
pub(super) fn parts(text: &str, known: impl Fn(&str) -> bool) -> Vec<&str> {
    let ends = ends(text);
    let piece = |from: usize, to: usize| text.get(from..to).unwrap_or_default().trim();
    let mut parts = Vec::new();
    let (mut unknown_from, mut from) = (0, 0);
    let mut rest = ends.as_slice();
    while let Some((first, others)) = rest.split_first() {
        let longest = rest.iter().rposition(|end| known(piece(from, *end)));
        match longest.and_then(|at| Some((*rest.get(at)?, rest.get(at + 1..)?))) {
            Some((end, after)) => {
                parts.extend([piece(unknown_from, from), piece(from, end)]);
                (unknown_from, from, rest) = (end, end, after);
            }
            None => (from, rest) = (*first, others),
        }
    }
    parts.push(piece(unknown_from, text.len()));
    parts.retain(|part| !part.is_empty());
    parts
}

/// The offsets behind the sentences: behind a mark that a space follows, and at the end. Cutting
/// at an abbreviation does no harm, since pieces that aren't known stay together.
fn ends(text: &str) -> Vec<usize> {
    let mut ends: Vec<usize> = text
        .match_indices(['.', '!', '?', '…'])
        .map(|(at, mark)| at + mark.len())
        .filter(|end| text.get(*end..).is_some_and(|rest| rest.starts_with(char::is_whitespace)))
        .take(MOST)
        .collect();
    ends.push(text.len());
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut<'a>(text: &'a str, known: &[&str]) -> Vec<&'a str> {
        parts(text, |part| known.contains(&part))
    }

    #[test]
    fn known_sentences_are_found_in_a_text_that_joins_them() {
        assert_eq!(cut("Un. Deux. Trois.", &["Un.", "Deux.", "Trois."]), ["Un.", "Deux.", "Trois."]);
    }

    #[test]
    fn the_longest_known_run_is_taken() {
        assert_eq!(cut("A. B. C.", &["A.", "A. B.", "C."]), ["A. B.", "C."]);
    }

    #[test]
    fn what_is_not_known_stays_together() {
        assert_eq!(
            cut("Dr. No is in. A. M. Roy isn't. B", &["A."]),
            ["Dr. No is in.", "A.", "M. Roy isn't. B"]
        );
        assert_eq!(cut("One. Two.", &[]), ["One. Two."]);
    }

    #[test]
    fn a_text_without_words_has_no_parts() {
        assert!(cut("", &[]).is_empty());
        assert!(cut("  ", &[]).is_empty());
    }
}
