//! `Require`, `Supported`, `Proxy-Require`, `Unsupported` (RFC 3261 §20.32, §20.37, §20.29, §20.40) and
//! `Allow-Events` (RFC 6665 §8.2.2): lists of tokens.

use bytes::Bytes;

use super::{HeaderError, HeaderName, Headers, lex};

/// Tokens in the order of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenList {
    tokens: Vec<Bytes>,
}

impl TokenList {
    /// Whether the token is there; option tags compare without case, as all tokens do (RFC 3261 §7.3.1).
    pub fn contains(&self, token: &str) -> bool {
        self.tokens.iter().any(|t| t.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The tokens.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.tokens.iter().map(|token| &token[..])
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }
}

impl Headers {
    /// What the server must understand to process the request (else 420).
    ///
    /// # Errors
    /// Something that is no token.
    pub fn require(&self) -> Result<TokenList, HeaderError> {
        self.tokens(HeaderName::Require)
    }

    /// What the peer understands.
    ///
    /// # Errors
    /// Something that is no token.
    pub fn supported(&self) -> Result<TokenList, HeaderError> {
        self.tokens(HeaderName::Supported)
    }

    /// What proxies must understand; a user agent ignores it.
    ///
    /// # Errors
    /// Something that is no token.
    pub fn proxy_require(&self) -> Result<TokenList, HeaderError> {
        self.tokens(HeaderName::ProxyRequire)
    }

    /// What the server didn't understand (with 420).
    ///
    /// # Errors
    /// Something that is no token.
    pub fn unsupported(&self) -> Result<TokenList, HeaderError> {
        self.tokens(HeaderName::Unsupported)
    }

    /// The event packages the peer knows.
    ///
    /// # Errors
    /// Something that is no token.
    pub fn allow_events(&self) -> Result<TokenList, HeaderError> {
        self.tokens(HeaderName::AllowEvents)
    }

    /// Empty elements are left out: RFC 2543 allowed them.
    fn tokens(&self, name: HeaderName) -> Result<TokenList, HeaderError> {
        let malformed = || HeaderError::Malformed(name.clone());
        let tokens = self
            .elements(name.id())
            .filter(|element| !element.is_empty())
            .map(|element| if lex::is_token(&element) { Ok(element) } else { Err(malformed()) })
            .collect::<Result<_, _>>()?;
        Ok(TokenList { tokens })
    }
}
