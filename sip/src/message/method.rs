//! Request methods (RFC 3261 §7.1 and the extensions of RFC 3262, 3311, 3428, 3515, 3903, 6086, 6665).

use std::fmt;
use std::sync::Arc;

use super::lex;

/// A request method. Methods are tokens and compare case-sensitively (RFC 3261 §7.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 3261 §13
    Invite,
    /// RFC 3261 §13.2.2.4
    Ack,
    /// RFC 3261 §15
    Bye,
    /// RFC 3261 §9
    Cancel,
    /// RFC 3261 §11
    Options,
    /// RFC 3261 §10
    Register,
    /// RFC 3262
    Prack,
    /// RFC 3311
    Update,
    /// RFC 6086
    Info,
    /// RFC 3515
    Refer,
    /// RFC 6665
    Notify,
    /// RFC 6665
    Subscribe,
    /// RFC 3428
    Message,
    /// RFC 3903
    Publish,
    /// Any other token.
    Other(OtherMethod),
}

/// The token of a method this crate has no name for. Always a non-empty RFC 3261 token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherMethod(Arc<str>);

impl Method {
    /// Reads a method token; `None` if the bytes aren't an RFC 3261 token.
    pub fn from_bytes(token: &[u8]) -> Option<Method> {
        Some(match token {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"OPTIONS" => Method::Options,
            b"REGISTER" => Method::Register,
            b"PRACK" => Method::Prack,
            b"UPDATE" => Method::Update,
            b"INFO" => Method::Info,
            b"REFER" => Method::Refer,
            b"NOTIFY" => Method::Notify,
            b"SUBSCRIBE" => Method::Subscribe,
            b"MESSAGE" => Method::Message,
            b"PUBLISH" => Method::Publish,
            other if lex::is_token(other) => {
                Method::Other(OtherMethod(std::str::from_utf8(other).ok()?.into()))
            }
            _ => return None,
        })
    }

    /// The token as it goes on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Register => "REGISTER",
            Method::Prack => "PRACK",
            Method::Update => "UPDATE",
            Method::Info => "INFO",
            Method::Refer => "REFER",
            Method::Notify => "NOTIFY",
            Method::Subscribe => "SUBSCRIBE",
            Method::Message => "MESSAGE",
            Method::Publish => "PUBLISH",
            Method::Other(other) => &other.0,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive_and_unknown_tokens_are_kept() {
        assert_eq!(Method::from_bytes(b"INVITE"), Some(Method::Invite));
        let lower = Method::from_bytes(b"invite").unwrap();
        assert_ne!(lower, Method::Invite);
        assert_eq!(lower.as_str(), "invite");
        let odd = b"!interesting-Method0123456789_*+`.%indeed'~";
        assert_eq!(Method::from_bytes(odd).unwrap().as_str().as_bytes(), odd);
    }

    #[test]
    fn a_method_that_is_no_token_is_refused() {
        for bad in [&b""[..], b"IN VITE", b"INVITE\xe9", b"A/B", b"A\0"] {
            assert_eq!(Method::from_bytes(bad), None);
        }
    }
}
