//! The statements, once for both databases.
//!
//! These files aren't modules of this one: [`super::sqlite`] and [`super::postgres`] each take
//! them in as modules of their own, so that they are compiled once against either database's types
//! and can't drift apart. What differs lies in the two `mod.rs`, under the same names:
//! `Backend`, `Db`, `bounded`, `announce`, `error::asking`.
//!
//! The statements keep to what both understand: `$1` for values, `ON CONFLICT`, `RETURNING`, rows
//! compared as tuples; times are microseconds, identifiers bytes, documents text.

use std::fmt::Display;

use super::StoreError;

/// A stored value that can't be read.
pub(super) fn unreadable(what: &'static str, reason: impl Display) -> StoreError {
    StoreError::Unreadable { what, reason: reason.to_string() }
}

/// A count as the database holds it.
pub(super) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|error| StoreError::Refused { reason: error.to_string() })
}

/// A count out of the database.
pub(super) fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|error| unreadable("number", error))
}

/// A text for a column beside a document. PostgreSQL takes no NUL in a text (the document itself,
/// being JSON, holds it escaped); these are for searching only.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
