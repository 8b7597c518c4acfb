//! A trunk's password: from a file, from the environment, or, with a warning, from the
//! configuration itself.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sip::ua::digest::Password;

use super::Environment;
use super::problem::{PasswordProblem, ProblemKind, Sink, WarningKind};
use super::reader::Table;
use super::value::{InlinePassword, Line};

/// More than any password file holds.
const MAX_FILE: u64 = 4_096;

/// What is outside the file.
pub(super) struct Surroundings<'a> {
    /// Where relative paths start.
    pub base: PathBuf,
    /// The environment.
    pub environment: Environment<'a>,
}

/// Reads the three keys. `None` when there is no password, or a mistake was reported.
pub(super) fn read(
    table: &mut Table<'_>,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Password> {
    let names = ["password_file", "password_env", "password"];
    read_text(table, names, around, sink).map(Password::new)
}

/// As [`read`], with other names for the keys of file, variable and text.
pub(super) fn read_text(
    table: &mut Table<'_>,
    [file_key, variable_key, inline_key]: [&'static str; 3],
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<String> {
    let file = table.take::<PathBuf>(file_key, sink);
    let variable = table.take::<Line>(variable_key, sink);
    let inline = table.take::<InlinePassword>(inline_key, sink);
    let (key, span, result) = match (file, variable, inline) {
        (None, None, None) => return None,
        (Some(file), None, None) => {
            let path = around.base.join(file.value);
            (file_key, file.span.clone(), from_file(&path, &file.span, table.subject(file_key), sink))
        }
        (None, Some(variable), None) => {
            let Line(name) = variable.value;
            let set = (around.environment)(&name);
            (variable_key, variable.span, set.ok_or(PasswordProblem::Variable(name)))
        }
        (None, None, Some(inline)) => {
            sink.warn(Some(inline.span.clone()), table.subject(inline_key), WarningKind::InlinePassword);
            (inline_key, inline.span, Ok(inline.value.0))
        }
        (file, variable, inline) => {
            let span = inline.map(|l| l.span).or(variable.map(|l| l.span)).or(file.map(|l| l.span));
            let kind = ProblemKind::Password(PasswordProblem::Several);
            sink.problem(span, table.subject(inline_key), kind);
            return None;
        }
    };
    match result.and_then(|secret| if secret.is_empty() { Err(PasswordProblem::Empty) } else { Ok(secret) }) {
        Ok(secret) => Some(secret),
        Err(problem) => {
            sink.problem(Some(span), table.subject(key), ProblemKind::Password(problem));
            None
        }
    }
}

/// The file's content without the line end that editors put there.
fn from_file(
    path: &Path,
    span: &Range<usize>,
    subject: String,
    sink: &mut Sink<'_>,
) -> Result<String, PasswordProblem> {
    let unreadable =
        |error: std::io::Error| PasswordProblem::File { file: path.to_owned(), error: error.to_string() };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if others_can_read(&file) {
        sink.warn(Some(span.clone()), subject, WarningKind::ReadablePassword);
    }
    let mut secret = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut secret).map_err(unreadable)?;
    if secret.len() as u64 > MAX_FILE {
        return Err(PasswordProblem::TooLarge(path.to_owned()));
    }
    let end = secret.trim_end_matches(['\r', '\n']).len();
    secret.truncate(end);
    Ok(secret)
}

#[cfg(unix)]
pub(super) fn others_can_read(file: &std::fs::File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
}

#[cfg(not(unix))]
pub(super) fn others_can_read(_: &std::fs::File) -> bool {
    false
}
