//! The nearest of the known words to one that isn't known.

/// The known word that a typing error would turn into `word`: at most a third of its letters,
/// and two at least, inserted, left out, replaced or swapped. The first of equals.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let allowed = (word.chars().count() / 3).max(2);
    let folded = word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| (distance(&folded, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, a swap of neighbours counted as one (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut older: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = at(&last, j) + usize::from(a != b);
            let edited = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swap = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            row.push(if swap { edited.min(at(&older, j - 1) + 1) } else { edited });
        }
        older = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits_and_swaps() {
        for (from, to, edits) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("regsitrar", "registrar", 1),
        ] {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }

    #[test]
    fn a_typing_error_finds_its_word_and_nonsense_finds_none() {
        let known = ["registrar", "peer", "sources", "password_file"];
        assert_eq!(nearest("regsitrar", &known), Some("registrar"));
        assert_eq!(nearest("Password-File", &known), Some("password_file"));
        assert_eq!(nearest("source", &known), Some("sources"));
        assert_eq!(nearest("zzz", &known), None);
        assert_eq!(nearest("", &["ab"]), None);
    }
}
