//! What can be wrong with a configuration, and how it is told.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::address::Cidr;

/// Why there is no configuration.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: Arc<std::io::Error>,
    },
    /// It was read and is wrong.
    #[error("{}", list(file.as_ref(), problems))]
    Invalid {
        /// The file; `None` when the mistake is in flags or environment.
        file: Option<PathBuf>,
        /// Every mistake, in the file's order.
        problems: Vec<Problem>,
    },
}

fn list(file: Option<&PathBuf>, problems: &[Problem]) -> String {
    let file = file.map_or_else(|| "configuration".to_owned(), |file| file.display().to_string());
    let lines: Vec<String> = problems.iter().map(|problem| problem.told(&file)).collect();
    lines.join("\n")
}

/// A place in the file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` for what came from a flag or the environment.
    pub place: Option<Place>,
    /// The key or table it is about, such as `trunk "carrier", key "registrar"`.
    pub subject: String,
    /// What it is.
    pub kind: ProblemKind,
}

impl Problem {
    fn told(&self, file: &str) -> String {
        located(file, self.place, &format!("{}: {}", self.subject, self.kind))
    }
}

/// Something allowed that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Option<Place>,
    /// The key or table it is about.
    pub subject: String,
    /// What it is.
    pub kind: WarningKind,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.map_or_else(String::new, |p| format!("line {}: ", p.line));
        write!(f, "{place}{}: {}", self.subject, self.kind)
    }
}

fn located(file: &str, place: Option<Place>, text: &str) -> String {
    match place {
        Some(Place { line, column }) => format!("{file}:{line}:{column}: {text}"),
        None => format!("{file}: {text}"),
    }
}

/// The kinds of mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// Not TOML. The text is the parser's.
    #[error("{0}")]
    Syntax(String),
    /// A key that doesn't exist.
    #[error("unknown key; {}", nearest_or_all(*nearest, known))]
    UnknownKey {
        /// One that is nearly the same.
        nearest: Option<&'static str>,
        /// All that exist.
        known: Vec<&'static str>,
    },
    /// A value of another TOML type.
    #[error("holds a value of type {found}; write {wanted}")]
    WrongType {
        /// The type it has.
        found: &'static str,
        /// What to write.
        wanted: &'static str,
    },
    /// A text without the form it needs.
    #[error("\"{found}\" won't do; write {wanted}")]
    Form {
        /// The text.
        found: String,
        /// What to write.
        wanted: &'static str,
    },
    /// A number outside its range.
    #[error("is out of range; write a number from {least} to {most}")]
    Range {
        /// The smallest allowed.
        least: u32,
        /// The largest allowed.
        most: u32,
    },
    /// A text that isn't one of the choices.
    #[error("\"{found}\" is not a choice; {}", nearest_or_all(*nearest, known))]
    Choice {
        /// The text.
        found: String,
        /// The choice that is nearly the same.
        nearest: Option<&'static str>,
        /// All choices.
        known: Vec<&'static str>,
    },
    /// A list without an entry.
    #[error("is empty; leave the key out for the default, or write at least one entry")]
    EmptyList,
    /// The same entry twice in a list.
    #[error("holds an entry twice; each can be there once")]
    Repeated,
    /// An address range whose address isn't the first of the range.
    #[error("the address is inside the network; write \"{0}\" for the whole network, or the address alone")]
    InsideNetwork(Cidr),
    /// A key for recordings that isn't one.
    #[error("is no key: write 32 random bytes in hexadecimal, as `openssl rand -hex 32` makes them")]
    NotAKey,
    /// A key that this configuration needs.
    #[error("is missing; {0}")]
    Missing(&'static str),
    /// A key that has no meaning here.
    #[error("has no meaning here; {0}")]
    NotHere(&'static str),
    /// Two trunks of one name.
    #[error("\"{name}\" is also the name of the trunk in line {line}; give each its own")]
    SameName {
        /// The name.
        name: String,
        /// Where the first one is.
        line: usize,
    },
    /// Two listeners on one port.
    #[error("is the same address as `sip`, which is served over TCP too; give it another port")]
    SamePort,
    /// Two addresses of one family.
    #[error("holds two addresses of one family; write at most one IPv4 and one IPv6 address")]
    SameFamily,
    /// The SIP port lies in the RTP range.
    #[error("holds the port of `sip`; choose a range without it")]
    HoldsSipPort,
    /// An address that isn't one of a host.
    #[error("is a wildcard or multicast address; write the address that peers send to")]
    NotAnAddress,
    /// No usable password.
    #[error("{0}")]
    Password(PasswordProblem),
    /// A minimum above the value it is the minimum of.
    #[error("is longer than `session_expires`; write a number up to that")]
    AboveExpires,
    /// The longest ban is shorter than the first.
    #[error("is shorter than `ban_seconds`; write that number or a larger one")]
    BelowBan,
    /// Two users of one name.
    #[error("\"{0}\" is there twice; give each user a name of its own")]
    SameUser(String),
}

/// Why a password can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// The file can't be read.
    #[error("can't read {}: {error}; write the path of a file that holds the password alone", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: String,
    },
    /// The variable isn't set.
    #[error("the environment variable {0} is not set; set it before starting, or use `password_file`")]
    Variable(String),
    /// It is there and empty.
    #[error("the password is empty")]
    Empty,
    /// It is longer than any password.
    #[error("{} is too large to be a password file", .0.display())]
    TooLarge(PathBuf),
    /// More than one source is given.
    #[error("only one of `password_file`, `password_env` and `password` can be given")]
    Several,
}

/// The kinds of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WarningKind {
    /// A password in the file.
    #[error(
        "a password in the configuration file is read by whoever reads the file; use `password_file` or `password_env`"
    )]
    InlinePassword,
    /// A password file that others may read.
    #[error("other users can read the password file; `chmod 600` it")]
    ReadablePassword,
    /// A private key that others may read.
    #[error("other users can read the private key; `chmod 600` it")]
    ReadableKey,
    /// Calls from anywhere.
    #[error(
        "calls are taken from any address without authentication; list the networks of your PBX or carrier"
    )]
    OpenToAll,
    /// A wildcard address that peers would be told.
    #[error("`sip` listens on every address; set `advertised_address` to the one that peers reach")]
    NoAdvertisedAddress,
    /// Keys of media where anybody on the way reads them.
    #[error(
        "the keys of SRTP are in the signalling, which this trunk sends in the clear; set `transport = \"tls\"`"
    )]
    KeysInTheClear,
}

fn nearest_or_all(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("what can stand here: {}", known.join(", ")),
    }
}

/// Where mistakes and warnings are gathered while the file is read.
pub(super) struct Sink<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl<'a> Sink<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new(), warnings: Vec::new() }
    }

    pub fn problem(&mut self, span: Option<Range<usize>>, subject: impl Into<String>, kind: ProblemKind) {
        let place = span.map(|span| self.place(span.start));
        self.problems.push(Problem { place, subject: subject.into(), kind });
    }

    pub fn warn(&mut self, span: Option<Range<usize>>, subject: impl Into<String>, kind: WarningKind) {
        let place = span.map(|span| self.place(span.start));
        self.warnings.push(Warning { place, subject: subject.into(), kind });
    }

    pub fn syntax(&mut self, error: &toml::de::Error) {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        self.problem(error.span(), "not valid TOML", ProblemKind::Syntax(message));
    }

    /// The place of a byte of the file.
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        Place { line: before.matches('\n').count() + 1, column }
    }

    pub fn finish(mut self) -> (Vec<Problem>, Vec<Warning>) {
        self.problems.sort_by_key(|problem| problem.place);
        self.warnings.sort_by_key(|warning| warning.place);
        (self.problems, self.warnings)
    }
}
