//! Digest access authentication as SIP uses it: RFC 3261 §22 with the algorithms of RFC 8760
//! and RFC 7616, and the older RFC 2069 and RFC 2617 forms that registrars still send.
//!
//! [`Client`] answers challenges; [`Authenticator`] issues them and checks the answers. Neither
//! reads a clock or a random source: both are arguments. `qop=auth-int` is refused with a typed
//! error (the body of a call's INVITE may be rewritten on its way, so that it can't be relied
//! on), `userhash` is ignored and the plain username sent.

mod challenge;
mod client;
mod params;
mod response;
mod server;

use std::fmt;

pub use challenge::{Challenge, Challenger, Qop, parse_challenges, select};
pub use client::{Answer, Client};
pub use response::{Protection, Signed, authorization_value};
pub use server::{Authenticator, Authorization, Rejection, RequestLine, ServerKey};

/// Longest header value looked at, in bytes. Real challenges stay under 1 KB.
const MAX_VALUE: usize = 8_192;

/// A hash that digest can be computed with, and whether the session form (`-sess`) is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Algorithm {
    /// The hash function.
    pub hash: Hash,
    /// `-sess`: the first half of the answer is bound to nonce and cnonce (RFC 7616 §3.4.2).
    pub session: bool,
}

/// The hash functions, weakest first, so that `Ord` ranks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// MD5, the default when a challenge names none.
    Md5,
    /// SHA-512 cut to 256 bits with its own initial values (FIPS 180-4 §5.3.6.2).
    Sha512_256,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// MD5 without session form.
    pub const MD5: Self = Self { hash: Hash::Md5, session: false };
    /// SHA-256 without session form.
    pub const SHA256: Self = Self { hash: Hash::Sha256, session: false };
    /// SHA-512/256 without session form.
    pub const SHA512_256: Self = Self { hash: Hash::Sha512_256, session: false };

    /// Reads the `algorithm` parameter; tokens compare without case. `None` when unknown.
    #[must_use]
    pub fn from_token(token: &[u8]) -> Option<Self> {
        ALGORITHMS
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(token))
            .map(|(_, algorithm)| *algorithm)
    }

    /// The token as the RFC writes it.
    #[must_use]
    pub fn token(self) -> &'static str {
        match (self.hash, self.session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Sha512_256, false) => "SHA-512-256",
            (Hash::Sha512_256, true) => "SHA-512-256-sess",
        }
    }
}

const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("MD5", Algorithm::MD5),
    ("MD5-sess", Algorithm { hash: Hash::Md5, session: true }),
    ("SHA-256", Algorithm::SHA256),
    ("SHA-256-sess", Algorithm { hash: Hash::Sha256, session: true }),
    ("SHA-512-256", Algorithm::SHA512_256),
    ("SHA-512-256-sess", Algorithm { hash: Hash::Sha512_256, session: true }),
];

/// A password. It can be compared and used for an answer, but never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<[u8]>);

impl Password {
    /// Takes the password's bytes, for UTF-8 text as it is.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into().into_boxed_slice())
    }

    /// Whether it has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// What a challenge is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name that authenticates; often, not always, the user of the address.
    pub username: String,
    /// Its password.
    pub password: Password,
    /// The only realm to answer, as text. With `None` any realm is answered, which hands an
    /// offline-guessable hash to whoever can send a challenge: set it where the carrier's realm
    /// is known.
    pub realm: Option<String>,
}

/// Why a challenge isn't answered, or a header can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The header isn't a list of schemes and parameters, or is beyond bounds.
    #[error("the authentication header is malformed: {0}")]
    Malformed(Malformation),
    /// No challenge of the scheme `Digest` came.
    #[error("the challenge holds no Digest scheme")]
    NoDigest,
    /// Every challenge is for a realm that is not the configured one.
    #[error("the challenge is for a realm other than the configured one")]
    OtherRealm,
    /// Integrity protection of the body is demanded.
    #[error("the challenge demands qop=auth-int, which isn't supported; ask for qop=auth")]
    AuthIntOnly,
    /// A qop that isn't known is demanded.
    #[error("the challenge demands an unknown qop")]
    UnknownQop,
    /// None of the algorithms is known.
    #[error("the challenge demands an algorithm other than SHA-256, SHA-512-256 and MD5")]
    UnknownAlgorithm,
    /// Our answer was refused: username or password is wrong.
    #[error("username or password was refused")]
    Refused,
    /// The challenger calls every nonce stale that it issues.
    #[error("the challenger called {0} nonces stale in a row")]
    StaleLoop(u8),
    /// More realms ask than a request path plausibly has.
    #[error("more than {0} realms ask for credentials")]
    TooManyRealms(usize),
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformation {
    /// Longer than any real one.
    #[error("too long")]
    TooLong,
    /// More schemes or parameters than any real one has.
    #[error("too many parameters")]
    TooMany,
    /// A quoted string without its end, or with control characters.
    #[error("a quoted string is broken")]
    Quoting,
    /// A parameter outside a scheme, or a character where a name should be.
    #[error("a name is missing")]
    Syntax,
    /// The same parameter twice.
    #[error("a parameter is given twice")]
    Repeated,
    /// A parameter that the RFC demands is absent.
    #[error("parameter `{0}` is missing")]
    Missing(&'static str),
    /// A parameter without the form the RFC gives it.
    #[error("parameter `{0}` has a wrong value")]
    Value(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_credentials_never_print_the_secret() {
        let credentials =
            Credentials { username: "bob".into(), password: Password::new("zanzibar"), realm: None };
        assert!(!format!("{credentials:?}").contains("zanzibar"));
        assert!(!format!("{:?}", Client::new(credentials)).contains("zanzibar"));
        assert!(!format!("{:?}", ServerKey::new([0x5a; 32])).contains("90"));
    }

    #[test]
    fn algorithm_tokens_read_back_in_any_case() {
        for (token, algorithm) in ALGORITHMS {
            assert_eq!(algorithm.token(), token);
            assert_eq!(Algorithm::from_token(token.to_lowercase().as_bytes()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_token(b"SHA-1"), None);
    }
}
