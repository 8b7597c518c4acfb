//! `Event` (RFC 6665 §8.2.1).

use bytes::Bytes;

use super::{HeaderError, HeaderName, Headers, lex};
use crate::message::params::Params;

/// An event package and the subscription within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `refer`, `dialog`, `presence`, …; compared byte by byte.
    pub package: Bytes,
    /// `id` and others.
    pub params: Params,
}

impl Event {
    fn read(value: Bytes) -> Option<Event> {
        let (package, params) = lex::split_outside(&value, b';');
        let params = params_after(&value, params);
        (lex::is_token(package) && params.is_well_formed())
            .then(|| Event { package: value.slice(lex::range_in(&value, package)), params })
    }

    /// Which subscription of the dialog: for REFER the CSeq number of the REFER (RFC 3515 §2.4.6).
    pub fn id(&self) -> Option<&[u8]> {
        self.params.value("id")
    }
}

/// The parameters after the first semicolon of a value that was split there.
pub(super) fn params_after(value: &Bytes, params: Option<&[u8]>) -> Params {
    params.map_or_else(Params::default, |params| Params::from_raw(value.slice(lex::range_in(value, params))))
}

impl Headers {
    /// The event package.
    ///
    /// # Errors
    /// Malformed.
    pub fn event(&self) -> Result<Option<Event>, HeaderError> {
        self.optional_shared(HeaderName::Event, Event::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_and_id_are_read() {
        let event = Event::read(Bytes::from_static(b"refer ; id=93809824")).unwrap();
        assert_eq!((&event.package[..], event.id()), (&b"refer"[..], Some(&b"93809824"[..])));
        assert!(Event::read(Bytes::from_static(b"re fer")).is_none());
    }
}
