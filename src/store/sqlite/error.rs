//! SQLite's errors in the store's terms.

use std::path::Path;

use crate::store::StoreError;

/// The error of a question or a write.
pub(super) fn asking(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        sqlx::Error::Database(ref database) => {
            let reason = database.message().to_owned();
            // https://www.sqlite.org/rescode.html: the low byte is the primary code.
            match database.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff) {
                Some(5 | 6) => StoreError::Busy,
                Some(8) => StoreError::ReadOnly,
                Some(11 | 26) => StoreError::Corrupt { reason },
                Some(13) => StoreError::DiskFull,
                Some(18..=20) => StoreError::Refused { reason },
                Some(7 | 9 | 10 | 14 | 15) => StoreError::Away(Box::new(error)),
                _ => StoreError::Query(Box::new(error)),
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            StoreError::Unreadable { what: "row", reason: error.to_string() }
        }
        other => StoreError::Away(Box::new(other)),
    }
}

/// The error of opening the database at `path`.
pub(super) fn opening(path: &Path, error: sqlx::Error) -> StoreError {
    match asking(error) {
        StoreError::ReadOnly => {
            StoreError::CannotOpen { path: path.to_owned(), reason: "it is read-only".to_owned() }
        }
        StoreError::Away(error) => {
            StoreError::CannotOpen { path: path.to_owned(), reason: error.to_string() }
        }
        other => other,
    }
}
