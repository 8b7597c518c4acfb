//! What differs between two versions, line by line.

use serde::Serialize;

/// A line of the one, the other, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Line {
    /// Where it stands.
    pub side: Side,
    /// The line without its end.
    pub text: String,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// In both.
    Both,
    /// In the older only.
    Removed,
    /// In the newer only.
    Added,
}

/// The most lines of either that are compared one by one; beyond, all count as replaced.
const MOST: usize = 2_000;

/// The lines of both, in order, with as many as possible in both.
#[must_use]
pub fn lines(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let line = |side, text: &&str| Line { side, text: (*text).to_owned() };
    if old.len() > MOST || new.len() > MOST {
        let removed = old.iter().map(|text| line(Side::Removed, text));
        return removed.chain(new.iter().map(|text| line(Side::Added, text))).collect();
    }
    let common = common(&old, &new);
    let shared = |i: usize, j: usize| common.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0);
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::with_capacity(old.len().max(new.len()));
    while let (Some(left), right) = (old.get(i), new.get(j)) {
        match right {
            Some(right) if left == right => {
                lines.push(line(Side::Both, left));
                (i, j) = (i + 1, j + 1);
            }
            Some(right) if shared(i, j + 1) > shared(i + 1, j) => {
                lines.push(line(Side::Added, right));
                j += 1;
            }
            _ => {
                lines.push(line(Side::Removed, left));
                i += 1;
            }
        }
    }
    lines.extend(new.iter().skip(j).map(|text| line(Side::Added, text)));
    lines
}

/// How many lines the rests of both from `i` and `j` on have in common, in order.
fn common(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut table = vec![vec![0_u16; new.len() + 1]];
    for left in old.iter().rev() {
        let below = table.last().cloned().unwrap_or_default();
        let mut row = vec![0_u16; new.len() + 1];
        for (j, right) in new.iter().enumerate().rev() {
            let at = |row: &[u16], j: usize| row.get(j).copied().unwrap_or(0);
            let value =
                if left == right { at(&below, j + 1) + 1 } else { at(&below, j).max(at(&row, j + 1)) };
            if let Some(cell) = row.get_mut(j) {
                *cell = value;
            }
        }
        table.push(row);
    }
    table.reverse();
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        let sign = |line: &Line| match line.side {
            Side::Both => ' ',
            Side::Removed => '-',
            Side::Added => '+',
        };
        lines(old, new)
            .iter()
            .map(|line| format!("{}{}", sign(line), line.text))
            .collect::<Vec<_>>()
            .join("|")
    }

    #[test]
    fn lines_are_told_apart_and_what_stays_stays() {
        assert_eq!(shown("a\nb\nc", "a\nx\nc\nd"), " a|-b|+x| c|+d");
        assert_eq!(shown("", "a"), "+a");
        assert_eq!(shown("a\nb", ""), "-a|-b");
        assert_eq!(shown("a\nb\nc\nd", "c\nd\na\nb"), "-a|-b| c| d|+a|+b");
        assert_eq!(shown("same", "same"), " same");
    }

    #[test]
    fn long_texts_are_replaced_as_a_whole() {
        let long = "x\n".repeat(MOST + 1);
        assert_eq!(lines(&long, "x").len(), MOST + 2);
    }
}
