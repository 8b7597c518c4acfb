//! `Session-Expires` (RFC 4028 §4).

use bytes::Bytes;

use super::event::params_after;
use super::{HeaderError, HeaderName, Headers, delta_seconds, lex};

/// How long the session lives without a refresh, and who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub seconds: u32,
    /// Who refreshes, if it is said.
    pub refresher: Option<Refresher>,
}

/// Who sends the refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answers it.
    Uas,
}

impl SessionExpires {
    fn read(value: Bytes) -> Option<SessionExpires> {
        let (seconds, params) = lex::split_outside(&value, b';');
        let params = params_after(&value, params);
        let refresher = match params.value("refresher") {
            Some(side) if side.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => return None,
            None => None,
        };
        params.is_well_formed().then_some(SessionExpires { seconds: delta_seconds(seconds)?, refresher })
    }
}

impl Headers {
    /// The session interval.
    ///
    /// # Errors
    /// Malformed.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, HeaderError> {
        self.optional_shared(HeaderName::SessionExpires, SessionExpires::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_and_refresher_are_read() {
        let read = |text: &'static str| SessionExpires::read(Bytes::from_static(text.as_bytes()));
        assert_eq!(
            read("1800 ; Refresher=UAS"),
            Some(SessionExpires { seconds: 1800, refresher: Some(Refresher::Uas) })
        );
        assert_eq!(read("90"), Some(SessionExpires { seconds: 90, refresher: None }));
        assert_eq!(read("90;refresher=me"), None);
        assert_eq!(read("-90"), None);
    }
}
