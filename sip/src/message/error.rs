//! What can be wrong with a message.

use thiserror::Error;

use super::name::{HeaderName, NameId};
use super::{Request, StatusCode};

/// Why a message could not be read.
#[derive(Debug, Error)]
pub enum ParseError {
    /// There is nobody to tell, or nothing that may be said: drop and count.
    #[error("dropped: {0}")]
    Silent(SilentKind),
    /// A request whose sender can be told what is wrong with it.
    #[error("{}: {}", .0.status, .0.reason)]
    Reply(Box<BadRequest>),
}

/// Why a message is dropped without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SilentKind {
    /// Nothing but line ends or NULs: what NAT keep-alives look like (RFC 5626 §3.5.1).
    #[error("keep-alive")]
    KeepAlive,
    /// The first line is neither a request nor a status line.
    #[error("not SIP")]
    NotSip,
    /// A response that can't be read: nobody answers responses.
    #[error("malformed response")]
    BadResponse,
    /// A malformed ACK: nobody answers ACKs (RFC 3261 §17).
    #[error("malformed ACK")]
    BadAck,
    /// A malformed request with no usable Via to answer to (RFC 3261 §18.2.2).
    #[error("malformed request with nowhere to answer")]
    NoReturnPath,
    /// Longer than a message may be.
    #[error("too large")]
    TooLarge,
}

/// A request that can't be processed, with what is needed to say so.
#[derive(Debug)]
pub struct BadRequest {
    /// As much of the request as could be read: for `ResponseBuilder::reply_to` only.
    pub request: Request,
    /// The status to answer with.
    pub status: StatusCode,
    /// A reason phrase that names the problem (RFC 3261 §21.4.1).
    pub reason: &'static str,
}

/// What [`validate`](super::validate) found wrong with a well-framed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{status}: {reason}")]
pub struct Reject {
    /// The status to answer with; an ACK is dropped instead (RFC 3261 §17).
    pub status: StatusCode,
    /// A reason phrase that names the problem.
    pub reason: &'static str,
}

/// Why a header field could not be given as its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// A mandatory header field isn't there.
    #[error("{0} is missing")]
    Missing(HeaderName),
    /// The header field is there and breaks its grammar.
    #[error("{0} is malformed")]
    Malformed(HeaderName),
}

impl HeaderError {
    /// The header field in question.
    pub fn name(&self) -> &HeaderName {
        match self {
            HeaderError::Missing(name) | HeaderError::Malformed(name) => name,
        }
    }

    /// A reason phrase for a 400.
    pub fn reason(&self) -> &'static str {
        let id: NameId = self.name().id();
        match self {
            HeaderError::Missing(_) => id.missing_reason(),
            HeaderError::Malformed(_) => id.malformed_reason(),
        }
    }
}

/// Why bytes are not a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UriError {
    /// No scheme followed by a colon.
    #[error("URI has no scheme")]
    Scheme,
    /// A byte that has no place in a URI: white space, control, quote, angle bracket, non-ASCII.
    #[error("URI contains a forbidden character")]
    Character,
    /// The user part or password breaks RFC 3261 §25.1 (or RFC 3966 for `tel:`).
    #[error("URI has a malformed user part")]
    User,
    /// Neither a name nor an address.
    #[error("URI has a malformed host")]
    Host,
    /// Not a number from 0 to 65,535.
    #[error("URI has a malformed port")]
    Port,
    /// `;name=value` parameters are malformed.
    #[error("URI has malformed parameters")]
    Parameter,
    /// `?name=value` headers are malformed.
    #[error("URI has malformed headers")]
    Header,
    /// Longer than a message may be.
    #[error("URI is too long")]
    TooLong,
}
