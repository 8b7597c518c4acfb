//! What is wrong with a document, all of it at once, each fault by its JSON path.

use std::cell::RefCell;
use std::fmt;

/// How many faults one document reports at most; what is beyond is only counted.
const MAX_REPORTED: usize = 100;

/// One fault of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a JSON path from the document's root, e.g. `$.features.refer.destinations[0].label`.
    pub path: String,
    /// What is wrong and what to write instead, in plain words.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything that is wrong with a document, in the order in which it was read. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DocumentErrors(Vec<Problem>);

impl DocumentErrors {
    /// A single fault.
    #[must_use]
    pub fn one(path: &str, message: impl Into<String>) -> Self {
        Self(vec![Problem { path: path.to_owned(), message: message.into() }])
    }

    /// The faults.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for DocumentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Collects faults while a document is read. Shared by the readers of one document, which is
/// why it is written to through `&self`.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: RefCell<Vec<Problem>>,
}

impl Problems {
    pub(crate) fn add(&self, path: &str, message: impl Into<String>) {
        let mut found = self.found.borrow_mut();
        if found.len() < MAX_REPORTED {
            found.push(Problem { path: path.to_owned(), message: message.into() });
        } else if found.len() == MAX_REPORTED {
            found.push(Problem {
                path: "$".to_owned(),
                message: format!("and more: only the first {MAX_REPORTED} are listed"),
            });
        }
    }

    /// `value` when nothing was wrong, else the faults. A missing value without a fault can't
    /// come from a correct reader; it is reported as a fault of the whole document.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, DocumentErrors> {
        let found = self.found.into_inner();
        match value {
            Some(value) if found.is_empty() => Ok(value),
            None if found.is_empty() => Err(DocumentErrors::one("$", "is incomplete")),
            _ => Err(DocumentErrors(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_reported_faults_is_bounded() {
        let problems = Problems::default();
        for at in 0..1000 {
            problems.add(&format!("$[{at}]"), "is wrong");
        }
        let errors = problems.finish(Some(())).unwrap_err();
        assert_eq!(errors.problems().len(), MAX_REPORTED + 1);
        assert!(errors.to_string().ends_with("only the first 100 are listed"));
    }
}
