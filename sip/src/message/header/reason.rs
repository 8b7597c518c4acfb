//! `Reason` (RFC 3326 §2).

use std::borrow::Cow;

use bytes::Bytes;

use super::event::params_after;
use super::{HeaderError, HeaderName, Headers, lex};
use crate::message::params::Params;

/// Why a request was sent, in the terms of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonValue {
    /// `SIP`, `Q.850`, …
    pub protocol: Bytes,
    /// `cause`, `text` and others.
    pub params: Params,
}

impl ReasonValue {
    fn read(value: Bytes) -> Option<ReasonValue> {
        let (protocol, params) = lex::split_outside(&value, b';');
        let params = params_after(&value, params);
        (lex::is_token(protocol) && params.is_well_formed())
            .then(|| ReasonValue { protocol: value.slice(lex::range_in(&value, protocol)), params })
    }

    /// The status code or Q.850 cause.
    pub fn cause(&self) -> Option<u16> {
        self.params.value("cause").and_then(lex::decimal)
    }

    /// The text for people.
    pub fn text(&self) -> Option<Cow<'_, [u8]>> {
        self.params.get_unquoted("text")
    }
}

impl Headers {
    /// Why the request was sent.
    ///
    /// # Errors
    /// An element is malformed.
    pub fn reason(&self) -> Result<Vec<ReasonValue>, HeaderError> {
        self.every(HeaderName::Reason, ReasonValue::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_and_text_are_read() {
        let reason =
            ReasonValue::read(Bytes::from_static(b"Q.850 ;cause=16 ;text=\"Terminated, \\\"ok\\\"\""))
                .unwrap();
        assert_eq!((&reason.protocol[..], reason.cause()), (&b"Q.850"[..], Some(16)));
        assert_eq!(reason.text().as_deref(), Some(&b"Terminated, \"ok\""[..]));
    }
}
