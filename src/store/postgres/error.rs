//! PostgreSQL's errors in the store's terms.

use crate::store::{PostgresUrl, StoreError};

/// The error of a question or a write.
pub(super) fn asking(error: sqlx::Error) -> StoreError {
    match error {
        // The pool tries to connect for as long as it may, so that this is how a server looks that
        // is away.
        sqlx::Error::PoolTimedOut => StoreError::NoAnswer,
        sqlx::Error::Database(ref database) => {
            let code = database.code().unwrap_or_default().into_owned();
            let reason = database.message().to_owned();
            // https://www.postgresql.org/docs/current/errcodes-appendix.html
            match code.as_str() {
                "40001" | "40P01" | "55P03" | "57014" | "53300" => StoreError::Busy,
                "25006" => StoreError::ReadOnly,
                "53100" => StoreError::DiskFull,
                "XX001" | "XX002" => StoreError::Corrupt { reason },
                "21000" => StoreError::Refused { reason },
                _ => match code.get(..2) {
                    Some("22" | "23") => StoreError::Refused { reason },
                    Some("08" | "53" | "57" | "58") => StoreError::Away(Box::new(error)),
                    _ => StoreError::Query(Box::new(error)),
                },
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            StoreError::Unreadable { what: "row", reason: error.to_string() }
        }
        other => StoreError::Away(Box::new(other)),
    }
}

/// The error of opening the database.
pub(super) fn opening(url: &PostgresUrl, error: &sqlx::Error) -> StoreError {
    StoreError::Unreachable { place: url.to_string(), reason: error.to_string() }
}
