//! SIP messages: reading, checking and writing them (RFC 3261 §7, §18.3, §19, §20, §25).
//!
//! Reading copies nothing: a message is its bytes plus the places of its parts, and header fields become types when
//! they are asked for. Everything is bytes, not text, because callers' names come in any encoding. No input makes this
//! module panic, and no input makes it take more than linear time.
//!
//! The usual way in: [`parse`], then for a request [`validate`]; the usual way out: [`RequestBuilder`] and
//! [`ResponseBuilder`].

mod error;
pub mod header;
mod headers;
mod lex;
mod method;
mod name;
mod params;
mod parse;
mod request;
mod request_builder;
mod response;
mod response_builder;
mod status;
pub mod uri;
mod validate;
mod writer;

pub use error::{BadRequest, HeaderError, ParseError, Reject, SilentKind, UriError};
pub use header::{
    Accept, CSeq, ContactList, ContentType, Event, MediaType, NameAddr, RAck, ReasonValue, Refresher,
    Replaces, RetryAfter, SessionExpires, SubscriptionState, SubscriptionStatus, TokenList, Transport, Via,
};
pub use headers::{HeaderField, Headers};
pub use method::{Method, OtherMethod};
pub use name::{HeaderName, OtherName};
pub use params::Params;
pub(crate) use parse::content_length_of;
pub use parse::{Framing, limits, parse};
pub use request::{Request, Version};
pub use request_builder::RequestBuilder;
pub use response::Response;
pub use response_builder::ResponseBuilder;
pub use status::StatusCode;
pub use uri::{DomainName, Host, Scheme, Uri};
pub use validate::validate;

/// A SIP message.
#[derive(Clone, Debug)]
pub enum Message {
    /// Begins with a request line.
    Request(Request),
    /// Begins with a status line.
    Response(Response),
}

impl Message {
    /// The header fields of either kind.
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => request.headers(),
            Message::Response(response) => response.headers(),
        }
    }

    /// The message exactly as it was received or will be sent.
    pub fn as_bytes(&self) -> &bytes::Bytes {
        match self {
            Message::Request(request) => request.as_bytes(),
            Message::Response(response) => response.as_bytes(),
        }
    }
}
