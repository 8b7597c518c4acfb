//! `Contact` (RFC 3261 §20.10).

use std::ops::Deref;

use super::{HeaderError, HeaderName, Headers, NameAddr, delta_seconds};
use crate::message::name::NameId;

/// The addresses of a Contact header field, in order; also the `*` that clears all registrations.
#[derive(Clone, Debug, Default)]
pub struct ContactList {
    addresses: Vec<NameAddr>,
    wildcard: bool,
}

impl ContactList {
    /// `Contact: *` (RFC 3261 §10.2.2). Then there are no addresses.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }
}

impl Deref for ContactList {
    type Target = [NameAddr];

    fn deref(&self) -> &[NameAddr] {
        &self.addresses
    }
}

impl NameAddr {
    /// The `expires` parameter of a Contact, in seconds; a malformed one counts as 3600 (RFC 3261 §10.2.1.1, §20.10).
    pub fn expires(&self) -> Option<u32> {
        self.param("expires").map(|value| value.and_then(delta_seconds).unwrap_or(3600))
    }
}

impl Headers {
    /// Where the peer can be reached.
    ///
    /// # Errors
    /// An address is malformed, or `*` is not alone.
    pub fn contacts(&self) -> Result<ContactList, HeaderError> {
        let mut values = self.raw_values(NameId::Contact);
        if values.next() == Some(b"*") {
            let alone = values.next().is_none();
            return if alone {
                Ok(ContactList { addresses: Vec::new(), wildcard: true })
            } else {
                Err(HeaderError::Malformed(HeaderName::Contact))
            };
        }
        let addresses = self.every(HeaderName::Contact, NameAddr::read)?;
        Ok(ContactList { addresses, wildcard: false })
    }
}
