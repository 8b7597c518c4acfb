//! Header fields as types, one file for each. All are read from [`Headers`] when asked for:
//! `message.headers().from()`, `.cseq()`, `.contacts()` and so on.
//!
//! A mandatory header field gives `Result<T, HeaderError>`, an optional one `Result<Option<T>, HeaderError>`, a list
//! an empty list when it isn't there (where "empty" and "absent" mean the same).

mod accept;
mod allow;
mod call_id;
mod contact;
mod content_length;
mod content_type;
mod cseq;
mod date;
mod diversion;
mod event;
mod expires;
mod from;
mod max_forwards;
mod min_expires;
mod min_se;
mod name_addr;
mod option_tags;
mod p_asserted_identity;
mod rack;
mod reason;
mod record_route;
mod refer_to;
mod referred_by;
mod replaces;
mod retry_after;
mod route;
mod rseq;
mod session_expires;
mod subscription_state;
mod timestamp;
mod to;
pub(crate) mod via;

pub use accept::Accept;
pub use contact::ContactList;
pub use content_type::{ContentType, MediaType};
pub use cseq::CSeq;
pub use event::Event;
pub use name_addr::NameAddr;
pub use option_tags::TokenList;
pub use rack::RAck;
pub use reason::ReasonValue;
pub use replaces::Replaces;
pub use retry_after::RetryAfter;
pub use session_expires::{Refresher, SessionExpires};
pub use subscription_state::{SubscriptionState, SubscriptionStatus};
pub use via::{Transport, Via};

use bytes::Bytes;

use super::{HeaderError, HeaderName, Headers, lex};

/// `Expires`, `Min-Expires` and their like: seconds. More than 32 bits can hold means "as long as possible"
/// (RFC 3261 §20.19 gives 2**32-1 as the largest), so too large a number is that largest one.
fn delta_seconds(value: &[u8]) -> Option<u32> {
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        return Some(lex::decimal(value).unwrap_or(u32::MAX));
    }
    None
}

impl Headers {
    /// The first header field of that name as its type.
    fn optional<T>(
        &self,
        name: HeaderName,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, HeaderError> {
        match self.first_value(name.id()) {
            Some(value) => read(value).map(Some).ok_or(HeaderError::Malformed(name)),
            None => Ok(None),
        }
    }

    /// As [`Headers::optional`], for types that keep parts of the message.
    fn optional_shared<T>(
        &self,
        name: HeaderName,
        read: impl Fn(Bytes) -> Option<T>,
    ) -> Result<Option<T>, HeaderError> {
        match self.first(name.id()) {
            Some(value) => read(value).map(Some).ok_or(HeaderError::Malformed(name)),
            None => Ok(None),
        }
    }

    /// As [`Headers::optional_shared`], for header fields that must be there.
    fn required_shared<T>(
        &self,
        name: HeaderName,
        read: impl Fn(Bytes) -> Option<T>,
    ) -> Result<T, HeaderError> {
        match self.first(name.id()) {
            Some(value) => read(value).ok_or(HeaderError::Malformed(name)),
            None => Err(HeaderError::Missing(name)),
        }
    }

    /// All elements of a list, over all its lines, as their type.
    fn every<T>(&self, name: HeaderName, read: impl Fn(Bytes) -> Option<T>) -> Result<Vec<T>, HeaderError> {
        self.elements(name.id())
            .map(|element| read(element).ok_or_else(|| HeaderError::Malformed(name.clone())))
            .collect()
    }

    /// Whether every element of a list satisfies its grammar; faster than making something of it.
    pub(crate) fn all_elements(
        &self,
        name: HeaderName,
        check: impl Fn(&[u8]) -> bool,
    ) -> Result<(), HeaderError> {
        let well_formed = self.raw_values(name.id()).flat_map(super::headers::elements).all(check);
        if well_formed { Ok(()) } else { Err(HeaderError::Malformed(name)) }
    }

    /// Whether the first value satisfies its grammar, if there is one.
    pub(crate) fn first_if_any(
        &self,
        name: HeaderName,
        check: impl Fn(&[u8]) -> bool,
    ) -> Result<(), HeaderError> {
        if self.first_value(name.id()).is_none_or(check) { Ok(()) } else { Err(HeaderError::Malformed(name)) }
    }
}
