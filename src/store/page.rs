//! Lists in pages.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::call::record::{CallRecord, CallStatus};
use crate::ids::{CallId, E164};

/// The most records of one page.
const MAX_PAGE: u32 = 1000;

/// Which calls are wanted; what is `None` doesn't narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Started then or later.
    pub since: Option<DateTime<Utc>>,
    /// Started before then.
    pub until: Option<DateTime<Utc>>,
    /// Standing so.
    pub status: Option<CallStatus>,
    /// To this number.
    pub dialed: Option<E164>,
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The most records wanted; no page has more than 1,000.
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The first page.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }

    /// The limit within its bounds.
    pub(super) fn size(&self) -> u32 {
        self.limit.clamp(1, MAX_PAGE)
    }
}

/// One page of calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallPage {
    /// Newest first.
    pub records: Vec<CallRecord>,
    /// Where the next page goes on; `None` when this is the last.
    pub next: Option<Cursor>,
    /// Rows left out because this version can't read them.
    pub unreadable: u32,
}

/// A place in a list of calls. Its text is for handing back, not for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Microseconds since 1970.
    pub(super) started_at: i64,
    pub(super) call_id: CallId,
}

/// A text that isn't a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: give back the one that came with the page before")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started_at, self.call_id)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (started_at, call_id) = text.split_once('.').ok_or(CursorError)?;
        Ok(Self {
            started_at: started_at.parse().map_err(|_| CursorError)?,
            call_id: call_id.parse().map_err(|_| CursorError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        let cursor = Cursor { started_at: 1_760_000_000_000_000, call_id: CallId::generate() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "1.2", "x.y", "."] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
